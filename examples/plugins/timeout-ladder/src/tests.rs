//! Decisions as the host would get them.

use sandclock_plugin_sdk::mock::{self, Host, history};
use serde_json::json;

use super::*;

fn decide(config: serde_json::Value, declared: Option<u32>, past: History) -> Option<Decision> {
    Host::new()
        .config(config)
        .call(|| Ladder::decide(mock::run(), declared, past))
        .unwrap()
}

fn refusal(config: serde_json::Value) -> String {
    Host::new()
        .config(config)
        .call(Ladder::validate_config)
        .unwrap_err()
        .to_string()
}

#[test]
fn the_schema_says_what_the_settings_do() {
    mock::check_schema::<Settings>().unwrap();
}

#[test]
fn history_sets_the_limit() {
    let past = history(20, 40_000, 100_000, 120_000, 180_000);
    let decision = decide(json!({ "factor": 2 }), None, past).unwrap();
    assert_eq!(decision.limit_ms, Some(200_000));
    assert_eq!(decision.warn_ms, Some(160_000));
    assert_eq!(decision.grace_ms, None);
    assert_eq!(
        decision.reason,
        "2 times the p95 of 20 successful runs, 1 min 40 s: limit 3 min 20 s"
    );
}

#[test]
fn each_quantile_is_its_own() {
    let limit = |quantile: &str| {
        let config = json!({ "factor": 1, "quantile": quantile, "floor_ms": 1 });
        decide(config, None, history(9, 50, 95, 99, 100))
            .unwrap()
            .limit_ms
            .unwrap()
    };
    assert_eq!(["p50", "p95", "p99", "max"].map(limit), [50, 95, 99, 100]);
}

#[test]
fn floor_ceiling_and_declared_limit_bound_it() {
    let config = json!({ "floor_ms": 5000, "ceiling_ms": 60_000, "factor": 3 });
    let low = decide(config.clone(), None, history(9, 10, 10, 10, 10)).unwrap();
    assert_eq!(low.limit_ms, Some(5000));
    assert!(
        low.reason.ends_with("raised to the floor 5 s"),
        "{}",
        low.reason
    );
    let high = decide(config.clone(), None, history(9, 1, 50_000, 1, 1)).unwrap();
    assert_eq!(high.limit_ms, Some(60_000));
    assert!(
        high.reason.ends_with("cut at the ceiling 1 min"),
        "{}",
        high.reason
    );
    let declared = decide(config, Some(2000), history(9, 10, 10, 10, 10)).unwrap();
    assert_eq!(declared.limit_ms, Some(2000));
    assert!(
        declared.reason.ends_with("but the job declares 2 s"),
        "{}",
        declared.reason
    );
}

#[test]
fn a_young_job_keeps_its_own_limit_or_gets_the_default() {
    let young = History {
        failures: 6,
        ..history(10, 1, 1, 1, 1)
    };
    assert_eq!(decide(json!({}), None, young), None);
    let declared = decide(json!({ "default_ms": 9 }), Some(30_000), young).unwrap();
    assert_eq!(
        (declared.limit_ms, declared.warn_ms),
        (Some(30_000), Some(24_000))
    );
    let default = decide(
        json!({ "default_ms": 2500, "warn_at": null, "grace_ms": 500 }),
        None,
        young,
    )
    .unwrap();
    assert_eq!(
        (default.limit_ms, default.warn_ms, default.grace_ms),
        (Some(2500), None, Some(500))
    );
    assert_eq!(
        default.reason,
        "default limit 2.5 s: 4 of 5 successful runs known"
    );
}

#[test]
fn nothing_overflows() {
    let past = history(u32::MAX, u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    let decision = decide(
        json!({ "factor": 1000, "ceiling_ms": u32::MAX }),
        None,
        past,
    )
    .unwrap();
    assert_eq!(decision.limit_ms, Some(u32::MAX));
}

#[test]
fn a_wrong_setting_is_refused_with_what_is_accepted() {
    let cases = [
        (
            json!({ "floor_ms": 9, "ceiling_ms": 8 }),
            "floor_ms: 9, has to be 1 to ceiling_ms, which is 8",
        ),
        (
            json!({ "factor": 0 }),
            "factor: 0, has to be above 0 and at most 1000",
        ),
        (
            json!({ "warn_at": 1.5 }),
            "warn_at: 1.5, has to be between 0 and 1, or null for no warning",
        ),
        (
            json!({ "quantile": "p90" }),
            "quantile: unknown variant `p90`, expected one of `p50`, `p95`, `p99`, `max`",
        ),
        (
            json!({ "min_runs": 0 }),
            "min_runs: 0, has to be 1 to 100, the runs that history holds",
        ),
        (
            json!({ "default_ms": 0 }),
            "default_ms: 0, has to be at least 1, or absent",
        ),
        (
            json!({ "floor_ms": "x" }),
            "floor_ms: invalid type: string \"x\", expected u32",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(refusal(config), format!("config.{expected}"));
    }
    let misspelt = refusal(json!({ "flor_ms": 9 }));
    let told =
        "config.flor_ms: unknown field `flor_ms`, expected one of `floor_ms`, `ceiling_ms`, ";
    assert!(misspelt.starts_with(told), "{misspelt}");
    assert!(Host::new().call(Ladder::validate_config).is_ok());
}

#[test]
fn durations_are_readable() {
    let spans = [
        0, 999, 1000, 1550, 60_000, 61_000, 3_600_000, 5_400_000, 90_000_000,
    ]
    .map(span);
    assert_eq!(
        spans,
        [
            "0 ms",
            "999 ms",
            "1 s",
            "1.5 s",
            "1 min",
            "1 min 1 s",
            "1 h",
            "1 h 30 min",
            "1 d 1 h"
        ]
    );
}
