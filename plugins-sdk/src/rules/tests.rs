//! The promise of the rules against an oracle that shares no code with them: at each position the longest match by brute force,
//! the union of all, one label for each unbroken stretch.

use super::{MAX_MATCH_BYTES, Prebuilt, Rules, pattern, prebuild};
use crate::mock::{self, Host};
use crate::prelude::*;

/// The rules of a test come through the configuration: `{"rules": [[name, pattern], …]}`. Those from `prebuilt[0]` up to
/// `prebuilt[1]` are compiled as a build script would.
struct Configured(Rules);

impl Redactor for Configured {
    fn begin(_: RunInfo, _: Channel) -> Result<Self> {
        let rules: Vec<(String, String)> = config::get_or("rules", Vec::new())?;
        let [from, to] = config::get_or("prebuilt", [0, 0])?;
        let (before, rest) = rules.split_at(from);
        let (within, behind) = rest.split_at(to - from);
        let mut builder = Rules::builder();
        for (name, pattern) in before {
            builder = builder.pattern(name, pattern)?;
        }
        builder = builder.prebuilt(prebuilt(within)?)?;
        for (name, pattern) in behind {
            builder = match name.as_str() {
                "pem" => builder.armoured(name, pattern)?,
                _ => builder.pattern(name, pattern)?,
            };
        }
        Ok(Self(builder.build()?))
    }

    fn scan(&mut self, window: Window<'_>) -> Result<Verdict> {
        self.0.scan(window)
    }
}

/// As compiled with a plugin, which lives as long as the process does.
fn prebuilt(rules: &[(String, String)]) -> Result<&'static Prebuilt> {
    let patterns: Result<Vec<_>> = rules.iter().map(|(_, text)| pattern::parse(text)).collect();
    let tables = prebuild::tables(&patterns?)?;
    let rules = rules
        .iter()
        .map(|(name, _)| (&*name.clone().leak(), name == "pem"));
    let rules = rules.collect::<Vec<_>>().leak();
    let set = Prebuilt::new(rules, tables.states.leak(), tables.edges.leak());
    Ok(Box::leak(Box::new(set)))
}

fn host(rules: &[(&str, &str)]) -> Host {
    Host::new().config(serde_json::json!({ "rules": rules }))
}

/// As [`host`], with a part of the rules prebuilt.
fn host_with_prebuilt(rules: &[(&str, &str)], from: usize, to: usize) -> Host {
    Host::new().config(serde_json::json!({ "rules": rules, "prebuilt": [from, to] }))
}

fn check(rules: &[(&str, &str)], input: &str, want: &str) {
    let got = mock::check_chunkings::<Configured>(&host(rules), input.as_bytes()).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), want, "{rules:?} on {input}");
}

fn oracle(rules: &[(&str, &str)], input: &[u8]) -> Vec<u8> {
    let whole: Vec<_> = rules
        .iter()
        .map(|(_, pattern)| regex::bytes::Regex::new(&format!(r"(?s-u)\A(?:{pattern})\z")).unwrap())
        .collect();
    let longest = |start: usize| {
        (start + 1..=input.len()).rev().find_map(|end| {
            let rule = whole
                .iter()
                .position(|rule| rule.is_match(&input[start..end]))?;
            Some((end, rule))
        })
    };
    let mut output = Vec::new();
    let mut hidden_to = 0;
    for (start, &byte) in input.iter().enumerate() {
        let found = longest(start);
        if let Some((_, rule)) = found.filter(|_| start > hidden_to || start == 0) {
            output.extend(format!("[redacted:{}]", rules[rule].0).bytes());
        }
        hidden_to = found.map_or(hidden_to, |(end, _)| end.max(hidden_to));
        if start >= hidden_to {
            output.push(byte);
        }
    }
    output
}

#[test]
fn overlapping_and_touching_matches_become_one_label() {
    let words = [("a", "abcdef"), ("b", "defghi")];
    check(&words, "x abcdefghi y", "x [redacted:a] y");
    check(&words, "x abcdefdefghi y", "x [redacted:a] y");
    check(&words, "x abcdef defghi y", "x [redacted:a] [redacted:b] y");
    check(&[("aba", "aba")], "ababababax", "[redacted:aba]x");
}

#[test]
fn self_overlapping_words_are_found() {
    check(&[("s", "aab")], "aaab", "a[redacted:s]");
    check(
        &[("s", "abcabd-SECRET")],
        "abcabcabd-SECRET",
        "abc[redacted:s]",
    );
}

