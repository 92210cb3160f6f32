//! A message in a stream of NATS JetStream, which acknowledges it and knows it again by its id.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, HeaderMap};
use sandclock_core::error::WithSources;
use tokio::sync::Mutex;

use super::Refusal;
use crate::config::{NatsTarget, secret};
use crate::deliver::message::Message;

#[derive(Debug)]
pub(super) struct Nats {
    target: NatsTarget,
    login: Login,
    /// The connection, once there was something to send.
    client: Mutex<Option<Client>>,
}

/// Without anything in its output.
struct Login {
    password: Option<String>,
    token: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

impl Nats {
    pub(super) fn new(field: &dyn Fn(&str) -> String, target: &NatsTarget) -> anyhow::Result<Self> {
        let given = |member: &str, given: &Option<String>, file: &Option<PathBuf>| {
            secret(&field(member), given.as_ref(), file.as_ref())
        };
        let login = Login {
            password: given("password", &target.password, &target.password_file)?,
            token: given("token", &target.token, &target.token_file)?,
        };
        Ok(Self {
            target: target.clone(),
            login,
            client: Mutex::new(None),
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.target.timeout_s)
    }

    async fn connect(&self) -> Result<Client, Refusal> {
        let mut options = ConnectOptions::new()
            .name("sandclock")
            .connection_timeout(self.timeout())
            .require_tls(self.target.tls)
            // A connection that is lost is made anew by the next message, and not by a task that never ends.
            .max_reconnects(self.target.servers.len().max(1));
        if let Some(path) = &self.target.ca_file {
            options = options.add_root_certificates(path.clone());
        }
        if let (Some(user), Some(password)) = (&self.target.user, &self.login.password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(token) = &self.login.token {
            options = options.token(token.clone());
        }
        let connected = options.connect(&self.target.servers).await;
        connected.map_err(|error| WithSources(&error).to_string().into())
    }

    /// The connection, if it stands; else a new one. One that is lost would keep what it is given, and send it at a
    /// time that nobody knows.
    async fn client(&self) -> Result<Client, Refusal> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client
            && client.connection_state() == State::Connected
        {
            return Ok(client.clone());
        }
        // The lost one goes first, with all that it holds.
        *client = None;
        Ok(client.insert(self.connect().await?).clone())
    }

    pub(super) async fn send(&self, message: &Message<'_>) -> Result<(), Refusal> {
        let client = self.client().await?;
        let mut headers = HeaderMap::new();
        for (name, value) in message.headers() {
            headers.insert(name.as_str(), value.as_str());
        }
        headers.insert("Content-Type", message.content_type());
        headers.insert("Idempotency-Key", message.key.as_str());
        headers.insert("Nats-Msg-Id", message.key.as_str());
        let mut stream = jetstream::new(client);
        stream.set_timeout(self.timeout());
        let subject = self.target.subject.clone();
        let published = async {
            let stored = stream.publish_with_headers(subject, headers, message.body());
            stored.await?.await
        };
        match published.await {
            Ok(_) => Ok(()),
            Err(error) => {
                let subject = &self.target.subject;
                let error = WithSources(&error);
                Err(format!("no stream stored it under {subject}: {error}").into())
            }
        }
    }
}
