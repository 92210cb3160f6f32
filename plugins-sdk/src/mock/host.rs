//! What a native plugin imports: configuration, attributes, clock, log and effects of the host whose call is under way on this
//! thread.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::effects::{Effects, Request};
use crate::http::Response;
use crate::log::Level;

/// A stand-in for the real host.
#[derive(Debug, Clone)]
pub struct Host {
    given: Rc<Given>,
    lines: Rc<RefCell<Vec<(Level, String)>>>,
    effects: Rc<Effects>,
}

#[derive(Debug, Clone)]
struct Given {
    config: Value,
    attributes: BTreeMap<String, String>,
    now: String,
    now_ms: i64,
}

std::thread_local! {
    static CURRENT: RefCell<Host> = RefCell::new(Host::new());
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// No configuration, no attributes, and the clock at 2026-11-20T02:00:00.000Z.
    #[must_use]
    pub fn new() -> Self {
        let given = Given {
            config: Value::Object(serde_json::Map::new()),
            attributes: BTreeMap::new(),
            now: "2026-11-20T02:00:00.000Z".to_owned(),
            now_ms: 1_795_140_000_000,
        };
        Self {
            given: Rc::new(given),
            lines: Rc::default(),
            effects: Rc::default(),
        }
    }

    /// Sets the plugin's configuration: an object.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        Rc::make_mut(&mut self.given).config = config;
        self
    }

    /// Sets one attribute of [`crate::host::attr`].
    #[must_use]
    pub fn attr(mut self, name: &str, value: &str) -> Self {
        Rc::make_mut(&mut self.given)
            .attributes
            .insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the clock: the same instant as RFC 3339 text and as milliseconds since 1970.
    #[must_use]
    pub fn clock(mut self, now: &str, now_ms: i64) -> Self {
        let given = Rc::make_mut(&mut self.given);
        now.clone_into(&mut given.now);
        given.now_ms = now_ms;
        self
    }

    /// Lets the plugin have a value already.
    #[must_use]
    pub fn kv(self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        let mut values = self.effects.values.borrow_mut();
        values.insert(key.to_owned(), value.into());
        drop(values);
        self
    }

    /// Lets a target answer so, after the answers that it was given before.
    #[must_use]
    pub fn answer(self, target: &str, status: u16, body: impl Into<Vec<u8>>) -> Self {
        let mut answers = self.effects.answers.borrow_mut();
        let of_target = answers.entry(target.to_owned()).or_default();
        let body = body.into();
        of_target.push_back(Response { status, body });
        drop(answers);
        self
    }

    /// What plugins keep under this key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.effects.values.borrow().get(key).cloned()
    }

    /// What plugins have asked their targets so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.effects.requests.borrow().clone()
    }

    /// Runs `hook` with this host behind the imports of the calling thread.
    pub fn call<R>(&self, hook: impl FnOnce() -> R) -> R {
        let before = CURRENT.replace(self.clone());
        let answer = hook();
        CURRENT.replace(before);
        answer
    }

    /// What plugins have logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.lines.borrow().clone()
    }
}

fn given<R>(read: impl FnOnce(&Given) -> R) -> R {
    CURRENT.with_borrow(|host| read(&host.given))
}

pub(crate) fn effects<R>(have: impl FnOnce(&Effects) -> R) -> R {
    CURRENT.with_borrow(|host| have(&host.effects))
}

pub(crate) fn config_get(key: &str) -> Option<String> {
    given(|given| {
        given
            .config
            .get(key)
            .filter(|value| !value.is_null())
            .map(Value::to_string)
    })
}

pub(crate) fn config_all() -> String {
    given(|given| given.config.to_string())
}

pub(crate) fn attr(name: &str) -> Option<String> {
    given(|given| given.attributes.get(name).cloned())
}

pub(crate) fn now() -> String {
    given(|given| given.now.clone())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the contract's type; exact below 2^53"
)]
pub(crate) fn now_ms() -> f64 {
    given(|given| given.now_ms as f64)
}

pub(crate) fn log(level: Level, message: &str) {
    CURRENT.with_borrow(|host| host.lines.borrow_mut().push((level, message.to_owned())));
}
