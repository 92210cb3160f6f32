//! A stream through masks and plugins: windows, failures, and what never comes out (S14).

use bytes::Bytes;
use sandclock_core::ports::{Channel, Hooks};
use sandclock_hooks::mutants::Mutant;
use sandclock_hooks::{Hook, KnownSecrets, PluginHost};
use serde_json::json;

use crate::fixture::{Dice, config, cut, host, install, limits, redacted, run, run_with};
use crate::guests::{Guest, blabber, picky};

const TOKEN: &str = "tok-5f3a9c";

fn secrets() -> KnownSecrets {
    let secrets = KnownSecrets::new();
    secrets
        .learn("TOKEN", TOKEN.as_bytes())
        .expect("can be masked");
    secrets
}

#[tokio::test]
async fn without_plugins_known_secrets_are_masked() {
    let host = host(&secrets());
    let (shown, notes) = redacted(&host, &run(&[]), [b"a tok-5f".as_slice(), b"3a9c b"]).await;
    assert_eq!(shown, "a [secret:TOKEN] b");
    assert_eq!(notes, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_sees_the_same_whatever_the_chunks() {
    let host = host(&secrets());
    install(&host, "picky", &picky()).await;
    let run = run(&["picky"]);
    let text = format!("one X two {TOKEN} XX three X{TOKEN}X\n").repeat(3);
    let expected = text.replace('X', "").replace(TOKEN, "[secret:TOKEN]");
    let (shown, notes) = redacted(&host, &run, text.as_bytes().chunks(1)).await;
    assert_eq!(shown, expected);
    assert!(
        notes[0].decision.starts_with("hid 15 stretches, "),
        "{notes:?}"
    );
    for seed in 0..100 {
        let pieces = cut(&mut Dice::new(seed), text.as_bytes(), 9);
        let (shown, _) = redacted(&host, &run, pieces).await;
        assert_eq!(shown, expected, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_window_goes_through_in_windows() {
    let host = host(&KnownSecrets::new());
    install(&host, "picky", &picky()).await;
    let text = "0123456789abcdefghijX".repeat(15_000);
    let (shown, _) = redacted(&host, &run(&["picky", "picky"]), [text.as_bytes()]).await;
    assert!(
        shown == text.replace('X', ""),
        "{} bytes came out",
        shown.len()
    );
}

/// The plugin of the test removes each `X`, and so puts together what stood around it.
async fn put_together(host: &PluginHost) -> String {
    install(host, "picky", &picky()).await;
    let text = "a tok-5fXX3a9c b\n";
    redacted(host, &run(&["picky"]), text.as_bytes().chunks(3))
        .await
        .0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_plugin_puts_together_is_masked() {
    let shown = put_together(&host(&secrets())).await;
    assert_eq!(shown, "a [secret:TOKEN] b\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_notices_a_mask_before_plugins_only() {
    let mut config = config(&secrets());
    config.mutant = Some(Mutant::MaskBeforePluginsOnly);
    let shown = put_together(&PluginHost::new(config).expect("a host")).await;
    assert!(shown.contains(TOKEN), "{shown}");
}

/// Lines go in one by one; the guest traps on the second.
async fn trapped(host: &PluginHost) -> String {
    install(host, "picky", &picky()).await;
    let lines = [b"first X\n".as_slice(), b"card 4111 1111!\n", b"third\n"];
    redacted(host, &run(&["picky"]), lines).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_trap_leaves_undecided_is_withheld_with_a_marker() {
    let host = host(&secrets());
    let shown = trapped(&host).await;
    // The last byte of a window is undecided until the next: here a newline.
    assert_eq!(
        shown,
        "first \n[output withheld: redactor picky panic, 17 bytes]\n\
         [output withheld: redactor picky panic, 6 bytes]\n"
    );
    let counters = host.counters();
    assert_eq!(counters[0].withheld_bytes, 23);
    assert_eq!(
        host.list()[0]
            .last_failure
            .as_ref()
            .map(|failure| failure.code.as_str()),
        Some("panic")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_notices_a_second_failure_that_releases() {
    let mut config = config(&secrets());
    config.mutant = Some(Mutant::ReleaseOnFailure);
    let shown = trapped(&PluginHost::new(config).expect("a host")).await;
    assert!(shown.contains("4111"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_wait_the_next_line_is_shown_again() {
    let host = host(&secrets());
    install(&host, "picky", &picky()).await;
    let run = run(&["picky"]);
    let mut redactor = host.redactor(&run, Channel::Combined).await;
    let mut shown = Vec::new();
    let mut push = async |redactor: &mut Box<dyn sandclock_core::ports::Redactor>, text| {
        let out = redactor.push(Bytes::from_static(text)).await;
        shown.extend_from_slice(out.bytes());
        String::from_utf8_lossy(&shown).into_owned()
    };
    push(&mut redactor, b"bad! and").await;
    push(&mut redactor, b" withheld\nand").await;
    // The first wait is a second, by contract.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let text = push(&mut redactor, b" the rest of its line\nshown\n").await;
    assert_eq!(
        text,
        "[output withheld: redactor picky panic, 7 bytes]\n\
         [output withheld: redactor picky panic, 36 bytes]\nshown"
    );
}

#[tokio::test]
async fn a_plugin_that_is_not_there_withholds_everything() {
    let host = host(&secrets());
    let (shown, notes) = redacted(&host, &run(&["gone"]), [b"abc\n".as_slice(), b"def\n"]).await;
    assert_eq!(shown, "[output withheld: redactor gone missing, 8 bytes]\n");
    assert!(notes[0].decision.contains("not installed"), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_masked_in_errors_notes_and_the_plugins_own_log() {
    let host = host(&secrets());
    install(&host, "blabber", &blabber()).await;
    let run = run_with(&[("blabber", json!({ "password": TOKEN }))]);
    let policy = limits(&host, &run).await;
    let (shown, notes) = redacted(&host, &run, [b"abc\n".as_slice()]).await;
    let everything = format!(
        "{policy:?} {shown} {notes:?} {:?} {:?}",
        host.list(),
        host.counters()
    );
    assert!(!everything.contains(TOKEN), "{everything}");
    assert!(
        policy.notes[0].decision.contains("[secret:TOKEN]"),
        "{policy:?}"
    );
    let log = &host.list()[0].log;
    assert!(
        log.iter()
            .any(|line| line.text == r#"{"password":"[secret:TOKEN]"}"#),
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redactor_that_hides_nothing_is_noted_if_it_was_asked() {
    let host = host(&secrets());
    install(&host, "harmless", &Guest::harmless()).await;
    let (shown, notes) = redacted(&host, &run(&["harmless"]), [b"abc".as_slice()]).await;
    let said: Vec<_> = notes.iter().map(|note| note.decision.as_str()).collect();
    assert_eq!((shown.as_str(), said), ("abc", vec!["hid nothing"]));
    let (_, notes) = redacted(&host, &run(&["harmless"]), []).await;
    assert_eq!(notes, []);
}

/// What is withheld when each failure is one too many: what fails, and then one more line.
async fn withheld_by(guest: &Guest) -> (String, u64) {
    let mut config = config(&secrets());
    config.breakers.default.failures = 1;
    let host = PluginHost::new(config).expect("a host");
    install(&host, "p", guest).await;
    let run = run(&["p"]);
    let mut redactor = host.redactor(&run, Channel::Combined).await;
    for line in [b"one!\n".as_slice(), b"two\n"] {
        redactor.push(Bytes::from_static(line)).await;
    }
    let breakers = &host.counters()[0].breakers;
    let of_streams = breakers.iter().find(|(of, _)| *of == Hook::OutputRedaction);
    let open = of_streams.map_or(0, |(_, open)| *open);
    let rest = redactor.finish().await;
    (String::from_utf8_lossy(rest.bytes()).into_owned(), open)
}

/// A mistake of its own ends it for the stream; what is not its fault is only waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_given_up_for_the_plugins_own_mistakes_alone() {
    let (rest, open) = withheld_by(&Guest::doing("(unreachable)")).await;
    assert_eq!(
        rest,
        "[output withheld: redactor p breaker_open, 4 bytes]\n"
    );
    assert_eq!(open, 1);
    let (rest, open) = withheld_by(&blabber()).await;
    assert_eq!(
        rest,
        "[output withheld: redactor p plugin_error, 4 bytes]\n"
    );
    assert_eq!(open, 0);
}
