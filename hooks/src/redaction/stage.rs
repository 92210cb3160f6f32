//! One plugin on one stream: the window, the instance, and what happens when it fails.
//!
//! ```text
//!            scan ok                        scan failed twice
//!  asking ───────────► asking      asking ───────────────────► unasked
//!  unasked ── the wait is over and a line has ended ──► asking
//!  unasked ── too many failures by mistakes of its own ──► unasked to the end
//! ```
//!
//! The plugin is stateless towards the host: whatever instance gets the window decides the same.
//! So a failure is tried once more on a fresh instance, and only then the window is
//! withheld, or released if the operator wants it so.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use sandclock_core::ports::Channel;
use sandclock_core::run::HookNote;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::tally::Tally;
use super::verdict;
use crate::breaker::{Breaker, BreakerRule, GivenUp};
use crate::failure::{Failure, FailureCode};
use crate::host::output_redaction::{Flush, Verdict};
use crate::instance::{Instance, Scope};
use crate::joined::joined;
use crate::limits::{REPLACEMENT_BYTES, WINDOW_BYTES};
use crate::mutants::{Mutant, Mutation};
use crate::plugin::{Hook, OnRedactionFailure, Plugin, not_installed};
use crate::recording::{Call, Hidden, Question};
use crate::subject::RunSpec;
use crate::text;

/// What a stage is about.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) run: RunSpec,
    pub(crate) fence: u64,
    pub(crate) channel: Channel,
    pub(crate) scope: Scope,
    pub(crate) mutation: Mutation,
    /// Nothing of it is done, so that it is not counted as done either.
    pub(crate) monitored: bool,
}

/// A plugin at work on a stream.
#[derive(Debug)]
pub(crate) struct PluginStage {
    name: String,
    version: Option<String>,
    /// `None` if it is not installed; then all is withheld.
    plugin: Option<Arc<Plugin>>,
    stream: Arc<Stream>,
    window: Bytes,
    /// How much of the window the plugin has seen.
    seen: usize,
    carry: Vec<u8>,
    instance: Option<Instance>,
    /// The right to keep the instance between calls; without it each call gets its own.
    keep: Option<OwnedSemaphorePermit>,
    breaker: Breaker,
    /// Once it is not asked any more.
    given_up: Option<GivenUp>,
    unasked: Option<Unasked>,
    /// Whether what was released last ended a line.
    at_line_start: bool,
    /// Where the window begins in the stream, in bytes.
    offset: u64,
    tally: Tally,
}

/// The plugin is not asked.
#[derive(Debug)]
struct Unasked {
    /// `None` is to the end of the stream.
    until: Option<Instant>,
    code: FailureCode,
    /// What comes meanwhile is released rather than withheld.
    release: bool,
    /// Withheld since the last marker.
    bytes: usize,
    /// Whether what was withheld last ended a line.
    line_ended: bool,
}

impl PluginStage {
    pub(crate) fn new(
        name: &str,
        plugin: Option<Arc<Plugin>>,
        stream: Arc<Stream>,
        keep: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let breaker = match &plugin {
            Some(plugin) => plugin.gates.of_stream(),
            None => Breaker::new(BreakerRule::default()),
        };
        let mut stage = Self {
            name: name.to_owned(),
            version: plugin.as_ref().and_then(|plugin| plugin.version.clone()),
            plugin,
            stream,
            window: Bytes::new(),
            seen: 0,
            carry: Vec::new(),
            instance: None,
            keep,
            breaker,
            given_up: None,
            unasked: None,
            at_line_start: true,
            offset: 0,
            tally: Tally::default(),
        };
        if stage.plugin.is_none() {
            stage.tally.first_failure = Some(not_installed(name));
            stage.tally.failures = 1;
            stage.unasked = Some(Unasked {
                until: None,
                code: FailureCode::Missing,
                release: false,
                bytes: 0,
                line_ended: false,
            });
        }
        stage
    }

    /// The plugin's name and version.
    pub(super) fn who(&self) -> (String, Option<String>) {
        (self.name.clone(), self.version.clone())
    }

