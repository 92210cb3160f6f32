//! How effects are had: the one way from a plugin's call to what it keeps and to its targets, and back.
//!
//! Whatever a call asks for is an [`Ask`] and what it is told an [`Answer`]; all of them pass [`CallEffects::answer`], in
//! order. Effects run on the runtime, not on the plugin's thread, which only waits: so they are bounded in time on the
//! wall and never charged as the guest's processor time. What a guest can make the host do is bounded by counts
//! and by what a call may hand over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::backend::{PluginKv, Swap};
use sandclock_core::error::WithSources;
use sandclock_core::ports::{HttpAnswer, HttpAsk, HttpTargets};
use sandclock_core::{BackendError, Effect, ErrorKind};
use tokio::runtime::Handle;

use crate::alerts::check_header;
use crate::capabilities::Given;
use crate::counters::Counters;
use crate::effect_counts;
use crate::instance::Scope;
use crate::limits::{
    BODY_BYTES, EFFECT_TIME, HEADERS, HTTP_CALLS, KV_CALLS, RESPONSE_BYTES, TEXT_BYTES,
};
use crate::plugin::Plugin;
use crate::recording::effect::{Means, RecordedEffect, asked, told_again};
use crate::secrets::KnownSecrets;
use crate::text;

/// Where effects are had.
#[derive(Clone, Debug)]
pub struct Effects {
    /// What plugins keep.
    pub kv: Arc<dyn PluginKv>,
    /// Where their requests go.
    pub http: Arc<dyn HttpTargets>,
    /// On which both work. Calls of plugins wait for it on threads of their own.
    pub runtime: Handle,
}

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Get {
        key: String,
    },
    Swap(Swap),
    Http {
        target: String,
        path: String,
        headers: Vec<(String, String)>,
        /// `None` is a GET.
        body: Option<Bytes>,
    },
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(Result<Option<Bytes>, String>),
    Swapped(Result<bool, String>),
    Response(Result<HttpAnswer, String>),
}

/// An answer to another question, which only a defect of the host could give.
fn mixed_up<T>() -> Result<T, String> {
    Err("unavailable: the host has mixed up its answers".to_owned())
}

impl Answer {
    pub(crate) fn into_value(self) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Value(value) => value.map(|value| value.map(|value| value.to_vec())),
            _ => mixed_up(),
        }
    }

    pub(crate) fn into_swapped(self) -> Result<bool, String> {
        match self {
            Self::Swapped(swapped) => swapped,
            _ => mixed_up(),
        }
    }

    pub(crate) fn into_response(self) -> Result<HttpAnswer, String> {
        match self {
            Self::Response(response) => response,
            _ => mixed_up(),
        }
    }
}

/// The effects of one instance.
#[derive(Debug)]
pub(crate) struct CallEffects {
    plugin: Arc<str>,
    given: Arc<Given>,
    effects: Option<Effects>,
    secrets: KnownSecrets,
    counters: Arc<Counters>,
    /// Nothing is had while a plugin is tried or checks a configuration, and by one that is only asked.
    means: Means,
    /// Nothing is sent to others.
    only_reads: bool,
    /// What is still to be told again.
    left: VecDeque<RecordedEffect>,
    kv_left: u32,
    http_left: u32,
}

impl CallEffects {
    /// Of the calls that this is about.
    pub(crate) fn new(plugin: &Plugin, scope: &Scope) -> Self {
        Self {
            plugin: Arc::clone(&plugin.name),
            given: Arc::clone(&plugin.given),
            effects: plugin.runtime.effects.clone(),
            secrets: plugin.runtime.secrets.clone(),
            counters: Arc::clone(&plugin.counters),
            left: scope.begin_effects(),
            means: scope.effects.clone(),
            only_reads: scope.only_reads,
            kv_left: KV_CALLS,
            http_left: HTTP_CALLS,
        }
    }

    /// What the call is told, within what is left of its time.
    pub(crate) fn answer(&mut self, ask: Ask, within: Duration) -> Answer {
        match self.means.clone() {
            Means::ToldAgain(_) => told_again(&ask, &mut self.left),
            Means::Denied => self.have(ask, within),
            Means::Had(noted) => {
                let (asked, place) = (asked(&ask), effect_counts::place(&ask));
                let answer = self.have(ask, within);
                self.counters.effects.count(place, &answer);
                noted.add(asked, &answer);
                answer
            }
        }
    }

    fn have(&mut self, ask: Ask, within: Duration) -> Answer {
        let within = (within / 2).min(EFFECT_TIME);
        match ask {
            Ask::Get { key } => Answer::Value(self.get(key, within)),
            Ask::Swap(swap) => Answer::Swapped(self.swap(swap, within)),
            Ask::Http {
                target,
                path,
                headers,
                body,
            } => {
                let ask = HttpAsk {
                    target,
                    path,
                    headers,
                    body,
                    within,
                    max_answer: RESPONSE_BYTES,
                };
                Answer::Response(self.send(ask))
            }
        }
    }

    fn get(&mut self, key: String, within: Duration) -> Result<Option<Bytes>, String> {
        let Effects { kv, runtime, .. } = self.may_keep()?;
        let plugin = Arc::clone(&self.plugin);
        let work = async move { kv.get(&plugin, &key).await.map_err(|error| told(&error)) };
        self.presentable(wait(&runtime, within, Effect::None, work))
    }

