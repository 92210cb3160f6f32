//! `[oidc]`: where people sign in, and what they may do.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use sandclock_core::access::{Grant, Role};
use serde::{Deserialize, Serialize};

use super::checked;
use crate::document::FieldError;

/// The most rules.
const MAX_RULES: usize = 1_000;

/// The longest that a provider may be given, in seconds.
const MAX_TIMEOUT_S: u64 = 60;

/// `[oidc]`
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSection {
    /// The provider: what its ID tokens name as their issuer.
    pub issuer: String,
    /// As whom we are known there.
    pub client_id: String,
    /// What shows that it is us; `None` for a client without one, which PKCE protects alone.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// A file that holds the secret instead.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers reach the console, without a path; `None` is where it listens, if that is loopback.
    #[serde(default)]
    pub public_url: Option<String>,
    /// What the provider is asked to tell, beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// How long the provider may take in all, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// Who may do what: the first one that fits. Nobody gets in whom none fits.
    pub rules: Vec<RuleSection>,
}

fn scopes() -> Vec<String> {
    ["email", "profile"].map(str::to_owned).to_vec()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

const fn timeout_s() -> u64 {
    10
}

/// Without the secret.
impl fmt::Debug for OidcSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcSection")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// `[[oidc.rules]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSection {
    /// For members of this group.
    #[serde(default)]
    group: Option<String>,
    /// For whom the provider has found to have this address.
    #[serde(default)]
    email: Option<String>,
    /// For the one whom the provider calls this.
    #[serde(default)]
    subject: Option<String>,
    /// What they may do.
    #[serde(
        deserialize_with = "checked::role",
        serialize_with = "checked::role_as_text"
    )]
    role: Role,
    /// With which jobs: what their names begin with; none is all, and whatever is not about one job.
    #[serde(default)]
    prefixes: Vec<String>,
}

/// Whom a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom<'a> {
    /// Members of this group.
    Group(&'a str),
    /// Whoever has this address.
    Email(&'a str),
    /// This one.
    Subject(&'a str),
}

impl RuleSection {
    /// Whom it is for; `None` if it does not say just one.
    pub fn whom(&self) -> Option<Whom<'_>> {
        match (&self.group, &self.email, &self.subject) {
            (Some(group), None, None) => Some(Whom::Group(group)),
            (None, Some(email), None) => Some(Whom::Email(email)),
            (None, None, Some(subject)) => Some(Whom::Subject(subject)),
            _ => None,
        }
        .filter(|whom| {
            let (Whom::Group(text) | Whom::Email(text) | Whom::Subject(text)) = whom;
            !text.is_empty()
        })
    }

    /// What it allows.
    pub fn grant(&self) -> Grant {
        Grant {
            role: self.role,
            prefixes: self.prefixes.clone(),
        }
    }
}

impl OidcSection {
    /// Whether browsers reach the console by TLS.
    pub(super) fn is_public_by_tls(&self) -> bool {
        let url = self.public_url.as_ref();
        url.is_some_and(|url| url.starts_with("https:"))
    }

    /// Checks what no single member can say. Others may reach the console by another address than where it listens.
    pub(super) fn check(&self, needs_url: bool) -> Result<(), FieldError> {
        check_url("oidc.issuer", &self.issuer)?;
        match &self.public_url {
            Some(url) => {
                let parsed = check_url("oidc.public_url", url)?;
                if parsed.path() != "/" {
                    let accepted = "an address without a path, such as https://cron.example.org";
                    return Err(FieldError::new("oidc.public_url", url, accepted));
                }
            }
            None if needs_url => {
                let accepted = "where browsers reach the console, such as https://cron.example.org";
                return Err(FieldError::new("oidc.public_url", "nothing", accepted));
            }
            None => {}
        }
        if self.client_id.is_empty() {
            let accepted = "what the provider calls this client";
            return Err(FieldError::new("oidc.client_id", "\"\"", accepted));
        }
        if !(1..=MAX_TIMEOUT_S).contains(&self.timeout_s) {
            let accepted = format!("seconds from 1 to {MAX_TIMEOUT_S}");
            return Err(FieldError::new("oidc.timeout_s", self.timeout_s, accepted));
        }
        if self.rules.is_empty() || self.rules.len() > MAX_RULES {
            let accepted = format!("1 to {MAX_RULES} rules: nobody gets in whom none fits");
            let found = format!("{} of them", self.rules.len());
            return Err(FieldError::new("oidc.rules", found, accepted));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            let field = |member: &str| format!("oidc.rules[{at}]{member}");
            if rule.whom().is_none() {
                let accepted = "one of group, email and subject, and not an empty one";
                return Err(FieldError::new(field(""), "another number", accepted));
            }
            let unfit = rule.grant().check().err();
            if let Some(unfit) = unfit {
                let field = field(&format!(".{}", unfit.field));
                return Err(FieldError::new(field, unfit.value, unfit.accepted));
            }
        }
        Ok(())
    }
}

/// An address that nobody on the way can read or change.
fn check_url(field: &str, text: &str) -> Result<Url, FieldError> {
    let accepted = "an https address with a host and nothing behind its path (http where the host is 127.0.0.1, ::1 or localhost)";
    let wrong = || FieldError::new(field, text, accepted);
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default();
    let is_here = ["127.0.0.1", "[::1]", "localhost"].contains(&host);
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    let is_bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match is_safe && is_bare && !host.is_empty() {
        true => Ok(url),
        false => Err(wrong()),
    }
}
