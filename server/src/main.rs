//! Entry point of the `sandclock` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandclock_server::start(|arguments| arguments)
}
