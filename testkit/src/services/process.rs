//! A child process that lives exactly as long as the test binary.
//!
//! The kernel signals a child when the *thread* that started it ends (`PR_SET_PDEATHSIG`), and test threads
//! are short-lived. So each server has a thread of its own that reads its log for ever, and ends only with the
//! process. Between the two stands a shell that removes the folder of data afterwards.

use std::io::{BufRead, BufReader};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// Starts `"$@"` with `$dir` as the last argument, and removes `$dir` when told to stop, or when it ends. Told
/// to stop it says nothing any more: nobody reads it, and writing would end it before it has cleaned up. The
/// folder's name says which program's it is.
const SHELL: &str = r#"
dir=$(mktemp -d -p "$1" "sandclock-${2##*/}.XXXXXX") || exit 1
shift
trap 'exec 2>/dev/null; kill -KILL $child; wait $child; rm -rf "$dir"; exit 0' TERM
setpriv --pdeathsig KILL "$@" "$dir" &
child=$!
wait $child
rm -rf "$dir"
"#;

/// Starts the server, and returns the first thing that `ready` finds in a line of its log.
///
/// # Panics
/// If the server is not installed, with `get` as the way to get it, or if it ends before it is ready, with its
/// log.
pub(super) fn start(
    arguments: &[&str],
    get: &str,
    ready: fn(line: &str) -> Option<String>,
) -> String {
    let program = arguments.first().copied().unwrap_or_default();
    assert!(
        is_installed(program),
        "{program} is missing; get it with: {get}"
    );
    let mut words = vec!["--pdeathsig", "TERM", "sh", "-c", SHELL, "sh", folder()];
    words.extend(arguments);
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let (tell, told) = mpsc::channel();
    let keeper = thread::Builder::new().name(format!("{program}'s log"));
    let keep = move || keep(&words, ready, &tell);
    keeper.spawn(keep).expect("a thread for the server");
    match told.recv() {
        Ok(found) => found.unwrap_or_else(|log| panic!("{program} did not start:\n{log}")),
        Err(_) => panic!("{program} could not be started through setpriv"),
    }
}

/// Reads the server's log until it ends, which is when this process ends.
fn keep(
    words: &[String],
    ready: fn(&str) -> Option<String>,
    tell: &mpsc::Sender<Result<String, String>>,
) {
    #[expect(clippy::disallowed_methods, reason = "a server for tests")]
    let child = Command::new("setpriv")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        return;
    };
    let mut log = String::new();
    let mut found = false;
    for line in child.stderr.take().into_iter().flat_map(lines) {
        if found {
            continue;
        }
        if let Some(what) = ready(&line) {
            found = true;
            // The test that asked is waiting.
            let _ = tell.send(Ok(what));
        }
        log.push_str(&line);
        log.push('\n');
    }
    if !found {
        let _ = tell.send(Err(log));
    }
    let _ = child.wait();
}

/// Whatever is in them: a server whose log is not read to the end dies of writing it.
fn lines(stderr: ChildStderr) -> impl Iterator<Item = String> {
    let lines = BufReader::new(stderr).split(b'\n').map_while(Result::ok);
    lines.map(|line| String::from_utf8_lossy(&line).into_owned())
}

fn is_installed(program: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a server for tests")]
    let version = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// Where data that may be lost is fastest.
fn folder() -> &'static str {
    let memory = "/dev/shm";
    if std::path::Path::new(memory).is_dir() {
        memory
    } else {
        "/tmp"
    }
}
