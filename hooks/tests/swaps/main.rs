//! A plugin that is replaced a thousand times while runs ask it: each decision is of one version, no run goes without one,
//! and nothing of what was replaced stays.
//!
//! It has a process of its own, so that the memory it looks at is nobody else's.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../it/fixture.rs"]
#[expect(dead_code, reason = "it serves another process's tests, too")]
mod fixture;
#[path = "../it/guests.rs"]
#[expect(dead_code, reason = "it serves another process's tests, too")]
mod guests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sandclock_hooks::{Artifact, InstallError, KnownSecrets, PluginHost};

use crate::fixture::{artifact, host, limits, run};
use crate::guests::{DATA, Guest, decision};

const SWAPS: u32 = 1_000;

/// From here on the process has everything that one version after the other needs.
const SETTLED: u32 = 100;

/// Every so many swaps one is to a module that cannot serve.
const BROKEN_EVERY: u32 = 50;

/// Version `number` decides on as many seconds.
fn version(number: u32) -> Artifact {
    let guest = Guest {
        decide: format!("(i32.const {DATA})"),
        data: decision(number * 1000, b"why"),
        ..Guest::harmless()
    };
    Artifact {
        version: Some(number.to_string()),
        ..artifact("swapped", guest.build())
    }
}

/// The memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

/// Asks for limits until there are no more swaps; how often.
async fn ask(host: &PluginHost, over: &AtomicBool, asked: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        let policy = limits(host, &run(&["swapped"])).await;
        let [note] = &policy.notes[..] else {
            panic!("{policy:?}");
        };
        assert!(!note.failed, "{note:?}");
        let seconds = policy.limit.expect("a limit").as_secs().to_string();
        assert_eq!(note.version.as_deref(), Some(&*seconds), "{note:?}");
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_lose_no_decision_and_leave_nothing() {
    let host = Arc::new(host(&KnownSecrets::new()));
    host.install(version(1)).await.expect("installs");
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let swaps = async {
        let mut settled = 0;
        for number in 2..=SWAPS + 1 {
            if number % BROKEN_EVERY == 0 {
                let broken = Artifact {
                    bytes: b"\0asm nothing of the kind".to_vec(),
                    ..version(number)
                };
                let refused = host.install(broken).await.expect_err("it is broken");
                assert!(
                    matches!(refused, InstallError::Malformed { .. }),
                    "{refused}"
                );
            } else {
                host.install(version(number)).await.expect("installs");
            }
            if number == SETTLED {
                settled = resident();
            }
        }
        over.store(true, Ordering::Relaxed);
        settled
    };
    let asking = async {
        tokio::join!(ask(&host, &over, &asked), ask(&host, &over, &asked));
    };
    let (settled, ()) = tokio::join!(swaps, asking);
    let (now, asked) = (resident(), asked.load(Ordering::Relaxed));
    println!(
        "{SWAPS} swaps, {asked} decisions, {settled} KiB after {SETTLED}, {now} KiB at the end"
    );
    assert!(asked > 1_000, "{asked}");
    assert!(now * 10 <= settled * 11, "{settled} KiB became {now} KiB");
}
