//! Known defects of a store, each the absence of one rule of the protocol.
//!
//! The conformance suite and the fleet simulation must find every one of them, or they prove nothing. A
//! defect lies to a step about what the store holds ([`Lens`]), rewrites what the caller asked, or drops
//! part of what the step would write; the steps themselves stay free of it.

use super::state::State;
use crate::backend::protocol::{Change, Facts};
use crate::backend::{
    Adopt, BrokenJob, Decide, DecideFate, DoneRecord, End, Fence, JobRecord, Kill, Mark, Nonce,
    OpenRecord, OpenState, Pinned, Result, SessionId, Take, TakeFrom, Version, Versioned,
    WaitRecord,
};
use crate::job::JobName;
use crate::policy::ConcurrencyPolicy;
use crate::run::{RunId, RunKey, RunState};
use crate::time::Timestamp;

/// A defect, and the invariant that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreMutant {
    /// A decide needs a mark before its tick, not the one it was planned with (S7).
    MarkGuardBefore,
    /// A tick that meets a busy job is recorded without moving the mark (S7).
    BusyOutsideTheMark,
    /// A tick that has to wait for its turn is recorded as skipped (late ticks that all run).
    TurnNotKept,
    /// Ticks that are passed over get no record (S7).
    PassedOverUnrecorded,
    /// An end deletes the open record and leaves the done record to its caller (S7).
    EndWithoutDone,
    /// Claims do not compare the job's version (claims after a disable).
    VersionNotCompared,
    /// An adopt leaves the mark where the old definition had it (invented ticks).
    AdoptKeepsOldMark,
    /// The mark goes with its job (S2).
    MarkDeletedWithJob,
    /// A job is busy only while a live session holds a run of it (S5).
    BusyByLiveSessions,
    /// A settle does not need the owner's session to be gone (S1).
    SettleBesideLiveSession,
    /// An end does not compare the fence (S5).
    EndWithoutFence,
    /// A take does not compare the record's version (S1).
    TakeWithoutVersion,
    /// A take from wait does not look whether the job is busy (S5).
    TakeBesideOpen,
    /// The repeat of a claim is not recognised (L1).
    NonceNotRecognised,
    /// A rerun is not counted (L1: reruns without bound).
    RerunNotCounted,
    /// Claims do not report a kill that is there (a start after an acknowledged kill).
    KillNotRead,
    /// A request id is not remembered (a repeated request runs twice).
    RequestForgotten,
    /// A decide does not compare the session. No invariant breaks: such a claim is settled as lost.
    DecideWithoutSession,
    /// One job record that cannot be read makes the snapshot of all jobs fail (every worker stops).
    BrokenStopsSnapshot,
    /// A put replaces what a newer program wrote (its members are lost).
    NewerReplaced,
}

impl StoreMutant {
    /// Every defect.
    pub const ALL: [Self; 20] = [
        Self::MarkGuardBefore,
        Self::BusyOutsideTheMark,
        Self::TurnNotKept,
        Self::PassedOverUnrecorded,
        Self::EndWithoutDone,
        Self::VersionNotCompared,
        Self::AdoptKeepsOldMark,
        Self::MarkDeletedWithJob,
        Self::BusyByLiveSessions,
        Self::SettleBesideLiveSession,
        Self::EndWithoutFence,
        Self::TakeWithoutVersion,
        Self::TakeBesideOpen,
        Self::NonceNotRecognised,
        Self::RerunNotCounted,
        Self::KillNotRead,
        Self::RequestForgotten,
        Self::DecideWithoutSession,
        Self::BrokenStopsSnapshot,
        Self::NewerReplaced,
    ];

