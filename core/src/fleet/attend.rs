//! A run whose process is alive: its limits, its kill, its contact to the store.
//!
//! Everything that may happen to it is one branch of one loop, so that nothing waits for anything else:
//! the process ends, the time limit passes, a kill comes, the session is renewed, lost or replaced by a
//! new one (then the run rebinds to it), contact stays away too long, the worker stops.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::config::FleetMutant;
use super::dispatch::{Claim, Verdict, kill_of};
use super::ending::{Reason, judge, seconds};
use super::rebind::{Rebinding, Rebound, rebind, rebound};
use super::session::Window;
use super::state::{Phase, Shared};
use crate::backend::{Fence, RunHeader};
use crate::error::ErrorKind;
use crate::ports::{ProcessEnd, RunPolicy, Running};
use crate::run::RunState;
use crate::run::{HookNote, Outcome};
use crate::time::Timestamp;

/// The longest wait for a limit that depends on the wall clock, which may jump.
const POLL: Duration = Duration::from_secs(1);
/// Between SIGTERM and SIGKILL when contact to the store is lost.
const CONTACT_GRACE: Duration = Duration::from_secs(2);
/// How soon the run log is told again that the run has begun.
const LOG_AGAIN: Duration = Duration::from_secs(5);

struct Attendance<'a> {
    shared: &'a Shared,
    claim: &'a Claim,
    window: Window,
    fence: Fence,
    policy: RunPolicy,
    process: Box<dyn Running>,
    reason: Option<Reason>,
    started_at: Timestamp,
    /// SIGTERM and SIGKILL for want of contact have been given.
    contact: (bool, bool),
}

/// What the loop woke up for.
enum Event {
    Ended(ProcessEnd),
    Killed,
    Limit,
    Warn,
    Contact,
    Window,
    Rebound(Rebound),
    Phase,
    Logged,
}

/// How long the processes may live without a further word from this worker.
pub(super) fn alive_for(shared: &Shared, window: &Window, dead: Duration) -> Duration {
    match shared.config.is(FleetMutant::NoSelfFence) {
        true => Duration::from_secs(u64::from(u32::MAX)),
        false => window.left(dead, shared.now()),
    }
}

/// Attends to a running process until it has ended.
pub(super) async fn attend(
    shared: &Arc<Shared>,
    claim: &Claim,
    window: Window,
    policy: RunPolicy,
    process: Box<dyn Running>,
    started_at: Timestamp,
    kill: Arc<Notify>,
) -> Verdict {
    let mut run = Attendance {
        shared,
        claim,
        window,
        fence: claim.fence,
        policy,
        process,
        reason: None,
        started_at,
        contact: (false, false),
    };
    let ended = run.until_ended(kill).await;
    match run.reason {
        Some(Reason::Fenced) => Verdict::Fenced,
        _ => {
            let tail = ended.tail.clone();
            Verdict::Over(run.outcome(ended), tail)
        }
    }
}

impl<'a> Attendance<'a> {
    fn on_window(&mut self, window: Option<Window>, rebinding: &mut Option<Rebinding<'a>>) {
        let Some(window) = window else { return };
        if window.session == self.window.session {
            self.window = window;
            self.extend();
        } else if rebinding.is_none() && !self.shared.config.is(FleetMutant::NoRebind) {
            *rebinding = Some(Box::pin(rebind(
                self.shared,
                self.claim,
                self.fence,
                window,
            )));
        }
    }

    async fn until_ended(&mut self, kill: Arc<Notify>) -> ProcessEnd {
        let shared = self.shared;
        let claim = self.claim;
        let began = Instant::now();
        let limit = self.policy.limit.map(|limit| began + limit);
        let mut warn = self.policy.warn.map(|warn| began + warn);
        let mut limit_due = limit;
        let mut windows = shared.window.listen();
        let mut phases = shared.phase.listen();
        let mut rebinding: Option<Rebinding<'a>> = None;
        let mut logging = Box::pin(log_begin(shared, claim, self.fence, self.started_at));
        let mut logged = false;
        let window = windows.get();
        self.on_window(window, &mut rebinding);
        if kill_of(shared, claim).is_some() {
            self.on_kill();
        }
        self.on_phase(phases.get());
        loop {
            let contact = self.contact_due();
            let event = tokio::select! {
                biased;
                ended = self.process.wait() => Event::Ended(ended),
                () = kill.notified() => Event::Killed,
                rebound = rebound(&mut rebinding) => Event::Rebound(rebound),
                () = windows.changed() => Event::Window,
                () = contact => Event::Contact,
                () = at(limit_due) => Event::Limit,
                () = at(warn) => Event::Warn,
                () = phases.changed() => Event::Phase,
                () = &mut logging, if !logged => Event::Logged,
            };
            match event {
                Event::Ended(ended) => {
                    // The end needs the fence, so an answer that is on its way is waited for.
                    if let Some(rebound) = rebinding.take() {
                        let rebound = rebound.await;
                        self.on_rebound(rebound);
                    }
                    return ended;
                }
                Event::Killed => self.on_kill(),
                Event::Limit => {
                    limit_due = None;
                    self.terminate(Reason::TimedOut, self.policy.grace);
                }
                Event::Warn => {
                    warn = None;
                    self.note_warning();
                }
                Event::Contact => self.on_contact(),
                Event::Window => {
                    let window = windows.get();
                    self.on_window(window, &mut rebinding);
                }
                Event::Rebound(rebound) => {
                    rebinding = None;
                    self.on_rebound(rebound);
                    // The session may have changed once more meanwhile.
                    let window = shared.window.get();
                    self.on_window(window, &mut rebinding);
                }
                Event::Phase => self.on_phase(phases.get()),
                Event::Logged => logged = true,
            }
        }
    }

