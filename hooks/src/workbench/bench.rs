//! What a plugin costs a worker: its calls, its output per second, its compilation and its memory, on the engine of a worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::ports::Redactor as _;
use tokio::time::Instant;

use super::asking::scope;
use super::ordinary::{LINES, own_case, shows};
use super::{Case, PATIENCE, RedactionCase, Workbench};
use crate::failure::Failure;
use crate::host::output_redaction::Flush;
use crate::instance::{Instance, thread_cpu};
use crate::limits::{CallLimits, WINDOW_BYTES};
use crate::mutants::Mutation;
use crate::plugin::{Hook, Plugin};
use crate::redaction::Stream;

/// Calls of a hook that are measured, unless they take too long.
const CALLS: usize = 1_000;
/// How long the calls of a hook, or one chunk size, are measured.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
/// The pieces in which output comes, in bytes: a line, a pipe's page, and a whole window, of which the others are parts.
const CHUNKS: [usize; 3] = [128, 4 << 10, WINDOW_BYTES];
/// What passes through a redactor for each chunk size at most, in bytes.
const CORPUS_BYTES: usize = 16 << 20;

/// How many times the limit of a call is measured before it is ended.
const GENEROUS: u32 = 100;
/// In how many bytes of output the input of a case comes once.
const USUAL_BYTES: usize = 4 << 10;

/// What a plugin costs.
#[derive(Clone, Debug)]
pub struct Bench {
    /// From the artifact to a plugin that has been tried once, on the wall.
    pub compile: Duration,
    /// The most memory that one instance had.
    pub memory_peak_bytes: u64,
    /// The calls of each of its hooks.
    pub hooks: Vec<HookBench>,
    /// Of a redactor: how fast output passes, or why it does not under the limits.
    pub throughput: Result<Vec<Throughput>, Failure>,
}

/// What the calls of a hook take, in processor time of their thread, as their limit is.
#[derive(Clone, Copy, Debug)]
pub struct HookBench {
    /// The hook.
    pub hook: Hook,
    /// How many were measured, cold ones and as many warm ones.
    pub calls: usize,
    /// On a fresh instance, with the making of it, as each run pays it.
    pub cold: Percentiles,
    /// Once more on the same instance.
    pub warm: Percentiles,
    /// What a call may take.
    pub limit: Duration,
}

/// How long most calls take, and how long nearly all.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub p50: Duration,
    pub p99: Duration,
}

/// How fast output passes through the host with the plugin in it, on the wall.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// The size of the pieces.
    pub chunk_bytes: usize,
    /// Bytes in each second.
    pub bytes_per_second: f64,
}

/// A call to measure, in both forms.
struct Sample {
    cold: Duration,
    warm: Duration,
}

