//! Authors' cases on the host: one outcome everywhere, and redactors that depend on how output is cut are found.

use sandclock_hooks::workbench::{Case, Workbench};
use sandclock_hooks::{FUEL_PER_MS, Manifest, Meter};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fixture::artifact;
use crate::guests::{Guest, blabber, picky};

async fn bench(bytes: Vec<u8>, meter: Meter) -> Workbench {
    let workbench = Workbench::open(artifact("p", bytes), meter).await;
    workbench.expect("installs")
}

async fn workbench(guest: &Guest) -> Workbench {
    bench(guest.build(), Meter::Fuel).await
}

async fn standard(name: &str) -> Workbench {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/plugins/artifacts");
    let bytes = std::fs::read(format!("{folder}/{name}.wasm")).expect("the artifact");
    bench(bytes, Meter::Fuel).await
}

fn read<T: DeserializeOwned>(case: Value) -> T {
    serde_json::from_value(case).expect("a case")
}

fn timeout(case: Value) -> Case {
    Case::Timeout(read(case))
}

fn redaction(case: Value) -> Case {
    Case::Redaction(read(case))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_costs_the_same_fuel_everywhere() {
    let case = timeout(json!({
        "config": { "floor_ms": 1000, "factor": 2.0, "min_runs": 5 },
        "history": { "runs": 50, "p95_ms": 6000, "p99_ms": 7000, "max_ms": 8000 },
        "expect": { "limit_ms": 12000 },
    }));
    let mut reports = Vec::new();
    for _ in 0..2 {
        let workbench = standard("timeout-ladder").await;
        for _ in 0..3 {
            let report = workbench.run(&case).await;
            assert_eq!(report.differences, [], "{report:?}");
            reports.push((report.fuel, report.found));
        }
    }
    assert!(reports[0].0 > 0);
    assert!(
        reports.iter().all(|report| *report == reports[0]),
        "{reports:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuel_and_not_time_ends_a_call() {
    let spin = Guest::doing("(loop $on (br $on)) (unreachable)");
    let case = timeout(json!({ "expect": { "error": "deadline" } }));
    let report = workbench(&spin).await.run(&case).await;
    assert_eq!(report.differences, []);
    // All of the 25 ms, beside what the check of the configuration takes.
    let asked = report.fuel - report.fuel % (25 * FUEL_PER_MS);
    assert_eq!(asked, 25 * FUEL_PER_MS, "{report:?}");
    let manifest = json!({ "plugin": { "name": "p", "version": "1" }, "limits": { "cpu-ms": 1 } });
    let manifest: Manifest = read(manifest);
    let lowered = manifest.embed(&spin.build()).expect("embedded");
    let report = bench(lowered, Meter::Fuel).await.run(&case).await;
    assert_eq!(report.differences, []);
    assert!(
        (FUEL_PER_MS..2 * FUEL_PER_MS).contains(&report.fuel),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_told() {
    let workbench = standard("timeout-ladder").await;
    let case = timeout(json!({ "declared_ms": 500, "expect": { "keeps": true, "warn_ms": 7 } }));
    let differences = workbench.run(&case).await.differences;
    let members: Vec<_> = differences
        .iter()
        .map(|difference| difference.member.as_str())
        .collect();
    assert_eq!(members, ["keeps", "warn_ms"]);
    let wrong = json!({ "config": { "factr": 2 }, "expect": { "limit_ms": 1 } });
    let differences = workbench.run(&timeout(wrong)).await.differences;
    assert_eq!(differences[0].member, "error");
    assert!(
        differences[0]
            .found
            .to_string()
            .contains("config.factr: unknown field")
    );
    let other =
        json!({ "input": "x", "expect": { "error": "does not have the hook output-redaction" } });
    assert_eq!(workbench.run(&redaction(other)).await.differences, []);
    // What it wrote before it failed is there.
    let case = timeout(json!({ "config": { "a": 1 }, "expect": { "error": "{\"a\":1}" } }));
    let report = self::workbench(&blabber()).await.run(&case).await;
    assert_eq!(report.differences, []);
    assert_eq!(report.log[0].text, "{\"a\":1}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redactor_is_shown_its_input_in_every_piece() {
    let case = redaction(json!({ "input": "aXbXc XX", "expect": { "output": "abc " } }));
    let report = workbench(&picky()).await.run(&case).await;
    assert_eq!(report.differences, []);
    let tried = report.chunkings.expect("tried");
    assert_eq!(
        (tried.splits, tried.single_bytes, tried.random),
        (7, 2, 1000)
    );
    assert_eq!(tried.on_fresh_instances, 501);
    assert!(tried.apart.is_none(), "{tried:?}");

    // Hides the first byte of whatever it is shown.
    let mut moody = picky();
    moody.scan = moody.scan.replace(
        "(i32.eq (local.get $byte) (i32.const 88))",
        "(i32.eqz (local.get $i))",
    );
    let case = redaction(json!({ "input": "abcdef", "expect": {} }));
    let report = workbench(&moody).await.run(&case).await;
    assert_eq!(report.differences, [], "as one piece it is as it is");
    let apart = report.chunkings.expect("tried").apart.expect("found");
    assert_eq!(apart.how, "split at byte 2");
    assert_ne!(apart.found, report.found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bench_has_figures_of_every_hook() {
    let workbench = bench(picky().build(), Meter::Time).await;
    let redaction = redaction(json!({ "input": "aXbXc", "expect": {} }));
    let bench = workbench.bench(&[redaction]).await.expect("measured");
    let hooks: Vec<_> = bench
        .hooks
        .iter()
        .map(|bench| bench.hook.as_str())
        .collect();
    assert_eq!(hooks, ["timeout-policy", "output-redaction", "run-end"]);
    assert!(
        bench
            .hooks
            .iter()
            .all(|bench| bench.calls > 1 && bench.cold.p50 <= bench.cold.p99)
    );
    let pieces: Vec<_> = bench
        .throughput
        .iter()
        .flatten()
        .map(|figure| figure.chunk_bytes)
        .collect();
    assert_eq!(pieces, [128, 4096, 65_536]);
    assert!(bench.memory_peak_bytes >= 4 * 65_536);
    let failing = self::workbench(&blabber()).await.bench(&[]).await;
    assert!(failing.expect_err("it fails").to_string().contains("{}"));
}

/// A case gives what is kept and what is answered, and looks at what is kept after it; cases do not see each other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_has_its_own_values_and_answers() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/plugins/artifacts");
    let module = std::fs::read(format!("{folder}/storm-alert.wasm")).expect("the artifact");
    let manifest: Manifest = serde_json::from_value(json!({
        "plugin": { "name": "p", "version": "1.0.0" },
        "capabilities": { "kv": true },
    }))
    .expect("a manifest");
    let workbench = bench(manifest.embed(&module).expect("embeds"), Meter::Fuel).await;
    assert_eq!(workbench.info().capabilities, ["kv"]);
    let case = |kept: &str, after: &str, told: usize| {
        let deliveries = vec![json!({ "target": "ops" }); told];
        Case::RunEnd(read(json!({
            "config": { "target": "ops", "failures": 3 },
            "run": { "id": "c" },
            "end": { "state": "failed", "cause": "exit code 1" },
            "kv": { "failed": kept },
            "expect": { "deliveries": deliveries, "kv": { "failed": after } },
        })))
    };
    for case in [
        case("a", "a\nc", 0),
        case("a\nb", "a\nb\nc", 1),
        case("a\nb\nc", "a\nb\nc", 1),
        case("a\nb\nd", "a\nb\nd", 0),
    ] {
        let report = workbench.run(&case).await;
        assert_eq!(report.differences, [], "{report:?}");
        assert!(report.fuel > 0);
    }
    let wrong = workbench.run(&case("", "a", 0)).await;
    assert_eq!(wrong.differences[0].member, "kv.failed", "{wrong:?}");
}
