//! Standard output: the one way to it, and whether it took what it was given.
//!
//! A command whose output cannot be written goes on, so that nothing is left half done because its report found no
//! place. It fails at its end, with the first thing that went wrong. A pipe that its reader has closed (`| head`) is
//! no failure: the reader has what it wants.

use std::io::{self, ErrorKind, Write as _};
use std::sync::OnceLock;

/// Why output was not taken, of the first that was not.
static REFUSED: OnceLock<io::Error> = OnceLock::new();

/// Writes bytes as they are. After the first failure it does nothing.
pub(super) fn write(bytes: &[u8]) {
    if is_closed() {
        return;
    }
    let mut out = io::stdout().lock();
    keep(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Prints what was asked for instead of a command, such as its help, or what is wrong with how it was asked for.
pub(super) fn usage(shown: &clap::Error) {
    let printed = shown.print();
    if !shown.use_stderr() {
        keep(printed.and_then(|()| io::stdout().flush()));
    }
}

fn keep(done: io::Result<()>) {
    if let Err(error) = done {
        let _ = REFUSED.set(error);
    }
}

/// Whether output is taken no more: who only shows something can end.
pub(super) fn is_closed() -> bool {
    REFUSED.get().is_some()
}

/// Whether all output was taken, as far as somebody wanted it.
///
/// # Errors
/// Why it was not.
pub(super) fn taken() -> anyhow::Result<()> {
    match REFUSED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            anyhow::bail!("cannot write the output: {error}")
        }
        _ => Ok(()),
    }
}
