//! Whether the hooks of a plugin are called, for each configuration by itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{Breaker, BreakerRule, Recent, Waits};
use crate::failure::{Failure, FailureCode};
use crate::plugin::Hook;

/// Configurations of a plugin that are told apart, if calls with them fail. All others are as one.
pub(super) const CONFIGS: usize = 64;

/// The calls of a hook with one configuration.
#[derive(Debug)]
struct Gate {
    recent: Recent,
    waits: Waits,
    /// When it is probed; `None` if it is closed.
    open_until: Option<Instant>,
    probing: bool,
    last: FailureCode,
}

impl Gate {
    /// Whether it may not be forgotten: of late it has failed, or is kept from being called.
    fn matters(&self, now: Instant) -> bool {
        let within = self.recent.rule.within;
        let is_open = self.open_until.is_some_and(|until| now < until + within);
        self.probing || is_open || !self.recent.is_over(now)
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug)]
enum Ended {
    /// It answered; that may be an error of its own words.
    Well,
    /// By a mistake of the plugin.
    Badly(FailureCode),
    /// It was not made, or the host is to blame.
    Unclear,
}

impl Ended {
    fn of(failure: Option<&Failure>) -> Self {
        match failure.map(|failure| failure.code) {
            None | Some(FailureCode::PluginError) => Self::Well,
            Some(code) if code.is_its_own() => Self::Badly(code),
            Some(_) => Self::Unclear,
        }
    }
}

/// Which of a hook's configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    /// The one with this SHA-256.
    One([u8; 32]),
    /// Those that there is no room for.
    Others,
}

impl Which {
    fn of(config: &Value) -> Self {
        Self::One(Sha256::digest(config.to_string()).into())
    }
}

type Key = (Hook, Which);

/// Whether a plugin's hooks are called.
#[derive(Debug)]
pub(crate) struct Gates {
    plugin: Arc<str>,
    rule: BreakerRule,
    gates: Mutex<BTreeMap<Key, Gate>>,
    /// Streams that it is not asked about any more.
    streams: Arc<AtomicU64>,
}

impl Gates {
    /// All closed.
    pub(crate) fn new(plugin: &Arc<str>, rule: BreakerRule) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            rule,
            gates: Mutex::default(),
            streams: Arc::default(),
        }
    }

    /// The record of a stream that begins.
    pub(crate) fn of_stream(&self) -> Breaker {
        Breaker::new(self.rule)
    }

    /// A stream is given up, until what this returns is dropped.
    pub(crate) fn give_up(&self) -> GivenUp {
        self.streams.fetch_add(1, Ordering::Relaxed);
        GivenUp(Arc::clone(&self.streams))
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<Key, Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many configurations are told apart now.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.gates().len()
    }

    /// For how many configurations the hook is not called; for redaction, on how many streams.
    pub(crate) fn open(&self, hook: Hook) -> u64 {
        if hook == Hook::OutputRedaction {
            return self.streams.load(Ordering::Relaxed);
        }
        let gates = self.gates();
        let open = gates
            .iter()
            .filter(|((of, _), gate)| *of == hook && gate.open_until.is_some());
        u64::try_from(open.count()).unwrap_or(u64::MAX)
    }

    /// The right to make a call, whose end is to be told.
    ///
    /// # Errors
    /// `BreakerOpen` while none is made.
    pub(crate) fn admit(
        &self,
        hook: Hook,
        config: &Value,
        now: Instant,
    ) -> Result<Pass<'_>, Failure> {
        if !self.rule.enabled {
            return Ok(Pass {
                gates: self,
                key: None,
                probe: false,
            });
        }
        let own = (hook, Which::of(config));
        let mut gates = self.gates();
        let key = place_of(&mut gates, own, now);
        let mut probe = false;
        if let Some(gate) = gates.get_mut(&key)
            && let Some(until) = gate.open_until
        {
            if gate.probing || now < until {
                return Err(self.refusal(key.1, gate, until.saturating_duration_since(now)));
            }
            gate.probing = true;
            probe = true;
        }
        drop(gates);
        Ok(Pass {
            gates: self,
            // What there is no room for now may have it once it fails.
            key: Some(if probe { key } else { own }),
            probe,
        })
    }

    fn refusal(&self, which: Which, gate: &Gate, left: Duration) -> Failure {
        let (failures, within) = (self.rule.failures, self.rule.within.as_secs());
        let again = match left.as_millis().div_ceil(1000) {
            0 => "being tried now".to_owned(),
            seconds => format!("tried again in {seconds} s"),
        };
        let with = match which {
            Which::One(_) => "this configuration".to_owned(),
            Which::Others => format!("configurations beyond the first {CONFIGS} that fail"),
        };
        Failure::new(
            FailureCode::BreakerOpen,
            format!(
                "it failed {failures} times within {within} s with {with}, at last with {}, and is {again}: roll \
                 back, push a release that does not fail, or change the configuration",
                gate.last.as_str()
            ),
        )
    }

    /// A call has failed by a mistake of the plugin.
    fn failed(&self, key: Key, probe: bool, code: FailureCode, now: Instant) {
        let mut gates = self.gates();
        let key = place_of(&mut gates, key, now);
        let gate = gates.entry(key).or_insert_with(|| Gate {
            recent: Recent::new(self.rule),
            waits: Waits::default(),
            open_until: None,
            probing: false,
            last: code,
        });
        gate.last = code;
        let too_many = gate.recent.add(now);
        let (plugin, hook) = (&*self.plugin, key.0.as_str());
        match gate.open_until {
            Some(_) if probe => gate.open_until = Some(now + gate.waits.next()),
            // It began before.
            Some(_) => {}
            None if too_many => {
                gate.open_until = Some(now + gate.waits.next());
                tracing::warn!(plugin, hook, "the plugin fails too often and is not called");
            }
            None => {}
        }
        if probe {
            gate.probing = false;
        }
    }
}

/// Where calls with this configuration are counted: by themselves if they are already, or if there is room.
fn place_of(gates: &mut BTreeMap<Key, Gate>, own: Key, now: Instant) -> Key {
    if gates.contains_key(&own) {
        return own;
    }
    if gates.len() >= CONFIGS {
        gates.retain(|_, gate| gate.matters(now));
    }
    let (hook, _) = own;
    let others = gates.keys().filter(|(_, which)| *which == Which::Others);
    match gates.len() - others.count() < CONFIGS {
        true => own,
        false => (hook, Which::Others),
    }
}

/// The right to make one call. Dropped without a word about its end, as if the call had not been made.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gates: &'a Gates,
    /// `None` if nothing is counted.
    key: Option<Key>,
    probe: bool,
}

impl Pass<'_> {
    /// The call has ended, perhaps with this failure.
    pub(crate) fn ended(mut self, failure: Option<&Failure>, now: Instant) {
        let (Some(key), probe) = (self.key, self.probe) else {
            return;
        };
        match Ended::of(failure) {
            Ended::Badly(code) => self.gates.failed(key, probe, code, now),
            Ended::Well if probe => {
                self.gates.gates().remove(&key);
                let (plugin, hook) = (&*self.gates.plugin, key.0.as_str());
                tracing::info!(plugin, hook, "the plugin is called again");
            }
            // The next one is the probe.
            Ended::Unclear => return,
            Ended::Well => {}
        }
        self.probe = false;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(key) = &self.key
            && let Some(gate) = self.gates.gates().get_mut(key)
        {
            gate.probing = false;
        }
    }
}

/// A stream that a plugin is not asked about any more.
#[derive(Debug)]
pub(crate) struct GivenUp(Arc<AtomicU64>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
