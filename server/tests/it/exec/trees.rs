//! Ending whole process trees: whatever a command starts, however it hides, and whoever is killed
//! meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_server::exec::{
    Child, CommandSpec, EndedBy, Exit, Mutant, Processes, Spawner, TreeEnd,
};

use super::worker::{Worker, hold};
use super::{
    PATIENCE, PROGRAM, STUBBORN, STUBBORN_PROCESSES, alive, gone_within, mark, marked, processes,
    shell, wait_until,
};

const GRACE: Duration = Duration::from_secs(1);

/// What acceptance allows beyond the grace.
const BEYOND: Duration = Duration::from_secs(1);

/// A run of [`STUBBORN`] that is complete, and its mark.
async fn stubborn(processes: &Processes) -> (Child, String) {
    stubborn_with(processes, |_| {}).await
}

async fn stubborn_with(
    processes: &Processes,
    change: impl FnOnce(&mut CommandSpec),
) -> (Child, String) {
    let mark = mark();
    let mut spec = marked(shell(STUBBORN), &mark);
    change(&mut spec);
    let child = processes.start(&spec).await.unwrap();
    stubborn_is_up(&mark).await;
    (child, mark)
}

async fn stubborn_is_up(mark: &str) {
    wait_until(PATIENCE, "the tree is complete", || {
        alive(mark).len() == STUBBORN_PROCESSES
    })
    .await;
}

/// Spawners that can do with and without control groups; both must hold every promise.
fn with_and_without_groups() -> [Processes; 2] {
    [processes(), faulty(Mutant::NoGroups)]
}

fn faulty(mutant: Mutant) -> Processes {
    Processes::new(Spawner::start_mutant(Path::new(PROGRAM), mutant).unwrap()).unwrap()
}

/// Whether a run's tree is gone in time after a kill, or after its deadline without one.
async fn is_gone(processes: &Processes, killed: bool) -> bool {
    let (child, mark) = stubborn(processes).await;
    let grace = if killed {
        child.control().terminate(GRACE);
        GRACE
    } else {
        let alive_for = Duration::from_millis(500);
        child.control().extend(alive_for);
        // The dead man's own grace follows.
        alive_for + Duration::from_secs(2)
    };
    let gone = tokio::time::timeout(grace + BEYOND, gone_within(PATIENCE, &mark))
        .await
        .is_ok();
    for pid in alive(&mark).into_keys() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    gone
}

#[tokio::test]
async fn every_defence_is_needed() {
    assert!(is_gone(&faulty(Mutant::NoGroups), true).await);
    assert!(is_gone(&faulty(Mutant::NoGroups), false).await);
    assert!(
        !is_gone(&faulty(Mutant::NoSubreaper), true).await,
        "no subreaper"
    );
    assert!(
        !is_gone(&faulty(Mutant::GroupOnly), true).await,
        "only the process group"
    );
    assert!(
        !is_gone(&faulty(Mutant::NoDeadline), false).await,
        "no deadline"
    );
}

/// L2, for what resists most.
#[tokio::test]
async fn a_daemon_that_ignores_sigterm_is_gone_after_a_kill() {
    for processes in with_and_without_groups() {
        let (mut child, mark) = stubborn(&processes).await;
        child.control().terminate(GRACE);
        gone_within(GRACE + BEYOND, &mark).await;
        let end = child.wait().await;
        assert_eq!((end.by, end.survivors), (EndedBy::Order, 0));
        assert_eq!(
            end.exit,
            Exit::Signal {
                signal: 9,
                core_dumped: false
            }
        );
    }
}

#[tokio::test]
async fn nothing_is_killed_before_its_grace_is_over() {
    let processes = processes();
    let text = r#"trap 'sleep 0.3; echo clean; exit 5' TERM; echo up; sleep 1000 & wait"#;
    let mut child = processes.start(&shell(text)).await.unwrap();
    let (_, mut pipe) = child.outputs.remove(0);
    let mut printed = vec![0; 3];
    tokio::io::AsyncReadExt::read_exact(&mut pipe, &mut printed)
        .await
        .unwrap();
    child.control().terminate(PATIENCE);
    let end = child.wait().await;
    assert_eq!((end.exit, end.by), (Exit::Code(5), EndedBy::Order));
    tokio::io::AsyncReadExt::read_to_end(&mut pipe, &mut printed)
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&printed), "up\nclean\n");
}

