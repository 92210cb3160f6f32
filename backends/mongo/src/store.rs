//! The store: what all contracts share, and how it is opened.
//!
//! It can be lent before anybody has looked whether a server is there. Until [`Store::open`] has succeeded every
//! call fails as one to a server that is away, whatever the reason: who keeps what it cannot write goes on keeping.

use std::future::{Future, IntoFuture};
use std::sync::OnceLock;
use std::time::Duration;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind as Driver, WriteFailure};
use mongodb::gridfs::GridFsBucket;
use mongodb::options::{ClientOptions, GridFsBucketOptions, WriteConcern};
use mongodb::{Client, Collection, Cursor, Database};
use sandclock_core::backend::Result;
use sandclock_core::error::WithSources;
use sandclock_core::{BackendError, ErrorKind};

use crate::config::MongoConfig;
use crate::error::{Access, DUPLICATE_KEY, from_driver, late};
use crate::guards::Guards;
use crate::schema::{
    self, ALERTS, AUDIT, MODULES, OLDEST, OPEN, OUTPUT, PACE, PLUGINS, RECORDINGS, VALUES,
};
use crate::writer::{Target, Update, Upserted, Writer};

/// An index on a collection that a Go fleet has filled for years takes its time.
const INDEX_TIMEOUT: Duration = Duration::from_secs(3_600);

/// A plugin's module of the largest size may take this long on its way, if a call's deadline is shorter.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(60);

/// A piece of a module. A document may have four times as much.
const CHUNK_BYTES: u32 = 4 << 20;

/// Everything behind the contracts.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) runs: Collection<RawDocumentBuf>,
    pub(crate) output: Collection<Document>,
    pub(crate) alerts: Collection<Document>,
    pub(crate) pace: Collection<Document>,
    pub(crate) plugins: Collection<Document>,
    pub(crate) recordings: Collection<Document>,
    pub(crate) kv: Collection<Document>,
    pub(crate) audit: Collection<Document>,
    pub(crate) modules: GridFsBucket,
    pub(crate) writer: Writer,
    pub(crate) guards: Guards,
    client: Client,
    pub(crate) db: Database,
    opened: OnceLock<()>,
    connect_timeout: Duration,
    pub(crate) timeout: Duration,
}

impl Store {
    /// A store that nobody has looked for yet.
    pub(crate) async fn lend(config: &MongoConfig, guards: Guards) -> Result<Self> {
        config.check()?;
        let options = options(config).await?;
        let client = Client::with_options(options).map_err(|error| unusable(config, &error))?;
        let db = client.database(&config.database);
        let target = Target {
            db: db.clone(),
            collection: config.collection.clone(),
            timeout: config.call_timeout,
            bounded: guards.bounded,
        };
        Ok(Self {
            runs: db.collection(&config.collection),
            output: db.collection(OUTPUT),
            alerts: db.collection(ALERTS),
            pace: db.collection(PACE),
            plugins: db.collection(PLUGINS),
            recordings: db.collection(RECORDINGS),
            kv: db.collection(VALUES),
            audit: db.collection(AUDIT),
            modules: db.gridfs_bucket(modules()),
            writer: Writer::start(target),
            guards,
            client,
            db,
            opened: OnceLock::new(),
            connect_timeout: config.connect_timeout,
            timeout: config.call_timeout,
        })
    }

    /// Connects, checks the server, and makes the indexes.
    pub(crate) async fn open(&self) -> Result<()> {
        self.version().await?;
        let indexes = schema::create_indexes(&self.db, self.runs.name());
        in_time(OPEN, Access::Write, INDEX_TIMEOUT, indexes).await?;
        let _again = self.opened.set(());
        Ok(())
    }

    /// Connects, and refuses a server that is too old; its version.
    pub(crate) async fn version(&self) -> Result<String> {
        let connected = async {
            let admin = self.client.database("admin");
            admin.run_command(doc! { "buildInfo": 1 }).await
        };
        let server = in_time(OPEN, Access::Read, self.connect_timeout, connected).await;
        let server = server.map_err(refused_tls)?;
        check_version(&server)?;
        Ok(server.get_str("version").unwrap_or_default().to_owned())
    }

    /// Refuses, as if the server were away, until the store has been opened.
    fn is_open(&self, op: &'static str) -> Result<()> {
        if self.opened.get().is_some() {
            return Ok(());
        }
        let away = BackendError::new(op, ErrorKind::Unavailable);
        Err(away.context("the run log has not been reached since this process was started"))
    }

    /// Changes the document, or makes it if the filter finds none.
    pub(crate) async fn upsert(&self, op: &'static str, update: &Update) -> Result<Upserted> {
        self.is_open(op)?;
        self.writer.upsert(op, update).await
    }

    /// Changes the document if the filter finds it. Whether it did.
    pub(crate) async fn change(&self, op: &'static str, update: &Update) -> Result<bool> {
        self.is_open(op)?;
        self.writer.change(op, update).await
    }