#[test]
fn a_candidate_at_the_end_is_released_only_when_nothing_can_follow() {
    let rules = [("aws", "AKIA[0-9A-Z]{16}")];
    let host = host(&rules);
    let mut redactor = mock::begin::<Configured>(&host).unwrap();
    let mut stream = mock::Stream::new(&host);
    stream.push(&mut redactor, b"key AKIA0123").unwrap();
    assert_eq!(stream.undecided(), 8);
    assert_eq!(stream.finish(&mut redactor).unwrap(), b"key AKIA0123");
    check(&rules, "AKIA0123456789ABCDEF", "[redacted:aws]");
}

#[test]
fn bytes_that_are_no_text_pass_and_do_not_hide_a_secret() {
    let rules = [("aws", "AKIA[0-9A-Z]{16}")];
    let input = b"\xff\xfe\x00AKIA0123456789ABCDEF\x80\xc3";
    let got = mock::check_chunkings::<Configured>(&host(&rules), input).unwrap();
    assert_eq!(got, b"\xff\xfe\x00[redacted:aws]\x80\xc3");
}

#[test]
fn a_match_that_becomes_too_long_is_hidden_to_the_end_of_its_line() {
    let rules = [("pw", r"password=\S+")];
    let long = "x".repeat(MAX_MATCH_BYTES * 3);
    let input = format!("a password={long} and more\nnext password=1 line");
    let output = mock::redact::<Configured>(&host(&rules), input.as_bytes().chunks(1000)).unwrap();
    assert_eq!(
        String::from_utf8(output).unwrap(),
        "a [redacted:pw]\nnext [redacted:pw] line"
    );
}

#[test]
fn armour_that_becomes_too_long_is_hidden_to_its_end() {
    let rules = [("pem", r"BEGIN KEY(?:\s|[A-Za-z0-9+/=])+(?:END)?")];
    let line = format!("{}\n", "k".repeat(64));
    let input = format!("BEGIN KEY\n{}.$ ls", line.repeat(400));
    for host in [host(&rules), host_with_prebuilt(&rules, 0, 1)] {
        for size in [97, 4096, 65536, 1 << 20] {
            let chunks = input.as_bytes().chunks(size);
            let output = mock::redact::<Configured>(&host, chunks).unwrap();
            assert_eq!(
                String::from_utf8(output).unwrap(),
                "[redacted:pem].$ ls",
                "chunks of {size}"
            );
        }
    }
}

#[test]
fn a_candidate_that_never_matches_is_hidden_once_it_is_too_long() {
    let rules = [("never", "<[a-z]*>")];
    let input = format!("<{} \n tail", "a".repeat(MAX_MATCH_BYTES + 5));
    let output = mock::redact::<Configured>(&host(&rules), input.as_bytes().chunks(97)).unwrap();
    assert_eq!(
        String::from_utf8(output).unwrap(),
        "[redacted:unfinished]\n tail"
    );
}

#[test]
fn more_matches_than_one_verdict_may_have_are_all_hidden() {
    let input = b"aaaa,".repeat(13_000);
    let output = mock::redact::<Configured>(&host(&[("w", "aaaa")]), [&*input]).unwrap();
    assert!(!output.windows(4).any(|window| window == b"aaaa"));
}

#[test]
fn long_words_cost_one_walk_not_one_for_each_letter() {
    // Quadratic, this would be 131,072 × 4,000 steps: minutes without optimisation.
    let rules = [("long", "[a-z]{20,}X"), ("mail", r"\S+@\S+")];
    let mut text = b"abcdefgh".repeat(1 << 14);
    for at in (0..text.len()).step_by(4000) {
        text[at] = b' ';
    }
    for host in [
        host(&rules),
        host_with_prebuilt(&rules, 0, 2),
        host_with_prebuilt(&rules, 0, 1),
    ] {
        assert_eq!(mock::redact::<Configured>(&host, [&*text]).unwrap(), text);
    }
}

