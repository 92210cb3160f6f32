//! Between the traits that authors implement and the traits that wit-bindgen exports.
//!
//! Here errors become text, the panic hook is installed, and a stream's redactor is kept between the calls of one instance.

use core::cell::RefCell;
use core::marker::PhantomData;
use std::sync::Once;

use crate::bindings::{alert, lifecycle, redaction, timeout};
use crate::redaction::Window;
use crate::{Channel, History, Redactor, Result, RunEnd, RunInfo, TimeoutPolicy, log};

/// Checks a configuration when a plugin is installed or bound, so that a mistake is seen there and not at the next run.
pub trait Lifecycle {
    /// Reads all of the configuration and says what is wrong with it, by [`crate::config::invalid`].
    ///
    /// # Errors
    /// The text for the person who made the change.
    fn validate_config() -> Result<()>;
}

/// Exports the hooks of `T`.
#[derive(Debug)]
pub struct Adapter<T>(PhantomData<T>);

/// Exports the lifecycle of `T`: a type of its own, since a plugin may check its configuration by another type.
#[derive(Debug)]
pub struct LifecycleAdapter<T>(PhantomData<T>);

/// A panic otherwise ends as a bare "unreachable executed"; the hook writes its message and place to the log first.
fn prepare() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| log::error(panic.to_string()))));
}

fn text<T>(outcome: Result<T>) -> core::result::Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

impl<T: TimeoutPolicy> timeout::exports::sandclock::plugin::timeout_policy::Guest for Adapter<T> {
    fn decide(
        run: RunInfo,
        declared_ms: Option<u32>,
        past: History,
    ) -> core::result::Result<Option<crate::timeout::Decision>, String> {
        prepare();
        text(T::decide(run, declared_ms, past))
    }
}

impl<T: RunEnd> alert::exports::sandclock::plugin::run_end::Guest for Adapter<T> {
    fn on_end(
        run: RunInfo,
        end: crate::alert::End,
    ) -> core::result::Result<Vec<crate::alert::Delivery>, String> {
        prepare();
        text(T::on_end(run, end))
    }
}

impl<T: Lifecycle> lifecycle::exports::sandclock::plugin::lifecycle::Guest for LifecycleAdapter<T> {
    fn validate_config() -> core::result::Result<(), String> {
        prepare();
        text(T::validate_config())
    }
}

/// A redactor whatever its type: one component has one.
trait Scan {
    fn scan(&mut self, window: Window<'_>) -> Result<crate::redaction::Verdict>;
}

impl<T: Redactor> Scan for T {
    fn scan(&mut self, window: Window<'_>) -> Result<crate::redaction::Verdict> {
        Redactor::scan(self, window)
    }
}

std::thread_local! {
    static STREAM: RefCell<Option<Box<dyn Scan>>> = const { RefCell::new(None) };
}

impl<T: Redactor> redaction::exports::sandclock::plugin::output_redaction::Guest for Adapter<T> {
    fn begin(run: RunInfo, channel: Channel) -> core::result::Result<(), String> {
        prepare();
        let redactor = text(T::begin(run, channel))?;
        STREAM.with_borrow_mut(|stream| *stream = Some(Box::new(redactor)));
        Ok(())
    }

    fn scan(
        window: Vec<u8>,
        fresh_from: u32,
        flush: crate::redaction::Flush,
        carry: Vec<u8>,
    ) -> core::result::Result<crate::redaction::Verdict, String> {
        STREAM.with_borrow_mut(|stream| {
            let Some(redactor) = stream else {
                return Err("scan was called before begin".to_owned());
            };
            let fresh_from = fresh_from as usize;
            text(redactor.scan(Window {
                bytes: &window,
                fresh_from,
                flush,
                carry: &carry,
            }))
        })
    }
}
