//! The one place where the driver's errors become a [`BackendError`].

use mongodb::error::{CommandError, Error, ErrorKind as Driver, GridFsErrorKind, WriteFailure};
use sandclock_core::{BackendError, Effect, ErrorKind};

/// The server's code for a key that is there already.
pub(crate) const DUPLICATE_KEY: i32 = 11_000;

/// Whether a call changes anything if it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It does not.
    Read,
    /// It does.
    Write,
}

/// The driver's error as the caller of `op` sees it.
pub(crate) fn from_driver(op: &'static str, access: Access, error: Error) -> BackendError {
    let (kind, effect) = judge(&error);
    let failed = BackendError::new(op, kind);
    let failed = match (access, effect) {
        (Access::Write, Effect::Unknown) => failed.effect_unknown(),
        _ => failed,
    };
    failed.source(Said(error))
}

/// The server's code in a reply, as the caller of `op` sees it.
pub(crate) fn from_code(op: &'static str, code: i32, said: &str) -> BackendError {
    let (kind, effect) = judge_code(code);
    let failed = BackendError::new(op, kind).context(format!("{said} (code {code})"));
    match effect {
        Effect::None => failed,
        Effect::Unknown => failed.effect_unknown(),
    }
}

/// No answer came within the deadline.
pub(crate) fn late(op: &'static str, access: Access) -> BackendError {
    let late = BackendError::new(op, ErrorKind::Timeout);
    match access {
        Access::Read => late,
        Access::Write => late.effect_unknown(),
    }
}

/// The driver's error without the server's whole reply, in which documents may be.
#[derive(Debug)]
struct Said(Error);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.kind.to_string();
        // What the driver knows of each server follows, in its own terms; of these the first failure is told.
        let Some((text, servers)) = text.split_once(" Topology: ") else {
            return f.write_str(&text);
        };
        let failure = servers.split_once("Error: Kind: ");
        match failure.and_then(|(_, failure)| failure.split_once(", labels: ")) {
            Some((failure, _)) => write!(f, "{} ({failure})", text.trim_end_matches('.')),
            None => f.write_str(text),
        }
    }
}

impl std::error::Error for Said {}

fn judge(error: &Error) -> (ErrorKind, Effect) {
    use Effect::{None, Unknown};
    let (kind, effect) = match error.kind.as_ref() {
        Driver::Command(CommandError { code, .. }) => judge_code(*code),
        Driver::Write(WriteFailure::WriteError(error)) => judge_code(error.code),
        // The write is there, and perhaps not on a majority.
        Driver::Write(WriteFailure::WriteConcernError(_)) => (ErrorKind::Unavailable, Unknown),
        Driver::InsertMany(failed) => {
            let first = failed.write_errors.iter().flatten().next();
            match first {
                Some(error) => (judge_code(error.code).0, Unknown),
                Option::None => (ErrorKind::Unavailable, Unknown),
            }
        }
        Driver::ServerSelection { .. } | Driver::DnsResolve { .. } | Driver::Shutdown => {
            (ErrorKind::Unavailable, None)
        }
        Driver::Authentication { .. } => (ErrorKind::Denied, None),
        Driver::InvalidArgument { .. }
        | Driver::InvalidTlsConfig { .. }
        | Driver::IncompatibleServer { .. } => (ErrorKind::InvalidConfig, None),
        Driver::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            (ErrorKind::Timeout, Unknown)
        }
        Driver::Io(_) | Driver::ConnectionPoolCleared { .. } => (ErrorKind::Unavailable, Unknown),
        Driver::GridFs(error) => judge_file(error),
        Driver::Bson(_) => (ErrorKind::Corrupt, Unknown),
        _ => (ErrorKind::Unexpected, Unknown),
    };
    if error.contains_label(mongodb::error::SYSTEM_OVERLOADED_ERROR) {
        return (ErrorKind::Throttled, None);
    }
    if error.contains_label(mongodb::error::NO_WRITES_PERFORMED) {
        return (kind, None);
    }
    (kind, effect)
}

fn judge_file(error: &GridFsErrorKind) -> (ErrorKind, Effect) {
    use GridFsErrorKind::{
        AbortError, FileNotFound, MissingChunk, WrongNumberOfChunks, WrongSizeChunk,
    };
    match error {
        FileNotFound { .. } => (ErrorKind::NotFound, Effect::None),
        MissingChunk { .. } | WrongSizeChunk { .. } | WrongNumberOfChunks { .. } => {
            (ErrorKind::Corrupt, Effect::None)
        }
        // A write has failed, and then the removal of what was written before.
        AbortError {
            original_error,
            delete_error,
            ..
        } => {
            let first = original_error.as_ref().unwrap_or(delete_error);
            (judge(first).0, Effect::Unknown)
        }
        _ => (ErrorKind::Unexpected, Effect::Unknown),
    }
}

