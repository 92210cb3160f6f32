//! What plugins were asked and what they said, kept for a while so that it can be asked again of another version.
//!
//! Recordings are for people who look into a decision or prepare a change; nothing that the fleet does rests on them. So
//! they may be lost, and only so many are kept.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use super::Result;
use super::plugins::{PLUGIN_NAMES, is_plugin_name};
use crate::error::{BackendError, ErrorKind};
use crate::run::RunId;

/// The largest document of a recording, in bytes.
pub const MAX_RECORDING_BYTES: usize = 64 << 10;

/// How many recordings of one plugin are kept; the oldest go first.
pub const RECORDINGS_KEPT: u32 = 1_000;

/// One call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What it is the recording of: the same for whoever records the same call.
    pub id: String,
    /// The plugin.
    pub plugin: String,
    /// The run that it was asked about.
    pub run: RunId,
    /// What was asked and said, in the plugin host's form.
    pub body: Bytes,
}

impl Recording {
    /// Refuses a recording that no store may keep.
    ///
    /// # Errors
    /// `InvalidConfig`, naming what is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = if !is_plugin_name(&self.plugin) {
            format!("plugin {:?}: use {PLUGIN_NAMES}", self.plugin)
        } else if self.body.len() > MAX_RECORDING_BYTES {
            let bytes = self.body.len();
            format!("the recording has {bytes} bytes, at most {MAX_RECORDING_BYTES} are kept")
        } else {
            return Ok(());
        };
        Err(BackendError::new("recordings.keep", ErrorKind::InvalidConfig).context(wrong))
    }
}

/// The recordings of a fleet. They go with their runs, and the oldest of a plugin when there are more than
/// [`RECORDINGS_KEPT`].
#[async_trait]
pub trait Recordings: Debug + Send + Sync + 'static {
    /// Keeps recordings, in this order. One whose id is there already is left out: whoever asks after the same end of a
    /// run again, because its copy was not finished, puts alerts under the ids of the first answer, and those stay, so that
    /// this is the answer that counted. Only if the first could not be put either it was a later one.
    ///
    /// # Errors
    /// `InvalidConfig` as [`Recording::check`]; none is kept then.
    async fn keep(&self, recordings: &[Recording]) -> Result<()>;

    /// Those of a run, in the order in which they were kept.
    async fn of_run(&self, run: &RunId) -> Result<Vec<Recording>>;

    /// The last ones of a plugin, newest first.
    async fn latest(&self, plugin: &str, limit: u32) -> Result<Vec<Recording>>;
}