impl Workbench {
    /// Measures each hook of the plugin on the first case that expects no error, or on one of its own where there is none.
    /// It should run with [`crate::Meter::Time`], as a worker does.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn bench(&self, cases: &[Case]) -> Result<Bench, Failure> {
        let mut hooks = Vec::new();
        let mut throughput = Ok(Vec::new());
        for hook in [Hook::TimeoutPolicy, Hook::OutputRedaction, Hook::RunEnd] {
            if !self.plugin.hooks.has(hook) {
                continue;
            }
            let own = own_case(hook);
            let case = cases.iter().find(|case| shows(case, hook)).unwrap_or(&own);
            let measured = match case {
                Case::Timeout(case) => {
                    let (scope, run) = (scope(&case.config, &case.run), case.run.info());
                    let (declared, past) = (case.declared_ms, case.history.into());
                    self.measure(Hook::TimeoutPolicy, move |plugin| {
                        let limits = generous(plugin.limits.timeout_policy);
                        sample(
                            || Instance::start(plugin, &scope, limits),
                            |instance| instance.decide(limits, &run, declared, &past).map(drop),
                        )
                    })
                    .await?
                }
                Case::RunEnd(case) => {
                    let (scope, run) = (scope(&case.config, &case.run), case.run.info());
                    let end = case.end.end();
                    self.measure(Hook::RunEnd, move |plugin| {
                        let limits = generous(plugin.limits.run_end);
                        sample(
                            || Instance::start(plugin, &scope, limits),
                            |instance| instance.on_end(limits, &run, &end).map(drop),
                        )
                    })
                    .await?
                }
                Case::Redaction(case) => {
                    throughput = self.throughput(case).await;
                    self.scans(case).await?
                }
                Case::Lifecycle(_) => continue,
            };
            hooks.push(measured);
        }
        Ok(Bench {
            compile: self.compile_time,
            memory_peak_bytes: self.plugin.counters.memory_peak(),
            hooks,
            throughput,
        })
    }

    async fn scans(&self, case: &RedactionCase) -> Result<HookBench, Failure> {
        let (scope, run) = (scope(&case.config, &case.run), case.run.info());
        let channel = case.channel.into();
        let mut window = case.input.clone().into_bytes();
        window.truncate(WINDOW_BYTES);
        self.measure(Hook::OutputRedaction, move |plugin| {
            let begin = generous(plugin.limits.redaction_begin);
            let scan = generous(plugin.limits.redaction_scan);
            sample(
                || {
                    let mut instance = Instance::start(plugin, &scope, begin)?;
                    instance.begin(begin, &run, channel)?;
                    Ok(instance)
                },
                |instance| instance.scan(scan, &window, 0, Flush::Last, &[]).map(drop),
            )
        })
        .await
    }

    /// Takes samples on a plugin thread until there are enough.
    async fn measure(
        &self,
        hook: Hook,
        take: impl Fn(&Arc<Plugin>) -> Result<Sample, Failure> + Send + 'static,
    ) -> Result<HookBench, Failure> {
        let limits = self.plugin.limits;
        let limit = match hook {
            Hook::TimeoutPolicy => limits.timeout_policy,
            Hook::OutputRedaction => limits.redaction_scan,
            Hook::RunEnd => limits.run_end,
            Hook::Lifecycle => limits.lifecycle,
        };
        let samples = self.plugin.call(hook, PATIENCE, move |plugin| {
            let started = Instant::now();
            let mut samples = Vec::new();
            while samples.len() < CALLS && (samples.len() < 2 || started.elapsed() < LONG_ENOUGH) {
                samples.push(take(plugin)?);
            }
            Ok(samples)
        });
        let samples = samples.await?;
        let of = |of: fn(&Sample) -> Duration| percentiles(samples.iter().map(of).collect());
        Ok(HookBench {
            hook,
            calls: samples.len(),
            cold: of(|sample| sample.cold),
            warm: of(|sample| sample.warm),
            limit: limit.cpu,
        })
    }

    async fn throughput(&self, case: &RedactionCase) -> Result<Vec<Throughput>, Failure> {
        let mut all = Vec::new();
        let output = output(&case.input);
        for chunk_bytes in CHUNKS {
            let stream = Stream {
                run: case.run.clone(),
                fence: 0,
                channel: case.channel.into(),
                scope: scope(&case.config, &case.run),
                mutation: Mutation::default(),
                monitored: false,
            };
            let mut redactor = self.redactor(stream, self.keep(true));
            let (started, mut passed) = (Instant::now(), 0);
            while passed < CORPUS_BYTES && started.elapsed() < LONG_ENOUGH {
                let from = passed % WINDOW_BYTES;
                redactor.push(output.slice(from..from + chunk_bytes)).await;
                passed += chunk_bytes;
            }
            redactor.finish().await;
            let took = started.elapsed().as_secs_f64();
            if let Some(note) = redactor.notes().into_iter().find(|note| note.failed) {
                return Err(Failure::new(crate::FailureCode::PluginError, note.decision));
            }
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let bytes_per_second = passed as f64 / took.max(f64::EPSILON);
            all.push(Throughput {
                chunk_bytes,
                bytes_per_second,
            });
        }
        Ok(all)
    }
}

/// A window's worth of output: the input of a case, between lines of which nothing is hidden, as most of any output is.
fn output(input: &str) -> Bytes {
    let mut text = format!("{input}\n");
    while text.len() < USUAL_BYTES {
        text.push_str(LINES);
    }
    text.bytes().cycle().take(WINDOW_BYTES).collect()
}

/// More time than a call may take, so that one which takes too long is measured, too.
fn generous(limits: CallLimits) -> CallLimits {
    CallLimits {
        cpu: limits.cpu * GENEROUS,
        wall: PATIENCE,
    }
}

fn sample(
    start: impl FnOnce() -> Result<Instance, Failure>,
    call: impl Fn(&mut Instance) -> Result<(), Failure>,
) -> Result<Sample, Failure> {
    let begun = thread_cpu();
    let mut instance = start()?;
    call(&mut instance)?;
    let between = thread_cpu();
    call(&mut instance)?;
    Ok(Sample {
        cold: between.saturating_sub(begun),
        warm: thread_cpu().saturating_sub(between),
    })
}

fn percentiles(mut took: Vec<Duration>) -> Percentiles {
    took.sort_unstable();
    let at = |percent: usize| {
        let last = took.len().saturating_sub(1);
        took.get(last * percent / 100).copied().unwrap_or_default()
    };
    Percentiles {
        p50: at(50),
        p99: at(99),
    }
}
