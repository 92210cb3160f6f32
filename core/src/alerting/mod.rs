//! What becomes of an alert before and after it is sent: the policy of its target, and decisions that follow from it.
//!
//! Pure: whoever delivers brings the time and the randomness, and does what was decided. In order: a notice that
//! nobody wants is dropped, quiet hours put off or divert, the grouping window waits for company; then the pace of
//! the target has its say, which only the store knows (`AlertOutbox::pace`).

use std::time::Duration;

use crate::backend::{Alert, AlertKind, AlertState};
use crate::time::Timestamp;

mod quiet;
mod retry;

pub use quiet::Quiet;
pub use retry::Retry;

/// How alerts go to a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetPolicy {
    /// What follows a failed try.
    pub retry: Retry,
    /// How many messages it gets in any minute; `None` is no limit.
    pub per_minute: Option<u32>,
    /// How long the first alert waits for others that go out with it; zero sends each by itself.
    pub group: Duration,
    /// When it is left alone.
    pub quiet: Option<Quiet>,
    /// Where alerts go as well once their job has failed so often.
    pub escalate: Vec<Escalation>,
    /// Whether it wants to know that a job of whose failures it was told succeeds again.
    pub recovery: bool,
}

/// From so many failures in a row on, alerts go to another target as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// How many.
    pub after: u32,
    /// That target.
    pub to: String,
}

/// What is to be done with an alert that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nobody wants it.
    Drop,
    /// It waits.
    Wait {
        /// Why, for people.
        why: String,
        /// Until when.
        until: Timestamp,
    },
    /// A copy goes to another target in its place.
    Divert {
        /// That target.
        to: String,
        /// Why, for people.
        why: String,
        /// When its own target may be told again.
        until: Timestamp,
    },
    /// It is sent, if the target's pace admits it.
    Send,
}

impl TargetPolicy {
    /// What is to be done now with a claimed alert to this target.
    pub fn step(&self, alert: &Alert, now: Timestamp) -> Step {
        if alert.kind == AlertKind::Recovery && !self.recovery {
            return Step::Drop;
        }
        // What was tried before the quiet hours began may have arrived: it keeps its way, and its place among
        // those that wait.
        if let Some(quiet) = &self.quiet
            && let Some(until) = quiet.hours.until(now)
        {
            return self.hush(quiet, alert, until);
        }
        match self.group.is_zero() || alert.tries > 0 {
            true => Step::Send,
            false => self.gather(alert, now),
        }
    }

    fn hush(&self, quiet: &Quiet, alert: &Alert, until: Timestamp) -> Step {
        let hours = format!("quiet hours, {}", quiet.hours);
        match &quiet.instead {
            Some(to) if may_go_elsewhere(alert) => Step::Divert {
                to: to.clone(),
                why: hours,
                until,
            },
            _ => Step::Wait { why: hours, until },
        }
    }

    fn gather(&self, alert: &Alert, now: Timestamp) -> Step {
        // Never longer than the window, whatever the clock of whoever put it says.
        let until = alert.created_at.min(now).plus(self.group);
        match until > now {
            true => Step::Wait {
                why: format!("others may join it within {} s", self.group.as_secs()),
                until,
            },
            false => Step::Send,
        }
    }

    /// The copies that go to other targets because the job has failed so often. Asked before each try: while an alert
    /// is on its way further failures may be folded into it.
    pub fn escalations(&self, alert: &Alert, now: Timestamp) -> Vec<Alert> {
        let raised = alert.kind == AlertKind::Raised;
        let due = |rule: &&Escalation| raised && alert.failures >= rule.after;
        let rules = self.escalate.iter().filter(due);
        rules
            .map(|rule| copy(alert, AlertKind::Escalation, &rule.to, now))
            .collect()
    }
}

/// Whether a copy may go to another target in an alert's place: nobody has tried it, alone or with others, and it has
/// not come from another target itself.
fn may_go_elsewhere(alert: &Alert) -> bool {
    alert.tries == 0 && alert.parts == 0 && !alert.was_diverted()
}

/// A copy of the alert for another target, under an id that is the same whoever makes it. A notice of recovery stays
/// one, so that whoever gets it is told what it is, if they want to know.
///
/// What goes in the place of an alert is not folded into others: the alert names it, and it has to be there.
pub fn copy(alert: &Alert, kind: AlertKind, target: &str, now: Timestamp) -> Alert {
    let mut copy = alert.clone();
    copy.id = alert.id.copy(kind, target);
    target.clone_into(&mut copy.draft.target);
    if kind == AlertKind::Diversion {
        copy.draft.dedupe_key = None;
    }
    Alert {
        kind: match alert.kind {
            AlertKind::Recovery => AlertKind::Recovery,
            _ => kind,
        },
        state: AlertState::Pending,
        tries: 0,
        last_error: None,
        created_at: now,
        folded: 0,
        waits: None,
        next_try: None,
        part_of: None,
        parts: 0,
        ..copy
    }
}

#[cfg(test)]
mod tests;
