//! What a plugin may use, in numbers, and the limiter that counts its memory.
//!
//! Processor time is measured on the thread that runs the guest, so that a busy machine does not
//! make a good plugin fail; a second, longer limit bounds the time on the wall.

use std::time::Duration;

use wasmtime::{Error, ResourceLimiter};

/// How long an artifact may take to compile.
pub const MAX_COMPILE_TIME: Duration = Duration::from_secs(120);
/// Host memory that the answers and arguments of one call may take, in bytes.
pub(crate) const HOSTCALL_BYTES: usize = 1 << 20;
/// Table elements of all tables of an instance.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;
/// Core instances, memories and tables of one component instance.
pub(crate) const CORE_INSTANCES: usize = 128;
pub(crate) const MEMORIES: usize = 8;
pub(crate) const TABLES: usize = 64;
/// The stack of a guest, in bytes.
pub(crate) const STACK_BYTES: usize = 512 << 10;

/// A line of a plugin's log, in bytes after masking.
pub const LOG_LINE_BYTES: usize = 1 << 10;
/// What a plugin may log in one call, in bytes before masking; each line counts 64 more.
pub const LOG_CALL_BYTES: usize = 64 << 10;

/// Texts for people: reasons, errors, notes.
pub const TEXT_BYTES: usize = 1 << 10;

/// The window of a redaction plugin, in bytes.
pub const WINDOW_BYTES: usize = 64 << 10;
/// Edits of one verdict.
pub const EDITS: usize = 4096;
/// The replacement of an edit, and the name of its rule, in bytes.
pub const REPLACEMENT_BYTES: usize = 64;
/// What a redaction plugin may remember of a stream, in bytes.
pub const CARRY_BYTES: usize = 256;

/// Messages of one plugin about one run.
pub const DELIVERIES: usize = 10;
/// The body of a message, in bytes.
pub const BODY_BYTES: usize = 64 << 10;
/// Further headers of a message.
pub const HEADERS: usize = 32;
/// A header's value, a content type or a dedupe key, in bytes.
pub const HEADER_BYTES: usize = 1 << 10;

/// Looks and changes of one call at what its plugin keeps.
pub const KV_CALLS: u32 = 100;
/// Requests of one call to targets.
pub const HTTP_CALLS: u32 = 5;
/// What one look, change or request may take at most. It never takes more than half of what the call has left on the wall, so
/// that the plugin can go on without it.
pub const EFFECT_TIME: Duration = Duration::from_secs(3);
/// The answer to a request, in bytes.
pub const RESPONSE_BYTES: usize = 64 << 10;

/// The time that one call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Processor time of the guest, to about a millisecond.
    pub cpu: Duration,
    /// Time on the wall, from the request to the answer, waiting for a thread included.
    pub wall: Duration,
}

/// The limits of each hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookLimits {
    /// `timeout-policy.decide`.
    pub timeout_policy: CallLimits,
    /// `output-redaction.begin`, once per instance.
    pub redaction_begin: CallLimits,
    /// `output-redaction.scan`, for a window of at most [`WINDOW_BYTES`].
    pub redaction_scan: CallLimits,
    /// `run-end.on-end`.
    pub run_end: CallLimits,
    /// `lifecycle.validate-config`, and the dry run at installation.
    pub lifecycle: CallLimits,
    /// All linear memories of one instance together, in bytes.
    pub memory_bytes: usize,
}

impl Default for HookLimits {
    fn default() -> Self {
        let limits = |cpu_ms, wall_ms| CallLimits {
            cpu: Duration::from_millis(cpu_ms),
            wall: Duration::from_millis(wall_ms),
        };
        Self {
            timeout_policy: limits(25, 5_000),
            redaction_begin: limits(250, 10_000),
            redaction_scan: limits(50, 10_000),
            run_end: limits(1_000, 10_000),
            lifecycle: limits(1_000, 10_000),
            memory_bytes: 64 << 20,
        }
    }
}

impl HookLimits {
    /// The same, with less processor time for every call and less memory where that is less.
    pub(crate) fn lowered(self, cpu_ms: Option<u32>, memory_bytes: Option<usize>) -> Self {
        let most = cpu_ms.map_or(Duration::MAX, |ms| Duration::from_millis(u64::from(ms)));
        let lowered = |limits: CallLimits| CallLimits {
            cpu: limits.cpu.min(most),
            ..limits
        };
        Self {
            timeout_policy: lowered(self.timeout_policy),
            redaction_begin: lowered(self.redaction_begin),
            redaction_scan: lowered(self.redaction_scan),
            run_end: lowered(self.run_end),
            lifecycle: lowered(self.lifecycle),
            memory_bytes: self.memory_bytes.min(memory_bytes.unwrap_or(usize::MAX)),
        }
    }
}

/// A guest asked for more than it may have.
#[derive(Debug, thiserror::Error)]
#[error("it asked for {wanted} {what}, and {allowed} are allowed")]
pub(crate) struct LimitExceeded {
    what: &'static str,
    wanted: usize,
    allowed: usize,
}

/// Counts what the memories and tables of one store have together. wasmtime's own limiter looks at
/// each of them alone.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: Account,
    tables: Account,
}

#[derive(Debug)]
struct Account {
    what: &'static str,
    used: usize,
    allowed: usize,
}

impl Account {
    fn grow(&mut self, current: usize, desired: usize) -> Result<bool, Error> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.allowed {
            return Err(Error::new(LimitExceeded {
                what: self.what,
                wanted,
                allowed: self.allowed,
            }));
        }
        self.used = wanted;
        Ok(true)
    }
}

impl Limiter {
    pub(crate) fn new(memory_bytes: usize) -> Self {
        let account = |what, allowed| Account {
            what,
            used: 0,
            allowed,
        };
        Self {
            memory: account("bytes of memory", memory_bytes),
            tables: account("table elements", TABLE_ELEMENTS),
        }
    }

    /// What the memories have together; it never gets less.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.used
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, Error> {
        self.memory.grow(current, desired)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool, Error> {
        self.tables.grow(current, desired)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }

    fn tables(&self) -> usize {
        TABLES
    }
}