    /// Drops or changes what the step would write.
    pub(super) fn tamper(self, of: StepOf, changes: &mut Vec<Change>) {
        match (self, of) {
            (Self::BusyOutsideTheMark, StepOf::Decide) => {
                let skips = |change: &Change| matches!(change, Change::Done(done) if done.outcome.state == RunState::Skipped);
                if changes.iter().any(skips) {
                    changes.retain(|change| !matches!(change, Change::Mark(..)));
                }
            }
            (Self::PassedOverUnrecorded, StepOf::Decide) => changes
                .retain(|change| !matches!(change, Change::Done(done) if done.span.is_some())),
            (Self::EndWithoutDone, StepOf::End) => {
                changes.retain(|change| !matches!(change, Change::Done(_)));
            }
            (Self::RerunNotCounted, StepOf::Settle) => {
                for change in changes {
                    if let Change::Open(open) = change {
                        open.reruns = open.reruns.saturating_sub(1);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Which step a lens or a tampering is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepOf {
    Decide,
    Adopt,
    Take,
    End,
    Rebind,
    Settle,
    Trigger,
}

impl State {
    /// What the caller is taken to have asked.
    pub(super) fn asked_decide(&self, due: &Decide) -> Decide {
        let mut due = due.clone();
        self.assume_version(&mut due.pinned);
        if self.mutant == Some(StoreMutant::MarkGuardBefore)
            && let Some(mark) = self.marks.get(due.job()).filter(|m| m.value.at < due.fire)
        {
            due.prev.at = mark.value.at;
        }
        if let DecideFate::Run { in_turn, .. } = &mut due.fate {
            *in_turn &= self.mutant != Some(StoreMutant::TurnNotKept);
        }
        due
    }

    /// What the caller is taken to have asked.
    pub(super) fn asked_adopt(&self, adopt: &Adopt) -> Adopt {
        let mut adopt = adopt.clone();
        if self.mutant == Some(StoreMutant::AdoptKeepsOldMark)
            && let Some(mark) = self.marks.get(&adopt.pinned.job.name)
        {
            adopt.to = mark.value.at;
        }
        adopt
    }

    /// What the caller is taken to have asked.
    pub(super) fn asked_take(&self, take: &Take) -> Take {
        let mut take = take.clone();
        if self.mutant == Some(StoreMutant::TakeWithoutVersion) {
            let record = (take.record.job.clone(), take.record.key.clone());
            let open = self.open.get(&record).map(|open| open.version);
            let wait = self.wait.get(&record).map(|wait| wait.version);
            take.record.version = open.or(wait).unwrap_or(take.record.version);
        }
        if let TakeFrom::Wait {
            pinned, exclusive, ..
        } = &mut take.from
        {
            self.assume_version(pinned);
            *exclusive &= self.mutant != Some(StoreMutant::TakeBesideOpen);
        }
        take
    }

    /// What the caller is taken to have asked.
    pub(super) fn asked_end(&self, end: &End) -> End {
        let mut end = end.clone();
        let open = self.open.get(&(end.job.clone(), end.key.clone()));
        if self.mutant == Some(StoreMutant::EndWithoutFence)
            && let Some(open) = open
        {
            end.fence = Fence::at(open.version);
        }
        end
    }

    /// Why a snapshot of the jobs fails.
    pub(super) fn stopped_by(&self) -> Option<&BrokenJob> {
        let stops = self.mutant == Some(StoreMutant::BrokenStopsSnapshot);
        self.jobs.values().find_map(|record| match record {
            JobRecord::Broken(broken) if stops => Some(broken),
            _ => None,
        })
    }

    /// Whether a put over this record is refused.
    pub(super) fn keeps(&self, broken: &BrokenJob) -> bool {
        broken.newer && self.mutant != Some(StoreMutant::NewerReplaced)
    }

    fn assume_version(&self, pinned: &mut Pinned) {
        if self.mutant == Some(StoreMutant::VersionNotCompared)
            && let Some(record) = self.jobs.get(&pinned.job.name)
        {
            pinned.version = record.version();
        }
    }
}

/// The state as a step sees it.
pub(super) struct Lens<'a> {
    pub(super) state: &'a State,
    pub(super) of: StepOf,
}

impl Lens<'_> {
    fn lies(&self, mutant: StoreMutant, of: &[StepOf]) -> bool {
        self.state.mutant == Some(mutant) && of.contains(&self.of)
    }
}

impl Facts for Lens<'_> {
    fn session_lives(&self, session: &SessionId) -> Result<bool> {
        if self.lies(StoreMutant::SettleBesideLiveSession, &[StepOf::Settle]) {
            return Ok(false);
        }
        if self.lies(StoreMutant::DecideWithoutSession, &[StepOf::Decide]) {
            return Ok(true);
        }
        self.state.session_lives(session)
    }

    fn job_version(&self, job: &JobName) -> Result<Option<Version>> {
        self.state.job_version(job)
    }

    fn job_policy(&self, job: &JobName) -> Result<Option<ConcurrencyPolicy>> {
        self.state.job_policy(job)
    }

    fn mark(&self, job: &JobName) -> Result<Option<Versioned<Mark>>> {
        self.state.mark(job)
    }

    fn open(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<OpenRecord>>> {
        let mut open = self.state.open(job, key)?;
        if let Some(open) = &mut open
            && let OpenState::Claimed { nonce, .. } = &mut open.value.state
        {
            if self.lies(
                StoreMutant::NonceNotRecognised,
                &[StepOf::Decide, StepOf::Take],
            ) {
                *nonce = Nonce(!nonce.0);
            }
            if self.lies(StoreMutant::TakeWithoutVersion, &[StepOf::Take]) {
                open.value.state = OpenState::Waiting {
                    not_before: Timestamp::default(),
                    exclude: None,
                };
            }
        }
        Ok(open)
    }

    fn any_open(&self, job: &JobName) -> Result<bool> {
        if self.state.mutant == Some(StoreMutant::BusyByLiveSessions) {
            return Ok(self.state.open_of(job).any(|open| {
                matches!(&open.value.state, OpenState::Claimed { session, .. }
                    if self.state.sessions.contains_key(session))
            }));
        }
        self.state.any_open(job)
    }

    fn wait(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<WaitRecord>>> {
        self.state.wait(job, key)
    }

    fn tick_waits(&self, job: &JobName) -> Result<bool> {
        self.state.tick_waits(job)
    }

    fn done(&self, job: &JobName, key: &RunKey) -> Result<Option<Versioned<DoneRecord>>> {
        self.state.done(job, key)
    }

    fn kill(&self, run: &RunId) -> Result<Option<Kill>> {
        if self.lies(StoreMutant::KillNotRead, &[StepOf::Decide, StepOf::Take]) {
            return Ok(None);
        }
        self.state.kill(run)
    }

    fn requested(&self, job: &JobName, request: &str) -> Result<bool> {
        let forgotten = self.state.mutant == Some(StoreMutant::RequestForgotten);
        Ok(!forgotten && self.state.requested(job, request)?)
    }
}
