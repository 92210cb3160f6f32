//! `err` in the log, in the words of Go's `os/exec`: a Go master's page and people's scripts go by these alone.

use serde_json::json;

use super::PATIENCE;
use crate::product::wait_for;
use crate::stores::Stores;
use crate::worker::Worker;

/// The `err` and the `output` of a command, run by a worker whose file names this shell.
async fn logged(shell: &str, commands: &[(&str, &str)]) {
    let stores = Stores::shared();
    let mut file: serde_json::Value = serde_json::from_str(&stores.worker_json()).unwrap();
    file["bashPath"] = json!(shell);
    let _worker = Worker::of_go_with("w", "192.0.2.7", &stores, &file.to_string(), &[]);
    for (at, (command, _)) in commands.iter().enumerate() {
        stores
            .save(&format!("job{at}"), command, "* * * * * * *")
            .await;
    }
    for (at, (command, want)) in commands.iter().enumerate() {
        let job = format!("job{at}");
        wait_for("it is logged", PATIENCE, async || {
            !stores.log(&job).await.is_empty()
        })
        .await;
        let entry = stores.log(&job).await.remove(0);
        let said = entry.get_str("err").unwrap();
        // Whether the kernel writes a core file is the host's affair.
        let said = said.strip_suffix(" (core dumped)").unwrap_or(said);
        assert_eq!(said, *want, "{}", &command[..command.len().min(80)]);
    }
}

#[tokio::test]
async fn an_end_is_logged_as_go_says_it() {
    let commands = [
        ("true", ""),
        ("exit 3", "exit status 3"),
        ("no-such-command", "exit status 127"),
        ("kill -TERM $$", "signal: terminated"),
        ("kill -KILL $$", "signal: killed"),
        ("kill -HUP $$", "signal: hangup"),
        ("kill -INT $$", "signal: interrupt"),
        ("kill -PIPE $$", "signal: broken pipe"),
        ("kill -USR1 $$", "signal: user defined signal 1"),
        ("kill -USR2 $$", "signal: user defined signal 2"),
        ("kill -ALRM $$", "signal: alarm clock"),
        ("kill -ABRT $$", "signal: aborted"),
        ("kill -SEGV $$", "signal: segmentation fault"),
        ("kill -40 $$", "signal: signal 40"),
    ];
    logged("/bin/bash", &commands).await;
    // The largest argument of a program has 128 KiB, and a NUL byte ends it.
    let long = format!("true {}", "x".repeat(140_000));
    let refused = [
        (&*long, "fork/exec /bin/bash: argument list too long"),
        ("echo a\0b", "fork/exec /bin/bash: invalid argument"),
    ];
    logged("/bin/bash", &refused).await;
}

#[tokio::test]
async fn a_shell_that_cannot_run_is_logged_as_go_says_it() {
    for (shell, want) in [
        (
            "/bin/nobash",
            "fork/exec /bin/nobash: no such file or directory",
        ),
        ("/etc/passwd", "fork/exec /etc/passwd: permission denied"),
        (
            "nobash",
            r#"exec: "nobash": executable file not found in $PATH"#,
        ),
    ] {
        logged(shell, &[("true", want)]).await;
    }
}
