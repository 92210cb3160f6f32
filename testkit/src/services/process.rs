//! A child process that lives exactly as long as the test binary, or as one test.
//!
//! The kernel signals a child when the *thread* that started it ends (`PR_SET_PDEATHSIG`), and test threads
//! are short-lived. So each server has a thread of its own that reads its log for ever, and ends only with the
//! process. Between the two stands a shell that removes the folder of data afterwards.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
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
    arguments: &[impl AsRef<str>],
    get: &str,
    ready: fn(line: &str) -> Option<String>,
) -> String {
    let program = installed(arguments, get);
    let mut words = ["--pdeathsig", "TERM", "sh", "-c", SHELL, "sh", folder()]
        .map(str::to_owned)
        .to_vec();
    words.extend(arguments.iter().map(|word| word.as_ref().to_owned()));
    let (tell, told) = mpsc::channel();
    let keeper = thread::Builder::new().name(format!("{program}'s log"));
    let keep = move || {
        let Ok(mut child) = spawn(&words) else {
            return;
        };
        read(child.stderr.take(), ready, &tell);
        let _ = child.wait();
    };
    keeper.spawn(keep).expect("a thread for the server");
    first(&program, &told)
}

/// Starts a server that ends with the thread that called, if not before, and returns it with the first thing that
/// `ready` finds in a line of its log.
///
/// # Panics
/// As [`start`].
pub(super) fn start_here(
    arguments: &[impl AsRef<str>],
    get: &str,
    ready: fn(line: &str) -> Option<String>,
) -> (Child, String) {
    let program = installed(arguments, get);
    let mut words = ["--pdeathsig", "KILL"].map(str::to_owned).to_vec();
    words.extend(arguments.iter().map(|word| word.as_ref().to_owned()));
    let mut child = spawn(&words).expect("setpriv starts");
    let stderr = child.stderr.take();
    let (tell, told) = mpsc::channel();
    let reader = thread::Builder::new().name(format!("{program}'s log"));
    let reading = reader.spawn(move || read(stderr, ready, &tell));
    reading.expect("a thread for the server's log");
    let found = first(&program, &told);
    (child, found)
}

/// The program of a command line, if it is installed.
fn installed(arguments: &[impl AsRef<str>], get: &str) -> String {
    let program = arguments.first().map_or("", AsRef::as_ref);
    assert!(
        is_installed(program),
        "{program} is missing; get it with: {get}"
    );
    program.to_owned()
}

fn spawn(words: &[String]) -> io::Result<Child> {
    #[expect(clippy::disallowed_methods, reason = "a server for tests")]
    let mut command = Command::new("setpriv");
    command.args(words).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
}

/// Waits for what the log's reader finds.
fn first(program: &str, told: &mpsc::Receiver<Result<String, String>>) -> String {
    match told.recv() {
        Ok(found) => found.unwrap_or_else(|log| panic!("{program} did not start:\n{log}")),
        Err(_) => panic!("{program} could not be started through setpriv"),
    }
}

/// Reads a server's log until it ends.
fn read(
    stderr: Option<ChildStderr>,
    ready: fn(&str) -> Option<String>,
    tell: &mpsc::Sender<Result<String, String>>,
) {
    let mut log = String::new();
    let mut found = false;
    for line in stderr.into_iter().flat_map(lines) {
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
}

/// Whatever is in them: a server whose log is not read to the end dies of writing it.
fn lines(stderr: ChildStderr) -> impl Iterator<Item = String> {
    let lines = BufReader::new(stderr).split(b'\n').map_while(Result::ok);
    lines.map(|line| String::from_utf8_lossy(&line).into_owned())
}

pub(super) fn is_installed(program: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a server for tests")]
    let version = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// Where data that may be lost is fastest.
pub(super) fn folder() -> &'static str {
    let memory = "/dev/shm";
    if std::path::Path::new(memory).is_dir() {
        memory
    } else {
        "/tmp"
    }
}
