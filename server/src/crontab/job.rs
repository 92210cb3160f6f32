//! The job that does what a line of a crontab did, as a document for the API. Whatever cron does by itself and a job
//! does only when told stands in it: the shell, the few variables, runs side by side, no run that comes late, and
//! processes that may stay behind.

use serde_json::{Value, json};

use super::{Entry, PATH, SHELL, command};

/// The label that says which crontab a job comes from. An import replaces only jobs of its own.
pub const SOURCE: &str = "source";

/// Where entries come from and what holds for all of them.
#[derive(Debug)]
pub struct Origin<'a> {
    /// The host whose file it is: the one on which the import runs.
    pub host: &'a str,
    /// The file's whole path without links; `-` for standard input.
    pub file: &'a str,
    /// What the jobs' names begin with, which tells crontabs apart that were brought here from other hosts.
    pub prefix: Option<&'a str>,
    /// The zone of lines without `CRON_TZ`.
    pub time_zone: &'a str,
    /// The user of lines that name none; the worker's own without one.
    pub user: Option<&'a str>,
}

impl Origin<'_> {
    /// The value of the label [`SOURCE`]: another one for another host, file, user or prefix.
    pub fn source(&self) -> String {
        let mut source = format!("crontab:{}:{}", self.host, self.file);
        for (what, value) in [("user", self.user), ("prefix", self.prefix)] {
            if let Some(value) = value {
                source.push_str(&format!(" {what}={value}"));
            }
        }
        source
    }
}

/// The job of an entry.
pub fn job(entry: &Entry, name: &str, origin: &Origin<'_>) -> Value {
    let mut env = entry.env.clone();
    env.entry("PATH".to_owned())
        .or_insert_with(|| PATH.to_owned());
    let shell = env
        .entry("SHELL".to_owned())
        .or_insert_with(|| SHELL.to_owned());
    let shell = json!([shell, "-c"]);
    let mut job = json!({
        "name": name,
        "labels": { SOURCE: origin.source() },
        "schedule": entry.schedule,
        "time_zone": entry.time_zone.as_deref().unwrap_or(origin.time_zone),
        "dst": "vixie",
        "command": command::with_input(&entry.command, &entry.stdin),
        "shell": shell,
        "env": env,
        "concurrency": "allow",
        "misfire": { "policy": "skip" },
        "leftovers": "keep",
    });
    let others = [
        // Cron starts commands in the folder that HOME names.
        ("workdir", entry.env.get("HOME").map(String::as_str)),
        ("user", entry.user.as_deref().or(origin.user)),
    ];
    let given = others
        .into_iter()
        .filter_map(|(member, value)| Some((member.to_owned(), value?.into())));
    if let Some(members) = job.as_object_mut() {
        members.extend(given);
    }
    job
}
