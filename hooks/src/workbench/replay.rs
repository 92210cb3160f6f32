//! Asking a recorded question again.

use std::sync::Arc;

use serde_json::Value;

use super::{Difference, Workbench, compare};
use crate::failure::FailureCode;
use crate::instance::Scope;
use crate::plugin::Hook;
use crate::recording::RecordedCall;

/// How a call failed that says nothing of the plugin on another machine.
const OF_THE_MOMENT: [FailureCode; 4] = [
    FailureCode::Deadline,
    FailureCode::Wall,
    FailureCode::Overloaded,
    FailureCode::Host,
];

/// Why a call cannot be asked again, whatever is asked; `None` if it can.
pub fn cannot_ask(call: &RecordedCall) -> Option<&'static str> {
    if call.question.hook() == Hook::OutputRedaction {
        return Some("of output nothing is recorded but what was hidden");
    }
    let failed = call.answer.get("error").and_then(Value::as_str);
    let began = |code: &FailureCode| {
        let rest = failed.and_then(|text| text.strip_prefix(code.as_str()));
        rest.is_some_and(|rest| rest.starts_with(": "))
    };
    let of_the_moment = OF_THE_MOMENT.iter().any(began);
    of_the_moment.then_some("it failed for want of time or room, which is the host's")
}

impl Workbench {
    /// Asks this plugin what was asked then, at the same instant: the answer, and where it is not the recorded one.
    pub async fn replay(&self, call: &RecordedCall) -> (Value, Vec<Difference>) {
        let scope = Scope::of(Arc::new(call.config.clone()), &call.run).again(&call.effects);
        let answer = self.ask(&call.question, &call.run, scope).await;
        let differences = compare::exactly(&call.answer, &answer);
        (answer, differences)
    }
}
