//! Entry point of the `sandclock` binary.
use std::process::ExitCode;

use sandclock_server::exec;

fn main() -> ExitCode {
    if exec::is_spawner() {
        return exec::spawner_main();
    }
    ExitCode::SUCCESS
}
