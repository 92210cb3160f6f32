//! The document of an alert.

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, RawDocument, doc};
use sandclock_core::backend::{Alert, AlertId, AlertKind, AlertState};
use sandclock_core::job::JobName;
use sandclock_core::ports::AlertDraft;
use sandclock_core::run::RunId;
use sandclock_core::time::Timestamp;

use crate::schema::alert::{ID, PART_OF, PARTS, RUN, SLOT, STATE};

/// A new alert, due at once.
pub(crate) fn document(alert: &Alert) -> Document {
    let draft = &alert.draft;
    let headers = draft.headers.iter();
    let headers: Vec<Bson> = headers
        .map(|(name, value)| doc! { "name": name, "value": value }.into())
        .collect();
    let mut document = doc! {
        ID: &alert.id.0,
        RUN: alert.run.as_str(),
        "job": alert.job.as_str(),
        "plugin": &draft.plugin,
        "index": i64::from(draft.index),
        "target": &draft.target,
        "contentType": &draft.content_type,
        "headers": headers,
        "body": Binary { subtype: BinarySubtype::Generic, bytes: draft.body.to_vec() },
        STATE: alert.state.as_str(),
        "tries": i64::from(alert.tries),
        "lastError": alert.last_error.as_deref(),
        "createdAt": alert.created_at.as_millis(),
        "folded": i64::from(alert.folded),
        "due": DateTime::from_millis(0),
    };
    if alert.kind != AlertKind::Raised {
        document.insert("kind", alert.kind.as_str());
    }
    if alert.failures > 0 {
        document.insert("failures", i64::from(alert.failures));
    }
    if let Some(key) = &draft.dedupe_key {
        document.insert("key", key);
        if alert.state == AlertState::Pending {
            document.insert(SLOT, doc! { "target": &draft.target, "key": key });
        }
    }
    document
}

/// The alert in a document; `None` if it cannot be read.
pub(crate) fn read(row: &RawDocument) -> Option<Alert> {
    let document = Document::try_from(row).ok()?;
    let text = |name: &str| document.get_str(name).ok();
    let count = |name: &str| u32::try_from(document.get_i64(name).ok()?).ok();
    let header = |header: &Bson| {
        let header = header.as_document()?;
        let part = |name: &str| Some(header.get_str(name).ok()?.to_owned());
        Some((part("name")?, part("value")?))
    };
    let headers = document.get_array("headers").ok()?.iter().map(header);
    // What an older program has not written.
    let kind = match document.get("kind") {
        None => AlertKind::Raised,
        Some(kind) => AlertKind::parse(kind.as_str()?)?,
    };
    Some(Alert {
        id: AlertId(text(ID)?.to_owned()),
        run: RunId::parse(text(RUN)?)?,
        job: JobName::existing(text("job")?),
        draft: AlertDraft {
            plugin: text("plugin")?.to_owned(),
            index: count("index")?,
            target: text("target")?.to_owned(),
            dedupe_key: text("key").map(str::to_owned),
            content_type: text("contentType")?.to_owned(),
            headers: headers.collect::<Option<_>>()?,
            body: document.get_binary_generic("body").ok()?.clone().into(),
        },
        state: AlertState::parse(text(STATE)?)?,
        tries: count("tries")?,
        last_error: text("lastError").map(str::to_owned),
        created_at: Timestamp::from_millis(document.get_i64("createdAt").ok()?),
        folded: count("folded")?,
        kind,
        failures: count("failures").unwrap_or_default(),
        waits: text("waits").map(str::to_owned),
        next_try: document.get_i64("nextTry").ok().map(Timestamp::from_millis),
        part_of: text(PART_OF).map(|id| AlertId(id.to_owned())),
        parts: document
            .get_array(PARTS)
            .map_or(0, Vec::len)
            .try_into()
            .ok()?,
    })
}
