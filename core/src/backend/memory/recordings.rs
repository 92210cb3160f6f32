//! The recordings of the model, in the order in which they were kept.

use async_trait::async_trait;

use super::MemoryStore;
use crate::backend::recordings::RECORDINGS_KEPT;
use crate::backend::{Recording, Recordings, Result};
use crate::run::RunId;

/// Adds those that are new, and drops the oldest of a plugin that has too many.
fn keep(kept: &mut Vec<Recording>, recordings: &[Recording]) {
    for new in recordings {
        if kept.iter().any(|old| old.id == new.id) {
            continue;
        }
        kept.push(new.clone());
        let of_plugin = |recording: &Recording| recording.plugin == new.plugin;
        let count = kept.iter().filter(|old| of_plugin(old)).count();
        if count > RECORDINGS_KEPT as usize
            && let Some(oldest) = kept.iter().position(of_plugin)
        {
            kept.remove(oldest);
        }
    }
}

#[async_trait]
impl Recordings for MemoryStore {
    async fn keep(&self, recordings: &[Recording]) -> Result<()> {
        recordings.iter().try_for_each(Recording::check)?;
        self.shared
            .change(|state| keep(&mut state.recordings, recordings));
        Ok(())
    }

    async fn of_run(&self, run: &RunId) -> Result<Vec<Recording>> {
        Ok(self.shared.change(|state| {
            let kept = state.recordings.iter();
            kept.filter(|recording| recording.run == *run)
                .cloned()
                .collect()
        }))
    }

    async fn latest(&self, plugin: &str, limit: u32) -> Result<Vec<Recording>> {
        Ok(self.shared.change(|state| {
            let kept = state.recordings.iter().rev();
            kept.filter(|recording| recording.plugin == plugin)
                .take(limit as usize)
                .cloned()
                .collect()
        }))
    }
}
