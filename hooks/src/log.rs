//! What plugins write to their log: masked, bounded, and kept for people.
//!
//! A plugin never sees a known secret, yet its configuration or a bug may hold one, so its lines
//! pass the same mask as everything else, before they are cut. Then they go to `tracing` under the
//! target `plugin` and into a ring of the newest lines. Who writes too much loses lines, counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::limits::{LOG_CALL_BYTES, LOG_LINE_BYTES};
use crate::secrets::KnownSecrets;
use crate::text;

/// Lines that are kept for each plugin.
const RING_LINES: usize = 100;
/// Lines that a plugin may write at once, and in each second after that.
const BURST_LINES: f64 = 100.0;
const LINES_PER_SECOND: f64 = 10.0;
/// What a line costs beside its bytes.
const LINE_OVERHEAD: usize = 64;

/// How important a line is to its plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For its author.
    Debug,
    /// For the record.
    Info,
    /// For somebody to look at.
    Warn,
    /// For somebody to look at now.
    Error,
}

/// A line of a plugin's log, masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its level.
    pub level: Level,
    /// The run it was about; empty if none.
    pub run: Arc<str>,
    /// The line, without control characters.
    pub text: String,
}

/// The log of one plugin.
#[derive(Debug)]
pub(crate) struct PluginLog {
    plugin: Arc<str>,
    state: Mutex<State>,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct State {
    lines: VecDeque<LogLine>,
    allowance: f64,
    filled_at: Instant,
}

impl State {
    /// Takes one line from the allowance, if there is one.
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.filled_at).as_secs_f64() * LINES_PER_SECOND;
        self.filled_at = now;
        self.allowance = (self.allowance + earned).min(BURST_LINES);
        let may = self.allowance >= 1.0;
        if may {
            self.allowance -= 1.0;
        }
        may
    }
}

impl PluginLog {
    pub(crate) fn new(plugin: &Arc<str>) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            state: Mutex::new(State {
                lines: VecDeque::new(),
                allowance: BURST_LINES,
                filled_at: Instant::now(),
            }),
            dropped: AtomicU64::new(0),
        }
    }

    /// The newest lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.state().lines.iter().cloned().collect()
    }

    /// Forgets its lines, and what they have taken of the allowance.
    pub(crate) fn start_afresh(&self) {
        let mut state = self.state();
        state.lines.clear();
        state.allowance = BURST_LINES;
    }

    /// Lines that were over a limit.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn drop_line(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn add(&self, line: LogLine) {
        let mut state = self.state();
        if !state.take() {
            drop(state);
            return self.drop_line();
        }
        if state.lines.len() == RING_LINES {
            state.lines.pop_front();
        }
        state.lines.push_back(line.clone());
        drop(state);
        let (plugin, run, text) = (&*self.plugin, &*line.run, line.text);
        match line.level {
            Level::Debug => tracing::debug!(target: "plugin", plugin, run, "{text}"),
            Level::Info => tracing::info!(target: "plugin", plugin, run, "{text}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, run, "{text}"),
            Level::Error => tracing::error!(target: "plugin", plugin, run, "{text}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log as one instance sees it, with what is left of its call's allowance.
#[derive(Debug)]
pub(crate) struct CallLog {
    log: Arc<PluginLog>,
    secrets: KnownSecrets,
    run: Arc<str>,
    bytes_left: usize,
}

impl CallLog {
    pub(crate) fn new(log: &Arc<PluginLog>, secrets: &KnownSecrets, run: &Arc<str>) -> Self {
        Self {
            log: Arc::clone(log),
            secrets: secrets.clone(),
            run: Arc::clone(run),
            bytes_left: LOG_CALL_BYTES,
        }
    }

    pub(crate) fn next_call(&mut self) {
        self.bytes_left = LOG_CALL_BYTES;
    }

    pub(crate) fn write(&mut self, level: Level, message: &str) {
        let Some(left) = self.bytes_left.checked_sub(message.len() + LINE_OVERHEAD) else {
            return self.log.drop_line();
        };
        self.bytes_left = left;
        self.log.add(LogLine {
            level,
            run: Arc::clone(&self.run),
            text: text::presentable(&self.secrets, message, LOG_LINE_BYTES),
        });
    }
}
