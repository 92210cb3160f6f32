//! What a call asked for beside answering, and what it was told: as documents, and told again when the call is replayed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use sandclock_core::ports::HttpAnswer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::effects::{Answer, Ask};

/// One effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedEffect {
    /// What was asked for.
    pub asked: Value,
    /// What was told.
    pub told: Value,
}

/// What comes of a call's effects.
#[derive(Clone, Debug, Default)]
pub(crate) enum Means {
    /// Nothing: each is denied.
    #[default]
    Denied,
    /// They are had, and noted here.
    Had(Noted),
    /// What was told then is told again.
    ToldAgain(Arc<[RecordedEffect]>),
}

/// What was noted of the newest try of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted(Arc<Mutex<Vec<RecordedEffect>>>);

impl Noted {
    fn all(&self) -> MutexGuard<'_, Vec<RecordedEffect>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what an earlier try had: this one begins anew.
    pub(crate) fn begin(&self) {
        self.all().clear();
    }

    pub(crate) fn add(&self, asked: Value, answer: &Answer) {
        let told = told(answer);
        self.all().push(RecordedEffect { asked, told });
    }

    pub(crate) fn take(&self) -> Vec<RecordedEffect> {
        std::mem::take(&mut *self.all())
    }
}

/// Bytes as a member: text where they are text.
fn bytes(name: &str, bytes: &[u8]) -> (String, Value) {
    match str::from_utf8(bytes) {
        Ok(text) => (name.to_owned(), text.into()),
        Err(_) => (format!("{name}_base64"), BASE64.encode(bytes).into()),
    }
}

/// What [`bytes()`] wrote, if anything.
fn read(name: &str, of: &Value) -> Option<Bytes> {
    let text = |name: &str| of.get(name).and_then(Value::as_str);
    if let Some(text) = text(name) {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    let encoded = text(&format!("{name}_base64"))?;
    BASE64.decode(encoded).ok().map(Bytes::from)
}

/// A question in words that two of the same have in common.
pub(crate) fn asked(ask: &Ask) -> Value {
    let mut members = Map::new();
    match ask {
        Ask::Get { key } => drop(members.insert("get".to_owned(), key.as_str().into())),
        Ask::Swap(swap) => {
            members.insert("swap".to_owned(), swap.key.as_str().into());
            members.extend(swap.expect.as_ref().map(|value| bytes("expect", value)));
            members.extend(swap.value.as_ref().map(|value| bytes("value", value)));
            let ttl = swap.ttl.map(|ttl| ttl.as_secs());
            members.extend(ttl.map(|ttl| ("ttl_s".to_owned(), ttl.into())));
        }
        Ask::Http {
            target,
            path,
            headers,
            body,
        } => {
            let method = if body.is_some() { "post" } else { "get" };
            members.insert("target".to_owned(), target.as_str().into());
            members.insert("method".to_owned(), method.into());
            members.insert("path".to_owned(), path.as_str().into());
            members.insert("headers".to_owned(), json!(headers));
            members.extend(body.as_ref().map(|body| bytes("body", body)));
        }
    }
    Value::Object(members)
}

fn told(answer: &Answer) -> Value {
    let mut members = Map::new();
    let error = match answer {
        Answer::Value(Ok(value)) => {
            members.extend(value.as_ref().map(|value| bytes("value", value)));
            None
        }
        Answer::Swapped(Ok(swapped)) => {
            members.insert("swapped".to_owned(), (*swapped).into());
            None
        }
        Answer::Response(Ok(response)) => {
            members.insert("status".to_owned(), response.status.into());
            members.extend([bytes("body", &response.body)]);
            None
        }
        Answer::Value(Err(error)) | Answer::Swapped(Err(error)) | Answer::Response(Err(error)) => {
            Some(error)
        }
    };
    members.extend(error.map(|error| ("error".to_owned(), error.as_str().into())));
    Value::Object(members)
}

/// What was told then, if this is what was asked next.
pub(crate) fn told_again(ask: &Ask, left: &mut VecDeque<RecordedEffect>) -> Answer {
    let next = left.pop_front().filter(|effect| effect.asked == asked(ask));
    let next = next.ok_or("unavailable: what this is told is not recorded");
    let told = next.map_err(str::to_owned).and_then(|effect| {
        let error = effect.told.get("error").and_then(Value::as_str);
        match error {
            Some(error) => Err(error.to_owned()),
            None => Ok(effect.told),
        }
    });
    match ask {
        Ask::Get { .. } => Answer::Value(told.map(|told| read("value", &told))),
        Ask::Swap(_) => {
            let swapped = |told: Value| told.get("swapped") == Some(&Value::Bool(true));
            Answer::Swapped(told.map(swapped))
        }
        Ask::Http { .. } => {
            let status = |told: &Value| told.get("status")?.as_u64()?.try_into().ok();
            Answer::Response(told.map(|told| HttpAnswer {
                status: status(&told).unwrap_or_default(),
                body: read("body", &told).unwrap_or_default(),
            }))
        }
    }
}
