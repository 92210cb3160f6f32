//! Before a run: how long may it take?
//!
//! Each plugin of the job is asked in order and refines what holds so far, which begins with what
//! the job declares. A plugin that fails changes nothing. Whatever is decided is brought within the
//! operator's bounds, and a run that had a limit never loses it.

use std::sync::Arc;
use std::time::Duration;

use sandclock_core::ports::{History, RunPolicy};
use sandclock_core::run::{HookNote, RunContext};
use serde_json::Value;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::host::RunInfo;
use crate::host::timeout_policy::Decision;
use crate::instance::Scope;
use crate::limits::TEXT_BYTES;
use crate::monitored::noted;
use crate::plugin::{Hook, OnTimeoutFailure, Plugin};
use crate::recording::{self, Question};
use crate::subject::{Past, RunSpec};
use crate::text;

/// What the operator allows plugins to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitBounds {
    /// The shortest limit a plugin may set; default 1 s.
    pub min: Duration,
    /// The longest limit of any run, declared ones too; default none.
    pub max: Option<Duration>,
    /// The longest grace a plugin may set; default 10 min.
    pub max_grace: Duration,
}

impl Default for LimitBounds {
    fn default() -> Self {
        Self {
            min: Duration::from_secs(1),
            max: None,
            max_grace: Duration::from_secs(600),
        }
    }
}

/// What a plugin says of a run, as it says it.
///
/// # Errors
/// How the call failed.
pub(crate) async fn decision(
    plugin: &Arc<Plugin>,
    scope: Scope,
    run: RunInfo,
    declared_ms: Option<u32>,
    past: History,
) -> Result<Option<Decision>, Failure> {
    let limits = plugin.limits.timeout_policy;
    plugin
        .call_fresh(Hook::TimeoutPolicy, limits, scope, move |instance| {
            instance.decide(limits, &run, declared_ms, &past)
        })
        .await
}

/// The limits of a run while its plugins are asked.
#[derive(Debug)]
pub(crate) struct Refining<'a> {
    run: &'a RunContext,
    bounds: LimitBounds,
    policy: RunPolicy,
}

impl<'a> Refining<'a> {
    pub(crate) fn new(
        run: &'a RunContext,
        default_limit: Option<Duration>,
        bounds: LimitBounds,
    ) -> Self {
        let job = &run.job;
        let reason = match (job.timeout, default_limit) {
            (Some(_), _) => "declared by the job",
            (None, Some(_)) => "the default limit",
            (None, None) => "",
        };
        let policy = RunPolicy {
            limit: job.timeout.or(default_limit),
            warn: None,
            grace: job.grace,
            reason: reason.to_owned(),
            refuse: None,
            notes: Vec::new(),
        };
        Self {
            run,
            bounds,
            policy,
        }
    }

    /// What plugins are told is declared: nothing, as long as only the fleet's default holds.
    fn declared_ms(&self, decided: bool) -> Option<u32> {
        let limit = match (decided, self.run.job.timeout) {
            (false, None) => None,
            _ => self.policy.limit,
        };
        limit.map(|limit| u32::try_from(limit.as_millis()).unwrap_or(u32::MAX))
    }

    /// Asks one plugin, and says what it was asked and what it said, if it was: one that fails too often is not. What a
    /// monitored one says changes nothing; it is waited for all the same, as its note is the run's, but not longer than
    /// its limit on the wall.
    pub(crate) async fn ask(
        &mut self,
        plugin: &Arc<Plugin>,
        (scope, monitored): (Scope, bool),
        run: &RunSpec,
        past: &History,
    ) -> Option<(Question, Value)> {
        let mut notes = self.policy.notes.iter();
        let decided = notes.any(|note| !note.failed && !note.monitored);
        let declared_ms = self.declared_ms(decided);
        let started = Instant::now();
        let admitted = plugin.admit(Hook::TimeoutPolicy, &scope.config);
        let is_asked = admitted.is_ok();
        let answer = match admitted {
            Err(refused) => Err(refused),
            Ok(pass) => {
                let answer = decision(plugin, scope, run.info(), declared_ms, *past).await;
                pass.ended(answer.as_ref().err(), Instant::now());
                answer
            }
        };
        let question = Question::TimeoutPolicy {
            declared_ms,
            history: Past::from(*past),
        };
        let said = recording::of_decision(&answer);
        let held = self.policy.clone();
        let (decision, failed) = match answer {
            Ok(None) => ("keeps what holds".to_owned(), false),
            Ok(Some(decision)) => (self.apply(plugin, &decision), false),
            Err(failure) => (
                self.fail(plugin.policy.timeout_policy, &plugin.name, &failure),
                true,
            ),
        };
        if monitored {
            self.policy = held;
        }
        let who = (&*plugin.name, plugin.version.as_deref());
        self.note(who, decision, (failed, monitored), started.elapsed());
        is_asked.then_some((question, said))
    }

