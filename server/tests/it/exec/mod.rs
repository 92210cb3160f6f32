//! Real processes: what is started, what is left, what is printed.
//!
//! A worker here is this test binary again, started with one test to run ([`worker`]), so that it
//! can be killed, stopped and measured. What a run leaves behind is found by a mark in its
//! environment, which every descendant inherits.

mod neglect;
mod output;
mod reuse;
mod start;
mod trees;
mod worker;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use sandclock_server::exec::{Child, CommandSpec, Processes, Spawner};
use tokio::io::AsyncReadExt;

/// The product's binary, which is also the spawner.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sandclock");

/// The variable that marks the processes of one test.
const MARK: &str = "SANDCLOCK_TEST_MARK";

/// No state that a test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell that ignores SIGTERM, and one like it in a session of its own whose parent has ended.
pub(crate) const STUBBORN: &str = r#"
    trap "" TERM HUP INT
    ( setsid bash -c 'trap "" TERM HUP INT; while :; do sleep 1000; done' & )
    while :; do sleep 1000; done"#;

/// How many processes [`STUBBORN`] is when all have started: two shells and a `sleep` each.
pub(crate) const STUBBORN_PROCESSES: usize = 4;

fn processes() -> Processes {
    Processes::new(Spawner::start_from(Path::new(PROGRAM)).unwrap()).unwrap()
}

/// A mark that no other test has.
fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A shell command in a bare environment.
fn shell(text: &str) -> CommandSpec {
    argv(&["/bin/bash", "-c", text])
}

fn argv(argv: &[&str]) -> CommandSpec {
    CommandSpec {
        argv: argv.iter().map(|&part| part.to_owned()).collect(),
        env: vec![("PATH".to_owned(), std::env!("PATH").to_owned())],
        workdir: None,
        user: None,
        umask: 0o022,
        limits: Default::default(),
        split: false,
        keep_leftovers: false,
        grace: Duration::from_secs(1),
        alive_for: Duration::from_secs(600),
    }
}

fn marked(mut spec: CommandSpec, mark: &str) -> CommandSpec {
    spec.env.push((MARK.to_owned(), mark.to_owned()));
    spec
}

/// Living processes with this mark: id and command line. Zombies have no environment any more.
fn alive(mark: &str) -> BTreeMap<i32, String> {
    let wanted = format!("{MARK}={mark}");
    let of = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let found = environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted.as_bytes());
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        found.then(|| (pid, line.replace('\0', " ")))
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(of)
        .collect()
}

/// Waits until `state` holds; fails with `what` after `patience`.
async fn wait_until(patience: Duration, what: &str, mut state: impl FnMut() -> bool) {
    let looking = async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(patience, looking).await.is_ok(),
        "not within {patience:?}: {what}"
    );
}

async fn gone_within(patience: Duration, mark: &str) {
    let what = format!("the processes of {mark} are gone");
    wait_until(patience, &what, || alive(mark).is_empty()).await;
}

/// Everything a child prints, pipe by pipe, and how it ended.
async fn finish(mut child: Child) -> (Vec<String>, sandclock_server::exec::TreeEnd) {
    let mut texts = Vec::new();
    for (_, mut pipe) in std::mem::take(&mut child.outputs) {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).await.unwrap();
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    (texts, child.wait().await)
}
