//! A message as Slack's incoming webhooks take them, and others that took the form over.

use serde_json::{Value, json};

use super::Refusal;
use super::webhook::post;
use crate::config::SlackTarget;
use crate::deliver::message::Message;

#[derive(Debug)]
pub(super) struct Slack {
    url: String,
    http: reqwest::Client,
}

impl Slack {
    pub(super) fn new(target: &SlackTarget, http: &reqwest::Client) -> Self {
        Self {
            url: target.url.clone(),
            http: http.clone(),
        }
    }

    pub(super) async fn send(&self, message: &Message<'_>) -> Result<(), Refusal> {
        let request = self.http.post(&self.url).json(&payload(message));
        // Slack itself knows no such key; what stands before it may.
        let request = request.header("idempotency-key", &message.key);
        post(request).await.map(drop)
    }
}

/// The alert's own body if it is such a message, else one of its text.
fn payload(message: &Message<'_>) -> Value {
    let own: Option<Value> = match message.parts {
        [] => serde_json::from_slice(&message.alert.draft.body).ok(),
        _ => None,
    };
    let is_one = |value: &Value| {
        let members = ["text", "blocks", "attachments"];
        members.iter().any(|name| value.get(name).is_some())
    };
    own.filter(is_one)
        .unwrap_or_else(|| json!({ "text": message.text() }))
}
