//! `sandclock doctor`: what is wrong with a host and its stores, and what to do about it, from the configuration alone.
//!
//! Each concern has a file, in which gathering (which has a limit of time, and changes nothing) is apart from judging, which
//! is a function of what was gathered.
//!
//! - [`settings`]: the configuration, and the files that it names.
//! - [`disk`]: the data directory and the room in it; [`mod@file`]: the embedded store.
//! - [`etcd`], [`fleet`]: the cluster, and what the fleet has written there; [`mongodb`]: the run log, and its clock.
//! - [`host`]: control groups, users, the time zone.

mod disk;
mod etcd;
mod file;
mod fleet;
mod host;
mod mongodb;
mod settings;

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::{Config, CoordinationSection, RunLogSection};
use crate::folders;

pub(crate) use settings::{of_fits, of_readers};

/// How long a concern may take.
const LIMIT: Duration = Duration::from_secs(20);

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was found.
    pub(crate) finding: String,
    /// What to do about it, unless nothing is wrong.
    pub(crate) remedy: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, and may not go on to, or not as well as it could.
    Warning,
    /// Something does not work.
    Failed,
}

impl State {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Check {
    fn ok(name: &'static str, finding: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            finding: finding.into(),
            remedy: None,
        }
    }

    fn warning(name: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Warning,
            remedy: Some(remedy.into()),
            ..Self::ok(name, finding)
        }
    }

    /// A failure; an empty remedy is none.
    pub(crate) fn failed(
        name: &'static str,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Failed,
            remedy: Some(remedy.into()).filter(|remedy| !remedy.is_empty()),
            ..Self::ok(name, finding)
        }
    }
}

/// A concern that is being looked into.
type Concern<'a> = Pin<Box<dyn Future<Output = Vec<Check>> + 'a>>;

/// Looks into everything that this configuration names, and at this host. All at once, in the order in which it is told.
pub(crate) async fn examine(config: &Config) -> Vec<Check> {
    let files = crate::wire::check_files(config);
    let mut all = vec![settings::of_files(&files)];
    let mut concerns: Vec<Concern<'_>> = Vec::new();
    let data = match folders::data(None, config) {
        Ok(data) => data,
        Err(error) => {
            all.push(Check::failed("data directory", format!("{error:#}"), ""));
            return all;
        }
    };
    let needed = match config.run_log {
        RunLogSection::Mongodb(_) => config.worker.spool_max_bytes,
        RunLogSection::Embedded {} => 0,
    };
    let (folder, here) = (data.clone(), disk::NAME);
    concerns.push(in_time(
        here,
        aside(here, move || disk::examine(&folder, needed)),
    ));
    match &config.coordination {
        CoordinationSection::Embedded {} => {
            let look = aside(file::NAME, move || file::examine(&data));
            concerns.push(Box::pin(async move {
                let looked = timeout(LIMIT, look).await;
                looked.unwrap_or_else(|_| vec![file::unread(LIMIT)])
            }));
        }
        CoordinationSection::Etcd(section) => {
            concerns.push(in_time(etcd::NAME, etcd::examine(section, config)));
            concerns.push(in_time(fleet::NAME, fleet::examine(section, config)));
        }
    }
    if let RunLogSection::Mongodb(section) = &config.run_log {
        concerns.push(in_time(mongodb::NAME, mongodb::examine(section)));
    }
    let groups = || vec![host::groups()];
    concerns.push(in_time(host::GROUPS, aside(host::GROUPS, groups)));
    all.extend(join_all(concerns).await.into_iter().flatten());
    if let CoordinationSection::Embedded {} = config.coordination {
        // Its jobs are read by the process that has it.
        all.push(host::users(None));
    }
    all.push(host::zone(config));
    all
}

/// The same, given up after [`LIMIT`].
fn in_time<'a>(name: &'static str, look: impl Future<Output = Vec<Check>> + 'a) -> Concern<'a> {
    Box::pin(async move {
        let looked = timeout(LIMIT, look).await;
        looked.unwrap_or_else(|_| {
            let finding = format!("no answer within {} s", LIMIT.as_secs());
            let remedy = "see whether it hangs, or what is between it and this host";
            vec![Check::failed(name, finding, remedy)]
        })
    })
}

/// What blocks, on a thread that nobody has to wait for.
async fn aside(
    name: &'static str,
    look: impl FnOnce() -> Vec<Check> + Send + 'static,
) -> Vec<Check> {
    let looked = spawn_blocking(look).await;
    looked.unwrap_or_else(|error| vec![Check::failed(name, error.to_string(), "")])
}