#[tokio::test]
async fn a_shorter_grace_wins_over_a_longer_one() {
    let processes = processes();
    let (mut child, mark) = stubborn(&processes).await;
    for grace in [
        Duration::from_secs(900),
        Duration::ZERO,
        Duration::from_secs(900),
    ] {
        child.control().terminate(grace);
    }
    gone_within(BEYOND, &mark).await;
    assert_eq!(child.wait().await.by, EndedBy::Order);
}

#[tokio::test]
async fn a_stopped_tree_is_ended_too() {
    let processes = processes();
    let mark = mark();
    let mut child = processes
        .start(&marked(shell("sleep 1000 & kill -STOP $$; wait"), &mark))
        .await
        .unwrap();
    wait_until(PATIENCE, "it runs", || alive(&mark).len() == 2).await;
    child.control().terminate(PATIENCE);
    let end = child.wait().await;
    assert_eq!(
        end.exit,
        Exit::Signal {
            signal: 15,
            core_dumped: false
        }
    );
    assert_eq!(alive(&mark).len(), 0);
}

#[tokio::test]
async fn a_tree_that_keeps_forking_away_is_ended() {
    // Each generation starts the next in a session of its own and ends; several such chains at
    // once.
    let text =
        r#"r() { setsid bash -c r & }; export -f r; for i in 1 2 3 4; do r; done; sleep 1000"#;
    for processes in with_and_without_groups() {
        let mark = mark();
        let mut child = processes.start(&marked(shell(text), &mark)).await.unwrap();
        let mut seen = BTreeSet::new();
        let respawns = || {
            seen.extend(alive(&mark).into_keys());
            seen.len() > 20
        };
        wait_until(PATIENCE, "it respawns", respawns).await;
        child.control().terminate(GRACE);
        let end = child.wait().await;
        assert_eq!((end.by, end.survivors), (EndedBy::Order, 0));
        assert_eq!(alive(&mark).len(), 0);
    }
}

#[tokio::test]
async fn control_groups_are_used_where_they_can_be_and_leave_nothing_behind() {
    let processes = processes();
    let child = processes
        .start(&shell("cat /proc/self/cgroup"))
        .await
        .unwrap();
    let spawner = processes.spawner_pid();
    let ours = format!("sandclock-{spawner}");
    let grouped = child.grouped;
    let text = super::finish(child).await.0.concat();
    assert_eq!(text.contains(&ours), grouped, "{text}");
    drop(processes);
    let hierarchy = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = hierarchy
        .lines()
        .filter(|line| line.contains(" - cgroup2 "));
    for point in mounts.filter_map(|line| line.split(' ').nth(4)) {
        let inside = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = inside
            .lines()
            .find_map(|line| line.strip_prefix("0::/"))
            .unwrap();
        let directory = Path::new(point).join(own).join(&ours);
        let is_gone = || !directory.exists();
        wait_until(PATIENCE, "the spawner's groups are removed", is_gone).await;
    }
}

#[tokio::test]
async fn without_contact_the_tree_is_ended() {
    let processes = processes();
    let mark = mark();
    let spec = CommandSpec {
        alive_for: Duration::from_millis(500),
        ..marked(shell(STUBBORN), &mark)
    };
    let mut child = processes.start(&spec).await.unwrap();
    gone_within(PATIENCE, &mark).await;
    assert_eq!(child.wait().await.by, EndedBy::NoContact);
}

