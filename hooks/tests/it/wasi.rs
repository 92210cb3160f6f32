//! Modules of WASI toolchains on a host that has no WASI: what they print is logged, time stands still, numbers are not random, and
//! there is nothing else.

use sandclock_hooks::{InstallError, KnownSecrets, Level, PluginHost, WORLDS, componentize};

use crate::fixture::{NOW, artifact, host, limits, run};

/// A core module without metadata, as Go's linker writes it. `body` may leave the run's limit, in milliseconds; what it imports of
/// WASI is declared in `imports`.
fn module(imports: &str, body: &str, data: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
  {imports}
  (memory (export "memory") 2)
  (data (i32.const 1024) "{data}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (func $answer (result i32) {body})
  ;; A decision at 512: no error, some decision, and in it a limit and an empty reason.
  (func (export "sandclock:plugin/timeout-policy@0.1.0#decide") (param i32) (result i32)
    (i32.store8 (i32.const 516) (i32.const 1))
    (i32.store8 (i32.const 520) (i32.const 1))
    (i32.store (i32.const 524) (call $answer))
    (i32.const 512)))"#
    );
    wat::parse_str(text).expect("valid WAT")
}

const WRITE: &str = r#"(import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))"#;

/// Prints the first `len` bytes of the data to `fd`.
fn print(fd: u32, from: u32, len: u32) -> String {
    format!(
        "(i32.store (i32.const 256) (i32.const {}))
         (i32.store (i32.const 260) (i32.const {len}))
         (drop (call $write (i32.const {fd}) (i32.const 256) (i32.const 1) (i32.const 264)))",
        1024 + from
    )
}

async fn installed(module: &[u8]) -> PluginHost {
    let host = host(&KnownSecrets::new());
    let component = componentize(module, Some("timeout-plugin")).expect("a component");
    host.install(artifact("p", component))
        .await
        .expect("installs");
    host
}

