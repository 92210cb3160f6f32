//! An e-mail, over an encrypted connection.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::Refusal;
use crate::config::{EmailTarget, EmailTls, secret};
use crate::deliver::attempt::Now;
use crate::deliver::message::Message;

#[derive(Debug)]
pub(super) struct Email {
    target: EmailTarget,
    smtp: AsyncSmtpTransport<Tokio1Executor>,
}

impl Email {
    pub(super) fn new(
        field: &dyn Fn(&str) -> String,
        target: &EmailTarget,
    ) -> anyhow::Result<Self> {
        let mut tls = TlsParameters::builder(target.host.clone());
        if let Some(path) = &target.ca_file {
            let place = || format!("{} {}", field("ca_file"), path.display());
            let pem = fs::read(path).with_context(place)?;
            let authority = Certificate::from_pem(&pem).map_err(|error| anyhow!("{error}"));
            tls = tls.add_root_certificate(authority.with_context(place)?);
        }
        let tls = tls.build_rustls().with_context(|| field("host"))?;
        let (tls, port) = match target.tls {
            EmailTls::Starttls => (Tls::Required(tls), 587),
            EmailTls::Implicit => (Tls::Wrapper(tls), 465),
        };
        let timeout = Duration::from_secs(target.timeout_s);
        let mut smtp = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&target.host)
            .port(target.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(timeout));
        let path = field("password");
        let password = secret(
            &path,
            target.password.as_ref(),
            target.password_file.as_ref(),
        )?;
        if let (Some(user), Some(password)) = (&target.user, password) {
            smtp = smtp.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self {
            target: target.clone(),
            smtp: smtp.build(),
        })
    }

    pub(super) async fn send(&self, message: &Message<'_>, now: Now) -> Result<(), Refusal> {
        let mail = self.mail(message, now)?;
        let sent = self.smtp.send(mail).await;
        sent.map(drop).map_err(|error| {
            sandclock_core::error::WithSources(&error)
                .to_string()
                .into()
        })
    }

    fn mail(&self, message: &Message<'_>, now: Now) -> Result<lettre::Message, Refusal> {
        let target = &self.target;
        let date = u64::try_from(now.as_millis()).unwrap_or_default();
        let domain = target.from.email.domain();
        let mut mail = lettre::Message::builder()
            .from(target.from.clone())
            .subject(message.subject())
            .date(UNIX_EPOCH + Duration::from_millis(date))
            // Whoever gets it twice sees that it is one.
            .message_id(Some(format!("<{}@{domain}>", message.key)));
        for to in &target.to {
            mail = mail.to(to.clone());
        }
        let html = message.parts.is_empty() && message.content_type().starts_with("text/html");
        let kind = if html {
            ContentType::TEXT_HTML
        } else {
            ContentType::TEXT_PLAIN
        };
        let mail = mail.header(kind).body(message.text().into_owned());
        mail.map_err(|error| Refusal::from(format!("the mail cannot be written: {error}")))
    }
}
