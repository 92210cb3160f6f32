//! `[plugins]`: whose plugins this process takes, what they may do, and what it keeps of their calls.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use sandclock_core::backend::plugins::{PLUGIN_NAMES, is_plugin_name};
use sandclock_core::job::SecretSource;
use sandclock_hooks::{BreakerRules, Grant, Grants, PublicKey, Trust};
use serde::{Deserialize, Serialize};

use super::breakers::{self, BreakerSection};
use super::header_name;
use super::secret::{self, SecretSection};
use crate::document::FieldError;
use crate::egress::{HttpTarget, Template};

/// `[plugins]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginSection {
    /// Whether the run log keeps what plugins were asked and said; true unless told.
    pub record_calls: bool,
    /// Only what a trusted key has signed is taken.
    pub require_signature: bool,
    /// Public keys of Ed25519 by the operator's names for them, as `sandclock plugin keygen` prints them.
    pub trusted_keys: BTreeMap<String, String>,
    /// What plugins may do beside answering, by their names.
    pub grants: BTreeMap<String, GrantSection>,
    /// Where plugins' requests can go, by the name that they use.
    pub http: BTreeMap<String, HttpSection>,
    /// Where the values of secrets come from that headers of targets name.
    pub secrets: BTreeMap<String, SecretSection>,
    /// When a plugin fails too often.
    pub breaker: BreakerSection,
    /// The same for plugins by their names.
    pub breakers: BTreeMap<String, BreakerSection>,
}

/// `[plugins.grants.NAME]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantSection {
    /// It may keep values.
    pub kv: bool,
    /// It may send requests to these targets of `[plugins.http]`.
    pub http: BTreeSet<String>,
}

/// `[plugins.http.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSection {
    /// Its address.
    pub url: String,
    /// Headers of every request. `{{secret:NAME}}` stands for a secret's value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether it may be at a private address, or without encryption.
    #[serde(default)]
    pub allow_private: bool,
}

impl Default for PluginSection {
    fn default() -> Self {
        Self {
            record_calls: true,
            require_signature: false,
            trusted_keys: BTreeMap::new(),
            grants: BTreeMap::new(),
            http: BTreeMap::new(),
            secrets: BTreeMap::new(),
            breaker: BreakerSection::default(),
            breakers: BTreeMap::new(),
        }
    }
}

impl PluginSection {
    /// Whose signatures count.
    ///
    /// # Errors
    /// Names the key that is none, or says that none is there although one is needed.
    pub fn trust(&self) -> Result<Trust, FieldError> {
        let mut keys = BTreeMap::new();
        for (name, text) in &self.trusted_keys {
            let field = || format!("plugins.trusted_keys.{name}");
            let wrong = || {
                let accepted = "32 bytes in base64, as sandclock plugin keygen prints them";
                FieldError::new(field(), text, accepted)
            };
            let key = PublicKey::parse(text).ok_or_else(wrong)?;
            if let Some(other) = keys.insert(key, name.clone()) {
                let accepted = format!("each key once: {other} has this one");
                return Err(FieldError::new(field(), text, accepted));
            }
        }
        if self.require_signature && keys.is_empty() {
            let accepted =
                "with plugins.require_signature at least one key, or no plugin could be pushed";
            return Err(FieldError::new("plugins.trusted_keys", "nothing", accepted));
        }
        Ok(Trust {
            keys,
            required: self.require_signature,
        })
    }

