//! The stored forms of the claim protocol's records.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Stored;
use super::forms::{generation, instant, name, nonce, optional, run_key, session, version};
use super::outcome::{OutcomeForm, SpanForm, StateForm};
use super::sealed::Form;
use crate::backend::{
    DoneRecord, Generation, Mark, Nonce, OpenRecord, OpenState, Pinned, SessionId, Span, Version,
    WaitRecord,
};
use crate::job::{Job, JobName};
use crate::policy::Streak;
use crate::run::{Outcome, RunKey, RunState};
use crate::time::Timestamp;

/// Makes a record storable through its remote derive.
macro_rules! stored {
    ($record:ty, $form:ident, $kind:literal) => {
        impl Stored for $record {
            const KIND: &'static str = $kind;
        }

        impl Form for $record {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $form::serialize(self, serializer)
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $form::deserialize(deserializer)
            }
        }
    };
}

pub(super) use stored;

stored!(Mark, MarkForm, "mark");
stored!(OpenRecord, OpenForm, "open record");
stored!(WaitRecord, WaitForm, "wait record");
stored!(DoneRecord, DoneForm, "done record");

#[derive(Serialize, Deserialize)]
#[serde(remote = "Mark")]
struct MarkForm {
    #[serde(with = "instant")]
    at: Timestamp,
    #[serde(with = "generation")]
    generation: Generation,
    #[serde(with = "StreakForm")]
    streak: Streak,
}

optional!(state, RunState, "StateForm");

#[derive(Serialize, Deserialize)]
#[serde(remote = "Streak")]
struct StreakForm {
    #[serde(default, with = "state", skip_serializing_if = "Option::is_none")]
    last: Option<RunState>,
    failures: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pinned")]
struct PinnedForm {
    #[serde(with = "shared_job")]
    job: Arc<Job>,
    #[serde(with = "version")]
    version: Version,
}

optional!(pinned, Pinned, "PinnedForm");

/// A job inside another record.
mod shared_job {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        job: &Arc<Job>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        job.write(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Job>, D::Error> {
        Job::read(deserializer).map(Arc::new)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OpenState", rename_all = "snake_case")]
enum OpenStateForm {
    Claimed {
        #[serde(with = "session")]
        session: SessionId,
        worker: String,
        #[serde(with = "nonce")]
        nonce: Nonce,
    },
    Waiting {
        #[serde(with = "instant")]
        not_before: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exclude: Option<String>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OpenRecord")]
struct OpenForm {
    #[serde(with = "name")]
    job: JobName,
    #[serde(with = "run_key")]
    key: RunKey,
    #[serde(with = "OpenStateForm")]
    state: OpenState,
    attempt: u32,
    reruns: u32,
    #[serde(with = "PinnedForm")]
    pinned: Pinned,
    cause: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "WaitRecord")]
struct WaitForm {
    #[serde(with = "name")]
    job: JobName,
    #[serde(with = "run_key")]
    key: RunKey,
    cause: String,
}

optional!(span, Span, "SpanForm");

#[derive(Serialize, Deserialize)]
#[serde(remote = "DoneRecord")]
struct DoneForm {
    #[serde(with = "name")]
    job: JobName,
    #[serde(with = "run_key")]
    key: RunKey,
    #[serde(default, with = "span", skip_serializing_if = "Option::is_none")]
    span: Option<Span>,
    #[serde(with = "OutcomeForm")]
    outcome: Outcome,
    attempts: u32,
    fence: u64,
    worker: String,
    #[serde(with = "StreakForm")]
    streak_before: Streak,
    #[serde(with = "StreakForm")]
    streak: Streak,
    #[serde(default, with = "pinned", skip_serializing_if = "Option::is_none")]
    pinned: Option<Pinned>,
}
