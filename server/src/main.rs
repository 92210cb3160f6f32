//! Entry point of the `sandclock` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandclock_server::start(sandclock_server::cli::as_called)
}
