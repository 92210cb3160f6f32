//! The `sandclock` binary as a library, so that tests reach its parts.
//!
//! This crate is the one place where the parts meet: [`wire`] makes a product of backends, hooks and the
//! fleet, [`api`] and [`cli`] are how people reach it, [`exec`] starts their commands.

pub mod access;
pub mod api;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod crontab;
pub mod deliver;
pub mod dev;
mod doctor;
pub mod document;
pub mod egress;
pub mod events;
pub mod examples;
pub mod exec;
mod face;
mod folders;
pub mod front;
pub mod leader;
pub mod lifecycle;
mod list;
pub mod log;
pub mod private_file;
pub mod random;
mod recorder;
pub mod reload;
mod renewed;
mod replay;
mod request;
pub mod roles;
pub mod rollout;
pub mod sign_in;
pub mod spool;
pub mod telemetry;
pub mod timetable;
pub mod vault;
pub mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The same and, where the build knows it, the commit and its day: `0.0.0 (abc1234, 2026-11-23)`.
pub const LONG_VERSION: &str = env!("SANDCLOCK_LONG_VERSION");

/// Chooses the TLS implementation for the whole process. Later calls change nothing.
pub fn tls() {
    // An error says that it was chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A whole program: arguments in, exit status out. `reading` turns what was typed into what [`cli::Cli`] reads.
pub fn start(reading: fn(Vec<OsString>) -> Vec<OsString>) -> ExitCode {
    // The binary is also the small process that starts jobs, when it is called by that name.
    if exec::is_spawner() {
        return exec::spawner_main();
    }
    tls();
    let arguments = reading(std::env::args_os().collect());
    match cli::Cli::read(cli::with_go_flags(arguments)) {
        Ok(cli) => cli::main(cli),
        Err(shown) => cli::usage(&shown),
    }
}
