//! `[alerts]`: where alerts can go.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::checked;
use super::kinds::{self, Kinds, Nothing};

/// `[alerts]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSection {
    /// Where alerts can go, by the name that plugins use.
    pub targets: BTreeMap<String, Target>,
}

impl Default for AlertSection {
    /// Without configuration every alert still goes somewhere: into the log.
    fn default() -> Self {
        let log = |name: &str| (name.to_owned(), Target::Log {});
        Self {
            targets: BTreeMap::from([log("default"), log("log")]),
        }
    }
}

/// `[alerts.targets.NAME]`
#[derive(Clone, Debug)]
pub enum Target {
    /// The process's own log.
    Log {},
    /// An HTTP POST.
    Webhook(WebhookTarget),
}

/// `[alerts.targets.NAME]` with `type = "webhook"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// Where to.
    #[serde(deserialize_with = "checked::webhook_url")]
    pub url: String,
    /// Headers besides those of the alert.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// What `type` may say.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TargetKind {
    Log,
    Webhook,
}

impl<'de> Kinds<'de> for Target {
    type Kind = TargetKind;

    fn read<D: Deserializer<'de>>(kind: TargetKind, rest: D) -> Result<Self, D::Error> {
        match kind {
            TargetKind::Log => Nothing::deserialize(rest).map(|_| Self::Log {}),
            TargetKind::Webhook => WebhookTarget::deserialize(rest).map(Self::Webhook),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(section: D) -> Result<Self, D::Error> {
        kinds::read(section)
    }
}
