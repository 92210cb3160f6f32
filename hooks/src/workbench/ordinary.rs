//! Calls as they usually are, to measure.

use std::collections::BTreeMap;

use serde_json::Map;

use super::{
    Case, EndSpec, ExpectedDecision, ExpectedDeliveries, ExpectedOutput, Past, Pipe, RedactionCase,
    RunEndCase, RunSpec, TimeoutCase,
};
use crate::plugin::Hook;

/// Output of which nothing is worth hiding.
pub(super) const LINES: &str = "\
2026-11-20T18:00:00Z INFO copying 1042 files to the archive, 17 of them changed since yesterday
2026-11-20T18:00:07Z INFO done: 1042 files, 318 MiB in 7.2 s, nothing was left behind
";

/// Whether the case shows an ordinary call of the hook.
pub(super) fn shows(case: &Case, hook: Hook) -> bool {
    match case {
        Case::Timeout(case) => hook == Hook::TimeoutPolicy && case.expect.error.is_none(),
        Case::Redaction(case) => {
            hook == Hook::OutputRedaction && case.expect.error.is_none() && !case.input.is_empty()
        }
        Case::RunEnd(case) => hook == Hook::RunEnd && case.expect.error.is_none(),
        Case::Lifecycle(_) => false,
    }
}

/// A call of the hook without a configuration.
pub(super) fn own_case(hook: Hook) -> Case {
    match hook {
        Hook::OutputRedaction => Case::Redaction(RedactionCase {
            config: Map::new(),
            run: RunSpec::default(),
            channel: Pipe::default(),
            input: LINES.to_owned(),
            expect: ExpectedOutput::default(),
        }),
        Hook::RunEnd => Case::RunEnd(RunEndCase {
            kv: BTreeMap::new(),
            http: Vec::new(),
            config: Map::new(),
            run: RunSpec::default(),
            end: EndSpec {
                state: "failed".to_owned(),
                cause: "exit code 1".to_owned(),
                exit_code: Some(1),
                signal: None,
                duration_ms: 1_500,
                previous_state: Some("succeeded".to_owned()),
                failures_in_a_row: 1,
                output_tail: LINES.to_owned(),
            },
            expect: ExpectedDeliveries::default(),
        }),
        Hook::TimeoutPolicy | Hook::Lifecycle => Case::Timeout(TimeoutCase {
            config: Map::new(),
            run: RunSpec::default(),
            declared_ms: Some(600_000),
            history: Past {
                runs: 100,
                failures: 1,
                p50_ms: 1_000,
                p95_ms: 2_000,
                p99_ms: 3_000,
                max_ms: 4_000,
            },
            expect: ExpectedDecision::default(),
        }),
    }
}
