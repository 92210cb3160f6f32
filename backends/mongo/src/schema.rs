//! The collections, their indexes, and the names of their members.
//!
//! | collection | holds | `_id` |
//! |---|---|---|
//! | `log` (configurable) | runs, ours and those of a Go fleet | an ObjectId, which is the place in the order |
//! | `output` | chunks of output | run, attempt and seq |
//! | `alerts` | the outbox | an ObjectId, which is the place in the order |
//! | `alert_pace` | when alerts were last sent to targets that have a pace | the target's name |
//! | `plugins` | plugins with their releases | an ObjectId |
//! | `recordings` | what plugins were asked and what they said | an ObjectId, which is the place in the order |
//! | `audit` | who changed what | the entry's id |
//! | `plugin_values` | what plugins keep, a document for each | the plugin's name |
//! | `plugin_modules.files`, `plugin_modules.chunks` | the modules of releases, in GridFS | theirs |
//!
//! A run is one document all its life, so that every change of it is one atomic step, on a single server
//! as on a replica set. What a Go master knows is on top, what is ours under `sandclock`. While a run is
//! not over its document has only the latter: a Go master finds runs by `jobName`, and so never shows half
//! of one.

use mongodb::bson::{Document, doc};
use mongodb::error::{CommandError, ErrorKind as Driver};
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

/// The name under which opening fails.
pub(crate) const OPEN: &str = "mongo.open";

/// Chunks of output.
pub(crate) const OUTPUT: &str = "output";

/// The outbox.
pub(crate) const ALERTS: &str = "alerts";

/// When alerts were last sent.
pub(crate) const PACE: &str = "alert_pace";

/// The plugins.
pub(crate) const PLUGINS: &str = "plugins";

/// The recordings of plugin calls.
pub(crate) const RECORDINGS: &str = "recordings";

/// The audit trail.
pub(crate) const AUDIT: &str = "audit";

/// What plugins keep.
pub(crate) const VALUES: &str = "plugin_values";

/// The GridFS bucket of their modules, and its collections.
pub(crate) const MODULES: &str = "plugin_modules";
pub(crate) const FILES: &str = "plugin_modules.files";
pub(crate) const CHUNKS: &str = "plugin_modules.chunks";

/// The collections beside the runs.
pub(crate) const BESIDE: [&str; 9] = [
    OUTPUT, ALERTS, PACE, PLUGINS, RECORDINGS, AUDIT, VALUES, FILES, CHUNKS,
];

/// The oldest server, by major and minor version: the driver speaks to no older one.
pub(crate) const OLDEST: (i32, i32) = (4, 4);

/// Members of a run's document below `sandclock`, as paths.
pub(crate) mod run {
    /// The run's id. Its presence says that the document is ours.
    pub(crate) const ID: &str = "sandclock.run";
    /// The job's name, while the document has no `jobName`.
    pub(crate) const JOB: &str = "sandclock.job";
    /// The state's name.
    pub(crate) const STATE: &str = "sandclock.state";
    /// The fence of the last holder.
    pub(crate) const FENCE: &str = "sandclock.fence";
    /// When the run ended, or began while it is not over: what time filters compare. Unix milliseconds.
    pub(crate) const AT: &str = "sandclock.at";
    /// When the last attempt began. Unix milliseconds.
    pub(crate) const BEGAN: &str = "sandclock.began";
    /// Whether the run is over; nothing changes it then (S8). The output that a Go master shows is no part of it:
    /// that is a copy of chunks, which may come late.
    pub(crate) const OVER: &str = "sandclock.over";
    /// The last attempt, once the run is over.
    pub(crate) const ATTEMPT: &str = "sandclock.record.attempt";
}

/// Members of an alert.
pub(crate) mod alert {
    /// The alert's id.
    pub(crate) const ID: &str = "alert";
    /// Its target and dedupe key while it takes further alerts in.
    pub(crate) const SLOT: &str = "slot";
    /// The ids of the last alerts that were folded into it.
    pub(crate) const FOLDS: &str = "folds";
    /// The state's name.
    pub(crate) const STATE: &str = "state";
    /// The run it is about.
    pub(crate) const RUN: &str = "run";
    /// Its job.
    pub(crate) const JOB: &str = "job";
    /// The ids of the others in its message, once that is closed.
    pub(crate) const PARTS: &str = "parts";
    /// What it became part of, or what goes in its place.
    pub(crate) const PART_OF: &str = "partOf";
}

/// Members of a plugin.
pub(crate) mod plugin {
    /// Its name.
    pub(crate) const NAME: &str = "plugin";
    /// Its releases, in the order in which they were pushed.
    pub(crate) const RELEASES: &str = "releases";
    /// One of them, as a path; missing if there is none.
    pub(crate) const FIRST_RELEASE: &str = "releases.0";
    /// A release's version, as a path.
    pub(crate) const VERSION: &str = "releases.version";
    /// A release's digest, as a path.
    pub(crate) const DIGEST: &str = "releases.digest";
    /// A release's file in GridFS, as a path.
    pub(crate) const FILE: &str = "releases.file";
    /// The version that serves; null or missing if none does.
    pub(crate) const SERVING: &str = "serving";
    /// The version that served before.
    pub(crate) const BEFORE: &str = "before";
    /// The version that is only asked; missing if none is.
    pub(crate) const SHADOW: &str = "shadow";
    /// What becomes of its answers; missing if they apply.
    pub(crate) const MODE: &str = "mode";
}

