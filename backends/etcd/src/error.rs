//! The one place where what the driver says becomes a [`BackendError`].
//!
//! etcd distinguishes its failures by gRPC code, and within some codes by text only. Texts are those of etcd's
//! `api/v3rpc/rpctypes`, which have not changed since 3.4.

use std::error::Error as _;
use std::fmt;
use std::iter::successors;

use sandclock_core::{BackendError, ErrorKind};
use tonic::{Code, Status};

/// What a call may have done when its answer does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Nothing, whatever happens.
    Reads,
    /// Its effect, unless the answer says that it was refused.
    Writes,
}

/// The error as the caller of `op` sees it.
pub(crate) fn from_driver(
    op: &'static str,
    nature: Nature,
    error: etcd_client::Error,
) -> BackendError {
    let (kind, refused) = match &error {
        etcd_client::Error::GRpcStatus(status) => of_status(status),
        etcd_client::Error::IoError(_)
        | etcd_client::Error::TransportError(_)
        | etcd_client::Error::WatchError(_) => (ErrorKind::Unavailable, false),
        etcd_client::Error::LeaseKeepAliveError(_) => (ErrorKind::NotFound, true),
        etcd_client::Error::InvalidArgs(_)
        | etcd_client::Error::InvalidUri(_)
        | etcd_client::Error::InvalidMetadataValue(_)
        | etcd_client::Error::EndpointError(_) => (ErrorKind::InvalidConfig, true),
        _ => (ErrorKind::Unexpected, false),
    };
    finish(
        BackendError::new(op, kind).source(Said(error)),
        nature,
        refused,
    )
}

/// No answer within the deadline.
pub(crate) fn timeout(op: &'static str, nature: Nature) -> BackendError {
    finish(BackendError::new(op, ErrorKind::Timeout), nature, false)
}

fn finish(error: BackendError, nature: Nature, refused: bool) -> BackendError {
    if refused || nature == Nature::Reads {
        return error;
    }
    error.effect_unknown()
}

/// The kind, and whether the request was certainly not carried out.
fn of_status(status: &Status) -> (ErrorKind, bool) {
    let says = |text: &str| status.message().contains(text);
    match status.code() {
        Code::Unavailable => (ErrorKind::Unavailable, never_sent(status)),
        Code::DeadlineExceeded | Code::Cancelled => (ErrorKind::Timeout, false),
        Code::PermissionDenied | Code::Unauthenticated => (ErrorKind::Denied, true),
        Code::InvalidArgument if says("authentication failed") || says("user name is empty") => {
            (ErrorKind::Denied, true)
        }
        Code::InvalidArgument | Code::FailedPrecondition | Code::Unimplemented => {
            (ErrorKind::InvalidConfig, true)
        }
        Code::ResourceExhausted if says("too many requests") => (ErrorKind::Throttled, true),
        Code::ResourceExhausted if says("space exceeded") => (ErrorKind::Unavailable, true),
        Code::ResourceExhausted => (ErrorKind::InvalidConfig, true),
        // A history that is gone, and one that never was, as after a restore.
        Code::OutOfRange if says("required revision") => (ErrorKind::CursorExpired, true),
        Code::NotFound => (ErrorKind::NotFound, true),
        Code::DataLoss => (ErrorKind::Corrupt, false),
        // A connection that broke in the middle has one of these, with a text of the transport.
        Code::Unknown | Code::Internal | Code::Aborted if !says("etcdserver:") => {
            (ErrorKind::Unavailable, never_sent(status))
        }
        _ => (ErrorKind::Unexpected, false),
    }
}

/// What the driver said, for people: its text and the first cause of all. Its own form repeats every type on the way.
#[derive(Debug)]
struct Said(etcd_client::Error);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.0 {
            etcd_client::Error::GRpcStatus(status) if status.message().is_empty() => {
                status.code().to_string()
            }
            etcd_client::Error::GRpcStatus(status) => status.message().to_owned(),
            other => other.to_string(),
        };
        let cause = match &self.0 {
            etcd_client::Error::GRpcStatus(status) => status.source(),
            other => other.source(),
        };
        let first = successors(cause, |error| (*error).source()).last();
        match first.map(ToString::to_string) {
            Some(cause) if !text.contains(&cause) => write!(f, "{text}: {cause}"),
            _ => f.write_str(&text),
        }
    }
}

impl std::error::Error for Said {}