    /// When the next step for want of contact is due, or when to look at the wall clock again.
    fn contact_due(&self) -> impl Future<Output = ()> + Send + use<> {
        let limits = self.window.contact_limits(self.claim.pinned.job.lost_after);
        let next = match self.contact {
            _ if self.shared.config.is(FleetMutant::NoSelfFence) => None,
            (false, _) => Some(limits.term),
            (true, false) => Some(limits.kill),
            (true, true) => None,
        };
        let pause = next.map(|next| self.window.left(next, self.shared.now()).min(POLL));
        async move {
            match pause {
                Some(pause) => sleep(pause).await,
                None => pending().await,
            }
        }
    }

    fn on_contact(&mut self) {
        let limits = self.window.contact_limits(self.claim.pinned.job.lost_after);
        let now = self.shared.now();
        if !self.contact.0 && self.window.left(limits.term, now).is_zero() {
            self.contact.0 = true;
            self.shared.counters.runs_self_fenced.add(1);
            let reason = match self.window.ran_ahead(limits.term, now) {
                Some(by) => Reason::ClockAhead(by),
                None => Reason::NoContact,
            };
            self.terminate(reason, CONTACT_GRACE);
        }
        if !self.contact.1 && self.window.left(limits.kill, now).is_zero() {
            self.contact.1 = true;
            self.terminate(Reason::NoContact, Duration::ZERO);
        }
    }

    fn extend(&mut self) {
        let limits = self.window.contact_limits(self.claim.pinned.job.lost_after);
        let alive_for = alive_for(self.shared, &self.window, limits.dead);
        self.process.extend(alive_for);
    }

    fn on_rebound(&mut self, rebound: Rebound) {
        match rebound {
            Rebound::Kept(fence, window) => {
                self.shared.counters.runs_rebound.add(1);
                self.window = window;
                self.set_fence(fence);
                self.extend();
            }
            Rebound::NoSession(fence) => self.set_fence(fence),
            Rebound::Gone => {
                self.reason = Some(Reason::Fenced);
                self.process.terminate(Duration::ZERO);
            }
        }
    }

    fn set_fence(&mut self, fence: Fence) {
        self.fence = fence;
        let id = (self.claim.job().clone(), self.claim.key.clone());
        self.shared.update(|state| {
            if let Some(active) = state.claims.held.get_mut(&id) {
                active.fence = Some(fence);
            }
        });
    }

    fn on_kill(&mut self) {
        if let Some(kill) = kill_of(self.shared, self.claim) {
            let (by, why) = (kill.by, kill.why);
            self.terminate(Reason::Killed { by, why }, self.policy.grace);
        }
    }

    fn on_phase(&mut self, phase: Phase) {
        if phase == Phase::Stopping {
            self.terminate(Reason::Stopped, self.policy.grace);
        }
    }

    fn terminate(&mut self, reason: Reason, grace: Duration) {
        self.reason.get_or_insert(reason);
        self.process.terminate(grace);
    }

    fn note_warning(&mut self) {
        let limit = self.policy.limit.unwrap_or_default();
        self.policy.notes.push(HookNote {
            plugin: "sandclock".to_owned(),
            version: None,
            hook: "timeout-policy".to_owned(),
            decision: format!("still running; the limit is {}", seconds(limit)),
            failed: false,
            monitored: false,
            took: Duration::ZERO,
        });
    }

    fn outcome(self, ended: ProcessEnd) -> Outcome {
        let (state, cause) = judge(self.reason, &ended, &self.policy);
        let mut notes = self.policy.notes;
        notes.extend(ended.notes);
        Outcome {
            state,
            cause,
            started_at: Some(self.started_at),
            ended_at: self.shared.now().wall,
            exit_code: ended.exit_code,
            signal: ended.signal,
            output: ended.output,
            notes,
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Tells the run log that the attempt has begun, until it knows or knows better.
async fn log_begin(shared: &Shared, claim: &Claim, fence: Fence, started_at: Timestamp) {
    let header = RunHeader {
        id: claim.run.clone(),
        job: claim.job().clone(),
        key: claim.key.clone(),
        state: RunState::Running,
        attempt: claim.attempt,
        worker: shared.config.name.clone(),
        started_at,
        next_attempt_at: None,
        cause: claim.cause.clone(),
    };
    loop {
        let begin = shared.records.sink.begin(&header, fence);
        match timeout(shared.config.call_timeout, begin).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) if error.kind == ErrorKind::Fenced => return,
            Ok(Err(_)) | Err(_) => sleep(LOG_AGAIN).await,
        }
    }
}
