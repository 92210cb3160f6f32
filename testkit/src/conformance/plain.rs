//! What stores hold and answer, without what each counts in its own way: versions, fences, session ids.

use std::fmt::Debug;

use sandclock_core::backend::{
    DoneRecord, FireView, Mark, OpenRecord, OpenState, Result, Versioned, WaitRecord,
};

/// What a run's record is, whoever stores it.
pub(super) fn plain_open(open: &OpenRecord) -> String {
    let state = match &open.state {
        OpenState::Claimed { worker, nonce, .. } => format!("claimed by {worker} with {nonce:?}"),
        OpenState::Waiting {
            not_before,
            exclude,
        } => format!("waits until {not_before}, not for {exclude:?}"),
    };
    let OpenRecord {
        job,
        key,
        attempt,
        reruns,
        pinned,
        cause,
        ..
    } = open;
    let definition = &pinned.job.description;
    format!("open {job} {key} {state} {attempt} {reruns} {definition} {cause}")
}

pub(super) fn plain_done(done: &DoneRecord) -> String {
    let definition = done.pinned.as_ref().map(|pinned| &pinned.job.description);
    let held = done.fence > 0;
    let DoneRecord {
        job, key, attempts, ..
    } = done;
    let streaks = (done.streak_before, done.streak);
    let (span, outcome, worker) = (done.span, &done.outcome, &done.worker);
    format!(
        "done {job} {key} {span:?} {outcome:?} {attempts} {held} {worker} {streaks:?} {definition:?}"
    )
}

pub(super) fn plain_view(view: &FireView) -> Vec<String> {
    let mark = |(job, mark): &(_, Versioned<Mark>)| format!("mark {job} {:?}", mark.value);
    let wait = |wait: &Versioned<WaitRecord>| format!("wait {:?}", wait.value);
    let mut marks: Vec<_> = view.marks.iter().map(mark).collect();
    let mut open: Vec<_> = view.open.iter().map(|o| plain_open(&o.value)).collect();
    let mut done: Vec<_> = view.done.iter().map(|d| plain_done(&d.value)).collect();
    for list in [&mut marks, &mut open, &mut done] {
        list.sort();
    }
    let waits = view.wait.iter().map(wait);
    marks
        .into_iter()
        .chain(open)
        .chain(waits)
        .chain(done)
        .collect()
}

pub(super) fn answer<T>(result: Result<T>, plain: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|error| format!("error {:?}", error.kind), plain)
}

pub(super) fn plain<T: Debug>(value: T) -> String {
    format!("{value:?}")
}
