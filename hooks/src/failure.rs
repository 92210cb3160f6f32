//! How a plugin call fails: a stable code for counters and policies, and a text for people.
//!
//! Every way in which a guest can misbehave ends here, and nowhere else: a failure is a value, the
//! hook's failure policy turns it into a verdict, and the job goes on.

use wasmtime::Trap;

use crate::limits::LimitExceeded;

/// What kind of failure it was. The names are stable; counters and markers show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailureCode {
    /// It used more processor time than its hook allows.
    Deadline,
    /// The call took too long although the plugin did not run for so long: the host is overloaded.
    Wall,
    /// Too many calls wait.
    Overloaded,
    /// It wanted more memory, tables or instances than allowed.
    Memory,
    /// It recursed too deeply.
    Stack,
    /// It aborted itself, as a panic does.
    Panic,
    /// Any other trap.
    Trap,
    /// It returned an error.
    PluginError,
    /// Its answer broke the contract of its hook.
    InvalidOutput,
    /// There is no plugin of that name, or it lacks the hook.
    Missing,
    /// It failed too often, on this stream or with this configuration, and is not asked now.
    BreakerOpen,
    /// The host itself failed to make the call.
    Host,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 12] = [
        Self::Deadline,
        Self::Wall,
        Self::Overloaded,
        Self::Memory,
        Self::Stack,
        Self::Panic,
        Self::Trap,
        Self::PluginError,
        Self::InvalidOutput,
        Self::Missing,
        Self::BreakerOpen,
        Self::Host,
    ];

    /// The name in counters, notes and markers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Wall => "wall_deadline",
            Self::Overloaded => "overloaded",
            Self::Memory => "memory",
            Self::Stack => "stack_overflow",
            Self::Panic => "panic",
            Self::Trap => "trap",
            Self::PluginError => "plugin_error",
            Self::InvalidOutput => "invalid_output",
            Self::Missing => "missing",
            Self::BreakerOpen => "breaker_open",
            Self::Host => "host_error",
        }
    }

    /// Whether the plugin made a mistake, which it is likely to make again: neither the host's lack of something, nor an
    /// error that it answers on purpose.
    pub(crate) fn is_its_own(self) -> bool {
        matches!(
            self,
            Self::Deadline
                | Self::Memory
                | Self::Stack
                | Self::Panic
                | Self::Trap
                | Self::InvalidOutput
        )
    }

    /// Whether the cause lies in the moment rather than in the plugin and its input.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Wall | Self::Overloaded | Self::Host)
    }
}

/// A failed call. The text is free of known secrets once it has left [`crate::PluginHost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", code.as_str())]
pub struct Failure {
    /// What kind it was.
    pub code: FailureCode,
    /// One sentence for people.
    pub text: String,
}

impl Failure {
    pub(crate) fn new(code: FailureCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(FailureCode::InvalidOutput, text)
    }

    /// What wasmtime says of a call that did not return.
    pub(crate) fn of_call(error: &wasmtime::Error) -> Self {
        if let Some(limit) = error.downcast_ref::<LimitExceeded>() {
            return Self::new(FailureCode::Memory, limit.to_string());
        }
        let Some(trap) = error.downcast_ref::<Trap>() else {
            // Not a trap: what came back could not be read, such as text that is not UTF-8, or was
            // more than the call may hand over.
            return Self::invalid(format!("the answer cannot be read: {}", error.root_cause()));
        };
        match trap {
            Trap::Interrupt | Trap::OutOfFuel => Self::new(
                FailureCode::Deadline,
                "it used more processor time than its hook allows",
            ),
            Trap::StackOverflow => Self::new(
                FailureCode::Stack,
                "it recursed deeper than its stack allows",
            ),
            Trap::UnreachableCodeReached => {
                Self::new(FailureCode::Panic, "it aborted; its log says why")
            }
            other => Self::new(FailureCode::Trap, other.to_string()),
        }
    }
}
