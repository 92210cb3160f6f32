//! How long the calls of a plugin take by themselves, without a worker around them: for benchmarks.

use std::time::Duration;

use sandclock_core::ports::History;
use sandclock_core::run::RunContext;
use tokio::time::Instant;

use crate::PluginHost;
use crate::failure::Failure;
use crate::host;
use crate::instance::Instance;
use crate::plugin::Hook;
use crate::registry::{scope, with_hook};

/// The time of each call, in order.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    /// On an instance of its own, from its making to its end.
    pub cold: Vec<Duration>,
    /// On one instance that is there.
    pub warm: Vec<Duration>,
}

impl PluginHost {
    /// Asks the first plugin of the run's job for its limits, `calls` times on as many instances and as often on one, on a plugin thread.
    ///
    /// # Errors
    /// The first failure of a call, one to a job without a plugin included.
    pub async fn time_limits(
        &self,
        run: &RunContext,
        past: &History,
        calls: usize,
    ) -> Result<Timings, Failure> {
        let hook = Hook::TimeoutPolicy;
        let binding = run.job.hooks.first();
        let name = binding.map_or("", |binding| &binding.plugin);
        let missing = || crate::plugin::not_installed(name);
        let plugin = with_hook(&self.registry, name, hook)?.ok_or_else(missing)?;
        let binding = binding.ok_or_else(missing)?;
        let scope = scope(&binding.config, &run.worker, &run.id);
        let limits = plugin.limits.timeout_policy;
        let info = host::run_info(run, plugin.runtime.clock.now());
        let past = *past;
        let work = move |plugin: &std::sync::Arc<crate::plugin::Plugin>| {
            let mut timings = Timings::default();
            for _ in 0..calls {
                let started = Instant::now();
                let mut instance = Instance::start(plugin, &scope, limits)?;
                instance.decide(limits, &info, None, &past)?;
                drop(instance);
                timings.cold.push(started.elapsed());
            }
            let mut instance = Instance::start(plugin, &scope, limits)?;
            for _ in 0..calls {
                let started = Instant::now();
                instance.decide(limits, &info, None, &past)?;
                timings.warm.push(started.elapsed());
            }
            Ok(timings)
        };
        plugin.call(hook, Duration::from_secs(600), work).await
    }
}
