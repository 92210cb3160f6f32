//! The host's side of the plugin contract: the only place that sees what bindgen makes of the WIT.
//!
//! Core types, WIT types and documents are three things; conversions between the first two are
//! here, and those of what calls are about in [`crate::subject`]. What every plugin may import is
//! effect-free but for its own log; `kv` and `http` are linked for those that import them, and answered
//! by [`crate::effects`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandclock_core::backend::Swap;
use sandclock_core::ports::{Channel, History};
use sandclock_core::time::Timestamp;
use serde_json::Value;
use wasmtime::component::{HasSelf, Linker};

use crate::capabilities::Capability;
use crate::effects::{Answer, Ask, CallEffects};
use crate::instance::Budget;
use crate::limits::Limiter;
use crate::log::{CallLog, Level};

#[cfg(not(feature = "later-contract"))]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../plugins-sdk/wit",
        inline: "
            package sandclock:host;
            world everything {
                include sandclock:plugin/all-hooks@0.1.0;
                import sandclock:plugin/kv@0.1.0;
                import sandclock:plugin/http@0.1.0;
            }
        ",
        world: "sandclock:host/everything",
        require_store_data_send: true,
    });
}

/// The same for a contract that has grown.
#[cfg(feature = "later-contract")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "tests/later/wit",
        inline: "
            package sandclock:host;
            world everything {
                include sandclock:plugin/all-hooks@0.1.1;
                import sandclock:plugin/kv@0.1.1;
                import sandclock:plugin/http@0.1.1;
            }
        ",
        world: "sandclock:host/everything",
        require_store_data_send: true,
    });
}

use bindings::sandclock::plugin::{clock, config, host, http, kv, log, types};

pub(crate) use bindings::exports::sandclock::plugin::{
    lifecycle, output_redaction, run_end, timeout_policy,
};
pub(crate) use bindings::sandclock::plugin::types::RunInfo;

/// The package of the contract.
pub(crate) const PACKAGE: &str = "sandclock:plugin/";
/// The version of the contract that this host speaks. Plugins of the same track (`0.1.x`) work.
pub(crate) const VERSION: &str = match cfg!(feature = "later-contract") {
    false => "0.1.0",
    true => "0.1.1",
};
/// Before 1.0 the minor number is the track: whatever shares it fits.
pub(crate) fn track() -> &'static str {
    VERSION.rsplit_once('.').map_or(VERSION, |(track, _)| track)
}

/// The interfaces that every plugin may import.
pub(crate) const GRANTED: [&str; 5] = ["types", "host", "log", "config", "clock"];

/// What a store knows of the call that it makes.
pub(crate) struct HostState {
    pub(crate) limiter: Limiter,
    pub(crate) budget: Budget,
    pub(crate) log: CallLog,
    pub(crate) config: Arc<Value>,
    pub(crate) worker: Arc<str>,
    pub(crate) now: Timestamp,
    pub(crate) effects: CallEffects,
}

impl HostState {
    /// The only way to an effect, and back.
    fn ask(&mut self, ask: Ask) -> Answer {
        let within = self.budget.wall_left();
        self.effects.answer(ask, within)
    }
}

/// A linker with what every plugin may import, and nothing else.
///
/// # Errors
/// If the contract names something twice.
pub(crate) fn linker(engine: &wasmtime::Engine) -> Result<Linker<HostState>, wasmtime::Error> {
    let mut linker = Linker::new(engine);
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    host::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    config::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// The same, with an effect.
///
/// # Errors
/// If it is there already.
pub(crate) fn link(
    linker: &mut Linker<HostState>,
    capability: Capability,
) -> Result<(), wasmtime::Error> {
    match capability {
        Capability::Kv => kv::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        Capability::Http => http::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
    }
}

impl types::Host for HostState {}

impl host::Host for HostState {
    fn attr(&mut self, name: String) -> Option<String> {
        (name == "worker").then(|| String::from(&*self.worker))
    }
}

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.log.write(level, &message);
    }
}

impl config::Host for HostState {
    fn get(&mut self, key: String) -> Option<String> {
        self.config.get(&key).map(Value::to_string)
    }

    fn all(&mut self) -> String {
        match &*self.config {
            Value::Null => "{}".to_owned(),
            value => value.to_string(),
        }
    }
}

impl clock::Host for HostState {
    fn now(&mut self) -> String {
        let text = self.now.to_string();
        match text.strip_suffix('Z') {
            Some(seconds) if !text.contains('.') => format!("{seconds}.000Z"),
            _ => text,
        }
    }

    fn now_ms(&mut self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to the year 287396, and the contract wants a float"
        )]
        let now = self.now.as_millis() as f64;
        now
    }

    #[cfg(feature = "later-contract")]
    fn year(&mut self) -> u32 {
        let text = self.now.to_string();
        let year = text.split('-').next().unwrap_or_default();
        year.parse().unwrap_or_default()
    }
}

impl kv::Host for HostState {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, String> {
        self.ask(Ask::Get { key }).into_value()
    }

    fn swap(
        &mut self,
        key: String,
        expect: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        ttl_s: Option<u32>,
    ) -> Result<bool, String> {
        let swap = Swap {
            key,
            expect: expect.map(Bytes::from),
            value: value.map(Bytes::from),
            ttl: ttl_s.map(|seconds| Duration::from_secs(u64::from(seconds))),
        };
        self.ask(Ask::Swap(swap)).into_swapped()
    }
}

impl http::Host for HostState {
    fn get(
        &mut self,
        target: String,
        path: String,
        headers: Vec<(String, String)>,
    ) -> Result<http::Response, String> {
        self.request(target, path, headers, None)
    }

    fn post(
        &mut self,
        target: String,
        path: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<http::Response, String> {
        self.request(target, path, headers, Some(Bytes::from(body)))
    }
}

impl HostState {
    fn request(
        &mut self,
        target: String,
        path: String,
        headers: Vec<(String, String)>,
        body: Option<Bytes>,
    ) -> Result<http::Response, String> {
        let ask = Ask::Http {
            target,
            path,
            headers,
            body,
        };
        let answer = self.ask(ask).into_response()?;
        Ok(http::Response {
            status: answer.status,
            body: answer.body.to_vec(),
        })
    }
}

pub(crate) fn history(past: &History) -> types::History {
    types::History {
        runs: past.runs,
        failures: past.failures,
        p50_ms: past.p50_ms,
        p95_ms: past.p95_ms,
        p99_ms: past.p99_ms,
        max_ms: past.max_ms,
    }
}

pub(crate) fn channel(channel: Channel) -> types::Channel {
    match channel {
        Channel::Combined => types::Channel::Combined,
        Channel::Stdout => types::Channel::Stdout,
        Channel::Stderr => types::Channel::Stderr,
    }
}