    /// Takes more of the stream and returns what is decided.
    pub(crate) async fn push(&mut self, mut piece: Bytes) -> Bytes {
        let mut out = Vec::new();
        while !piece.is_empty() {
            if self.unasked.is_some() {
                self.go_on_unasked(&mut piece, &mut out);
                continue;
            }
            let room = WINDOW_BYTES - self.window.len();
            let fresh = piece.split_to(room.min(piece.len()));
            self.window = joined([std::mem::take(&mut self.window), fresh]);
            self.decide(Flush::More, &mut out).await;
            if self.window.len() == WINDOW_BYTES {
                self.decide(Flush::Full, &mut out).await;
            }
        }
        self.released(&out);
        joined(out)
    }

    /// Decides the rest of the stream.
    pub(crate) async fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        if self.unasked.is_none() && !self.window.is_empty() {
            self.decide(Flush::Last, &mut out).await;
        }
        if let Some(unasked) = self.unasked.take() {
            self.mark(&unasked, &mut out);
        }
        self.instance = None;
        self.keep = None;
        self.given_up = None;
        joined(out)
    }

    /// What it decided about the stream; nothing if it was never asked.
    pub(crate) fn note(&self) -> Option<HookNote> {
        let who = (self.name.as_str(), self.version.as_deref());
        self.tally.note(who)
    }

    /// What it did to the stream, once that has ended; nothing if it was never asked. `place` is its own among the job's
    /// plugins.
    pub(crate) fn call(&self, place: usize) -> Option<Call> {
        let plugin = self.plugin.as_ref().filter(|_| self.tally.asked)?;
        Some(Call {
            plugin: Arc::clone(plugin),
            place,
            fence: self.stream.fence,
            run: self.stream.run.clone(),
            config: Arc::clone(&self.stream.scope.config),
            question: Question::OutputRedaction {
                channel: self.stream.channel.into(),
                bytes: self.offset,
            },
            effects: Vec::new(),
            monitored: self.stream.monitored,
            answer: self.hidden(),
        })
    }

    /// What it hid.
    pub(crate) fn hidden(&self) -> Value {
        self.tally.answer()
    }

    /// Asks the plugin about the window, at most twice, and does what it says.
    async fn decide(&mut self, flush: Flush, out: &mut Vec<Bytes>) {
        let Some(plugin) = self.plugin.clone() else {
            return;
        };
        let started = Instant::now();
        let mut answer = self.scan(&plugin, flush).await;
        if answer.is_err() {
            answer = self.scan(&plugin, flush).await;
        }
        self.tally.asked = true;
        self.tally.took += started.elapsed();
        match answer {
            Ok(verdict) => {
                self.breaker.succeeded();
                self.obey(&plugin, verdict, out);
            }
            Err(failure) => self.give_up(&plugin, failure, out),
        }
    }

    /// One call, on the kept instance if there is one.
    async fn scan(&mut self, plugin: &Arc<Plugin>, flush: Flush) -> Result<Verdict, Failure> {
        let limits = plugin.limits;
        let stream = Arc::clone(&self.stream);
        let window = self.window.clone();
        let fresh_from = u32::try_from(self.seen).unwrap_or(u32::MAX);
        let carry = self.carry.clone();
        let instance = self.instance.take();
        let wall = limits.redaction_scan.wall;
        let (instance, verdict) = plugin
            .call_of(
                &self.stream.scope,
                Hook::OutputRedaction,
                wall,
                move |plugin| {
                    let mut instance = match instance {
                        Some(instance) => instance,
                        None => begin(plugin, &stream)?,
                    };
                    let limits = limits.redaction_scan;
                    let verdict = instance.scan(limits, &window, fresh_from, flush, &carry)?;
                    verdict::check(&verdict, window.len(), flush)?;
                    Ok((instance, verdict))
                },
            )
            .await?;
        self.instance = self.keep.is_some().then_some(instance);
        Ok(verdict)
    }

    fn obey(&mut self, plugin: &Plugin, verdict: Verdict, out: &mut Vec<Bytes>) {
        out.push(verdict::apply(&verdict, &self.window));
        let offset = self.offset;
        self.window.advance(verdict.consumed as usize);
        self.offset += u64::from(verdict.consumed);
        self.seen = self.window.len();
        if !self.stream.monitored {
            let (edits, bytes) = (verdict.edits.len(), verdict::hidden_bytes(&verdict));
            plugin.counters.count_edits(edits, bytes);
        }
        self.carry = verdict.carry;
        for edit in verdict.edits {
            let rule = text::presentable(&plugin.runtime.secrets, &edit.rule, REPLACEMENT_BYTES);
            self.tally.count(Hidden {
                at: offset + u64::from(edit.start),
                bytes: edit.len,
                rule,
            });
        }
    }

    /// The failure policy. What the plugin wanted to remember stays: at worst it hides too much.
    fn give_up(&mut self, plugin: &Plugin, failure: Failure, out: &mut Vec<Bytes>) {
        let window = std::mem::take(&mut self.window);
        self.offset += len_of(&window);
        self.seen = 0;
        self.tally.failures += 1;
        let code = failure.code;
        self.tally.first_failure.get_or_insert(failure);
        let until = self.breaker.failed(code, Instant::now());
        let release = plugin.policy.output_redaction == OnRedactionFailure::HostRedacted;
        let mut unasked = Unasked {
            until,
            code,
            release: release || self.stream.mutation.is(Mutant::ReleaseOnFailure),
            bytes: 0,
            line_ended: false,
        };
        unasked.take(window, out);
        self.mark(&unasked, out);
        unasked.bytes = 0;
        if until.is_none() {
            if !self.stream.monitored {
                plugin.counters.count_breaker();
                self.given_up = Some(plugin.gates.give_up());
            }
            unasked.code = FailureCode::BreakerOpen;
        }
        self.unasked = Some(unasked);
    }

    /// Withholds (or releases) the part of `piece` that the plugin is not asked about, and lets it be
    /// asked from there on if it is time.
    fn go_on_unasked(&mut self, piece: &mut Bytes, out: &mut Vec<Bytes>) {
        let Some(mut unasked) = self.unasked.take() else {
            return;
        };
        let over = unasked.until.is_some_and(|until| Instant::now() >= until);
        let line_end = match unasked.line_ended {
            true => Some(0),
            false => piece
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|at| at + 1),
        };
        let resume = line_end.filter(|_| over);
        let passed = piece.split_to(resume.unwrap_or(piece.len()));
        self.offset += len_of(&passed);
        unasked.take(passed, out);
        match resume {
            Some(_) => self.mark(&unasked, out),
            None => self.unasked = Some(unasked),
        }
    }

    /// Says on a line of its own how much is missing here.
    fn mark(&mut self, unasked: &Unasked, out: &mut Vec<Bytes>) {
        let Unasked { code, bytes, .. } = unasked;
        if *bytes == 0 {
            return;
        }
        self.tally.withheld += u64::try_from(*bytes).unwrap_or(u64::MAX);
        if let Some(plugin) = self.plugin.as_ref().filter(|_| !self.stream.monitored) {
            plugin.counters.count_withheld(*bytes);
        }
        self.released(out);
        let line_end = if self.at_line_start { "" } else { "\n" };
        let (name, code) = (&self.name, code.as_str());
        let marker =
            format!("{line_end}[output withheld: redactor {name} {code}, {bytes} bytes]\n");
        out.push(marker.into());
        self.at_line_start = true;
    }

    fn released(&mut self, out: &[Bytes]) {
        if let Some(last) = out.iter().rev().find_map(|part| part.last()) {
            self.at_line_start = *last == b'\n';
        }
    }
}

impl Unasked {
    fn take(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) {
        if let Some(last) = bytes.last() {
            self.line_ended = *last == b'\n';
        }
        if self.release {
            out.push(bytes);
        } else {
            self.bytes += bytes.len();
        }
    }
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// An instance that is ready to scan.
fn begin(plugin: &Arc<Plugin>, stream: &Stream) -> Result<Instance, Failure> {
    let limits = plugin.limits.redaction_begin;
    let mut instance = Instance::start(plugin, &stream.scope, limits)?;
    instance.begin(limits, &stream.run.info(), stream.channel)?;
    Ok(instance)
}