    /// What plugins may do.
    ///
    /// # Errors
    /// Names the plugin that cannot be, or the target that is not there.
    pub fn grants(&self) -> Result<Grants, FieldError> {
        let mut grants = BTreeMap::new();
        for (plugin, GrantSection { kv, http }) in &self.grants {
            let field = format!("plugins.grants.{plugin}");
            if !is_plugin_name(plugin) {
                let accepted = format!("a plugin's name: {PLUGIN_NAMES}");
                return Err(FieldError::new(field, plugin, accepted));
            }
            if let Some(unknown) = http.iter().find(|target| !self.http.contains_key(*target)) {
                let accepted =
                    format!("the name of a target: write [plugins.http.{unknown}] with its url");
                return Err(FieldError::new(format!("{field}.http"), unknown, accepted));
            }
            let (kv, http) = (*kv, http.clone());
            grants.insert(plugin.clone(), Grant { kv, http });
        }
        Ok(Grants::ByName(grants))
    }

    /// When plugins fail too often.
    ///
    /// # Errors
    /// Names the number that is not accepted, or the plugin that cannot be.
    pub fn breakers(&self) -> Result<BreakerRules, FieldError> {
        breakers::rules(&self.breaker, &self.breakers)
    }

    /// Where plugins' requests can go.
    ///
    /// # Errors
    /// Names the field of the target that is not accepted.
    pub fn targets(&self) -> Result<BTreeMap<String, HttpTarget>, FieldError> {
        let target = |(name, section): (&String, &HttpSection)| {
            let target = section.target(name, &self.secrets)?;
            Ok((name.clone(), target))
        };
        self.http.iter().map(target).collect()
    }

    /// Where the values of secrets come from.
    ///
    /// # Errors
    /// Names the secret without a source.
    pub fn secrets(&self) -> Result<BTreeMap<String, SecretSource>, FieldError> {
        secret::sources("plugins.secrets", &self.secrets)
    }
}

impl HttpSection {
    fn target(
        &self,
        name: &str,
        secrets: &BTreeMap<String, SecretSection>,
    ) -> Result<HttpTarget, FieldError> {
        let field = |member: &str| format!("plugins.http.{name}.{member}");
        if !is_plugin_name(name) {
            let accepted = format!("a target's name: {PLUGIN_NAMES}");
            return Err(FieldError::new(
                format!("plugins.http.{name}"),
                name,
                accepted,
            ));
        }
        let mut headers = BTreeMap::new();
        for (header, value) in &self.headers {
            let field = field(&format!("headers.{header}"));
            if let Err(accepted) = header_name(header) {
                return Err(FieldError::new(field, header, accepted));
            }
            // A value may be a credential all the same, so it is not shown.
            let refused =
                |accepted: String| FieldError::new(field.clone(), "(not shown)", accepted);
            let template =
                Template::parse(value).map_err(|accepted| refused(accepted.to_owned()))?;
            if let Some(unknown) = template
                .secrets()
                .iter()
                .find(|name| !secrets.contains_key(**name))
            {
                let accepted = format!(
                    "it names the secret {unknown}: write [plugins.secrets.{unknown}] with file or env"
                );
                return Err(refused(accepted));
            }
            headers.insert(header.clone(), template);
        }
        // With a user or a query it may hold a credential.
        let shown = match self.url.contains(['@', '?']) {
            true => "(not shown)",
            false => self.url.as_str(),
        };
        let refused = |accepted: String| FieldError::new(field("url"), shown, accepted);
        let url = self.address().map_err(refused)?;
        let target = HttpTarget {
            url,
            headers,
            allow_private: self.allow_private,
        };
        let literal = target.check_literal();
        literal.map_err(|why| refused(why.to_string()))?;
        Ok(target)
    }

    fn address(&self) -> Result<Url, String> {
        let example = "such as https://oncall.example.org/api";
        let url =
            Url::parse(&self.url).map_err(|error| format!("{error}; give an address {example}"))?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match url.scheme() {
            _ if !url.has_host() || !bare => Err(format!(
                "an address with a host and without user, password, query and fragment, {example}; credentials go into headers"
            )),
            "https" => Ok(url),
            "http" if self.allow_private => Ok(url),
            "http" => Err(
                "an https address: without encryption only with allow_private = true".to_owned(),
            ),
            _ => Err(format!("an https address, {example}")),
        }
    }
}