    /// Reads, within the deadline.
    pub(crate) async fn read<T>(
        &self,
        op: &'static str,
        work: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Result<T> {
        self.is_open(op)?;
        in_time(op, Access::Read, self.timeout, work).await
    }

    /// Writes, within the deadline.
    pub(crate) async fn write<T>(
        &self,
        op: &'static str,
        work: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T> {
        self.is_open(op)?;
        in_time(op, Access::Write, self.timeout, async { work.await }).await
    }

    /// Writes, within the deadline. False if a document that must be the only one of its kind is there already.
    pub(crate) async fn write_unless_taken<T>(
        &self,
        op: &'static str,
        work: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<bool> {
        let outcome = async {
            match work.await {
                Ok(_) => Ok(true),
                Err(error) if is_duplicate(&error) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.write(op, Box::pin(outcome)).await
    }

    /// Reads or writes a module, within a deadline for large ones.
    pub(crate) async fn transfer<T>(
        &self,
        op: &'static str,
        access: Access,
        work: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Result<T> {
        self.is_open(op)?;
        let timeout = self.timeout.max(TRANSFER_TIMEOUT);
        in_time(op, access, timeout, work).await
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(
        error.kind.as_ref(),
        Driver::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY
    )
}

/// Every document of a cursor, as bytes that nobody has looked into.
pub(crate) async fn rows<T>(mut cursor: Cursor<T>) -> mongodb::error::Result<Vec<RawDocumentBuf>> {
    let mut rows = Vec::new();
    while cursor.advance().await? {
        rows.push(cursor.current().to_owned());
    }
    Ok(rows)
}

pub(crate) async fn in_time<T>(
    op: &'static str,
    access: Access,
    timeout: Duration,
    work: impl Future<Output = mongodb::error::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(timeout, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(from_driver(op, access, error)),
        Err(_) => Err(late(op, access)),
    }
}

/// Nothing is repeated here: whoever calls knows whether a repeat is safe. A server that cannot be found is
/// given up before the call's deadline, which says more than that it was late.
async fn options(config: &MongoConfig) -> Result<ClientOptions> {
    if config.uri.starts_with("mongodb+srv:") {
        let refused = BackendError::new(OPEN, ErrorKind::InvalidConfig);
        return Err(refused.context(
            "uri: mongodb+srv is not supported: write out what its DNS records say, as \
             mongodb://host1,host2,host3/?replicaSet=NAME&tls=true",
        ));
    }
    let mut options = ClientOptions::parse(&config.uri)
        .await
        .map_err(|error| unusable(config, &error))?;
    options
        .app_name
        .get_or_insert_with(|| "sandclock".to_owned());
    options.retry_reads = Some(false);
    options.retry_writes = Some(false);
    options.connect_timeout = Some(config.connect_timeout);
    options.server_selection_timeout = Some(config.call_timeout.min(config.connect_timeout) / 2);
    options.write_concern = Some(
        WriteConcern::builder()
            .w(mongodb::options::Acknowledgment::Majority)
            .journal(true)
            .build(),
    );
    Ok(options)
}

fn unusable(config: &MongoConfig, error: &mongodb::error::Error) -> BackendError {
    let said = config.redact(&error.kind.to_string());
    BackendError::new(OPEN, ErrorKind::InvalidConfig).context(format!("uri: {said}"))
}

/// What the driver says of certificates. It reports them as a server that it cannot find.
const CERTIFICATES: [&str; 3] = [
    "invalid peer certificate",
    "received fatal alert",
    "received corrupt message",
];

fn modules() -> GridFsBucketOptions {
    GridFsBucketOptions::builder()
        .bucket_name(MODULES.to_owned())
        .chunk_size_bytes(CHUNK_BYTES)
        .build()
}

/// A server that is there, and with which no encrypted connection can be agreed on.
fn refused_tls(mut error: BackendError) -> BackendError {
    let said = WithSources(&error).to_string();
    if CERTIFICATES.iter().any(|text| said.contains(text)) {
        error.kind = ErrorKind::InvalidConfig;
    }
    error
}

/// Refuses servers that are too old, by name. Those that the driver itself does not speak to are refused by
/// it, likewise.
fn check_version(server: &Document) -> Result<()> {
    let version = server.get_str("version").unwrap_or("of an unknown version");
    let numbers = server.get_array("versionArray").ok();
    let number = |at: usize| numbers.and_then(|numbers| numbers.get(at)?.as_i32());
    let found = (number(0).unwrap_or_default(), number(1).unwrap_or_default());
    if found >= OLDEST {
        return Ok(());
    }
    let (major, minor) = OLDEST;
    let refused = BackendError::new(OPEN, ErrorKind::InvalidConfig);
    Err(refused.context(format!(
        "the server is MongoDB {version}; the run log needs {major}.{minor} or later"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_by_name() {
        let check = |version: &str, numbers: &[i32]| {
            check_version(&doc! { "version": version, "versionArray": numbers })
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("4.4.0", &[4, 4, 0, 0]), Ok(()));
        assert_eq!(check("10.0.1", &[10, 0, 1, 0]), Ok(()));
        for (version, numbers) in [
            ("4.2.24", &[4, 2, 24, 0][..]),
            ("4.0.0", &[4, 0, 0, 0]),
            ("?", &[]),
        ] {
            let error = check(version, numbers).expect_err("refused");
            assert!(error.contains(version) && error.contains("4.4"), "{error}");
        }
    }
}
