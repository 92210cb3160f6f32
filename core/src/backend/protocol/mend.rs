//! Mend: what becomes of a record of the protocol that nobody can read.
//!
//! Such a record is left out of what workers see, and goes on to keep its job busy: its owner may be alive.
//! Once a store knows that no session lives, as one of a single process does when it starts, it puts
//! something readable in its place. A record of a newer program is not mended but waits for that program.

use super::{Change, Changes, Facts, RunEnd, Step, mark_of};
use crate::backend::{DoneRecord, Generation, Mark, Result};
use crate::job::JobName;
use crate::policy::Streak;
use crate::run::{Outcome, RunKey, RunState};
use crate::time::Timestamp;

/// Who records the end of a run whose worker nobody can tell.
const NOBODY: &str = "sandclock";

/// A record that cannot be read: its place is all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The mark of the job.
    Mark,
    /// An open record.
    Open(RunKey),
    /// A wait record.
    Wait(RunKey),
    /// A done record.
    Done(RunKey),
}

/// Puts a readable record in the place of one that is not. Only for a store without any live session.
///
/// - A mark goes to `now`: nothing up to now is decided again (S2); what of it was not decided yet, nobody
///   knows.
/// - An open run is lost and a waiting one skipped, for `reason`.
/// - A done run has ended, but how it did is lost.
pub fn mend(
    facts: &dyn Facts,
    job: &JobName,
    what: Unreadable,
    reason: &str,
    now: Timestamp,
) -> Result<Step<()>> {
    let outcome = |state, what: &str| {
        Outcome::without_process(state, format!("{what} cannot be read: {reason}"), now)
    };
    let mut changes = Changes::of(job, mark_of(facts, job)?);
    let (gone, key, outcome) = match what {
        Unreadable::Mark => {
            let mark = Mark {
                at: now,
                generation: Generation::default(),
                streak: Streak::default(),
            };
            let changes = changes.moving_the_mark(mark);
            return Ok(Step {
                answer: (),
                changes,
            });
        }
        Unreadable::Open(key) => {
            let gone = Change::OpenGone(job.clone(), key.clone());
            (gone, key, outcome(RunState::Lost, "its record"))
        }
        Unreadable::Wait(key) => {
            let gone = Change::WaitGone(job.clone(), key.clone());
            (gone, key, outcome(RunState::Skipped, "its record"))
        }
        Unreadable::Done(key) => {
            let done = ended(job, key, outcome(RunState::Lost, "how it ended"), &changes);
            changes.push(Change::Done(Box::new(done)));
            return Ok(Step {
                answer: (),
                changes: changes.list,
            });
        }
    };
    changes.push(gone);
    changes.end(RunEnd::unstarted(key, outcome, NOBODY, None));
    Ok(Step {
        answer: (),
        changes: changes.keeping_the_mark(),
    })
}

/// The end of a run that the job's streak has counted already.
fn ended(job: &JobName, key: RunKey, outcome: Outcome, changes: &Changes) -> DoneRecord {
    DoneRecord {
        job: job.clone(),
        key,
        span: None,
        outcome,
        attempts: 0,
        fence: 0,
        worker: NOBODY.to_owned(),
        streak_before: changes.streak,
        streak: changes.streak,
        pinned: None,
    }
}
