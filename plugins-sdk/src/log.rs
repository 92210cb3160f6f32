//! Lines for the run's log, shown there as `[plugin:name]` and redacted like output. The host cuts a line at 1 KiB.

pub use crate::bindings::timeout::sandclock::plugin::log::Level;

/// For the author of the plugin.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// For the owner of the job.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// Something is off, yet the hook has an answer.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

/// The hook could not do its work. Panics are written here by themselves.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::timeout::sandclock::plugin::log::write;

#[cfg(not(target_arch = "wasm32"))]
use crate::mock::host::log as write;
