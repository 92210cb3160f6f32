//! Failures inside this crate, and the one place where SQLite's become a [`BackendError`].

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;
use sandclock_core::stored::StoredError;
use sandclock_core::{BackendError, ErrorKind};

/// What can go wrong in a transaction.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A body in a table is not a record.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// A column holds what this crate never writes.
    #[error("column {column} holds {value:?}")]
    Column {
        /// The table and column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
    /// The contract's own answer.
    #[error(transparent)]
    Contract(#[from] BackendError),
}

pub(crate) type DbResult<T> = std::result::Result<T, DbError>;

impl DbError {
    /// The error as the caller of `op` sees it. Whatever failed was rolled back: no effect.
    pub(crate) fn at(self, op: &'static str) -> BackendError {
        match self {
            Self::Contract(error) => error,
            Self::Sqlite(error) => from_sqlite(op, error),
            Self::Io(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                    _ => ErrorKind::Unavailable,
                };
                BackendError::new(op, kind).source(error)
            }
            Self::Stored(why) => BackendError::new(op, ErrorKind::Corrupt).context(why.reason()),
            corrupt @ Self::Column { .. } => {
                BackendError::new(op, ErrorKind::Corrupt).source(corrupt)
            }
        }
    }
}

/// What opening a store is called in errors.
pub(crate) const OPEN: &str = "embedded.open";

/// Why the file at `path` cannot be opened. The context says all of it, once: the path, the cause, and what to
/// do about a full disk.
pub(crate) fn at_open(path: &Path, error: impl Into<DbError>) -> BackendError {
    let error = error.into();
    let is_full = match &error {
        DbError::Io(error) => error.kind() == io::ErrorKind::StorageFull,
        DbError::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
        _ => false,
    };
    let remedy = if is_full {
        "; make room on its disk and start again"
    } else {
        ""
    };
    let context = format!("{}: {error}{remedy}", path.display());
    BackendError::new(OPEN, error.at(OPEN).kind).context(context)
}

/// SQLite's error as the caller of `op` sees it, with no effect.
pub(crate) fn from_sqlite(op: &'static str, error: rusqlite::Error) -> BackendError {
    let kind = kind_of(&error);
    BackendError::new(op, kind).source(error)
}

/// What SQLite's error means to callers.
pub(crate) fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory => ErrorKind::Unavailable,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => ErrorKind::Corrupt,
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied => ErrorKind::Denied,
            ErrorCode::TooBig => ErrorKind::InvalidConfig,
            _ => ErrorKind::Unexpected,
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => ErrorKind::Corrupt,
        _ => ErrorKind::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn what_sqlite_says_has_one_meaning_each() {
        let table = [
            (ffi::SQLITE_FULL, ErrorKind::Unavailable),
            (ffi::SQLITE_IOERR_FSYNC, ErrorKind::Unavailable),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Unavailable),
            (ffi::SQLITE_BUSY, ErrorKind::Unavailable),
            (ffi::SQLITE_NOMEM, ErrorKind::Unavailable),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt),
            (ffi::SQLITE_READONLY, ErrorKind::Denied),
            (ffi::SQLITE_PERM, ErrorKind::Denied),
            (ffi::SQLITE_TOOBIG, ErrorKind::InvalidConfig),
            (ffi::SQLITE_MISUSE, ErrorKind::Unexpected),
        ];
        for (code, kind) in table {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(from_sqlite("op", error).kind, kind, "code {code}");
        }
    }
}
