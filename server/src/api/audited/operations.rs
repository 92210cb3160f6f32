//! What is kept of each operation: written lists, so that nothing secret is kept because nobody thought of it.

/// Operations that are no `GET` and change nothing: they leave no entry.
pub const CHANGE_NOTHING: [&str; 4] = [
    "job.validate",
    "binding.validate",
    "plugin.validate",
    "plugin.replay",
];

/// Operations that leave entries by themselves, because nobody is known before them or after them, or because they change
/// several things.
pub const LEAVE_THEIR_OWN: [&str; 3] = ["session.create", "session.end", "job.apply"];

/// Operations on something that has a document, which is kept as it was before and after.
pub const CHANGE_DOCUMENTS: [&str; 13] = [
    "job.put",
    "job.patch",
    "job.delete",
    "job.enable",
    "job.disable",
    "binding.put",
    "binding.delete",
    "plugin.push",
    "plugin.remove",
    "plugin.rollback",
    "plugin.mode",
    "plugin.shadow",
    "plugin.unshadow",
];

/// Operations that do something: what was asked and what was answered is kept. There must be no secret in either.
pub const ACT: [&str; 7] = [
    "job.run",
    "job.backfill",
    "job.kill",
    "run.kill",
    "worker.drain",
    "alert.retry",
    "alert.ack",
];

/// Those of them that change nothing if they are asked with `dry_run`, and leave no entry then.
pub(super) const MAY_BE_DRY: [&str; 1] = ["job.backfill"];

/// Operations on secrets: only their names are kept.
pub const KEEP_NAMES: [&str; 2] = ["secret.put", "secret.delete"];

/// What makes a token: what was asked and answered is kept, but for the token itself.
const MAKES_TOKEN: &str = "token.create";

/// What takes one away: what was kept of it is kept.
const REVOKES_TOKEN: &str = "token.revoke";

/// What is kept of an operation beside who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// What it changes, before and after.
    Document,
    /// What was asked and answered.
    Answer,
    /// What was asked and answered, without the token.
    NewToken,
    /// What it was.
    OldToken,
    /// Nothing but the name. An operation that is in no list may be about secrets, too.
    Nothing,
}

impl Kept {
    pub(super) fn of(operation: &str) -> Self {
        if CHANGE_DOCUMENTS.contains(&operation) {
            Self::Document
        } else if ACT.contains(&operation) {
            Self::Answer
        } else if operation == MAKES_TOKEN {
            Self::NewToken
        } else if operation == REVOKES_TOKEN {
            Self::OldToken
        } else {
            Self::Nothing
        }
    }
}

/// An operation that leaves an entry.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: &'static str,
    /// As the document has it.
    pub(super) path: String,
}

impl Operation {
    /// Whether a request with this method and path asks for it.
    pub(super) fn is(&self, method: &str, path: &str) -> bool {
        let (mut own, mut theirs) = (self.path.split('/'), path.split('/'));
        let is_parameter = |own: &str| own.starts_with('{');
        self.method == method
            && loop {
                match (own.next(), theirs.next()) {
                    (None, None) => break true,
                    (Some(own), Some(their)) if own == their => {}
                    (Some(own), Some(their)) if is_parameter(own) && !their.is_empty() => {}
                    _ => break false,
                }
            }
    }
}