/// Whether no connection was there to send the request on.
fn never_sent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind::{
        Corrupt, CursorExpired, Denied, InvalidConfig, NotFound, Throttled, Timeout, Unavailable,
        Unexpected,
    };
    use sandclock_core::Effect;
    use sandclock_core::error::WithSources;

    /// What etcd or the transport says, and what a writer makes of it.
    const SAID: &[(Code, &str, ErrorKind, Effect)] = &[
        (
            Code::Unavailable,
            "etcdserver: leader changed",
            Unavailable,
            Effect::Unknown,
        ),
        (
            Code::Unavailable,
            "etcdserver: request timed out",
            Unavailable,
            Effect::Unknown,
        ),
        (
            Code::DeadlineExceeded,
            "context deadline exceeded",
            Timeout,
            Effect::Unknown,
        ),
        (Code::Cancelled, "Timeout expired", Timeout, Effect::Unknown),
        (
            Code::Unknown,
            "transport error",
            Unavailable,
            Effect::Unknown,
        ),
        (
            Code::Unknown,
            "etcdserver: what is this",
            Unexpected,
            Effect::Unknown,
        ),
        (
            Code::Internal,
            "h2 protocol error: broken pipe",
            Unavailable,
            Effect::Unknown,
        ),
        (
            Code::DataLoss,
            "etcdserver: corrupt cluster",
            Corrupt,
            Effect::Unknown,
        ),
        (
            Code::PermissionDenied,
            "etcdserver: permission denied",
            Denied,
            Effect::None,
        ),
        (
            Code::Unauthenticated,
            "etcdserver: invalid auth token",
            Denied,
            Effect::None,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: authentication failed, invalid user ID or password",
            Denied,
            Effect::None,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: request is too large",
            InvalidConfig,
            Effect::None,
        ),
        (
            Code::InvalidArgument,
            "etcdserver: too many operations in txn request",
            InvalidConfig,
            Effect::None,
        ),
        (
            Code::FailedPrecondition,
            "etcdserver: authentication is not enabled",
            InvalidConfig,
            Effect::None,
        ),
        (
            Code::Unimplemented,
            "unknown service",
            InvalidConfig,
            Effect::None,
        ),
        (
            Code::ResourceExhausted,
            "etcdserver: too many requests",
            Throttled,
            Effect::None,
        ),
        (
            Code::ResourceExhausted,
            "etcdserver: mvcc: database space exceeded",
            Unavailable,
            Effect::None,
        ),
        (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision has been compacted",
            CursorExpired,
            Effect::None,
        ),
        (
            Code::NotFound,
            "etcdserver: requested lease not found",
            NotFound,
            Effect::None,
        ),
    ];

    #[test]
    fn what_etcd_says_has_one_meaning_each() {
        for &(code, text, kind, effect) in SAID {
            let said = || etcd_client::Error::GRpcStatus(Status::new(code, text));
            let error = from_driver("op", Nature::Writes, said());
            assert_eq!(
                (error.kind, error.effect),
                (kind, effect),
                "{code:?} {text}"
            );
            let error = from_driver("op", Nature::Reads, said());
            assert_eq!(
                (error.kind, error.effect),
                (kind, Effect::None),
                "{code:?} {text}"
            );
        }
    }

    #[test]
    fn people_read_no_names_of_types() {
        let refused = std::io::Error::from_raw_os_error(111);
        let status = Status::from_error(Box::new(tonic::ConnectError(refused.into())));
        let error = etcd_client::Error::GRpcStatus(status);
        let said = WithSources(&from_driver("op", Nature::Reads, error)).to_string();
        assert!(
            said.ends_with("Connection refused (os error 111)"),
            "{said}"
        );
        assert!(
            !said.contains("ConnectError") && !said.contains("grpc"),
            "{said}"
        );
        let large = Status::new(Code::InvalidArgument, "etcdserver: request is too large");
        let error = etcd_client::Error::GRpcStatus(large);
        let said = WithSources(&from_driver("op", Nature::Writes, error)).to_string();
        assert_eq!(
            said,
            "op: invalid configuration: etcdserver: request is too large"
        );
    }

    #[test]
    fn what_was_never_sent_has_no_effect() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::from_error(Box::new(tonic::ConnectError(refused.into())));
        let error = from_driver("op", Nature::Writes, etcd_client::Error::GRpcStatus(status));
        assert_eq!(
            (error.kind, error.effect),
            (ErrorKind::Unavailable, Effect::None)
        );
        let lost = timeout("op", Nature::Writes);
        assert_eq!(
            (lost.kind, lost.effect),
            (ErrorKind::Timeout, Effect::Unknown)
        );
    }
}
