//! Cases on what plugins keep: a value changes only against what its writer has seen, and each plugin is alone.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::Swap;
use sandclock_core::backend::kv::{ENTRY_BYTES, MAX_PLUGIN_BYTES, MAX_VALUE_BYTES};

use super::RecordsEnv;
use super::events::within;

const PLUGIN: &str = "count-failures";
const OTHER: &str = "another";
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

/// From what is expected to what shall be.
fn change(key: &str, expect: Option<&[u8]>, value: Option<&[u8]>) -> Swap {
    let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    Swap {
        key: key.to_owned(),
        expect: expect.map(bytes),
        value: value.map(bytes),
        ttl: None,
    }
}

async fn swap(env: &RecordsEnv, plugin: &str, change: &Swap) -> bool {
    env.kv.swap(plugin, change).await.expect("swap")
}

/// Makes a value that is not there.
async fn make(env: &RecordsEnv, key: &str, value: &[u8]) {
    let made = swap(env, PLUGIN, &change(key, None, Some(value))).await;
    assert!(made, "{key:?} is there");
}

async fn get(env: &RecordsEnv, plugin: &str, key: &str) -> Option<Vec<u8>> {
    let value = env.kv.get(plugin, key).await.expect("get");
    value.map(|value| value.to_vec())
}

/// A value comes back to the byte, under whatever key, and empty is not absent.
pub async fn a_value_comes_back(env: &RecordsEnv) {
    let large = vec![0xa5; MAX_VALUE_BYTES];
    let long = "k".repeat(256);
    for (key, value) in [
        ("streak", &b"3"[..]),
        ("$now \"ä\".a.b\0c", b"\0\xff$\"$$NOW"),
        ("empty", b""),
        (&long, &large),
    ] {
        assert_eq!(get(env, PLUGIN, key).await, None);
        make(env, key, value).await;
        assert_eq!(
            get(env, PLUGIN, key).await.as_deref(),
            Some(value),
            "{key:?}"
        );
    }
}

/// What is there is replaced by whoever expects it, and by nobody else.
pub async fn a_swap_needs_what_it_expects(env: &RecordsEnv) {
    make(env, "streak", b"1").await;
    for wrong in [None, Some(&b"2"[..]), Some(b""), Some(b"11")] {
        for value in [None, Some(&b"9"[..])] {
            let swapped = swap(env, PLUGIN, &change("streak", wrong, value)).await;
            assert!(!swapped, "{wrong:?} is not there");
        }
    }
    assert_eq!(get(env, PLUGIN, "streak").await.as_deref(), Some(&b"1"[..]));
    assert!(swap(env, PLUGIN, &change("streak", Some(b"1"), Some(b"2"))).await);
    assert_eq!(get(env, PLUGIN, "streak").await.as_deref(), Some(&b"2"[..]));
    assert!(swap(env, PLUGIN, &change("streak", Some(b"2"), None)).await);
    assert_eq!(get(env, PLUGIN, "streak").await, None);
    assert!(!swap(env, PLUGIN, &change("streak", Some(b"2"), Some(b"3"))).await);
    // To see that there is nothing is a swap, too.
    assert!(swap(env, PLUGIN, &change("streak", None, None)).await);
}

/// Counts one more, however often somebody is faster.
async fn count(env: &RecordsEnv, key: &str) {
    loop {
        let before = get(env, PLUGIN, key).await;
        let number = before.as_ref().map_or(0, |bytes| {
            let text = str::from_utf8(bytes).expect("text");
            text.parse::<u32>().expect("a number")
        });
        let after = (number + 1).to_string();
        let counted = change(key, before.as_deref(), Some(after.as_bytes()));
        if swap(env, PLUGIN, &counted).await {
            return;
        }
    }
}

/// Of many that count at once each counts, on a key that is there and on one that is not.
pub async fn every_count_of_many_hands_counts(env: &RecordsEnv) {
    make(env, "there", b"0").await;
    let counts = (0..16).map(|n| count(env, if n % 2 == 0 { "there" } else { "new" }));
    within("the counts", join_all(counts)).await;
    for key in ["there", "new"] {
        assert_eq!(
            get(env, PLUGIN, key).await.as_deref(),
            Some(&b"8"[..]),
            "{key}"
        );
    }
}

