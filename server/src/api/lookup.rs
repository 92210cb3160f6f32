//! Finding runs: what the run log has, and over it what the store knows of runs in progress.
//!
//! The store is always read before the log's last word. A run leaves the store only when the log has its end,
//! so that no run is missed between the two. While the store is away the log still knows the runs that have ended.

use futures_util::StreamExt as _;
use futures_util::stream;
use sandclock_core::backend::{InProgress, Page, PageToken, RunFilter, RunRecord, Version};
use sandclock_core::run::RunId;

use super::Api;
use super::input::{CURSOR, unreadable};
use super::problem::Problem;
use crate::document::FieldError;

/// How many runs are looked up in the run log at the same time.
const AT_ONCE: usize = 16;

/// Whether both the store and the log were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// They were.
    Yes,
    /// The store did not answer: what has not ended is not known.
    No,
}

/// One run, or 404; while the store is away, what the log has of it.
pub async fn find(api: &Api, id: &RunId) -> Result<RunRecord, Problem> {
    Ok(look(api, id).await?.0)
}

/// The same, and whether that is all.
pub async fn look(api: &Api, id: &RunId) -> Result<(RunRecord, Whole), Problem> {
    let unknown = || Problem::not_found(format!("there is no run {id}"));
    let log = match api.records.runs.get(id).await? {
        Some(log) if log.state.is_terminal() => return Ok((log, Whole::Yes)),
        log => log,
    };
    let view = match (api.coordination.feed.snapshot().await, log) {
        (Ok((view, _)), _) => view,
        (Err(error), Some(log)) if error.is_transient() => return Ok((log, Whole::No)),
        (Err(error), _) => return Err(error.into()),
    };
    let log = api.records.runs.get(id).await?;
    let run = InProgress::of(view).join(id, log).ok_or_else(unknown)?;
    Ok((run, Whole::Yes))
}

/// Where a list continues.
#[derive(Debug)]
enum Place {
    /// Among the runs that the log does not list: before this version of their records.
    Store(Version),
    /// In the log.
    Log(PageToken),
}

impl Place {
    fn parse(text: &str) -> Result<Self, FieldError> {
        let version = |text: &str| {
            text.parse()
                .ok()
                .map(|version| Self::Store(Version(version)))
        };
        match text.split_once('-') {
            Some(("store", rest)) => version(rest),
            Some(("log", rest)) => Some(Self::Log(PageToken(rest.to_owned()))),
            _ => None,
        }
        .ok_or_else(|| FieldError::new("cursor", text, CURSOR))
    }

    fn text(&self) -> PageToken {
        PageToken(match self {
            Self::Store(version) => format!("store-{}", version.0),
            Self::Log(token) => format!("log-{}", token.0),
        })
    }
}

/// A part of the list, newest first: runs that the log does not list yet, then the log's, each as it is now.
/// One that was listed while it waited may come again where the log lists it. While the store is away, those that
/// have ended.
pub async fn page(
    api: &Api,
    filter: &RunFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<(Page<RunRecord>, Whole), Problem> {
    let (stored, whole) = match api.coordination.feed.snapshot().await {
        Ok((view, _)) => (InProgress::of(view), Whole::Yes),
        Err(error) if error.is_transient() => (InProgress::default(), Whole::No),
        Err(error) => return Err(error.into()),
    };
    let (mut items, token) = match cursor.map(Place::parse).transpose()? {
        Some(Place::Log(token)) => (Vec::new(), Some(token)),
        place => {
            let before = match place {
                Some(Place::Store(version)) => version,
                _ => Version(u64::MAX),
            };
            let found = unlisted(api, &stored, filter, before, limit).await?;
            if let (Some((version, _)), true) = (found.last(), found.len() >= limit as usize) {
                let next = Some(Place::Store(*version).text());
                let items = found.into_iter().map(|(_, run)| run).collect();
                return Ok((Page { items, next }, whole));
            }
            (found.into_iter().map(|(_, run)| run).collect(), None)
        }
    };
    let left = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
    let page = api.records.runs.list(filter, token.as_ref(), left).await;
    let page = page.map_err(|error| unreadable(cursor, error))?;
    let twice = |run: &RunRecord| items.iter().any(|item: &RunRecord| item.id == run.id);
    let logged: Vec<_> = page
        .items
        .into_iter()
        .filter(|run| !twice(run) && (whole == Whole::Yes || run.state.is_terminal()))
        .filter_map(|run| stored.join(&run.id.clone(), Some(run)))
        .filter(|run| filter.admits(run))
        .collect();
    items.extend(logged);
    let next = page.next.map(|token| Place::Log(token).text());
    Ok((Page { items, next }, whole))
}

/// The runs that the filter admits as they are, and that the log does not list under it.
async fn unlisted(
    api: &Api,
    stored: &InProgress,
    filter: &RunFilter,
    before: Version,
    limit: u32,
) -> Result<Vec<(Version, RunRecord)>, Problem> {
    let mut candidates = stored.newest(before);
    // What the log has of a run changes neither its job nor, unless it has its end, its state.
    candidates.retain(|(_, run)| {
        stored.join(run, None).is_some_and(|run| {
            filter.wants(&run.job)
                && (filter.states.is_empty() || filter.states.contains(&run.state))
        })
    });
    let lookups = candidates.into_iter().map(|(version, run)| async move {
        let log = api.records.runs.get(&run).await?;
        let listed = log
            .as_ref()
            .is_some_and(|log| log.state.is_terminal() || filter.admits(log));
        let run = stored.join(&run, log).filter(|run| filter.admits(run));
        Ok::<_, Problem>(run.filter(|_| !listed).map(|run| (version, run)))
    });
    let mut found = stream::iter(lookups).buffered(AT_ONCE);
    let mut runs = Vec::new();
    while let Some(run) = found.next().await {
        runs.extend(run?);
        if runs.len() >= limit as usize {
            break;
        }
    }
    Ok(runs)
}
