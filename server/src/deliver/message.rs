//! What is sent: an alert, or several to one target as one message that lists them.

use std::borrow::Cow;

use bytes::Bytes;
use sandclock_core::backend::{Alert, AlertKind};
use serde_json::{Value, json};

/// A message to a target.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// The alert that it goes under.
    pub(super) alert: &'a Alert,
    /// The others in it.
    pub(super) parts: &'a [Alert],
    /// The same for every try of it.
    pub(super) key: String,
}

/// What a group is sent as where there is no text.
const JSON: &str = "application/json";

impl<'a> Message<'a> {
    pub(super) fn new(alert: &'a Alert, parts: &'a [Alert]) -> Self {
        Self {
            alert,
            parts,
            key: alert.id.to_string(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &'a Alert> {
        std::iter::once(self.alert).chain(self.parts)
    }

    /// Its media type.
    pub(super) fn content_type(&self) -> &str {
        match self.parts {
            [] => &self.alert.draft.content_type,
            _ => JSON,
        }
    }

    /// The headers that the plugin gave; those of several alerts have no meaning for all.
    pub(super) fn headers(&self) -> &[(String, String)] {
        match self.parts {
            [] => &self.alert.draft.headers,
            _ => &[],
        }
    }

    /// Its body: the alert's own, or the list of all as JSON.
    pub(super) fn body(&self) -> Bytes {
        if self.parts.is_empty() {
            return self.alert.draft.body.clone();
        }
        let alerts: Vec<Value> = self.all().map(listed).collect();
        json!({ "alerts": alerts }).to_string().into()
    }

    /// The same as text for people.
    pub(super) fn text(&self) -> Cow<'a, str> {
        if self.parts.is_empty() {
            return body_of(self.alert);
        }
        let count = self.parts.len() + 1;
        let mut text = format!("{count} alerts\n");
        for (number, alert) in (1..).zip(self.all()) {
            let body = body_of(alert);
            let job = &alert.job;
            text.push_str(&format!("\n{number}. {job}: {}\n", body.trim_end()));
        }
        text.into()
    }

    /// What it is about, in one line.
    pub(super) fn subject(&self) -> String {
        if !self.parts.is_empty() {
            let jobs: std::collections::BTreeSet<_> = self.all().map(|alert| &alert.job).collect();
            let count = self.parts.len() + 1;
            return match jobs.len() {
                1 => format!("Sandclock: {count} alerts of job {}", self.alert.job),
                jobs => format!("Sandclock: {count} alerts of {jobs} jobs"),
            };
        }
        let given = self.alert.draft.headers.iter();
        let mut given = given.filter(|(name, _)| name.eq_ignore_ascii_case("subject"));
        if let Some((_, subject)) = given.next() {
            return subject.clone();
        }
        let job = &self.alert.job;
        match self.alert.kind {
            AlertKind::Recovery => format!("Sandclock: job {job} succeeds again"),
            AlertKind::Escalation => {
                let failures = self.alert.failures;
                format!("Sandclock: job {job}, {failures} failures in a row")
            }
            AlertKind::Raised | AlertKind::Diversion => format!("Sandclock: job {job}"),
        }
    }
}

fn body_of(alert: &Alert) -> Cow<'_, str> {
    String::from_utf8_lossy(&alert.draft.body)
}

/// An alert in the list of a message.
fn listed(alert: &Alert) -> Value {
    json!({
        "id": alert.id.to_string(),
        "job": alert.job.as_str(),
        "run": alert.run.as_str(),
        "kind": alert.kind.as_str(),
        "created_at": alert.created_at.to_string(),
        "content_type": alert.draft.content_type,
        "body": body_of(alert),
    })
}
