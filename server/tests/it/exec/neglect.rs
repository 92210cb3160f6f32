//! What watches over a run is itself killed, stopped or short of descriptors: the run is ended, and
//! told as it was.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_server::exec::{
    Child, CommandSpec, EndedBy, Exit, Mutant, Processes, Spawner, StartStep, end_unsupervised,
};

use super::worker::{EXHAUST, Worker, hold, keep};
use super::{
    MARK, PATIENCE, PROGRAM, STUBBORN, STUBBORN_PROCESSES, alive, finish, gone_within, mark,
    marked, processes, shell, wait_until,
};

fn with(mutant: Mutant) -> Processes {
    Processes::new(Spawner::start_mutant(Path::new(PROGRAM), mutant).unwrap()).unwrap()
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn spawner(processes: &Processes) -> i32 {
    i32::try_from(processes.spawner_pid()).unwrap()
}

async fn stubborn(processes: &Processes, alive_for: Duration) -> (Child, String) {
    let mark = mark();
    let spec = CommandSpec {
        alive_for,
        ..marked(shell(STUBBORN), &mark)
    };
    let child = processes.start(&spec).await.unwrap();
    is_up(&mark).await;
    (child, mark)
}

async fn is_up(mark: &str) {
    wait_until(PATIENCE, "all its processes run", || {
        alive(mark).len() == STUBBORN_PROCESSES
    })
    .await;
}

/// The supervisor above the processes with this mark: the parent that does not bear it.
fn supervisor(mark: &str) -> i32 {
    let marked = alive(mark);
    let parent = |pid: &i32| -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        rest.split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    };
    let mut above = marked.keys().map(parent);
    above.find(|pid| !marked.contains_key(pid)).unwrap()
}

/// The letter of a process's state; `None` if there is none.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

async fn has_ended(pid: i32) {
    wait_until(PATIENCE, "it has ended", || {
        matches!(state(pid), None | Some('Z'))
    })
    .await;
}

/// How a run ends that is killed after its supervisor was stopped.
async fn killed_below_a_stopped_supervisor(processes: &Processes) -> EndedBy {
    let (mut child, mark) = stubborn(processes, PATIENCE).await;
    signal(child.supervisor, Signal::SIGSTOP);
    child.control().kill_now();
    let end = child.wait().await;
    assert_eq!(alive(&mark).len(), 0);
    end.by
}

#[tokio::test]
async fn a_stopped_supervisor_is_made_to_go_on() {
    let by = killed_below_a_stopped_supervisor(&processes()).await;
    assert_eq!(by, EndedBy::Order);
}

/// Where nobody makes it go on, the worker does not wait for it.
#[tokio::test]
async fn a_supervisor_that_does_not_obey_is_killed() {
    let by = killed_below_a_stopped_supervisor(&with(Mutant::LeaveStopped)).await;
    assert_eq!(by, EndedBy::SupervisorLost);
}

#[tokio::test]
async fn a_supervisor_that_overruns_the_dead_mans_deadline_is_killed() {
    let processes = with(Mutant::LeaveStopped);
    let (mut child, mark) = stubborn(&processes, Duration::from_secs(2)).await;
    signal(child.supervisor, Signal::SIGSTOP);
    assert_eq!(child.wait().await.by, EndedBy::SupervisorLost);
    assert_eq!(alive(&mark).len(), 0);
}

#[tokio::test]
async fn a_run_whose_supervisor_and_spawner_are_stopped_can_be_killed() {
    let processes = processes();
    let (mut child, mark) = stubborn(&processes, PATIENCE).await;
    for pid in [spawner(&processes), child.supervisor] {
        signal(pid, Signal::SIGSTOP);
    }
    child.control().kill_now();
    assert_eq!(child.wait().await.by, EndedBy::SpawnerLost);
    end_unsupervised(MARK, &mark).await;
    assert_eq!(alive(&mark).len(), 0);
    signal(spawner(&processes), Signal::SIGKILL);
}

/// A job may stop everything above it before the worker is killed.
#[tokio::test]
async fn nothing_survives_a_killed_worker_by_stopping_its_supervisor() {
    for with_spawner in [false, true] {
        let mark = mark();
        let worker = Worker::start(hold(PATIENCE * 10, &mark, STUBBORN));
        is_up(&mark).await;
        if with_spawner {
            signal(worker.spawner, Signal::SIGSTOP);
        }
        signal(supervisor(&mark), Signal::SIGSTOP);
        worker.signal(Signal::SIGKILL);
        gone_within(PATIENCE, &worker.mark).await;
        end_unsupervised(MARK, &mark).await;
        assert_eq!(alive(&mark).len(), 0, "spawner stopped: {with_spawner}");
        has_ended(worker.spawner).await;
    }
}