#[tokio::test]
async fn contact_keeps_a_run_alive_past_its_first_deadline() {
    let processes = processes();
    let spec = CommandSpec {
        alive_for: Duration::from_secs(3),
        ..shell("sleep 4; exit 3")
    };
    let mut child = processes.start(&spec).await.unwrap();
    child.control().extend(PATIENCE);
    let end = child.wait().await;
    assert_eq!((end.exit, end.by), (Exit::Code(3), EndedBy::Command));
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_ended() {
    let processes = processes();
    let mark = mark();
    let text = "(setsid sleep 1000 &); (setsid sleep 1000 &); exit 4";
    let end = processes
        .start(&marked(shell(text), &mark))
        .await
        .unwrap()
        .wait()
        .await;
    assert_eq!(
        (end.exit, end.by, end.survivors),
        (Exit::Code(4), EndedBy::Command, 0)
    );
    assert!(end.leftovers >= 1, "{end:?}");
    assert_eq!(alive(&mark).len(), 0);
}

#[tokio::test]
async fn what_may_stay_stays_and_may_go_on_printing() {
    let processes = processes();
    let mark = mark();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    // It prints more than a pipe holds after the run has ended, and only then writes the file.
    let daemon =
        format!("sleep 0.3; head -c 300000 /dev/zero; echo still here > {path}; sleep 1000");
    let text = format!("(setsid bash -c '{daemon}' &); exit 0");
    let spec = CommandSpec {
        keep_leftovers: true,
        ..marked(shell(&text), &mark)
    };
    let mut child = processes.start(&spec).await.unwrap();
    let end = child.wait().await;
    assert_eq!((end.exit, end.leftovers), (Exit::Code(0), 0));
    assert!(end.kept >= 1, "{end:?}");
    drop(child);
    let written = || std::fs::read_to_string(file.path()).unwrap() == "still here\n";
    wait_until(PATIENCE, "the kept process went on", written).await;
    for pid in alive(&mark).into_keys() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    gone_within(PATIENCE, &mark).await;
}

#[tokio::test]
async fn a_kill_ends_also_what_might_have_stayed() {
    let processes = processes();
    let (mut child, mark) = stubborn_with(&processes, |spec| spec.keep_leftovers = true).await;
    child.control().terminate(GRACE);
    gone_within(GRACE + BEYOND, &mark).await;
    assert_eq!(child.wait().await.by, EndedBy::Order);
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_tree_along() {
    for processes in with_and_without_groups() {
        let (mut child, mark) = stubborn(&processes).await;
        let mut other = processes.start(&shell("read x < /dev/zero")).await.unwrap();
        kill(Pid::from_raw(child.supervisor), Signal::SIGKILL).unwrap();
        let end = child.wait().await;
        assert_eq!((end.by, end.survivors), (EndedBy::SupervisorLost, 0));
        assert!(end.leftovers as usize >= STUBBORN_PROCESSES, "{end:?}");
        assert_eq!(alive(&mark).len(), 0);
        other.control().kill_now();
        assert_eq!(
            other.wait().await.by,
            EndedBy::Order,
            "the other run was not touched"
        );
    }
}

#[tokio::test]
async fn forgetting_a_run_ends_it() {
    let processes = processes();
    let (child, mark) = stubborn(&processes).await;
    drop(child);
    gone_within(GRACE + BEYOND, &mark).await;
}

#[tokio::test]
async fn a_killed_worker_leaves_nothing() {
    let mark = mark();
    let worker = Worker::start(hold(PATIENCE * 10, &mark, STUBBORN));
    stubborn_is_up(&mark).await;
    worker.signal(Signal::SIGKILL);
    gone_within(GRACE + BEYOND, &mark).await;
    gone_within(PATIENCE, &worker.mark).await;
}

#[tokio::test]
async fn a_worker_stopped_past_its_deadline_leaves_nothing() {
    let mark = mark();
    let mut worker = Worker::start(hold(Duration::from_secs(3), &mark, STUBBORN));
    stubborn_is_up(&mark).await;
    // It has gone on past its first deadline because the worker extends it.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(alive(&mark).len(), STUBBORN_PROCESSES);
    worker.signal(Signal::SIGSTOP);
    gone_within(PATIENCE, &mark).await;
    worker.signal(Signal::SIGCONT);
    let end: TreeEnd = worker.end();
    assert_eq!(end.by, EndedBy::NoContact);
}

#[tokio::test]
async fn a_worker_killed_after_its_spawner_leaves_nothing() {
    let mark = mark();
    let worker = Worker::start(hold(PATIENCE * 10, &mark, STUBBORN));
    stubborn_is_up(&mark).await;
    kill(Pid::from_raw(worker.spawner), Signal::SIGKILL).unwrap();
    worker.signal(Signal::SIGKILL);
    gone_within(GRACE + BEYOND, &mark).await;
    gone_within(PATIENCE, &worker.mark).await;
}
