//! What a run's plugins are asked before, during and after it, and in which order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::DoneRecord;
use sandclock_core::binding::hooks_of;
use sandclock_core::ports::{AlertDraft, Channel, History, Hooks, Redactor, RunPolicy};
use sandclock_core::run::RunContext;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::failure::{Failure, FailureCode};
use crate::instance::Scope;
use crate::plugin::{Hook, OnAlertFailure, Plugin};
use crate::recording::{self, Call, Question, RecordedEffect};
use crate::redaction::{Aside, PluginStage, Staged, Station, Stream, StreamRedactor};
use crate::registry::with_hook;
use crate::subject::{EndSpec, RunSpec};
use crate::timeout::Refining;
use crate::{PluginHost, alerts};

/// What the plugins of a run may take together after it; those that have not answered by then have failed.
const AFTER_RUN: Duration = Duration::from_secs(20);

fn late() -> Failure {
    let text = format!(
        "the plugins of the run took more than {} s",
        AFTER_RUN.as_secs()
    );
    Failure::new(FailureCode::Wall, text)
}

impl PluginHost {
    /// Who is asked beside the plugin of this name; nobody if nobody would be told.
    fn shadow_of(&self, plugin: &str, hook: Hook) -> Option<Arc<Plugin>> {
        self.config.recorder.as_ref()?;
        self.registry.shadow_of(plugin, hook)
    }

    /// Records a call, and what a shadow says to the same question.
    fn keep(&self, call: Call) {
        let shadow = self.shadow_of(&call.plugin.name, call.question.hook());
        self.journal.keep(call, shadow);
    }
}

/// What a plugin says of a run's end.
type Said = Result<Vec<AlertDraft>, Failure>;

/// The end of a run, as one of its plugins is asked about it.
#[derive(Debug)]
pub(crate) struct EndOf {
    plugin: Arc<Plugin>,
    place: usize,
    fence: u64,
    run: RunSpec,
    end: EndSpec,
    config: Arc<Value>,
    monitored: bool,
}

impl EndOf {
    /// Asks the plugin whom to tell, and says what is to be recorded of that. One that fails too often is not asked, and there
    /// is nothing to record.
    async fn ask(self, until: Instant) -> (Said, Option<Call>) {
        let pass = match self.plugin.admit(Hook::RunEnd, &self.config) {
            Ok(pass) => pass,
            Err(refused) => return (Err(refused), None),
        };
        let scope = Scope::of(Arc::clone(&self.config), &self.run).only_reading(self.monitored);
        let drafts = alerts::drafts(&self.plugin, &scope, &self.run, &self.end);
        let said = timeout_at(until, drafts).await;
        let said = said.unwrap_or_else(|_| Err(late()));
        pass.ended(said.as_ref().err(), Instant::now());
        let effects = scope.take_effects();
        let call = self.call(effects, &said);
        (said, Some(call))
    }

    /// Asks one that is only monitored, when nobody waits for it.
    pub(crate) async fn ask_aside(self) -> Option<Call> {
        self.ask(Instant::now() + AFTER_RUN).await.1
    }

    /// The call that it would have been.
    pub(crate) fn not_asked(self, failure: Failure) -> Call {
        self.call(Vec::new(), &Err(failure))
    }

    fn call(self, effects: Vec<RecordedEffect>, said: &Said) -> Call {
        Call {
            plugin: self.plugin,
            place: self.place,
            fence: self.fence,
            run: self.run,
            config: self.config,
            question: Question::RunEnd { end: self.end },
            effects,
            answer: recording::messages(said),
            monitored: self.monitored,
        }
    }
}

impl PluginHost {
    /// Asks a plugin whom to tell, and records it. One that is only monitored is asked later, since nobody waits for it.
    async fn ask_of_end(&self, about: EndOf, until: Instant) -> Said {
        if about.monitored {
            let shadow = self.shadow_of(&about.plugin.name, Hook::RunEnd);
            self.journal.ask_aside(about, shadow);
            return Ok(Vec::new());
        }
        let (said, call) = about.ask(until).await;
        if let Some(call) = call {
            self.keep(call);
        }
        said
    }
}

