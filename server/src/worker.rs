//! Entry point of `sandclock-worker`, which takes the place of a Go fleet's worker: `sandclock worker` by another
//! name, with that program's one flag.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandclock_server::start(sandclock_server::cli::as_worker)
}