/// The limit that the guest decides, and its log.
async fn decided(module: &[u8]) -> (u128, Vec<(Level, String)>) {
    let host = installed(module).await;
    let policy = limits(&host, &run(&["p"])).await;
    assert!(!policy.notes[0].failed, "{policy:?}");
    let log = host.list().remove(0).log;
    let lines = log.into_iter().map(|line| (line.level, line.text));
    (policy.limit.expect("a limit").as_millis(), lines.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_prints_is_logged_by_lines() {
    // Two lines in three pieces, the second unfinished until the third.
    let prints = [print(1, 0, 3), print(2, 13, 4), print(1, 3, 10)].concat();
    let body = format!("{prints} (i32.load (i32.const 264)) (i32.const 1000) i32.mul");
    let (limit, log) = decided(&module(WRITE, &body, "first\\nsecond\\nerr\\n")).await;
    assert_eq!(limit, 10_000, "all bytes of the last piece are written");
    let expected = [
        (Level::Error, "err".to_owned()),
        (Level::Info, "first".to_owned()),
        (Level::Info, "second".to_owned()),
    ];
    assert_eq!(log, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_may_be_any_bytes_and_leaves_no_trace_in_memory() {
    // Whole characters of two to four bytes; an overlong one, a surrogate, a lone byte, one that is cut off.
    let data = "\\c3\\a9\\e2\\82\\ac\\f0\\9f\\98\\80\\c0\\af\\ed\\a0\\80\\ff\\e2\\82\\n";
    let before = "(i64.store (i32.const 0) (i64.const 0x1122334455667788))";
    let same = "(select (i32.const 2000) (i32.const 3000)
        (i64.eq (i64.load (i32.const 0)) (i64.const 0x1122334455667788)))";
    let body = format!("{before} {} {same}", print(1, 0, 18));
    let (limit, log) = decided(&module(WRITE, &body, data)).await;
    assert_eq!(
        limit, 2_000,
        "the guest's memory is what it was at address 0"
    );
    assert_eq!(log, [(Level::Info, "é€😀????????".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_longer_than_the_log_takes_goes_on_in_the_next() {
    let data = format!("{}\\n", "x".repeat(2500));
    let body = format!("{} (i32.const 1000)", print(1, 0, 2501));
    let (_, log) = decided(&module(WRITE, &body, &data)).await;
    let lengths: Vec<usize> = log.iter().map(|(_, line)| line.len()).collect();
    assert_eq!(lengths, [1024, 1024, 452]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_is_that_of_the_call_and_never_asked_while_the_host_may_not_be() {
    let imports = r#"
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "adapter_monotonic_clock_set_paused" (func $pause (param i32)))"#;
    // Seconds since the start of November 2026, as a limit: 18 h and 19 days.
    let read = "(drop (call $time (i32.const 1) (i64.const 1) (i32.const 256)))";
    let body = format!(
        "{read} (call $pause (i32.const 1)) (i64.store (i32.const 256) (i64.const 0)) {read}
         (call $pause (i32.const 0))
         (i32.wrap_i64 (i64.sub (i64.div_u (i64.load (i32.const 256)) (i64.const 1000000000))
            (i64.const 1793491200)))"
    );
    let (limit, _) = decided(&module(imports, &body, "")).await;
    let since = NOW.as_millis() / 1000 - 1_793_491_200;
    assert_eq!(i64::try_from(limit), Ok(since));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_numbers_are_the_same_in_each_call() {
    let imports = r#"
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let body = "(drop (call $random (i32.const 256) (i32.const 8)))
        (i32.or (i32.const 65536) (i32.load (i32.const 256)))";
    let host = installed(&module(imports, body, "")).await;
    let first = limits(&host, &run(&["p"])).await.limit;
    for _ in 0..3 {
        assert_eq!(limits(&host, &run(&["p"])).await.limit, first);
    }
    let other = body.replace("(i32.load (i32.const 256))", "(i32.load (i32.const 260))");
    let (other, _) = decided(&module(imports, &other, "")).await;
    assert_ne!(
        first.map(|limit| limit.as_millis()),
        Some(other),
        "not all bytes are the same"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_files_sockets_arguments_or_variables() {
    let imports = r#"
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $vars (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))"#;
    let badf = [
        "(call $prestat (i32.const 3) (i32.const 256))",
        "(call $open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 0)
            (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 256))",
        "(call $read (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 264))",
        "(call $send (i32.const 3) (i32.const 256) (i32.const 1) (i32.const 0) (i32.const 264))",
    ];
    let mut body = "(local $sum i32)".to_owned();
    for call in badf {
        body += &format!("(local.set $sum (i32.add (local.get $sum) {call}))");
    }
    // Waiting for input; then as many arguments and variables as there are.
    body += "(i32.store8 (i32.const 264) (i32.const 1))
        (local.set $sum (i32.add (local.get $sum)
            (call $poll (i32.const 256) (i32.const 400) (i32.const 1) (i32.const 440))))
        (i64.store (i32.const 256) (i64.const -1))
        (drop (call $vars (i32.const 256) (i32.const 260)))
        (local.set $sum (i32.add (local.get $sum) (i32.load (i32.const 256))))
        (i32.store (i32.const 256) (i32.const -1))
        (drop (call $args (i32.const 256) (i32.const 260)))
        (local.set $sum (i32.add (local.get $sum) (i32.load (i32.const 256))))
        (i32.mul (local.get $sum) (i32.const 1000))";
    let (limit, _) = decided(&module(imports, &body, "")).await;
    assert_eq!(limit, (4 * 8 + 52) * 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_the_clock_ends_at_once() {
    let imports = r#"
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;
    // Two subscriptions: input, and the clock with 7 as user data. The event says which of them happened.
    let body = "(i32.store8 (i32.const 264) (i32.const 1))
        (i64.store (i32.const 304) (i64.const 7))
        (i32.mul (i32.const 1000)
          (i32.add
            (call $poll (i32.const 256) (i32.const 400) (i32.const 2) (i32.const 440))
            (i32.add
              (i32.mul (i32.const 10) (i32.load (i32.const 440)))
              (i32.wrap_i64 (i64.load (i32.const 400))))))";
    let (limit, _) = decided(&module(imports, body, "")).await;
    assert_eq!(limit, 17_000, "no error, one event, of the clock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_exits_has_failed_and_its_last_words_are_kept() {
    let exit = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    let body = format!(
        "{} (call $exit (i32.const 0)) (i32.const 1000)",
        print(2, 0, 5)
    );
    let host = installed(&module(&[WRITE, exit].concat(), &body, "alas!")).await;
    let policy = limits(&host, &run(&["p"])).await;
    assert!(policy.notes[0].failed, "{policy:?}");
    let log = host.list().remove(0).log;
    assert_eq!(log[0].text, "alas!");
}

#[tokio::test]
async fn a_module_that_does_not_say_what_it_implements_is_refused_with_the_remedy() {
    let module = module("", "(i32.const 1000)", "");
    let host = host(&KnownSecrets::new());
    let error = host
        .install(artifact("p", module.clone()))
        .await
        .expect_err("refused");
    assert_eq!(error, InstallError::NoContract);
    assert!(error.to_string().contains("`sandclock plugin build`"));
    let error = componentize(&module, Some("timeout")).expect_err("refused");
    let told = r#"the contract has no world "timeout": there are timeout-plugin, redaction-plugin, alert-plugin, alert-plugin-kv, alert-plugin-http, alert-plugin-kv-http, all-hooks"#;
    assert_eq!(error.to_string(), told);
}

#[test]
fn a_module_may_implement_each_world_and_says_so_once() {
    for world in WORLDS {
        let done = componentize(&module("", "(i32.const 1000)", ""), Some(world));
        match world {
            "timeout-plugin" => {
                let component = done.expect("a component");
                assert_eq!(
                    componentize(&component, Some("alert-plugin")),
                    Ok(component.clone()),
                    "a component stays"
                );
            }
            // It lacks the hooks of the others, and is told which.
            _ => {
                let error = done.expect_err("refused").to_string();
                assert!(error.contains("sandclock:plugin/"), "{error}");
            }
        }
    }
}

#[test]
fn an_import_that_nobody_knows_is_named() {
    let imports = r#"(import "wasi_snapshot_preview1" "fd_teleport" (func (param i32)))"#;
    let error = componentize(
        &module(imports, "(i32.const 1)", ""),
        Some("timeout-plugin"),
    );
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("fd_teleport"), "{error}");
    let imports = r#"(import "env" "system" (func (param i32)))"#;
    let error = componentize(
        &module(imports, "(i32.const 1)", ""),
        Some("timeout-plugin"),
    );
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("env"), "{error}");
}
