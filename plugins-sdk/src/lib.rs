//! Write Sandclock plugins in Rust.
//!
//! A plugin is a `cdylib` for `wasm32-unknown-unknown` that implements one trait per hook and registers it:
//!
//! ```ignore
//! use sandclock_plugin_sdk::prelude::*;
//!
//! struct Doubler;
//!
//! impl TimeoutPolicy for Doubler {
//!     fn decide(run: RunInfo, declared_ms: Option<u32>, past: History) -> Result<Option<Decision>> {
//!         if past.runs < 20 {
//!             return Ok(None); // keep what the job declares
//!         }
//!         let factor = config::get_or("factor", 2.0)?;
//!         let limit = (f64::from(past.p99_ms) * factor) as u32;
//!         Ok(Some(Decision::limit_ms(limit.max(declared_ms.unwrap_or(0)))
//!             .reason(format!("{factor} times the p99 of {} ms, attempt {}", past.p99_ms, run.attempt))))
//!     }
//! }
//!
//! register!(timeout_policy = Doubler);
//! ```
//!
//! | hook | trait | simpler case on top of it |
//! |---|---|---|
//! | before a run: its limit | [`TimeoutPolicy`] | |
//! | during it: hide parts of the output | [`Redactor`] | `rules::Rules` (feature `rules`) |
//! | after it: whom to tell | [`RunEnd`] | [`alert::Transition`] |
//! | when the configuration changes | [`Lifecycle`] | |
//!
//! Natively compiled, the same code runs against [`mock`], so a plugin is tested with plain `cargo test`.

mod adapter;
pub mod alert;
#[doc(hidden)]
pub mod bindings;
pub mod clock;
pub mod config;
pub mod host;
pub mod http;
pub mod kv;
pub mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod mock;
pub mod redaction;
#[cfg(feature = "rules")]
pub mod rules;
pub mod timeout;

pub use adapter::Lifecycle;
#[doc(hidden)]
pub use adapter::{Adapter, LifecycleAdapter};
pub use alert::RunEnd;
pub use bindings::timeout::sandclock::plugin::types::{Channel, History, RunInfo};
pub use redaction::Redactor;
pub use timeout::TimeoutPolicy;

/// What a hook returns. Any error, also a plain text (`Err("…".into())`), ends the call with the hook's configured
/// verdict; its text is shown to the person who looks at the run.
pub type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

/// What a plugin usually needs.
pub mod prelude {
    pub use crate::alert::{Delivery, End, RunEnd, Transition};
    pub use crate::redaction::{Edit, Flush, Redactor, Verdict, Window};
    #[cfg(feature = "rules")]
    pub use crate::rules::Rules;
    pub use crate::timeout::{Decision, TimeoutPolicy};
    pub use crate::{Channel, History, Lifecycle, Result, RunInfo};
    pub use crate::{clock, config, host, http, kv, log, register};
}

/// Exports the named hooks from this plugin: any of `timeout_policy`, `output_redaction`, `run_end` and `lifecycle`,
/// each once, with the type that implements it.
///
/// ```ignore
/// register!(run_end = Alerts, lifecycle = Alerts);
/// ```
#[macro_export]
macro_rules! register {
    ($($hook:ident = $plugin:ty),+ $(,)?) => { $($crate::__register!($hook = $plugin);)+ };
}

/// One hook of [`register!`]. Native builds only check the types: the symbols of exports are wasm's.
#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    (timeout_policy = $plugin:ty) => {
        $crate::__register!(@ timeout, export_timeout_policy, $crate::TimeoutPolicy, $crate::Adapter<$plugin>, $plugin);
    };
    (output_redaction = $plugin:ty) => {
        $crate::__register!(@ redaction, export_output_redaction, $crate::Redactor, $crate::Adapter<$plugin>, $plugin);
    };
    (run_end = $plugin:ty) => {
        $crate::__register!(@ alert, export_run_end, $crate::RunEnd, $crate::Adapter<$plugin>, $plugin);
    };
    (lifecycle = $plugin:ty) => {
        $crate::__register!(@ lifecycle, export_lifecycle, $crate::Lifecycle, $crate::LifecycleAdapter<$plugin>, $plugin);
    };
    (@ $world:ident, $export:ident, $hook:path, $adapter:ty, $plugin:ty) => {
        const _: () = {
            const fn implements<T: $hook>() {}
            implements::<$plugin>();
            #[cfg(target_arch = "wasm32")]
            type Exported = $adapter;
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::$world::$export!(Exported with_types_in $crate::bindings::$world);
        };
    };
}
