//! A supervisor serves one run after another: nothing of one run may reach the next.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_server::exec::{
    Child, CommandSpec, EndedBy, Exit, Limits, Mutant, Processes, Spawner,
};
use tokio::io::AsyncReadExt;

use super::{PATIENCE, PROGRAM, finish, processes, shell, wait_until};

async fn start(processes: &Processes, text: &str) -> Child {
    processes.start(&shell(text)).await.unwrap()
}

/// Whether a process has ended; its parent may not have noticed.
fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

async fn ends(pid: i32) {
    wait_until(PATIENCE, &format!("process {pid} ends"), || has_ended(pid)).await;
}

#[tokio::test]
async fn what_one_run_was_given_the_next_does_not_have() {
    let processes = processes();
    let directory = tempfile::tempdir().unwrap();
    let mut spec = CommandSpec {
        workdir: Some(directory.path().display().to_string()),
        umask: 0o077,
        limits: Limits {
            open_files: Some(40),
            ..Limits::default()
        },
        ..shell("x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo $SECRET; exit 3")
    };
    spec.env.push(("SECRET".to_owned(), "one".to_owned()));
    let first = processes.start(&spec).await.unwrap();
    let supervisor = first.supervisor;
    let (texts, end) = finish(first).await;
    assert_eq!(
        (texts.concat().as_str(), end.exit),
        ("one\n", Exit::Code(3))
    );
    assert!(end.usage.max_rss_bytes > 50_000_000, "{end:?}");

    let second = start(
        &processes,
        "echo ${SECRET-none}; pwd; umask; ulimit -n; ls -l /proc/self/fd",
    )
    .await;
    assert_eq!(second.supervisor, supervisor, "it was used again");
    let (texts, end) = finish(second).await;
    let text = texts.concat();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        (lines[0], lines[2], end.exit),
        ("none", "0022", Exit::Code(0)),
        "{text}"
    );
    assert_ne!(lines[1], directory.path().to_str().unwrap());
    assert_ne!(lines[3], "40");
    // Standard input, output, error, and the directory that `ls` reads.
    assert_eq!(
        lines.iter().filter(|line| line.contains(" -> ")).count(),
        4,
        "{text}"
    );
    assert!(end.usage.max_rss_bytes < 50_000_000, "{end:?}");
}

/// How the second run on a supervisor ends, after an order to kill the first came late and one to
/// end the second gently.
async fn end_after_a_late_order(processes: &Processes) -> Exit {
    let mut first = start(processes, "exit 0").await;
    let late = first.control();
    first.wait().await;
    let mut second = start(
        processes,
        "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done",
    )
    .await;
    assert_eq!(second.supervisor, first.supervisor, "it was used again");
    let mut up = [0; 3];
    second.outputs[0].1.read_exact(&mut up).await.unwrap();
    late.kill_now();
    late.extend(Duration::ZERO);
    second.control().terminate(PATIENCE);
    second.wait().await.exit
}

#[tokio::test]
async fn a_late_order_does_not_reach_the_next_run() {
    assert_eq!(end_after_a_late_order(&processes()).await, Exit::Code(5));
    let faulty = Spawner::start_mutant(Path::new(PROGRAM), Mutant::AnyRun).unwrap();
    let faulty = Processes::new(faulty).unwrap();
    assert_ne!(end_after_a_late_order(&faulty).await, Exit::Code(5));
}

#[tokio::test]
async fn a_supervisor_that_had_to_end_something_goes_away() {
    let processes = processes();
    let mut leaves_something = start(&processes, "(setsid sleep 1000 &); exit 0").await;
    leaves_something.wait().await;
    ends(leaves_something.supervisor).await;
    let mut killed = start(&processes, "sleep 1000").await;
    killed.control().kill_now();
    assert_eq!(killed.wait().await.by, EndedBy::Order);
    ends(killed.supervisor).await;
    let mut refused = shell("true");
    refused.argv = vec!["/nowhere".to_owned()];
    processes.start(&refused).await.unwrap_err();
    assert_eq!(
        finish(start(&processes, "exit 4").await).await.1.exit,
        Exit::Code(4)
    );
}

#[tokio::test]
async fn a_supervisor_killed_between_runs_is_not_used() {
    let processes = processes();
    let mut first = start(&processes, "exit 0").await;
    first.wait().await;
    kill(Pid::from_raw(first.supervisor), Signal::SIGKILL).unwrap();
    ends(first.supervisor).await;
    let second = start(&processes, "exit 4").await;
    assert_ne!(second.supervisor, first.supervisor);
    assert_eq!(finish(second).await.1.exit, Exit::Code(4));
}

/// Nobody would end what an unwatched supervisor leaves when it is killed.
#[tokio::test]
async fn a_killed_spawners_supervisors_are_not_used() {
    let processes = processes();
    let mut first = start(&processes, "exit 0").await;
    first.wait().await;
    let supervisor = first.supervisor;
    drop(first);
    let spawner = i32::try_from(processes.spawner_pid()).unwrap();
    kill(Pid::from_raw(spawner), Signal::SIGKILL).unwrap();
    ends(spawner).await;
    let second = start(&processes, "exit 4").await;
    assert_ne!(second.supervisor, supervisor);
    assert_ne!(i32::try_from(processes.spawner_pid()).unwrap(), spawner);
    assert_eq!(finish(second).await.1.exit, Exit::Code(4));
    ends(supervisor).await;
}

#[tokio::test]
async fn few_supervisors_stay_and_all_go_with_the_worker() {
    let processes = processes();
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(start(&processes, "exit 0").await);
    }
    let supervisors: Vec<i32> = runs.iter().map(|run| run.supervisor).collect();
    for mut run in runs {
        assert_eq!(run.wait().await.exit, Exit::Code(0));
    }
    let alive = || supervisors.iter().filter(|pid| !has_ended(**pid)).count();
    wait_until(PATIENCE, "eight of them stay", || alive() == 8).await;
    drop(processes);
    wait_until(PATIENCE, "none stays", || alive() == 0).await;
}
