//! Files that people write, in JSON, TOML or YAML, such as jobs, and where in them a job or a field stands.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use sandclock_hooks::ConfigSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::document::{self, FieldError, Lines};

/// A file as it was read.
#[derive(Debug)]
pub(super) struct Written {
    /// As it is named in messages.
    pub(super) shown: String,
    tree: Value,
    /// Not known of JSON.
    lines: Lines,
}

/// A job in a file.
#[derive(Debug)]
pub(super) struct JobInFile {
    pub(super) name: String,
    /// Where it stands, such as `jobs[2]`; empty for the only one.
    pub(super) path: String,
    pub(super) document: Value,
}

impl Written {
    /// All of it.
    pub(super) fn into_tree(self) -> Value {
        self.tree
    }

    /// Reads a file; `-` is JSON on standard input.
    ///
    /// # Errors
    /// If it cannot be read or is not what its ending says.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        let shown = if path.as_os_str() == "-" {
            let read = std::io::stdin().read_to_string(&mut text);
            read.context("read standard input")?;
            "standard input".to_owned()
        } else {
            let read = std::fs::read_to_string(path);
            text = read.with_context(|| format!("read {}", path.display()))?;
            path.display().to_string()
        };
        let ending = path.extension().and_then(OsStr::to_str);
        let parsed = match ending {
            Some("toml") => document::parse_toml(&text),
            Some("yaml" | "yml") => document::parse_yaml(&text),
            _ => document::parse_json(text.as_bytes()).map(|tree| (tree, Lines::default())),
        };
        let (tree, lines) = parsed.map_err(|error| match ending {
            Some("toml" | "yaml" | "yml" | "json") => anyhow!("{shown}: {error}"),
            _ => {
                anyhow!("{shown} is read as JSON, because its name does not end in .toml, .yaml or .yml: {error}")
            }
        })?;
        Ok(Self { shown, tree, lines })
    }

    /// All of it as one value.
    ///
    /// # Errors
    /// Names the line and the field that is not accepted.
    pub(super) fn whole<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        document::read(&self.tree).map_err(|error| self.refused(error))
    }

    /// All of it as the schema of a plugin's configuration.
    ///
    /// # Errors
    /// Names the file and the keyword that is not accepted.
    pub(super) fn schema(&self) -> anyhow::Result<ConfigSchema> {
        ConfigSchema::new(self.tree.clone()).map_err(|why| anyhow!("{}: {why}", self.shown))
    }

    /// Takes a member out; null if it is not there.
    pub(super) fn take(&mut self, member: &str) -> Value {
        let members = self.tree.as_object_mut();
        members
            .and_then(|members| members.shift_remove(member))
            .unwrap_or_default()
    }

    /// Its jobs.
    ///
    /// # Errors
    /// If it holds something else, a job without a name, or a name twice.
    pub(super) fn jobs(&self) -> anyhow::Result<Vec<JobInFile>> {
        let jobs = match self.tree.get("jobs") {
            Some(Value::Array(jobs)) => {
                let others = self.tree.as_object().into_iter().flatten();
                if let Some((name, value)) = others.clone().find(|(name, _)| *name != "jobs") {
                    let accepted =
                        "only 'jobs', the list of jobs; a job's fields stand in its item";
                    return Err(self.refused(FieldError::new(name, value, accepted)));
                }
                let item = |(at, job)| (format!("jobs[{at}]"), job);
                jobs.iter().enumerate().map(item).collect()
            }
            Some(jobs) => {
                let error = FieldError::new("jobs", jobs, "a list of jobs");
                return Err(self.refused(error));
            }
            None => vec![(String::new(), &self.tree)],
        };
        let jobs = jobs.into_iter().map(|(path, job)| self.job(path, job));
        let jobs: Vec<_> = jobs.collect::<anyhow::Result<_>>()?;
        let mut places = BTreeMap::new();
        for job in &jobs {
            if let Some(first) = places.insert(&job.name, &job.path) {
                let line = self.lines.of(&field(first, Some("name")));
                let line = line
                    .map(|line| format!(" in line {line}"))
                    .unwrap_or_default();
                let accepted = format!("each name once; {first}{line} has it, too");
                let field = field(&job.path, Some("name"));
                return Err(self.refused(FieldError::new(field, &job.name, accepted)));
            }
        }
        Ok(jobs)
    }

    fn job(&self, path: String, job: &Value) -> anyhow::Result<JobInFile> {
        let field = field(&path, Some("name"));
        match &job["name"] {
            Value::String(name) => Ok(JobInFile {
                name: name.clone(),
                path,
                document: job.clone(),
            }),
            Value::Null => Err(self.refused(FieldError::new(
                field,
                "nothing",
                "every job in a file has a name",
            ))),
            other => Err(self.refused(FieldError::new(field, other, "text"))),
        }
    }

    /// A field's fault with the line on which it stands.
    pub(super) fn refused(&self, error: FieldError) -> anyhow::Error {
        anyhow!("{}: {error}", self.place("", Some(&error.field)))
    }

    /// Where a field of the job at `path` stands, or the job.
    pub(super) fn place(&self, path: &str, name: Option<&str>) -> String {
        match self.lines.of(&field(path, name)) {
            Some(line) => format!("{}, line {line}", self.shown),
            None => self.shown.clone(),
        }
    }
}

fn field(path: &str, name: Option<&str>) -> String {
    let parts = [Some(path).filter(|path| !path.is_empty()), name];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}
