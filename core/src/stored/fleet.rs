//! The stored forms of what a worker says of itself and of a kill.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Stored;
use super::forms::{instant, run_id};
use super::records::stored;
use super::sealed::Form;
use crate::backend::{Kill, WorkerInfo};
use crate::run::RunId;
use crate::time::Timestamp;

stored!(WorkerInfo, WorkerForm, "worker");
stored!(Kill, KillForm, "kill");

#[derive(Serialize, Deserialize)]
#[serde(remote = "WorkerInfo")]
struct WorkerForm {
    name: String,
    host: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    max_concurrent_runs: u32,
    #[serde(default)]
    running: u32,
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    clock_doubted: bool,
    #[serde(with = "instant")]
    started_at: Timestamp,
    #[serde(with = "instant")]
    wall_time: Timestamp,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[serde(default)]
    zone_differs: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Kill")]
struct KillForm {
    #[serde(with = "run_id")]
    run: RunId,
    by: String,
    why: String,
}
