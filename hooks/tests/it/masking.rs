//! Masking of known secrets in streams, against an oracle that looks at the whole text naively.
//!
//! The values here consist of `a`, `b`, `c` alone, so that none of their encodings can occur in
//! what the tests print.

use bytes::Bytes;
use sandclock_hooks::KnownSecrets;
use sandclock_hooks::mutants::Mutant;
use sandclock_hooks::secrets::{MAX_VALUES_PER_NAME, SecretError};

use crate::fixture::{Dice, cut};

fn known(values: &[&str]) -> KnownSecrets {
    let secrets = KnownSecrets::new();
    for (name, value) in ('A'..).zip(values) {
        secrets
            .learn(&name.to_string(), value.as_bytes())
            .expect("can be masked");
    }
    secrets
}

fn masked<'a>(secrets: &KnownSecrets, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut masker = secrets.masker();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&masker.push(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&masker.finish());
    String::from_utf8(out).expect("text")
}

/// What must come out: all occurrences anywhere, overlapping ones joined, each stretch under the
/// name of what begins it, longest first; and the end of a text that is at least half of a value.
fn oracle(values: &[&str], text: &str) -> String {
    let mut found = Vec::new();
    for (name, value) in ('A'..).zip(values) {
        for start in 0..text.len() {
            let rest = &text[start..];
            if rest.starts_with(value) {
                found.push((start, start + value.len(), name));
            } else if value.starts_with(rest) && rest.len() >= 4 && rest.len() * 2 >= value.len() {
                found.push((start, text.len(), name));
            }
        }
    }
    let mut out = String::new();
    let mut at = 0;
    while at < text.len() {
        let first = found
            .iter()
            .filter(|(start, ..)| *start == at)
            .max_by_key(|(_, end, name)| (*end, std::cmp::Reverse(*name)));
        let Some((_, end, name)) = first else {
            out.push_str(&text[at..=at]);
            at += 1;
            continue;
        };
        out.push_str(&format!("[secret:{name}]"));
        let mut end = *end;
        while let Some((_, later, _)) = found
            .iter()
            .find(|(start, later, _)| *start > at && *start < end && *later > end)
        {
            end = *later;
        }
        at = end;
    }
    out
}

/// Texts that are hard for one of the usual ways to do it.
const HARD: [(&[&str], &str); 9] = [
    (&["aabc"], "xaaabcx"),
    (&["abcabcb"], "abcabcabcb"),
    (&["abcabc"], "abcabcabc-abcabcabcabc"),
    (&["abcab", "cabca"], "xabcabcax"),
    (&["abca", "abcabb"], "abcabc abcabb abca"),
    (&["bcab", "abcabc"], "xabcabx abcabc"),
    (&["aaaa"], "aaaaaaa aaa aaaa"),
    (&["abcb", "cbaa", "aacc"], "abcbaacc"),
    (&["abcabcabc"], "x abcabc"),
];

#[test]
fn every_split_into_two_and_single_bytes_come_out_as_the_whole() {
    for (values, text) in HARD {
        let secrets = known(values);
        let expected = oracle(values, text);
        for at in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(at);
            assert_eq!(
                masked(&secrets, [head, tail]),
                expected,
                "{values:?} in {text:?} at {at}"
            );
        }
        assert_eq!(masked(&secrets, text.as_bytes().chunks(1)), expected);
    }
}

#[test]
fn a_thousand_random_chunkings_come_out_as_the_oracle_says() {
    let mismatches = random_mismatches(|secrets| secrets);
    assert_eq!(mismatches, 0);
}

#[test]
fn the_suite_notices_a_mask_that_holds_nothing_back() {
    assert!(random_mismatches(|secrets| secrets.with_mutant(Mutant::HoldNothingBack)) > 100);
}

#[test]
fn the_suite_notices_a_mask_that_does_not_join_overlaps() {
    assert!(random_mismatches(|secrets| secrets.with_mutant(Mutant::OverlapsApart)) > 100);
}