/// Members of a recording.
pub(crate) mod recording {
    /// Its id.
    pub(crate) const ID: &str = "recording";
    /// The plugin.
    pub(crate) const PLUGIN: &str = "plugin";
    /// The run that the plugin was asked about.
    pub(crate) const RUN: &str = "run";
}

/// Members of an entry of the audit trail.
pub(crate) mod audit {
    /// When it was admitted. Unix milliseconds.
    pub(crate) const AT: &str = "at";
    /// Who asked.
    pub(crate) const WHO: &str = "who";
    /// The operation.
    pub(crate) const ACTION: &str = "action";
    /// What it was about.
    pub(crate) const SUBJECT: &str = "subject";
    /// Whether it is known what came of it.
    pub(crate) const OVER: &str = "over";
    /// All of it, in its stored form.
    pub(crate) const BODY: &str = "entry";
}

/// An index of a collection.
pub(crate) struct Index {
    keys: Document,
    unique: bool,
    /// Only documents that have this member.
    only_with: Option<&'static str>,
}

fn index(keys: Document) -> Index {
    Index {
        keys,
        unique: false,
        only_with: None,
    }
}

impl Index {
    fn unique(self) -> Self {
        Self {
            unique: true,
            ..self
        }
    }

    fn only_with(self, member: &'static str) -> Self {
        Self {
            only_with: Some(member),
            ..self
        }
    }

    pub(crate) fn model(self) -> IndexModel {
        let mut options = IndexOptions::default();
        options.unique = self.unique.then_some(true);
        options.partial_filter_expression =
            (self.only_with).map(|member| doc! { member: { "$exists": true } });
        IndexModel::builder()
            .keys(self.keys)
            .options(options)
            .build()
    }
}

/// Each list is answered by an index in the order of the places. Documents of others have no state of
/// ours, so that the index on it finds them too.
fn runs() -> [Index; 6] {
    [
        index(doc! { run::ID: 1 }).unique().only_with(run::ID),
        index(doc! { run::JOB: 1, "_id": -1 }).only_with(run::JOB),
        index(doc! { "jobName": 1, "_id": -1 }),
        index(doc! { run::STATE: 1, "_id": -1 }),
        index(doc! { run::AT: 1 }).only_with(run::AT),
        // The query of a Go master's page, which sorts in memory without it.
        index(doc! { "jobName": 1, "startTime": -1 }),
    ]
}

fn alerts() -> [Index; 8] {
    [
        index(doc! { alert::ID: 1 }).unique(),
        index(doc! { alert::SLOT: 1 })
            .unique()
            .only_with(alert::SLOT),
        index(doc! { alert::FOLDS: 1 }).only_with(alert::FOLDS),
        index(doc! { alert::STATE: 1, "_id": -1 }),
        index(doc! { "target": 1, "key": 1, alert::STATE: 1, "_id": 1 }).only_with("key"),
        index(doc! { alert::RUN: 1 }),
        index(doc! { alert::JOB: 1, "_id": -1 }),
        index(doc! { alert::PARTS: 1 }).only_with(alert::PARTS),
    ]
}

fn plugins() -> [Index; 2] {
    [
        index(doc! { plugin::NAME: 1 }).unique(),
        index(doc! { plugin::DIGEST: 1 }),
    ]
}

fn recordings() -> [Index; 3] {
    [
        index(doc! { recording::ID: 1 }).unique(),
        index(doc! { recording::PLUGIN: 1, "_id": -1 }),
        index(doc! { recording::RUN: 1, "_id": 1 }),
    ]
}

fn trail() -> [Index; 4] {
    [
        index(doc! { audit::AT: -1, "_id": -1 }),
        index(doc! { audit::WHO: 1, audit::AT: -1, "_id": -1 }),
        index(doc! { audit::ACTION: 1, audit::AT: -1, "_id": -1 }),
        index(doc! { audit::SUBJECT: 1, audit::AT: -1, "_id": -1 }),
    ]
}

/// The indexes that GridFS prescribes. The driver makes them with the first large file only.
fn files() -> Index {
    index(doc! { "filename": 1, "uploadDate": 1 })
}

fn chunks() -> Index {
    index(doc! { "files_id": 1, "n": 1 }).unique()
}

/// All of them, by collection; the runs are in `log`.
pub(crate) fn all(log: &str) -> [(&str, Vec<Index>); 7] {
    [
        (log, Vec::from(runs())),
        (ALERTS, Vec::from(alerts())),
        (PLUGINS, Vec::from(plugins())),
        (RECORDINGS, Vec::from(recordings())),
        (AUDIT, Vec::from(trail())),
        (FILES, vec![files()]),
        (CHUNKS, vec![chunks()]),
    ]
}

/// Makes the indexes that are missing. An index on the same keys that somebody else made under another
/// name serves as well, unless it must be unique.
pub(crate) async fn create_indexes(db: &Database, log: &str) -> mongodb::error::Result<()> {
    for (collection, indexes) in all(log) {
        let collection = db.collection::<Document>(collection);
        for index in indexes {
            let must_be_ours = index.unique;
            match collection.create_index(index.model()).await {
                Err(error) if !must_be_ours && is_there(&error) => {}
                made => drop(made?),
            }
        }
    }
    Ok(())
}

/// IndexOptionsConflict or IndexKeySpecsConflict.
fn is_there(error: &mongodb::error::Error) -> bool {
    let conflict = |command: &CommandError| matches!(command.code, 85 | 86);
    matches!(error.kind.as_ref(), Driver::Command(command) if conflict(command))
}

/// NamespaceNotFound: nothing was written to the collection yet.
pub(crate) fn is_no_collection(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), Driver::Command(command) if command.code == 26)
}