/// Its run has ended by then, so that no process of a job leads to it.
#[tokio::test]
async fn a_stopped_spawner_of_a_killed_worker_is_made_to_end() {
    let mark = mark();
    let mut worker = Worker::start(hold(PATIENCE * 10, &mark, STUBBORN));
    is_up(&mark).await;
    signal(worker.spawner, Signal::SIGSTOP);
    worker.kill();
    gone_within(PATIENCE, &mark).await;
    assert_eq!(end_unsupervised(MARK, &mark).await, (0, 0));
    has_ended(worker.spawner).await;
}

#[tokio::test]
async fn a_stopped_spawner_of_a_living_worker_is_left_alone() {
    let processes = processes();
    let stopped = spawner(&processes);
    signal(stopped, Signal::SIGSTOP);
    wait_until(PATIENCE, "it stands still", || state(stopped) == Some('T')).await;
    end_unsupervised(MARK, &mark()).await;
    assert_eq!(state(stopped), Some('T'));
    signal(stopped, Signal::SIGKILL);
}

#[tokio::test]
async fn what_a_killed_supervisor_leaves_is_counted_once_without_zombies() {
    let mark = mark();
    // Each of the sleeping ones has a child that ended and that it does not wait for.
    let text = r#"for i in {1..40}; do sh -c "true & exec sleep 1000" & done; wait"#;
    let spec = marked(shell(text), &mark);
    let processes = processes();
    let mut child = processes.start(&spec).await.unwrap();
    wait_until(PATIENCE, "all of it sleeps", || {
        let alive = alive(&mark);
        let sleeping = alive.values().filter(|line| *line == "sleep 1000 ");
        (alive.len(), sleeping.count()) == (41, 40)
    })
    .await;
    signal(child.supervisor, Signal::SIGKILL);
    let end = child.wait().await;
    assert_eq!((end.by, end.leftovers), (EndedBy::SupervisorLost, 41));
}

/// It ends its run by itself, but not beside the next life of the worker.
#[tokio::test]
async fn a_dead_workers_supervisor_is_not_waited_for() {
    let mark = mark();
    let mut worker = Worker::start(hold(PATIENCE * 10, &mark, STUBBORN));
    is_up(&mark).await;
    worker.kill();
    assert_eq!(end_unsupervised(MARK, &mark).await.1, 0);
    assert_eq!(alive(&mark).len(), 0);
}

#[tokio::test]
async fn what_a_living_worker_runs_is_left_alone() {
    let (child, mark) = stubborn(&processes(), PATIENCE).await;
    assert_eq!(end_unsupervised(MARK, &mark).await, (0, 0));
    assert_eq!(alive(&mark).len(), STUBBORN_PROCESSES);
    drop(child);
    gone_within(PATIENCE, &mark).await;
}

#[tokio::test]
async fn what_may_stay_stays_in_the_next_life_of_the_worker() {
    let mark = mark();
    let mut worker = Worker::start(keep(&mark, "(setsid sleep 1000 &); exit 0"));
    assert_eq!(worker.end().by, EndedBy::Command);
    gone_within(PATIENCE, &worker.mark).await;
    let kept = alive(&mark);
    assert!(!kept.is_empty());
    assert_eq!(end_unsupervised(MARK, &mark).await, (0, 0));
    assert_eq!(alive(&mark), kept);
    kept.keys().for_each(|pid| signal(*pid, Signal::SIGKILL));
}

#[tokio::test]
async fn a_silent_spawner_is_replaced_and_its_runs_go_on() {
    let processes = processes();
    let (child, mark) = stubborn(&processes, PATIENCE).await;
    let silent = spawner(&processes);
    signal(silent, Signal::SIGSTOP);
    let (texts, end) = finish(processes.start(&shell("echo on")).await.unwrap()).await;
    assert_eq!((texts.concat().as_str(), end.exit), ("on\n", Exit::Code(0)));
    assert_ne!(spawner(&processes), silent);
    assert_eq!(alive(&mark).len(), STUBBORN_PROCESSES);
    child.control().kill_now();
    assert_eq!(finish(child).await.1.by, EndedBy::Order);
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_may_have_begun() {
    let mark = mark();
    let processes = with(Mutant::DieUnheard);
    let error = processes
        .start(&marked(shell(STUBBORN), &mark))
        .await
        .unwrap_err();
    assert_eq!(error.step, StartStep::Unknown);
    assert!(
        error
            .to_string()
            .contains("unknown whether the command began"),
        "{error}"
    );
    gone_within(PATIENCE, &mark).await;
}

#[test]
fn a_worker_without_descriptors_says_so() {
    let mut worker = Worker::start(EXHAUST.to_owned());
    let refused = worker.said("@refused ");
    assert!(refused.starts_with("Descriptors"), "{refused}");
    assert!(
        refused.contains("100 files that its limit allows"),
        "{refused}"
    );
}
