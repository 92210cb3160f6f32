//! The effects of a case: what the plugin keeps at its start, and how targets answer. Nothing leaves the process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::kv::{check_key, taken};
use sandclock_core::backend::{PluginKv, Result as Stored, Swap};
use sandclock_core::ports::{HttpAnswer, HttpAsk, HttpTargets};
use serde::Deserialize;

/// What a target answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetAnswer {
    /// The target.
    pub target: String,
    /// Behind its address; any if absent.
    #[serde(default)]
    pub path: Option<String>,
    /// The status, by default 200.
    #[serde(default = "ok")]
    pub status: u16,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// What the plugin is told in place of an answer, such as `unavailable: no answer in time`.
    #[serde(default)]
    pub error: Option<String>,
}

fn ok() -> u16 {
    200
}

/// The effects of the case that is asked now.
#[derive(Debug, Default)]
pub(super) struct CaseEffects {
    values: Mutex<BTreeMap<String, Bytes>>,
    answers: Mutex<VecDeque<TargetAnswer>>,
}

impl CaseEffects {
    /// Begins a case. Its values' times do not run out: the time stands still.
    pub(super) fn begin(&self, values: &BTreeMap<String, String>, answers: &[TargetAnswer]) {
        let values = values.iter();
        let values = values.map(|(key, value)| (key.clone(), Bytes::from(value.clone())));
        *self.values() = values.collect();
        *self.answers() = answers.iter().cloned().collect();
    }

    /// What is kept now, for people.
    pub(super) fn kept(&self) -> BTreeMap<String, String> {
        let values = self.values();
        let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
        let kept = values.iter().map(|(key, value)| (key.clone(), text(value)));
        kept.collect()
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<TargetAnswer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PluginKv for CaseEffects {
    async fn get(&self, _: &str, key: &str) -> Stored<Option<Bytes>> {
        check_key("kv.get", key)?;
        Ok(self.values().get(key).cloned())
    }

    async fn swap(&self, _: &str, swap: &Swap) -> Stored<bool> {
        swap.check()?;
        let mut values = self.values();
        if values.get(&swap.key) != swap.expect.as_ref() {
            return Ok(false);
        }
        let others = values.iter().filter(|(key, _)| **key != swap.key);
        swap.check_room(others.map(|(key, value)| taken(key, value)).sum())?;
        match &swap.value {
            Some(value) => drop(values.insert(swap.key.clone(), value.clone())),
            None => drop(values.remove(&swap.key)),
        }
        Ok(true)
    }

    async fn clear(&self, _: &str) -> Stored<()> {
        self.values().clear();
        Ok(())
    }
}

#[async_trait]
impl HttpTargets for CaseEffects {
    /// The first answer that is for this request, which is used up by it.
    async fn send(&self, ask: &HttpAsk) -> Result<HttpAnswer, String> {
        let mut answers = self.answers();
        let fits = |answer: &TargetAnswer| {
            let path = answer.path.as_ref();
            answer.target == ask.target && path.is_none_or(|path| *path == ask.path)
        };
        let at = answers.iter().position(fits);
        let answer = at.and_then(|at| answers.remove(at));
        let HttpAsk { target, path, .. } = ask;
        let answer = answer.ok_or_else(|| {
            format!("unavailable: the case has no answer of {target:?} to {path:?}")
        })?;
        match answer.error {
            Some(error) => Err(error),
            None => Ok(HttpAnswer {
                status: answer.status,
                body: Bytes::from(answer.body),
            }),
        }
    }
}