/// By the names of the server's `error_codes.yml`.
fn judge_code(code: i32) -> (ErrorKind, Effect) {
    use Effect::{None, Unknown};
    match code {
        DUPLICATE_KEY => (ErrorKind::Conflict, None),
        // Unauthorized, AuthenticationFailed
        13 | 18 => (ErrorKind::Denied, None),
        // NotWritablePrimary, NotPrimaryNoSecondaryOk and its older number: refused before anything is done
        10_107 | 13_435 | 10_058 => (ErrorKind::Unavailable, None),
        // HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, FailedToSatisfyReadPreference,
        // PrimarySteppedDown, SocketException, InterruptedAtShutdown, Interrupted, its like at a change of
        // state, NotPrimaryOrSecondary
        6 | 7 | 89 | 91 | 133 | 189 | 9_001 | 11_600 | 11_601 | 11_602 | 13_436 => {
            (ErrorKind::Unavailable, Unknown)
        }
        // WriteConcernFailed, UnsatisfiableWriteConcern: done here, and not on a majority
        64 | 100 => (ErrorKind::Unavailable, Unknown),
        // CursorNotFound: a read begins again
        43 => (ErrorKind::Unavailable, None),
        // OutOfDiskSpace
        14_031 => (ErrorKind::Unavailable, Unknown),
        // MaxTimeMSExpired, ExceededTimeLimit
        50 | 262 => (ErrorKind::Timeout, Unknown),
        // LockTimeout, WriteConflict, and the limits of rate
        24 | 112 | 462 => (ErrorKind::Throttled, None),
        // BSONObjectTooLarge and its older numbers, DocumentValidationFailure
        10_334 | 17_280 | 17_419 | 17_420 | 121 => (ErrorKind::InvalidConfig, None),
        // InvalidOptions, CommandNotSupported, IndexOptionsConflict, IndexKeySpecsConflict
        72 | 115 | 85 | 86 => (ErrorKind::InvalidConfig, None),
        // NoSuchKey's like for whole collections: NamespaceNotFound
        26 => (ErrorKind::NotFound, None),
        _ => (ErrorKind::Unexpected, Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_the_server_says_has_one_meaning_each() {
        use Effect::{None, Unknown};
        let table = [
            (11_000, ErrorKind::Conflict, None),
            (13, ErrorKind::Denied, None),
            (18, ErrorKind::Denied, None),
            (10_107, ErrorKind::Unavailable, None),
            (13_435, ErrorKind::Unavailable, None),
            (189, ErrorKind::Unavailable, Unknown),
            (91, ErrorKind::Unavailable, Unknown),
            (11_602, ErrorKind::Unavailable, Unknown),
            (64, ErrorKind::Unavailable, Unknown),
            (43, ErrorKind::Unavailable, None),
            (14_031, ErrorKind::Unavailable, Unknown),
            (50, ErrorKind::Timeout, Unknown),
            (112, ErrorKind::Throttled, None),
            (10_334, ErrorKind::InvalidConfig, None),
            (26, ErrorKind::NotFound, None),
            (8_000, ErrorKind::Unexpected, Unknown),
        ];
        for (code, kind, effect) in table {
            let error = from_code("op", code, "said");
            assert_eq!((error.kind, error.effect), (kind, effect), "code {code}");
            assert!(error.to_string().contains(&code.to_string()), "{error}");
        }
    }

    #[test]
    fn what_the_driver_says_has_one_meaning_each() {
        use Effect::{None, Unknown};
        let io = |kind: io::ErrorKind| Error::from(io::Error::from(kind));
        let table = [
            (
                io(io::ErrorKind::ConnectionReset),
                ErrorKind::Unavailable,
                Unknown,
            ),
            (io(io::ErrorKind::TimedOut), ErrorKind::Timeout, Unknown),
            (
                Error::from(Driver::SessionsNotSupported),
                ErrorKind::Unexpected,
                Unknown,
            ),
            (Error::from(Driver::Shutdown), ErrorKind::Unavailable, None),
            (Error::custom("ours"), ErrorKind::Unexpected, Unknown),
        ];
        for (error, kind, effect) in table {
            let write = from_driver("op", Access::Write, error.clone());
            assert_eq!((write.kind, write.effect), (kind, effect), "{write}");
            let read = from_driver("op", Access::Read, error);
            assert_eq!(
                (read.kind, read.effect),
                (kind, None),
                "a read has no effect"
            );
        }
    }

    #[test]
    fn an_answer_that_is_late_may_still_have_an_effect() {
        assert_eq!(late("op", Access::Write).effect, Effect::Unknown);
        assert_eq!(late("op", Access::Read).effect, Effect::None);
        assert_eq!(late("op", Access::Read).kind, ErrorKind::Timeout);
    }
}
