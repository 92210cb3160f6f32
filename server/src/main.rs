//! Entry point of the `sandclock` binary: arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser as _;
use sandclock_server::{cli, exec};

fn main() -> ExitCode {
    // The binary is also the small process that starts jobs, when it is called by that name.
    if exec::is_spawner() {
        return exec::spawner_main();
    }
    sandclock_server::tls();
    cli::main(cli::Cli::parse())
}
