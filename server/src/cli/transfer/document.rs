//! The form of an exported document, and what can be said of one without a server.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandclock_core::backend::{ModuleDigest, PluginMode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::{self, FieldError};

/// The form of the document that this program writes, and the newest one that it reads. Those of form 1 have jobs only.
pub(super) const FORM: u32 = 2;

/// The document. What another member rests on stands before it, but for the modules, which nobody reads.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// [`FORM`].
    pub(super) sandclock_export: u32,
    /// Those that were pushed, by name.
    #[serde(default)]
    pub(super) plugins: Vec<PluginDoc>,
    /// As `GET /bindings/{name}` shows them, without what the server fills in; in the order in which they are asked.
    #[serde(default)]
    pub(super) bindings: Vec<Value>,
    /// As `GET /jobs/{name}` shows them, without what the server fills in; by name.
    pub(super) jobs: Vec<Value>,
    /// The releases' files in base64, by their SHA-256.
    #[serde(default)]
    pub(super) modules: BTreeMap<String, String>,
}

impl Document {
    /// How much it has, in words.
    pub(super) fn counted(&self) -> String {
        let (jobs, bindings) = (self.jobs.len(), self.bindings.len());
        let plugins = self.plugins.len();
        format!("{jobs} jobs, {bindings} bindings and {plugins} plugins")
    }
}

/// A plugin, as its operators decided on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginDoc {
    /// Its name.
    pub(super) name: String,
    /// The version that serves.
    pub(super) serving: Option<String>,
    /// The version that served before, for going back.
    pub(super) before: Option<String>,
    /// The version that is asked beside it.
    pub(super) shadow: Option<String>,
    /// What becomes of its answers.
    #[serde(default)]
    pub(super) mode: ModeDoc,
    /// All of them, the last pushed first.
    pub(super) releases: Vec<ReleaseDoc>,
}

/// What becomes of a plugin's answers: those of [`PluginMode`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub(super) struct ModeDoc(pub(super) PluginMode);

impl From<ModeDoc> for &'static str {
    fn from(mode: ModeDoc) -> Self {
        mode.0.as_str()
    }
}

impl TryFrom<String> for ModeDoc {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        PluginMode::parse(&text)
            .map(Self)
            .ok_or("monitor or enforce")
    }
}

/// A release. Who pushed it, and when, is of the store that it was pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseDoc {
    /// What people call it.
    pub(super) version: String,
    /// Of its file.
    pub(super) sha256: String,
}

impl PluginDoc {
    /// The release of this version.
    pub(super) fn release(&self, version: &str) -> Option<&ReleaseDoc> {
        let mut releases = self.releases.iter();
        releases.find(|release| release.version == version)
    }