#[async_trait]
impl Hooks for PluginHost {
    async fn before_run(
        &self,
        run: &RunContext,
        history: &History,
        default_limit: Option<Duration>,
    ) -> RunPolicy {
        let mut refining = Refining::new(run, default_limit, self.config.bounds);
        let bindings = self.bindings();
        for (place, binding) in hooks_of(&run.job, &bindings).into_iter().enumerate() {
            let monitored = self.is_monitored(&binding.plugin);
            match with_hook(&self.registry, &binding.plugin, Hook::TimeoutPolicy) {
                Ok(Some(plugin)) => {
                    let config = Arc::new(binding.config.clone());
                    let spec = RunSpec::running(run, self.config.clock.now());
                    let scope = Scope::of(Arc::clone(&config), &spec).only_reading(monitored);
                    let asked = refining
                        .ask(&plugin, (scope, monitored), &spec, history)
                        .await;
                    let Some((question, answer)) = asked else {
                        continue;
                    };
                    let call = Call {
                        plugin,
                        place,
                        fence: run.fence,
                        run: spec,
                        config,
                        question,
                        effects: Vec::new(),
                        answer,
                        monitored,
                    };
                    self.keep(call);
                }
                Ok(None) => {}
                Err(failure) => refining.cannot_ask(&binding.plugin, &failure, monitored),
            }
        }
        refining.done()
    }

    async fn redactor(&self, run: &RunContext, channel: Channel) -> Box<dyn Redactor> {
        let mutation = self.config.mutation();
        let mut stages = Vec::new();
        let bindings = self.bindings();
        for (place, binding) in hooks_of(&run.job, &bindings).into_iter().enumerate() {
            let hook = Hook::OutputRedaction;
            let found = with_hook(&self.registry, &binding.plugin, hook);
            let plugin = match found {
                Ok(Some(plugin)) => Some(plugin),
                Ok(None) => continue,
                // It may be the one that hides something: withheld, rather than shown.
                Err(_) => None,
            };
            let run_spec = RunSpec::running(run, self.config.clock.now());
            let config = Arc::new(binding.config.clone());
            let monitored = self.is_monitored(&binding.plugin);
            let stream = Arc::new(Stream {
                scope: Scope::of_stream(config, &run_spec).only_reading(monitored),
                run: run_spec,
                fence: run.fence,
                channel,
                mutation,
                monitored,
            });
            // Those that count do not go without for one that is only monitored.
            let keep = match monitored {
                true => None,
                false => Arc::clone(&self.kept).try_acquire_owned().ok(),
            };
            let (name, of_stream) = (&binding.plugin, Arc::clone(&stream));
            let stage = PluginStage::new(name, plugin, of_stream, keep);
            let shadow = self.shadow_of(name, hook).map(|shadow| {
                let plugin = Some(Arc::clone(&shadow));
                let beside = PluginStage::new(name, plugin, Arc::clone(&stream), None);
                self.journal.show(shadow, beside)
            });
            let station = match stream.monitored {
                true => Station::Beside(Box::new(Aside::new(stage))),
                false => Station::Within(Box::new(stage)),
            };
            stages.push(Staged {
                place,
                station,
                shadow,
            });
        }
        let journal = self.journal.clone();
        let secrets = &self.config.secrets;
        Box::new(StreamRedactor::new(secrets, stages, journal, mutation))
    }

    async fn after_run(&self, done: &DoneRecord, tail: &Bytes) -> Vec<AlertDraft> {
        let Some(pinned) = &done.pinned else {
            return Vec::new();
        };
        let secrets = &self.config.secrets;
        let run = RunSpec::ended(done, &pinned.job, self.config.clock.now());
        let end = alerts::end_of(secrets, done, tail);
        let until = Instant::now() + AFTER_RUN;
        let mut drafts = Vec::new();
        let bindings = self.bindings();
        let hooks = hooks_of(&pinned.job, &bindings);
        for (index, binding) in (0..).zip(&hooks) {
            let monitored = self.is_monitored(&binding.plugin);
            let (answer, wanted) = match with_hook(&self.registry, &binding.plugin, Hook::RunEnd) {
                Ok(None) => continue,
                Ok(Some(plugin)) => {
                    let wanted = plugin.policy.run_end == OnAlertFailure::PlainAlert;
                    let about = EndOf {
                        plugin,
                        place: index as usize,
                        fence: done.fence,
                        run: run.clone(),
                        end: end.clone(),
                        config: Arc::new(binding.config.clone()),
                        monitored,
                    };
                    (self.ask_of_end(about, until).await, wanted)
                }
                Err(failure) => (Err(failure), true),
            };
            match answer {
                _ if monitored => {}
                Ok(of_plugin) => {
                    let earlier = hooks.iter().take(index as usize);
                    let same = earlier.filter(|hook| hook.plugin == binding.plugin);
                    let before = alerts::places(same.count());
                    drafts.extend(of_plugin.into_iter().map(|draft| AlertDraft {
                        index: before + draft.index,
                        ..draft
                    }));
                }
                Err(failure) if wanted => {
                    let to = (self.config.default_target.as_str(), index);
                    let plugin = &binding.plugin;
                    drafts.extend(alerts::plain_alert(
                        secrets, done, &end, plugin, &failure, to,
                    ));
                }
                Err(_) => {}
            }
        }
        drafts
    }
}