/// A value with a time to live goes by itself, and then nothing is expected in its place; a new one begins anew.
pub async fn a_value_goes_when_its_time_runs_out(env: &RecordsEnv) {
    make(env, "stays", b"x").await;
    let short = Swap {
        ttl: Some(SHORT),
        ..change("seen", None, Some(b"x"))
    };
    let long = Swap {
        ttl: Some(LONG),
        ..change("seen", Some(b"x"), Some(b"y"))
    };
    let gone = async |key| {
        while get(env, PLUGIN, key).await.is_some() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    assert!(swap(env, PLUGIN, &short).await);
    within("its time", gone("seen")).await;
    assert!(!swap(env, PLUGIN, &long).await, "nothing is there");
    assert!(swap(env, PLUGIN, &short).await, "it is as if it never was");
    // Who replaces a value says anew how long.
    assert!(swap(env, PLUGIN, &long).await);
    let witness = Swap {
        key: "witness".to_owned(),
        ..short
    };
    assert!(swap(env, PLUGIN, &witness).await);
    within("its time", gone("witness")).await;
    assert_eq!(get(env, PLUGIN, "seen").await.as_deref(), Some(&b"y"[..]));
    assert_eq!(get(env, PLUGIN, "stays").await.as_deref(), Some(&b"x"[..]));
}

/// What one plugin keeps no other sees, changes or clears.
pub async fn plugins_are_kept_apart(env: &RecordsEnv) {
    make(env, "streak", b"1").await;
    assert_eq!(get(env, OTHER, "streak").await, None);
    assert!(!swap(env, OTHER, &change("streak", Some(b"1"), Some(b"2"))).await);
    assert!(swap(env, OTHER, &change("streak", None, Some(b"7"))).await);
    assert_eq!(get(env, PLUGIN, "streak").await.as_deref(), Some(&b"1"[..]));
    env.kv.clear(OTHER).await.expect("clear");
    assert_eq!(get(env, PLUGIN, "streak").await.as_deref(), Some(&b"1"[..]));
}

/// Each bound is told from the others, and whoever breaks one changes nothing.
pub async fn each_bound_is_said(env: &RecordsEnv) {
    let long = "k".repeat(257);
    let large = vec![0; MAX_VALUE_BYTES + 1];
    let nothing_of_time = Swap {
        ttl: Some(Duration::ZERO),
        ..change("key", None, Some(b"x"))
    };
    for (said, wrong) in [
        ("the key has 0 bytes", change("", None, Some(b"x"))),
        ("the key has 257 bytes", change(&long, None, Some(b"x"))),
        (
            "the value has 65537 bytes",
            change("key", None, Some(&large)),
        ),
        ("time to live is 0", nothing_of_time),
    ] {
        let refused = env.kv.swap(PLUGIN, &wrong).await.expect_err(said);
        assert_eq!(refused.kind, ErrorKind::InvalidConfig);
        assert!(refused.to_string().contains(said), "{refused}");
    }
    let refused = env.kv.get(PLUGIN, &long).await.expect_err("too long");
    assert_eq!(refused.kind, ErrorKind::InvalidConfig);
    assert_eq!(get(env, PLUGIN, "key").await, None);
}

/// Values that fill the share but for less than one more of them, with keys of two bytes.
const FILL: usize = MAX_PLUGIN_BYTES / (MAX_VALUE_BYTES + 2 + ENTRY_BYTES);

async fn fill(
    env: &RecordsEnv,
    value: &[u8],
    ttl: Option<Duration>,
) -> Vec<Result<bool, ErrorKind>> {
    let swaps: Vec<_> = (0..FILL + 3)
        .map(|n| Swap {
            ttl,
            ..change(&format!("{n:02}"), None, Some(value))
        })
        .collect();
    let swaps = swaps.iter().map(|swap| async move {
        let swapped = env.kv.swap(PLUGIN, swap).await;
        swapped.map_err(|refused| {
            assert!(refused.to_string().contains("1048576"), "{refused}");
            refused.kind
        })
    });
    join_all(swaps).await
}

/// A plugin's values never take more than its share, however many write at once; another's share is its own.
pub async fn a_share_holds_against_many_hands(env: &RecordsEnv) {
    let large = vec![1; MAX_VALUE_BYTES];
    let outcomes = fill(env, &large, None).await;
    let kept = outcomes.iter().filter(|outcome| **outcome == Ok(true));
    assert_eq!(kept.count(), FILL, "{outcomes:?}");
    let full = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(ErrorKind::InvalidConfig));
    assert_eq!(full.count(), 3, "{outcomes:?}");
    assert!(swap(env, OTHER, &change("00", None, Some(&large))).await);
    // Who replaces a value takes no more room than the difference.
    let there = outcomes.iter().position(|outcome| *outcome == Ok(true));
    let there = format!("{:02}", there.expect("one is"));
    let anew = vec![2; MAX_VALUE_BYTES];
    assert!(swap(env, PLUGIN, &change(&there, Some(&large), Some(&anew))).await);
    assert!(swap(env, PLUGIN, &change(&there, Some(&anew), None)).await);
    assert!(swap(env, PLUGIN, &change("zz", None, Some(&large))).await);
}

/// Room is there again once the time of what had it has run out.
pub async fn what_is_gone_takes_no_room(env: &RecordsEnv) {
    let large = vec![1; MAX_VALUE_BYTES];
    // Long enough for all to be there together, on a slow store too; what counts is that room comes back.
    fill(env, &large, Some(SHORT)).await;
    let again = async {
        while !matches!(
            env.kv.swap(PLUGIN, &change("zz", None, Some(&large))).await,
            Ok(true)
        ) {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    within("room", again).await;
}

/// A plugin that is cleared has nothing, and can begin anew.
pub async fn a_cleared_plugin_has_nothing(env: &RecordsEnv) {
    make(env, "a", b"1").await;
    make(env, "b", b"2").await;
    for _ in 0..2 {
        env.kv.clear(PLUGIN).await.expect("clear");
        for key in ["a", "b"] {
            assert_eq!(get(env, PLUGIN, key).await, None);
        }
    }
    make(env, "a", b"3").await;
}
