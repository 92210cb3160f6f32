//! Where the run log is, and how long a call may take.

use std::fmt;
use std::time::Duration;

use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};

use crate::schema;

/// Where the run log is.
///
/// How long it is kept is not said here: [`RunQuery::prune`] deletes what its caller says, and the fleet
/// calls it.
///
/// [`RunQuery::prune`]: sandclock_core::backend::RunQuery::prune
#[derive(Clone, PartialEq, Eq)]
pub struct MongoConfig {
    /// `mongodb://…`, with credentials and TLS options if the server asks for them. What it says of write
    /// concern is not heeded: a write is acknowledged once a majority has it in the journal.
    pub uri: String,
    /// The database. A Go fleet's is `cron`, which is the default.
    pub database: String,
    /// The collection of the runs. A Go fleet's is `log`, which is the default. Output and
    /// alerts lie beside it, in collections of our own.
    pub collection: String,
    /// How long the first contact and the checks at the start may take.
    pub connect_timeout: Duration,
    /// How long any later call may take.
    pub call_timeout: Duration,
}

impl MongoConfig {
    /// The run log of a Go fleet at `uri`.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            database: "cron".to_owned(),
            collection: "log".to_owned(),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(10),
        }
    }

    /// Refuses names that no server would take, or that would mix runs with what is beside them.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |what: &str, name: &str, why: &str| {
            let refused = BackendError::new(schema::OPEN, ErrorKind::InvalidConfig);
            Err(refused.context(format!("{what} {name:?} {why}")))
        };
        let database = self.database.as_str();
        let odd = |c: char| c.is_control() || "/\\. \"$*<>:|?".contains(c);
        if database.is_empty() || database.len() > 63 || database.contains(odd) {
            let why = "is no name for a database: 1 to 63 bytes without /\\. \"$*<>:|?";
            return refuse("database", database, why);
        }
        let collection = self.collection.as_str();
        let odd = |c: char| c.is_control() || c == '$';
        if collection.is_empty()
            || collection.len() > 120
            || collection.contains(odd)
            || collection.starts_with("system.")
        {
            let why = "is no name for a collection: 1 to 120 bytes without $";
            return refuse("collection", collection, why);
        }
        if schema::BESIDE.contains(&collection) {
            let why = "is taken by what lies beside the runs; name another";
            return refuse("collection", collection, why);
        }
        Ok(())
    }

    /// The URI without its credentials, and without its options, which can hold secrets too.
    pub fn address(&self) -> String {
        let uri = self.uri.split('?').next().unwrap_or_default();
        match credentials(uri) {
            Some(credentials) => uri.replacen(credentials, "***", 1),
            None if uri.contains("://") => uri.to_owned(),
            // Something else was taken for a URI, perhaps a secret.
            None => "***".to_owned(),
        }
    }

    /// `text` without the credentials of the URI, for messages.
    pub(crate) fn redact(&self, text: &str) -> String {
        let Some(credentials) = credentials(&self.uri) else {
            return text.to_owned();
        };
        let mut text = text.replace(credentials, "***");
        for secret in credentials.split(':').filter(|part| part.len() > 2) {
            text = text.replace(secret, "***");
        }
        text
    }
}

/// The part between scheme and hosts.
fn credentials(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let before_options = rest.split('?').next()?;
    let (credentials, _) = before_options.rsplit_once('@')?;
    (!credentials.is_empty()).then_some(credentials)
}

impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoConfig")
            .field("uri", &self.address())
            .field("database", &self.database)
            .field("collection", &self.collection)
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let table = [
            ("mongodb://h:1,i/db?x=tls-secret", "mongodb://h:1,i/db"),
            ("mongodb://ann:s3cret@h/db", "mongodb://***@h/db"),
            ("mongodb://ann:p%40ss@w0rd@h", "mongodb://***@h"),
            ("s3cret", "***"),
        ];
        for (uri, want) in table {
            let shown = format!("{:?}", MongoConfig::new(uri));
            assert!(shown.contains(&format!("uri: {want:?}")), "{shown}");
            assert!(!shown.contains("s3cret") && !shown.contains("tls-secret"));
        }
        let config = MongoConfig::new("mongodb://ann:s3cret@h/db");
        assert_eq!(
            config.redact("s3cret is wrong for ann"),
            "*** is wrong for ***"
        );
    }

    #[test]
    fn impossible_names_are_refused() {
        let with = |database: &str, collection: &str| {
            let mut config = MongoConfig::new("mongodb://h");
            config.database = database.to_owned();
            config.collection = collection.to_owned();
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(with("cron", "log"), Ok(()));
        assert_eq!(with("cron", "job"), Ok(()));
        for (database, collection) in [
            ("", "log"),
            ("a.b", "log"),
            ("cron", ""),
            ("cron", "a$b"),
            ("cron", "system.users"),
            ("cron", "output"),
            ("cron", "alerts"),
        ] {
            let error = with(database, collection).expect_err("refused");
            assert!(error.contains("invalid configuration"), "{error}");
        }
    }
}
