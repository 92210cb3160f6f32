//! What the hooks cost a run.
//!
//! A run without plugins still passes the host: its limits are looked up and its output is masked. So the
//! first figure is the same run, a shell that prints a page, with the three standard plugins bound and with none. The
//! second is one hook call on an instance of its own against starting `/bin/true`, which is what a hook that
//! is a program would cost at least.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::join_all;
use sandclock_core::backend::{DoneRecord, Pinned, Version};
use sandclock_core::job::{HookBinding, Job, JobName};
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, History, Hooks};
use sandclock_core::run::{Outcome, RunContext, RunId, RunKey, RunState};
use sandclock_core::time::{Clock, Timestamp};
use sandclock_hooks::{Artifact, HooksConfig, KnownSecrets, PluginHost};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::figure::{Figure, Work, compare};

pub(crate) fn run() -> Result<Vec<Figure>> {
    let scene = Scene::new(&KnownSecrets::new())?;
    let with = scene.run(&defaults(&[
        "timeout-ladder",
        "redact-secrets",
        "webhook-alert",
    ]))?;
    let without = scene.run(&[])?;
    let three = compare(
        "hooks.run_with_three",
        "runs",
        Work {
            label: "a run with three plugins",
            step: &mut || scene.whole_run(&with),
        },
        Work {
            label: "the same run with none",
            step: &mut || scene.whole_run(&without),
        },
    )?;
    let asked = scene.run(&defaults(&["timeout-ladder"]))?;
    let fresh = compare(
        "hooks.fresh_call",
        "calls",
        Work {
            label: "hook call, fresh instance",
            step: &mut || Ok(scene.limits(&asked)),
        },
        Work {
            label: "start of /bin/true",
            step: &mut || start(Command::new("/bin/true")).map(|_| 1.0),
        },
    )?;
    Ok(vec![three, fresh])
}

/// These plugins, configured by their authors.
pub(crate) fn defaults(plugins: &[&str]) -> Vec<HookBinding> {
    let binding = |plugin: &&str| HookBinding {
        plugin: (*plugin).to_owned(),
        config: json!({}),
    };
    plugins.iter().map(binding).collect()
}

/// A host with the standard plugins, and a runtime to call it on.
pub(crate) struct Scene {
    host: PluginHost,
    runtime: Runtime,
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.map_or(0, |since| since.as_millis());
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(0))
    }
}

/// What calls of a host are waited for on.
pub(crate) fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()?;
    Ok(runtime)
}

/// A host without plugins that knows these secrets.
pub(crate) fn host(secrets: &KnownSecrets) -> Result<PluginHost> {
    let config = HooksConfig::new(secrets.clone(), Arc::new(SystemClock));
    Ok(PluginHost::new(config)?)
}

impl Scene {
    pub(crate) fn new(secrets: &KnownSecrets) -> Result<Self> {
        let runtime = runtime()?;
        let host = host(secrets)?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/artifacts");
        for name in ["timeout-ladder", "redact-secrets", "webhook-alert"] {
            let path = folder.join(name).with_extension("wasm");
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            runtime.block_on(host.install(Artifact::new(name, None, bytes)))?;
        }
        Ok(Self { host, runtime })
    }

    /// A run of a job with these plugins.
    pub(crate) fn run(&self, plugins: &[HookBinding]) -> Result<RunContext> {
        let name = JobName::parse("bench")?;
        let mut job = Job::shell(name.clone(), "true");
        job.hooks = plugins.to_vec();
        let key = RunKey::Tick(Timestamp::from_millis(1_798_761_600_000));
        Ok(RunContext {
            id: RunId::of(&name, &key),
            key,
            job: Arc::new(job),
            attempt: 1,
            fence: 1,
            worker: "bench".to_owned(),
        })
    }

    /// Outputs of the run, all the same and redacted piece by piece at the same time; the bytes that come out.
    pub(crate) fn redact(&self, run: &RunContext, pieces: &[Bytes], outputs: usize) -> usize {
        let redact = async || {
            let mut redactor = self.host.redactor(run, Channel::Combined).await;
            let mut bytes = 0;
            for piece in pieces {
                bytes += redactor.push(piece.clone()).await.bytes().len();
            }
            bytes + redactor.finish().await.bytes().len()
        };
        let all = join_all((0..outputs).map(|_| redact()));
        self.runtime.block_on(all).into_iter().sum()
    }

    fn limits(&self, run: &RunContext) -> f64 {
        let history = History {
            known: true,
            runs: 50,
            p50_ms: 1_000,
            p95_ms: 2_000,
            p99_ms: 3_000,
            max_ms: 4_000,
            ..History::default()
        };
        let limits = self
            .host
            .before_run(run, &history, Some(Duration::from_secs(60)));
        let policy = self.runtime.block_on(limits);
        f64::from(u8::from(policy.notes.iter().all(|note| !note.failed)))
    }

    /// Limits, a process, its output, and the alert that its failure is worth.
    fn whole_run(&self, run: &RunContext) -> Result<f64> {
        let counted = self.limits(run);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "printf '%4000s\\n' done; exit 1"]);
        let output = Bytes::from(start(shell)?);
        ensure!(
            self.redact(run, &[output], 1) == 4_001,
            "all of the output is shown"
        );
        let at = run.key.fire_time().unwrap_or_default();
        let done = DoneRecord {
            job: run.job.name.clone(),
            key: run.key.clone(),
            span: None,
            outcome: Outcome::without_process(RunState::Failed, "exit code 1", at),
            attempts: 1,
            fence: 1,
            worker: run.worker.clone(),
            streak_before: Streak::default(),
            streak: Streak::default().after(RunState::Failed),
            pinned: Some(Pinned {
                job: Arc::clone(&run.job),
                version: Version(1),
            }),
        };
        let tail = Bytes::new();
        let told = self.host.after_run(&done, &tail);
        let drafts = self.runtime.block_on(told);
        ensure!(
            drafts.len() == usize::from(!run.job.hooks.is_empty()),
            "an alert if bound"
        );
        Ok(counted)
    }
}

/// What the program printed.
fn start(mut command: Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output()?;
    Ok(output.stdout)
}
