//! Asking a recorded question again.

use serde_json::Value;

use super::{Difference, Workbench, compare};
use crate::failure::FailureCode;
use crate::plugin::Hook;
use crate::recording::RecordedCall;

/// What came of a question that was asked again.
#[derive(Clone, Debug)]
pub enum Replayed {
    /// An answer, and where it is not what was recorded; the same to the last byte if nowhere.
    Answered {
        /// The answer, in the form of the recorded one.
        answer: Value,
        /// What is another.
        differences: Vec<Difference>,
    },
    /// It cannot be asked again, for this reason.
    Skipped(&'static str),
}

/// How a call failed that says nothing of the plugin on another machine.
const OF_THE_MOMENT: [FailureCode; 4] = [
    FailureCode::Deadline,
    FailureCode::Wall,
    FailureCode::Overloaded,
    FailureCode::Host,
];

impl Workbench {
    /// Asks this plugin what was asked then, at the same instant.
    pub async fn replay(&self, call: &RecordedCall) -> Replayed {
        if call.question.hook() == Hook::OutputRedaction {
            return Replayed::Skipped("of output nothing is recorded but what was hidden");
        }
        if !self.info.capabilities.is_empty() {
            return Replayed::Skipped("what it kept or was told by targets is not recorded");
        }
        let failed = call.answer.get("error").and_then(Value::as_str);
        let began = |code: &FailureCode| {
            let rest = failed.and_then(|text| text.strip_prefix(code.as_str()));
            rest.is_some_and(|rest| rest.starts_with(": "))
        };
        if OF_THE_MOMENT.iter().any(began) {
            return Replayed::Skipped("it failed for want of time or room, which is the host's");
        }
        let asked = self.ask(&call.question, &call.run, call.config.clone());
        let answer = asked.await;
        Replayed::Answered {
            differences: compare::exactly(&call.answer, &answer),
            answer,
        }
    }
}
