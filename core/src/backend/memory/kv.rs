//! What plugins keep, of the model.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::MemoryStore;
use crate::backend::kv::{check_key, taken};
use crate::backend::{PluginKv, Result, Swap};

/// Values by plugin and key.
#[derive(Debug, Default)]
pub(super) struct Values {
    values: BTreeMap<(String, String), Value>,
}

#[derive(Debug)]
struct Value {
    bytes: Bytes,
    until: Option<Instant>,
}

impl Values {
    fn expire(&mut self, now: Instant) {
        self.values
            .retain(|_, value| value.until.is_none_or(|until| until > now));
    }

    fn get(&mut self, plugin: &str, key: &str, now: Instant) -> Option<Bytes> {
        self.expire(now);
        let value = self.values.get(&(plugin.to_owned(), key.to_owned()))?;
        Some(value.bytes.clone())
    }

    fn swap(&mut self, plugin: &str, swap: &Swap, now: Instant) -> Result<bool> {
        if self.get(plugin, &swap.key, now) != swap.expect {
            return Ok(false);
        }
        let others = self.values.iter();
        let others = others.filter(|((of, key), _)| of == plugin && *key != swap.key);
        swap.check_room(
            others
                .map(|((_, key), value)| taken(key, &value.bytes))
                .sum(),
        )?;
        let place = (plugin.to_owned(), swap.key.clone());
        match &swap.value {
            None => drop(self.values.remove(&place)),
            Some(bytes) => {
                let value = Value {
                    bytes: bytes.clone(),
                    until: swap.ttl.map(|ttl| now + ttl),
                };
                self.values.insert(place, value);
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl PluginKv for MemoryStore {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>> {
        check_key("kv.get", key)?;
        let now = Instant::now();
        Ok((self.shared).change(|state| state.kv.get(plugin, key, now)))
    }

    async fn swap(&self, plugin: &str, swap: &Swap) -> Result<bool> {
        swap.check()?;
        let now = Instant::now();
        (self.shared).change(|state| state.kv.swap(plugin, swap, now))
    }

    async fn clear(&self, plugin: &str) -> Result<()> {
        (self.shared).change(|state| state.kv.values.retain(|(of, _), _| of != plugin));
        Ok(())
    }
}
