//! From `[run_log]` to a run log on MongoDB, which may be away when the process starts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use sandclock_backend_mongo::MongoConfig;
pub use sandclock_backend_mongo::RunLog;
use sandclock_core::error::WithSources;
use sandclock_core::{BackendError, ErrorKind};
use tokio::time::{sleep, timeout};

use crate::config::MongodbSection;

/// The pause before a run log that is away is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a start waits for indexes. To make them takes up to an hour where a Go fleet has logged for years.
const INDEXES: Duration = Duration::from_secs(5);

/// The run log, and once more if it has to be opened yet, because no server answers now or its indexes take long.
pub(super) async fn mongodb(
    section: &MongodbSection,
) -> anyhow::Result<(Arc<RunLog>, Option<Arc<RunLog>>)> {
    let config = config_of(section);
    let at = config.address();
    let refused = |error: BackendError| {
        let said = WithSources(&error).to_string();
        let said = error.without_op(&said);
        let mut remedy = remedy(section, &error, said);
        if !remedy.is_empty() {
            remedy.insert_str(0, "; ");
        }
        anyhow!("run_log.uri: MongoDB at {at} cannot be used: {said}{remedy}")
    };
    let log = Arc::new(RunLog::new(&config).await.map_err(refused)?);
    match timeout(config.connect_timeout + INDEXES, log.open()).await {
        Ok(Ok(())) => return Ok((log, None)),
        Err(_) => tracing::warn!(
            at,
            "the run log (run_log.uri) makes its indexes, which takes a while if it is large; started meanwhile"
        ),
        Ok(Err(error)) if error.is_transient() => {
            let said = WithSources(&error).to_string();
            tracing::error!(
                at,
                error = said,
                hint = hint(&section.uri, &said),
                "the run log (run_log.uri) does not answer; started without it, and connects when it is back"
            );
        }
        Ok(Err(error)) => return Err(refused(error)),
    }
    Ok((Arc::clone(&log), Some(log)))
}

/// Where it is.
pub(super) fn config_of(section: &MongodbSection) -> MongoConfig {
    MongoConfig {
        database: section.database.clone(),
        collection: section.collection.clone(),
        connect_timeout: Duration::from_millis(section.connect_timeout_ms),
        call_timeout: Duration::from_millis(section.call_timeout_ms),
        ..MongoConfig::new(section.uri.clone())
    }
}

/// What to do about a server that cannot be used, where what it said does not tell.
pub(super) fn remedy(section: &MongodbSection, error: &BackendError, said: &str) -> String {
    match error.kind {
        ErrorKind::Denied => format!(
            "check the user, its password and authSource in run_log.uri, and that the user has the role readWrite on \
             run_log.database {:?}",
            section.database
        ),
        ErrorKind::InvalidConfig if said.contains("certificate") => {
            "check tlsCAFile and tlsCertificateKeyFile in run_log.uri".to_owned()
        }
        _ => String::new(),
    }
}

/// What may be missing where connections end without a word: a server that speaks TLS only ends them so.
fn hint(uri: &str, said: &str) -> Option<&'static str> {
    let is_plain = !["tls=true", "ssl=true", "mongodb+srv:"]
        .iter()
        .any(|word| uri.contains(word));
    let ended = ["end of file", "eof", "reset by peer", "Broken pipe"];
    (is_plain && ended.iter().any(|word| said.contains(word)))
        .then_some("if the server speaks TLS only, add tls=true and tlsCAFile to run_log.uri")
}

/// Opens a run log that was away, once it is there.
pub async fn open_later(log: &RunLog) {
    let mut told = String::new();
    while let Err(error) = log.open().await {
        let said = WithSources(&error).to_string();
        if !error.is_transient() && said != told {
            tracing::error!(
                error = said,
                "the run log is there and cannot be used; trying on"
            );
            told = said;
        }
        sleep(AGAIN).await;
    }
    tracing::info!("the run log is there: connected, and its indexes are made");
}