#[test]
fn random_rules_and_texts_equal_the_oracle() {
    let pool = [
        ("r0", "ab"),
        ("r1", "aab"),
        ("r2", "b+c"),
        ("r3", "a[bc]*d"),
        ("r4", "abcab"),
        ("r5", "c(?:ab|d)+"),
        ("r6", "dd"),
        ("r7", "(?:ab|cd){2,3}"),
        ("r8", "a.c"),
        ("r9", "bab|abab"),
        ("r10", "dc"),
        ("r11", "d|cabc"),
    ];
    let mut state = 7_u64;
    let mut draw = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let mut hidden = 0;
    for _ in 0..3000 {
        let rules: Vec<_> = (0..1 + draw(4)).map(|_| pool[draw(pool.len())]).collect();
        let input: Vec<u8> = (0..draw(40)).map(|_| b"abcd"[draw(4)]).collect();
        let want = oracle(&rules, &input);
        hidden += usize::from(want != input);
        let from = draw(rules.len() + 1);
        let to = from + draw(rules.len() + 1 - from);
        let host = host_with_prebuilt(&rules, from, to);
        let at = draw(input.len() + 1);
        let (left, right) = input.split_at(at);
        for chunks in [vec![&*input], vec![left, right], input.chunks(1).collect()] {
            let got = mock::redact::<Configured>(&host, chunks).unwrap();
            let [got, want] = [&got, &want].map(|text| String::from_utf8_lossy(text));
            assert_eq!(
                got,
                want,
                "{rules:?} on {}",
                String::from_utf8_lossy(&input)
            );
        }
    }
    assert!(hidden > 1000, "only {hidden} inputs had a match");
}

#[test]
fn rules_that_cannot_be_are_refused_with_the_reason() {
    let refusal = |name: &str, pattern: &str| {
        Rules::builder()
            .pattern(name, pattern)
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert!(refusal("w", r"\bfoo").contains("look at bytes that may be gone"));
    assert!(refusal("w", "x*").contains("at least one byte"));
    assert!(refusal("w", "a(b").contains("unclosed group"));
    assert!(refusal("a b", "x").contains("letters, digits"));
    assert!(Rules::builder().word("w", "").is_err());
}

#[test]
fn a_prebuilt_set_is_written_as_code() {
    let set = Rules::builder()
        .pattern("a", "ab")
        .unwrap()
        .armoured("b", "a[x-z]")
        .unwrap();
    let code = set.prebuild().unwrap();
    let rules = r#"::sandclock_plugin_sdk::rules::Prebuilt::new(&[("a", false), ("b", true), ], "#;
    assert!(code.starts_with(rules), "{code}");
    assert!(
        code.contains("(97, 97, 1)") && code.contains("(120, 122, "),
        "{code}"
    );
    let nested = Rules::builder().prebuilt(prebuilt(&[]).unwrap()).unwrap();
    assert!(nested.prebuild().is_err());
}

/// A mistake made on purpose, between the rules and the host.
trait Mistake: 'static {
    fn before(window: &mut Window<'_>) {
        let _ = window;
    }
    fn after(verdict: &mut Verdict) {
        let _ = verdict;
    }
}

struct Mutant<M>(Configured, core::marker::PhantomData<M>);

impl<M: Mistake> Redactor for Mutant<M> {
    fn begin(run: RunInfo, channel: Channel) -> Result<Self> {
        Ok(Self(
            Configured::begin(run, channel)?,
            core::marker::PhantomData,
        ))
    }

    fn scan(&mut self, mut window: Window<'_>) -> Result<Verdict> {
        M::before(&mut window);
        let mut verdict = self.0.scan(window)?;
        M::after(&mut verdict);
        Ok(verdict)
    }
}

/// Releases candidates at once.
struct Hasty;
impl Mistake for Hasty {
    fn before(window: &mut Window<'_>) {
        window.flush = Flush::Last;
    }
}

/// Keeps nothing of what it has decided.
struct Forgetful;
impl Mistake for Forgetful {
    fn after(verdict: &mut Verdict) {
        verdict.carry.clear();
    }
}

/// Looks at what is new only.
struct Impatient;
impl Mistake for Impatient {
    fn after(verdict: &mut Verdict) {
        if let Some(edit) = verdict.edits.last() {
            verdict.consumed = verdict.consumed.max(edit.start + edit.len + 1);
        }
    }
}

#[test]
fn mistakes_at_the_edges_of_windows_are_noticed() {
    // Overlapping matches, so that a window may end inside of what is hidden.
    let host = host(&[("a", "abcdef"), ("b", "defghi+")]);
    let input = b"x abcdefghiii y abcdef defghi";
    assert!(mock::check_chunkings::<Configured>(&host, input).is_ok());
    assert!(mock::check_chunkings::<Mutant<Hasty>>(&host, input).is_err());
    assert!(mock::check_chunkings::<Mutant<Forgetful>>(&host, input).is_err());
    assert!(mock::check_chunkings::<Mutant<Impatient>>(&host, input).is_err());
}
