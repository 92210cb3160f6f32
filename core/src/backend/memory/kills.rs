//! The kill marks of the model.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryStore;
use super::history::Event;
use super::watch::Kind;
use crate::backend::{Events, Kill, Kills, Result};

#[async_trait]
impl Kills for MemoryStore {
    async fn send(&self, kill: &Kill, retain: Duration) -> Result<()> {
        self.shared.change(|state| {
            let until = Instant::now() + retain;
            if let Some((_, old)) = state.kills.get_mut(&kill.run) {
                *old = until.max(*old);
            } else {
                state.kills.insert(kill.run.clone(), (kill.clone(), until));
                state.history.push(Event::Kill(kill.clone()));
            }
        });
        Ok(())
    }

    async fn watch(&self) -> Result<Events<Kill>> {
        let kind = Kind {
            op: "kills.watch",
            pick: |_, event| match event {
                Event::Kill(kill) => Some(kill.clone()),
                _ => None,
            },
            progress: None,
            expiry: |_| None,
        };
        Ok(self.shared.announce(kind, |state| {
            state.kills.values().map(|(kill, _)| kill.clone()).collect()
        }))
    }
}
