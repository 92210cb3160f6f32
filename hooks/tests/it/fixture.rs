//! A host, jobs and runs for the tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::backend::{DoneRecord, Pinned, Version};
use sandclock_core::job::{HookBinding, Job, JobName};
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, History, Hooks, RunPolicy};
use sandclock_core::run::{HookNote, Outcome, RunContext, RunId, RunKey, RunState};
use sandclock_core::time::{SimClock, Timestamp};
use sandclock_hooks::{Artifact, FailurePolicy, HooksConfig, KnownSecrets, PluginHost};
use serde_json::{Value, json};

use crate::guests::Guest;

/// 2026-11-20T18:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_197_600_000);

pub(crate) fn config(secrets: &KnownSecrets) -> HooksConfig {
    let clock = SimClock::new(NOW, tokio::time::Instant::now(), 0, 0);
    HooksConfig::new(secrets.clone(), Arc::new(clock))
}

pub(crate) fn host(secrets: &KnownSecrets) -> PluginHost {
    PluginHost::new(config(secrets)).expect("a host")
}

pub(crate) async fn install(host: &PluginHost, name: &str, guest: &Guest) {
    install_with(host, name, guest, FailurePolicy::default()).await;
}

pub(crate) async fn install_with(
    host: &PluginHost,
    name: &str,
    guest: &Guest,
    policy: FailurePolicy,
) {
    let artifact = Artifact {
        policy,
        ..artifact(name, guest.build())
    };
    host.install(artifact).await.expect("installs");
}

pub(crate) fn artifact(name: &str, bytes: Vec<u8>) -> Artifact {
    Artifact::new(name, None, bytes)
}

/// A run of a job that declares 30 s and binds these plugins.
pub(crate) fn run(plugins: &[&str]) -> RunContext {
    let bindings: Vec<(&str, Value)> = plugins.iter().map(|name| (*name, json!({}))).collect();
    run_with(&bindings)
}

pub(crate) fn run_with(bindings: &[(&str, Value)]) -> RunContext {
    let name = JobName::parse("nightly/backup").expect("a name");
    let mut job = Job::shell(name.clone(), "true");
    job.timeout = Some(Duration::from_secs(30));
    job.hooks = bindings
        .iter()
        .map(|(plugin, config)| HookBinding {
            plugin: (*plugin).to_owned(),
            config: config.clone(),
        })
        .collect();
    let key = RunKey::Tick(NOW);
    RunContext {
        id: RunId::of(&name, &key),
        key,
        job: Arc::new(job),
        attempt: 1,
        fence: 1,
        worker: "w1".to_owned(),
    }
}

/// What a job took before, of which one in fifty failed.
pub(crate) fn fifty_runs() -> History {
    History {
        known: true,
        runs: 50,
        failures: 1,
        p50_ms: 1_000,
        p95_ms: 6_000,
        p99_ms: 7_000,
        max_ms: 8_000,
    }
}

/// How the run ended.
pub(crate) fn ended(run: &RunContext, state: RunState) -> DoneRecord {
    let streak_before = Streak::default();
    DoneRecord {
        job: run.job.name.clone(),
        key: run.key.clone(),
        span: None,
        outcome: Outcome::without_process(state, "exit code 1", NOW),
        attempts: 1,
        fence: 1,
        worker: run.worker.clone(),
        streak_before,
        streak: streak_before.after(state),
        pinned: Some(Pinned {
            job: Arc::clone(&run.job),
            version: Version(1),
        }),
    }
}

pub(crate) async fn limits(host: &PluginHost, run: &RunContext) -> RunPolicy {
    host.before_run(run, &History::default(), None).await
}

/// What comes out of the redaction of `pieces`.
pub(crate) async fn redacted(
    host: &PluginHost,
    run: &RunContext,
    pieces: impl IntoIterator<Item = &[u8]>,
) -> (String, Vec<HookNote>) {
    let mut redactor = host.redactor(run, Channel::Combined).await;
    let mut out = Vec::new();
    for piece in pieces {
        let piece = Bytes::copy_from_slice(piece);
        out.extend_from_slice(redactor.push(piece).await.bytes());
    }
    out.extend_from_slice(redactor.finish().await.bytes());
    let text = String::from_utf8_lossy(&out).into_owned();
    (text, redactor.notes())
}

/// A generator of numbers that are the same in every run of the tests.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end` (xorshift64*).
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).expect("31 bits") % end
    }
}

/// `bytes` cut at random places, into at most `pieces` pieces, some empty.
pub(crate) fn cut<'a>(dice: &mut Dice, bytes: &'a [u8], pieces: usize) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = (1..pieces).map(|_| dice.below(bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut from = 0;
    cuts.into_iter()
        .map(|to| {
            let piece = &bytes[from..to];
            from = to;
            piece
        })
        .collect()
}