    /// The members that name a release.
    pub(super) fn named(&self) -> [(&'static str, &Option<String>); 3] {
        [
            ("serving", &self.serving),
            ("before", &self.before),
            ("shadow", &self.shadow),
        ]
    }
}

/// Reads a document.
///
/// # Errors
/// Names the field.
pub(super) fn parse(text: &[u8]) -> Result<Document, FieldError> {
    of(&document::parse_json(text)?)
}

/// The same of a tree.
///
/// # Errors
/// As [`parse`].
pub(super) fn of(tree: &Value) -> Result<Document, FieldError> {
    // The form first: what a newer program wrote is not this program's to judge.
    if let Some(form) = tree["sandclock_export"]
        .as_u64()
        .filter(|form| !(1..=u64::from(FORM)).contains(form))
    {
        let accepted = format!(
            "1 to {FORM} are the forms that this version reads; a newer version may read this one"
        );
        return Err(FieldError::new("sandclock_export", form, accepted));
    }
    let document: Document = document::read(tree)?;
    names_once("jobs", "the job's name", &document.jobs)?;
    names_once("bindings", "the binding's name", &document.bindings)?;
    check_plugins(&document)?;
    check_modules(&document)?;
    Ok(document)
}

fn names_once(list: &str, what: &str, documents: &[Value]) -> Result<(), FieldError> {
    let mut names = BTreeSet::new();
    for (at, document) in documents.iter().enumerate() {
        let field = || format!("{list}[{at}].name");
        let name = document["name"].as_str();
        let name = name.ok_or_else(|| FieldError::new(field(), &document["name"], what))?;
        if !names.insert(name) {
            return Err(FieldError::new(field(), name, "each name once"));
        }
    }
    Ok(())
}

fn check_plugins(document: &Document) -> Result<(), FieldError> {
    let mut names = BTreeSet::new();
    for (at, plugin) in document.plugins.iter().enumerate() {
        let place = format!("plugins[{at}]");
        if !names.insert(&plugin.name) {
            let field = format!("{place}.name");
            return Err(FieldError::new(field, &plugin.name, "each name once"));
        }
        if plugin.releases.is_empty() {
            let field = format!("{place}.releases");
            return Err(FieldError::new(field, "[]", "at least one release"));
        }
        let mut versions = BTreeSet::new();
        for (at, ReleaseDoc { version, sha256 }) in plugin.releases.iter().enumerate() {
            let field = |member| format!("{place}.releases[{at}].{member}");
            if !versions.insert(version.as_str()) {
                return Err(FieldError::new(
                    field("version"),
                    version,
                    "each version once",
                ));
            }
            if !document.modules.contains_key(sha256) {
                let accepted = "the SHA-256 of one of the document's modules: export it again";
                return Err(FieldError::new(field("sha256"), sha256, accepted));
            }
        }
        for (member, version) in plugin.named() {
            if let Some(version) = version
                .as_ref()
                .filter(|it| !versions.contains(it.as_str()))
            {
                let accepted = "the version of one of its releases";
                return Err(FieldError::new(
                    format!("{place}.{member}"),
                    version,
                    accepted,
                ));
            }
        }
    }
    Ok(())
}

/// Every module is what it was when it was exported, and somebody has it.
fn check_modules(document: &Document) -> Result<(), FieldError> {
    for (sha256, text) in &document.modules {
        let refused = |value: String, accepted: String| {
            Err(FieldError::new(
                format!("modules.{sha256}"),
                value,
                accepted,
            ))
        };
        let module = match STANDARD.decode(text) {
            Ok(module) => module,
            Err(error) => {
                let accepted = format!("the file in base64: export it again; {error}");
                return refused("this text".to_owned(), accepted);
            }
        };
        let found = ModuleDigest::of(&module);
        if found.as_str() != sha256 {
            let accepted = "the file of the digest that it stands under: it was changed since the export, so export \
                            it again";
            return refused(format!("a file of digest {found}"), accepted.to_owned());
        }
        let has = |release: &ReleaseDoc| release.sha256 == *sha256;
        let mut plugins = document.plugins.iter();
        if !plugins.any(|plugin| plugin.releases.iter().any(has)) {
            let accepted = "the file of a release of the document: leave it out".to_owned();
            return refused("a file of no release".to_owned(), accepted);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_export_is_refused_with_the_field() {
        let cases = [
            ("[]", "(the document)"),
            ("{\"jobs\": []}", "sandclock_export: "),
            (
                "{\"sandclock_export\": 3, \"jobs\": 3, \"x\": 1}",
                "sandclock_export: 3 is not accepted: 1 to 2 are",
            ),
            ("{\"sandclock_export\": 1}", "jobs: "),
            (
                "{\"sandclock_export\": 2, \"jobs\": [], \"tokens\": []}",
                "tokens: ",
            ),
            (
                "{\"sandclock_export\": 1, \"jobs\": [{}]}",
                "jobs[0].name: null",
            ),
            (
                "{\"sandclock_export\": 1, \"jobs\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}",
                "jobs[1].name: a is not accepted: each name once",
            ),
            (
                "{\"sandclock_export\": 2, \"jobs\": [], \"bindings\": [{\"plugin\": \"a\"}]}",
                "bindings[0].name: null",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    /// A document of one plugin with two releases of one module.
    fn with_plugin() -> Value {
        let sha256 = ModuleDigest::of(b"module").to_string();
        json!({
            "sandclock_export": 2, "jobs": [], "modules": { &*sha256: STANDARD.encode("module") },
            "plugins": [{
                "name": "p", "serving": "2", "before": "1", "shadow": null,
                "mode": "monitor",
                "releases": [{ "version": "2", "sha256": sha256 }, { "version": "1", "sha256": sha256 }],
            }],
        })
    }

    #[test]
    fn a_plugin_that_does_not_hold_together_is_refused_with_the_field() {
        let read = |document: &Value| parse(document.to_string().as_bytes());
        assert_eq!(read(&with_plugin()).unwrap().plugins[0].releases.len(), 2);
        let sha256 = ModuleDigest::of(b"module").to_string();
        let module = format!("modules.{sha256}: ");
        let cases: [(&str, Value, &str); 10] = [
            (
                "/plugins/0/mode",
                json!("off"),
                "plugins[0].mode: \"off\" is not accepted: monitor or enforce",
            ),
            ("/plugins/0/serving", json!("3"), "plugins[0].serving: 3"),
            ("/plugins/0/before", json!("3"), "plugins[0].before: 3"),
            ("/plugins/0/shadow", json!("3"), "plugins[0].shadow: 3"),
            ("/plugins/0/releases", json!([]), "plugins[0].releases: [] "),
            (
                "/plugins/0/releases/1/version",
                json!("2"),
                "plugins[0].releases[1].version: 2",
            ),
            (
                "/plugins/0/releases/1/sha256",
                json!("00"),
                "plugins[0].releases[1].sha256: 00",
            ),
            (
                "/plugins/0/releases/1",
                json!({ "version": "1", "sha256": sha256, "mode": "x" }),
                "plugins[0].releases[1].mode: ",
            ),
            ("/modules", json!({ &*sha256: "*" }), &module),
            (
                "/modules",
                json!({ &*sha256: STANDARD.encode("Module") }),
                &module,
            ),
        ];
        for (place, value, expected) in cases {
            let mut document = with_plugin();
            *document.pointer_mut(place).unwrap() = value;
            let error = read(&document).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{place}: {error}");
        }
        let mut document = with_plugin();
        document["modules"][ModuleDigest::of(b"x").as_str()] = json!(STANDARD.encode("x"));
        let error = read(&document).unwrap_err().to_string();
        assert!(error.contains("a file of no release"), "{error}");
    }
}