    fn swap(&mut self, swap: Swap, within: Duration) -> Result<bool, String> {
        let Effects { kv, runtime, .. } = self.may_keep()?;
        let plugin = Arc::clone(&self.plugin);
        let work = async move { kv.swap(&plugin, &swap).await.map_err(|error| told(&error)) };
        self.presentable(wait(&runtime, within, Effect::Unknown, work))
    }

    fn send(&mut self, mut ask: HttpAsk) -> Result<HttpAnswer, String> {
        if let Some(denied) = self.given.denies_target(&ask.target) {
            return Err(denied);
        }
        if self.only_reads && ask.body.is_some() {
            return Err("denied: the plugin is only monitored, so it posts nothing".to_owned());
        }
        let Effects { http, runtime, .. } = self.effects()?;
        self.http_left = (self.http_left.checked_sub(1))
            .ok_or_else(|| format!("limit: a call may send {HTTP_CALLS} requests"))?;
        check_request(&ask)?;
        // It is not told known secrets; should it have got one all the same, it stays here.
        ask.body = ask.body.map(|body| self.secrets.mask_bytes(&body));
        for text in
            std::iter::once(&mut ask.path).chain(ask.headers.iter_mut().map(|(_, value)| value))
        {
            *text = self.secrets.mask_text(text).into_owned();
        }
        let within = ask.within;
        let work = async move { http.send(&ask).await };
        let answer = wait(&runtime, within, Effect::Unknown, work);
        let answer = self.presentable(answer)?;
        Ok(HttpAnswer {
            body: self.secrets.mask_bytes(&answer.body),
            ..answer
        })
    }

    /// Where the plugin's values are, if it may have any now.
    fn may_keep(&mut self) -> Result<Effects, String> {
        if let Some(denied) = self.given.denies_kv() {
            return Err(denied);
        }
        let effects = self.effects()?;
        self.kv_left = (self.kv_left.checked_sub(1))
            .ok_or_else(|| format!("limit: a call may get and swap {KV_CALLS} times"))?;
        Ok(effects)
    }

    fn effects(&self) -> Result<Effects, String> {
        if matches!(self.means, Means::Denied) {
            return Err("denied: there are no effects without a run".to_owned());
        }
        let nowhere = || "denied: this host has no effects to give".to_owned();
        self.effects.clone().ok_or_else(nowhere)
    }

    fn presentable<T>(&self, answer: Result<T, String>) -> Result<T, String> {
        answer.map_err(|said| text::presentable(&self.secrets, &said, TEXT_BYTES))
    }
}

/// What a guest may send at all, whatever the target is.
fn check_request(ask: &HttpAsk) -> Result<(), String> {
    let body = ask.body.as_ref().map_or(0, Bytes::len);
    if body > BODY_BYTES {
        return Err(format!(
            "limit: the body has {body} bytes, at most {BODY_BYTES} are sent"
        ));
    }
    if ask.headers.len() > HEADERS {
        return Err(format!("limit: there are more than {HEADERS} headers"));
    }
    for (name, value) in &ask.headers {
        // A delivery says its type elsewhere; a request says it here.
        let name = match name.eq_ignore_ascii_case("content-type") {
            true => "x-content-type",
            false => name,
        };
        check_header(name, value).map_err(|why| format!("denied: the request {why}"))?;
    }
    let path = &ask.path;
    let begins = path.is_empty() || path.starts_with(['/', '?']);
    if begins && path.len() <= TEXT_BYTES && text::is_plain(path) {
        return Ok(());
    }
    Err(format!(
        "denied: the path is not one line of at most {TEXT_BYTES} bytes that begins with / or ?"
    ))
}

/// A store's refusal in words for a plugin: what it did wrong, or that nothing can be done now.
fn told(error: &BackendError) -> String {
    if error.kind == ErrorKind::InvalidConfig {
        return format!("limit{}", error.context);
    }
    // What a store says of itself is for its operator.
    let said = WithSources(error);
    tracing::warn!(error = %said, "the store of what plugins keep does not do what a plugin asks for");
    match error.effect {
        Effect::None => "unavailable: the store does not answer".to_owned(),
        Effect::Unknown => format!("unavailable: the store does not answer{UNKNOWN}"),
    }
}

/// What a plugin is told of an effect that was begun and of which nobody has heard since.
const UNKNOWN: &str = "; whether it was done is unknown";

fn late(within: Duration, effect: Effect) -> String {
    let late = format!("unavailable: no answer within {} ms", within.as_millis());
    match effect {
        Effect::None => late,
        Effect::Unknown => late + UNKNOWN,
    }
}

/// Waits on this thread, which is none of the runtime's, for work on the runtime. `effect` is what may have been done
/// when the time is over.
fn wait<T: Send + 'static>(
    runtime: &Handle,
    within: Duration,
    effect: Effect,
    work: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    let (answer, answered) = sync_channel(1);
    let task = runtime.spawn(async move {
        // Whoever waited may have given up.
        drop(answer.send(work.await));
    });
    match answered.recv_timeout(within) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => {
            task.abort();
            Err(late(within, effect))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err("unavailable: the host cannot have effects now".to_owned())
        }
    }
}