fn random_mismatches(change: impl Fn(KnownSecrets) -> KnownSecrets) -> usize {
    let mut mismatches = 0;
    for seed in 0..1_000 {
        let mut dice = Dice::new(seed);
        let mut word = |min: usize, spread: usize, letters: &[u8]| -> String {
            let len = min + dice.below(spread);
            (0..len)
                .map(|_| char::from(letters[dice.below(letters.len())]))
                .collect()
        };
        let values: Vec<String> = (0..4).map(|_| word(4, 6, b"abc")).collect();
        let mut text = word(0, 60, b"abcabcx");
        for value in &values {
            text.push_str(value);
            text.push_str(&word(0, 40, b"abcabcabcx"));
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let secrets = change(known(&values));
        let pieces = cut(&mut dice, text.as_bytes(), 12);
        mismatches += usize::from(masked(&secrets, pieces) != oracle(&values, &text));
    }
    mismatches
}

#[test]
fn what_is_held_back_is_bounded_and_only_what_could_be_a_secret() {
    let value = "ab".repeat(500);
    let secrets = known(&[&value]);
    let mut masker = secrets.masker();
    let mut held = 0;
    for _ in 0..10_000 {
        masker.push(Bytes::from_static(b"ab"));
        held = held.max(masker.held());
    }
    assert!(held < 2 * value.len(), "{held} bytes held");
    let mut masker = secrets.masker();
    assert_eq!(masker.push(Bytes::from_static(b"a prompt> ")), "a prompt> ");
    assert_eq!(masker.held(), 0);
}

#[test]
fn a_secret_that_is_learned_late_is_masked_in_streams_that_are_open() {
    let secrets = KnownSecrets::new();
    let mut masker = secrets.masker();
    assert_eq!(
        masker.push(Bytes::from_static(b"before abcb ")),
        "before abcb "
    );
    secrets.learn("A", b"abcb").expect("can be masked");
    assert_eq!(masker.push(Bytes::from_static(b"after ab")), "after ");
    assert_eq!(masker.push(Bytes::from_static(b"cb.")), "[secret:A].");
}

#[test]
fn bytes_that_are_no_text_do_not_disturb() {
    let secrets = known(&["abcb"]);
    let mut masker = secrets.masker();
    let mut out = Vec::new();
    for piece in [b"\xff\xfeab".as_slice(), b"cb\xf0", b"\x9f\x8cabcb\xff"] {
        out.extend_from_slice(&masker.push(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&masker.finish());
    assert_eq!(out, b"\xff\xfe[secret:A]\xf0\x9f\x8c[secret:A]\xff");
}

#[test]
fn values_that_cannot_be_masked_are_refused_with_the_reason() {
    let secrets = KnownSecrets::new();
    let refused = |value: &[u8]| secrets.learn("PIN", value).expect_err("refused");
    assert!(matches!(refused(b""), SecretError::Empty { .. }));
    assert!(matches!(refused(b" \n"), SecretError::Empty { .. }));
    assert!(matches!(
        refused(b"123"),
        SecretError::TooShort { bytes: 3, .. }
    ));
    assert!(matches!(
        refused(&[b'x'; 40_000]),
        SecretError::TooLong { .. }
    ));
    assert_eq!(secrets.mask_text("123 and nothing"), "123 and nothing");
}

#[test]
fn the_mark_never_shows_a_secret_and_neither_does_the_registry() {
    let secrets = KnownSecrets::new();
    secrets.learn("hunter2", b"hunter2").expect("can be masked");
    secrets.learn("B", b"secret").expect("can be masked");
    let shown = secrets.mask_text("it is hunter2, the secret");
    assert_eq!(shown, "it is [***], the [***]");
    assert!(!format!("{secrets:?} {:?}", secrets.masker()).contains("hunter2"));
}

#[test]
fn older_values_of_a_name_stay_masked_up_to_a_bound() {
    let secrets = KnownSecrets::new();
    for number in 0..=MAX_VALUES_PER_NAME {
        let value = format!("value-{number:03}-of-many");
        secrets.learn("A", value.as_bytes()).expect("can be masked");
    }
    assert_eq!(secrets.mask_text("value-001-of-many"), "[secret:A]");
    assert_eq!(secrets.mask_text("value-064-of-many"), "[secret:A]");
    assert_eq!(secrets.mask_text("value-000-of-many"), "value-000-of-many");
}