    /// A plugin that cannot be asked at all.
    pub(crate) fn cannot_ask(&mut self, name: &str, failure: &Failure, monitored: bool) {
        let decision = self.fail(OnTimeoutFailure::Fallback, name, failure);
        self.note((name, None), decision, (true, monitored), Duration::ZERO);
    }

    /// The end of it: what applies to the run.
    pub(crate) fn done(mut self) -> RunPolicy {
        if let Some(max) = self.bounds.max {
            let limit = self.policy.limit.map_or(max, |limit| limit.min(max));
            if self.policy.limit != Some(limit) {
                self.policy.limit = Some(limit);
                self.policy.reason = "the longest limit allowed".to_owned();
            }
        }
        self.policy.warn = self
            .policy
            .warn
            .filter(|warn| !warn.is_zero() && self.policy.limit.is_none_or(|limit| *warn < limit));
        self.policy
    }

    fn apply(&mut self, plugin: &Plugin, decision: &Decision) -> String {
        let millis = |ms: u32| Duration::from_millis(u64::from(ms));
        let mut parts = Vec::new();
        if let Some(limit_ms) = decision.limit_ms {
            let limit = millis(limit_ms).max(self.bounds.min);
            let limit = self.bounds.max.map_or(limit, |max| limit.min(max));
            self.policy.limit = Some(limit);
            parts.push(format!("limit {limit:?}"));
        }
        if let Some(warn_ms) = decision.warn_ms {
            self.policy.warn = Some(millis(warn_ms));
            parts.push(format!("warning after {:?}", millis(warn_ms)));
        }
        if let Some(grace_ms) = decision.grace_ms {
            self.policy.grace = millis(grace_ms).min(self.bounds.max_grace);
            parts.push(format!("grace {:?}", self.policy.grace));
        }
        let reason = text::presentable(&plugin.runtime.secrets, &decision.reason, TEXT_BYTES);
        if decision.limit_ms.is_some() {
            self.policy.reason = match reason.as_str() {
                "" => format!("set by plugin {}", plugin.name),
                reason => format!("{reason} (plugin {})", plugin.name),
            };
        }
        if parts.is_empty() {
            parts.push("keeps what holds".to_owned());
        }
        match reason.as_str() {
            "" => parts.join(", "),
            reason => format!("{}: {reason}", parts.join(", ")),
        }
    }

    fn fail(&mut self, policy: OnTimeoutFailure, name: &str, failure: &Failure) -> String {
        match policy {
            OnTimeoutFailure::Fallback => {
                let holds = match self.policy.limit {
                    Some(limit) => format!("the limit stays {limit:?}"),
                    None => "the run stays without a limit".to_owned(),
                };
                format!("plugin_fallback: {failure}; {holds}")
            }
            OnTimeoutFailure::FailRun => {
                let cause = format!("plugin {name} could not decide on a limit: {failure}");
                self.policy.refuse.get_or_insert(cause);
                format!("{failure}; the run is refused")
            }
        }
    }

    /// Keeps what a plugin, of a version, has decided.
    fn note(
        &mut self,
        (plugin, version): (&str, Option<&str>),
        decision: String,
        (failed, monitored): (bool, bool),
        took: Duration,
    ) {
        self.policy.notes.push(HookNote {
            plugin: plugin.to_owned(),
            version: version.map(str::to_owned),
            hook: Hook::TimeoutPolicy.as_str().to_owned(),
            decision: match monitored {
                true => noted(&decision),
                false => decision,
            },
            failed,
            monitored,
            took,
        });
    }
}
