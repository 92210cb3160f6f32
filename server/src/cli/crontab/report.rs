//! What an import says about each line.

use serde_json::{Value, json};

use super::{ImportArgs, Plan, Step};
use crate::cli::transfer::Outcome;
use crate::cli::{Output, table};

/// Tells everything; on standard error lines that are refused, jobs that were to be saved and were not, and those that
/// no line makes any more. `applied` says whether all was saved.
pub(super) fn tell(plan: &Plan, args: &ImportArgs, applied: bool, output: Output) {
    table::either(output, &document(plan, applied), |_| people(plan, args));
    for (line, why) in &plan.refused {
        table::aside(&format!("{}, line {line}: {why}", plan.shown));
    }
    if !args.apply {
        return;
    }
    let unchanged = Some(Outcome::Unchanged);
    for step in plan
        .steps
        .iter()
        .filter(|it| !it.saved && it.outcome != unchanged)
    {
        table::aside(&format!("not saved: {}", step.name));
    }
    if !plan.left.is_empty() {
        table::aside(&format!(
            "warning: {} jobs of earlier imports still run though no line makes them now; a line that has another \
             number than before runs twice: delete them with `sandclock job rm`",
            plan.left.len()
        ));
    }
}

fn document(plan: &Plan, applied: bool) -> Value {
    let item = |step: &Step| {
        json!({
            "line": step.entry.line,
            "job": step.name,
            "written": step.entry.written,
            "outcome": step.outcome.as_ref().map(Outcome::word),
            "fields": step.outcome.as_ref().map_or(&[][..], Outcome::fields),
            "description": step.preview.description,
            "time_zone": step.preview.time_zone,
            "fires": step.preview.fires,
            "saved": step.saved,
            "warnings": warnings(step).collect::<Vec<_>>(),
            "definition": step.document,
        })
    };
    let items: Vec<_> = plan.steps.iter().map(item).collect();
    let notes = plan.notes.iter();
    let note = |note: &crate::crontab::Note| json!({ "line": note.line, "about": note.about, "said": note.said });
    let refused = plan.refused.iter();
    let refusal = |(line, said): &(usize, String)| json!({ "line": line, "said": said });
    json!({
        "applied": applied,
        "items": items,
        "notes": notes.map(note).collect::<Vec<_>>(),
        "refused": refused.map(refusal).collect::<Vec<_>>(),
        "left": plan.left,
        "next": null,
    })
}

fn warnings(step: &Step) -> impl Iterator<Item = &String> {
    step.entry.warnings.iter().chain(&step.preview.warnings)
}

fn people(plan: &Plan, args: &ImportArgs) {
    for step in &plan.steps {
        let outcome = match &step.outcome {
            None => String::new(),
            Some(Outcome::Changed(fields)) => format!(", changed: {}", fields.join(", ")),
            Some(outcome) => format!(", {}", outcome.word()),
        };
        let (line, name, preview) = (step.entry.line, &step.name, &step.preview);
        table::say(&format!("line {line}: job {name}{outcome}"));
        let (written, meaning, zone) = (
            &step.entry.written,
            &preview.description,
            &preview.time_zone,
        );
        table::say(&format!("  {written}  {meaning} ({zone})"));
        table::say(&format!("  next: {}", preview.fires.join(", ")));
        for warning in warnings(step) {
            table::say(&format!("  warning: {warning}"));
        }
    }
    for note in &plan.notes {
        table::say(&format!(
            "line {}: {}: {}",
            note.line, note.about, note.said
        ));
    }
    for name in &plan.left {
        table::say(&format!(
            "job {name} was made by an earlier import of this file, and no line makes it now, but it still runs; \
             `sandclock job rm {name}` deletes it"
        ));
    }
    if args.user.is_none() && !args.system && !plan.steps.is_empty() {
        table::say("the jobs run as the worker's own user; --user names another");
    }
    let jobs = plan.steps.len();
    let (mut said, compared) = (
        format!("{jobs} jobs"),
        plan.steps.iter().any(|step| step.outcome.is_some()),
    );
    if compared {
        let count = |word| {
            let words = plan.steps.iter().filter_map(|step| step.outcome.as_ref());
            words.filter(|outcome| outcome.word() == word).count()
        };
        let [created, changed, unchanged] = ["created", "changed", "unchanged"].map(count);
        said = format!("{said}: {created} created, {changed} changed, {unchanged} unchanged");
    }
    if !args.apply {
        said.push_str(match compared || jobs == 0 {
            true => " (nothing is saved; --apply saves them)",
            false => {
                " (nothing is saved, and without a token and a server nothing is compared; --apply saves them)"
            }
        });
    }
    table::say(&said);
    if args.apply && plan.refused.is_empty() {
        let saved = plan.steps.iter().filter(|step| step.saved).count();
        table::say(&format!("saved {saved} jobs"));
    }
}
