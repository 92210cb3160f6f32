//! What a run's plugins decided: what is in its record of limits and redaction, and what alert plugins said of its end,
//! with what became of the alerts.
//!
//! A run's record is written before its end is told, so what alert plugins said comes from the recordings of their calls,
//! and their alerts from the outbox. A call that is not recorded is known by its alerts alone.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use sandclock_core::backend::{Alert, Recording, RunRecord};
use sandclock_core::time::Timestamp;
use sandclock_hooks::limits::DELIVERIES;
use sandclock_hooks::recording::Question;
use sandclock_hooks::{BUILT_IN, RecordedCall};
use serde_json::Value;

use super::Api;
use super::dto::decision::{DecisionDto, RaisedDto};
use super::dto::run::ListDto;
use super::input::{MAX_LIMIT, Run};
use super::lookup::find;
use super::problem::Problem;

/// What a run's plugins decided, in the order in which they were asked.
#[utoipa::path(
    get,
    path = "/runs/{id}/hooks",
    operation_id = "run.hooks",
    tag = "runs",
    params(Run),
    responses((status = 200, description = "The decisions", body = ListDto<DecisionDto>)),
)]
pub async fn of_run(
    State(api): State<Api>,
    Run(id): Run,
) -> Result<Json<ListDto<DecisionDto>>, Problem> {
    let run = find(&api, &id).await?;
    Ok(Json(ListDto::new(of(&api, &run).await?, None)))
}

/// The same of a run that is at hand.
///
/// # Errors
/// If the run log does not answer.
pub async fn of(api: &Api, run: &RunRecord) -> Result<Vec<DecisionDto>, Problem> {
    let recordings = api.records.recordings.of_run(&run.id).await?;
    let ends = ends(&recordings);
    let alerts = api.records.outbox.of_run(&run.id).await?;
    let folding = match ends.values().any(|call| may_be_folded(call, &alerts)) {
        true => api.records.outbox.list(None, None, MAX_LIMIT).await?.items,
        false => Vec::new(),
    };
    let notes = run.notes.iter().cloned();
    let mut items: Vec<_> = notes.map(DecisionDto::of_note).collect();
    items.extend(of_end(&ends, alerts, &folding));
    Ok(items)
}

/// Whether the plugin wanted to tell something of which the run has no alert.
fn may_be_folded(call: &RecordedCall, alerts: &[Alert]) -> bool {
    let mut keyed = deliveries(call)
        .iter()
        .filter(|it| text(it, "dedupe_key").is_some());
    !call.monitored && keyed.any(|it| !alerts.iter().any(|alert| is_about(alert, it)))
}

fn deliveries(call: &RecordedCall) -> &[Value] {
    let deliveries = call.answer.get("deliveries").and_then(Value::as_array);
    deliveries.map_or(&[], Vec::as_slice)
}

/// What was said of the run's end, by the plugin's place among the job's; what a later holder of the run was told counts.
fn ends(recordings: &[Recording]) -> BTreeMap<u32, RecordedCall> {
    let read = recordings.iter().filter_map(|recording| {
        let call = RecordedCall::read(&recording.body).ok()?;
        let place = recording.id.rsplit('-').next()?.parse().ok()?;
        matches!(call.question, Question::RunEnd { .. }).then_some((place, call))
    });
    read.collect()
}

fn of_end(
    ends: &BTreeMap<u32, RecordedCall>,
    mut alerts: Vec<Alert>,
    folding: &[Alert],
) -> Vec<DecisionDto> {
    let mut all = Vec::new();
    let mut recorded = BTreeMap::<String, usize>::new();
    for call in ends.values() {
        *recorded.entry(call.plugin.clone()).or_default() += 1;
    }
    for (place, call) in ends {
        let earlier = ends
            .range(..place)
            .filter(|(_, it)| it.plugin == call.plugin);
        let nth = earlier.count();
        let known = recorded.get(&call.plugin).copied().unwrap_or_default();
        // An answer that is not recorded counts in the alerts' places and not in those of the answers.
        let all_known =
            |alert: &Alert| alert.draft.plugin != call.plugin || place_of(alert) < known;
        let told_apart = alerts.iter().all(all_known);
        let is_of = |alert: &Alert| match alert.draft.plugin.as_str() {
            BUILT_IN => alert.draft.index == *place,
            plugin => plugin == call.plugin && told_apart && place_of(alert) == nth,
        };
        let (own, others) = alerts.into_iter().partition(is_of);
        alerts = others;
        all.push(decision(call, own, folding));
    }
    let mut unrecorded: BTreeMap<String, Vec<Alert>> = BTreeMap::new();
    for alert in alerts {
        let of = unrecorded.entry(alert.draft.plugin.clone());
        of.or_default().push(alert);
    }
    all.extend(unrecorded.into_iter().map(|(plugin, alerts)| {
        let raised = alerts.into_iter().map(RaisedDto::of).collect();
        DecisionDto::of_end(plugin, None, "its answer is not recorded".to_owned()).with(raised)
    }));
    all
}

/// What a plugin said, with its alerts, and with those that are in others.
fn decision(call: &RecordedCall, own: Vec<Alert>, folding: &[Alert]) -> DecisionDto {
    let deliveries = deliveries(call);
    let failure = text(&call.answer, "error");
    let said = match (failure, deliveries.len()) {
        (Some(failure), _) => failure.to_owned(),
        (None, 0) => "tells nobody".to_owned(),
        (None, _) => {
            let targets = deliveries.iter().filter_map(|it| text(it, "target"));
            format!("tells {}", targets.collect::<Vec<_>>().join(", "))
        }
    };
    let said = match call.monitored {
        true => format!("not enforced: {said}"),
        false => said,
    };
    let mut raised = Vec::new();
    if !call.monitored {
        let at = call.run.now.unwrap_or(call.run.scheduled_at);
        let has_own = |delivery: &Value| {
            let mut own = own.iter();
            own.any(|alert| is_about(alert, delivery))
        };
        let others = deliveries.iter().filter(|delivery| !has_own(delivery));
        raised.extend(others.filter_map(|delivery| folded(delivery, folding, at)));
    }
    raised.splice(0..0, own.into_iter().map(RaisedDto::of));
    let decision = DecisionDto::of_end(call.plugin.clone(), call.version.clone(), said);
    DecisionDto {
        failed: failure.is_some(),
        monitored: call.monitored,
        ..decision.with(raised)
    }
}

/// Which of the bindings of its plugin an alert came of.
fn place_of(alert: &Alert) -> usize {
    alert.draft.index as usize / DELIVERIES
}

fn text<'a>(of: &'a Value, member: &str) -> Option<&'a str> {
    of.get(member).and_then(Value::as_str)
}

/// Whether the alert may be of this message.
fn is_about(alert: &Alert, delivery: &Value) -> bool {
    let draft = &alert.draft;
    text(delivery, "target") == Some(&draft.target)
        && text(delivery, "dedupe_key") == draft.dedupe_key.as_deref()
}

/// A message of which there is no alert: it was folded into the newest one before it of its target and key.
fn folded(delivery: &Value, alerts: &[Alert], at: Timestamp) -> Option<RaisedDto> {
    let target = text(delivery, "target")?;
    text(delivery, "dedupe_key")?;
    let mut newest_first = alerts.iter();
    let twin = newest_first
        .find(|alert| alert.folded > 0 && alert.created_at <= at && is_about(alert, delivery))?;
    Some(RaisedDto::folded_into(twin, target))
}
