//! The process's own log: one line per event on standard error, known secrets masked.

use std::io::{self, Write};

use sandclock_hooks::KnownSecrets;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// Starts logging. `filter` is the value of `SANDCLOCK_LOG`, such as `debug` or `sandclock_core=trace`.
pub fn start(filter: Option<&str>, format: LogFormat, secrets: KnownSecrets) {
    let filter = EnvFilter::builder().parse_lossy(filter.unwrap_or("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(false)
        .with_writer(Masked(secrets));
    // A second call, as a test may make, leaves the first one's log.
    let _ = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.finish()),
        LogFormat::Json => {
            let json = subscriber.json().flatten_event(true);
            tracing::subscriber::set_global_default(json.with_span_list(false).finish())
        }
    };
}

/// Makes a writer per event, so that every event is masked as a whole.
#[derive(Clone, Debug)]
struct Masked(KnownSecrets);

impl<'a> MakeWriter<'a> for Masked {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            secrets: self.0.clone(),
            bytes: Vec::new(),
        }
    }
}

/// One event on its way out.
#[derive(Debug)]
struct Line {
    secrets: KnownSecrets,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = self.secrets.mask_bytes(&self.bytes);
        // Nobody can be told that the log is closed.
        let _ = io::stderr().lock().write_all(&text);
    }
}
