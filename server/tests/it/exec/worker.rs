//! A worker as a process of its own, to be killed, stopped and measured: this binary, told to run
//! one test.
//!
//! `worker_process` starts itself again with its orders in the environment; without orders it
//! checks that this works.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_server::exec::{CommandSpec, EndedBy, Exit, TreeEnd, Usage};

use super::{MARK, mark, marked, processes, shell};

/// The orders of a worker: their name, and arguments.
const ORDERS: &str = "SANDCLOCK_TEST_WORKER";

/// Between the parts of the orders.
const SEPARATOR: char = '\u{1f}';

/// Orders to run a command, extending its deadline by `alive_for` again and again until it ends.
pub(super) fn hold(alive_for: Duration, mark: &str, command: &str) -> String {
    ["hold", &alive_for.as_millis().to_string(), mark, command].join(&SEPARATOR.to_string())
}

/// Orders to run a command whose leftovers may stay, and then to end.
pub(super) fn keep(mark: &str, command: &str) -> String {
    ["keep", mark, command].join(&SEPARATOR.to_string())
}

/// Orders to use up all descriptors, and then to start something.
pub(super) const EXHAUST: &str = "exhaust";

/// A running worker process. What it says are lines that begin with `@`.
pub(super) struct Worker {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) spawner: i32,
    /// Marks the worker itself, and nothing that it runs.
    pub(super) mark: String,
}

impl Worker {
    /// Starts one and waits until it has done what it was told first.
    pub(super) fn start(orders: String) -> Worker {
        let mark = mark();
        #[expect(clippy::disallowed_methods, reason = "a worker of the test's own")]
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "exec::worker::worker_process", "--nocapture"]);
        let command = command
            .env(ORDERS, orders)
            .env(MARK, &mark)
            .stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let spawner = said(&mut lines, "@started ").parse().unwrap();
        Worker {
            process,
            lines,
            spawner,
            mark,
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.process.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The next line that begins with this.
    pub(super) fn said(&mut self, prefix: &str) -> String {
        said(&mut self.lines, prefix)
    }

    /// Waits for the end of the run that it holds.
    pub(super) fn end(&mut self) -> TreeEnd {
        let said = self.said("@ended ");
        let by = [
            EndedBy::Command,
            EndedBy::Order,
            EndedBy::NoContact,
            EndedBy::SupervisorLost,
        ];
        let by = by.into_iter().find(|by| said == format!("{by:?}")).unwrap();
        TreeEnd {
            exit: Exit::Unknown,
            by,
            leftovers: 0,
            survivors: 0,
            kept: 0,
            usage: Usage::default(),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn said(lines: &mut Lines<BufReader<ChildStdout>>, prefix: &str) -> String {
    lines
        .find_map(|line| Some(line.unwrap().strip_prefix(prefix)?.to_owned()))
        .unwrap()
}

#[test]
fn worker_process() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a worker of the test's own gets its orders"
    )]
    let orders = std::env::var(ORDERS);
    let Ok(orders) = orders else {
        assert_eq!(
            Worker::start(hold(Duration::from_secs(9), "", "exit 0"))
                .end()
                .by,
            EndedBy::Command
        );
        return;
    };
    let orders: Vec<&str> = orders.split(SEPARATOR).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        match orders[..] {
            ["hold", alive_for, mark, command] => {
                hold_run(
                    Duration::from_millis(alive_for.parse().unwrap()),
                    mark,
                    command,
                )
                .await;
            }
            ["keep", mark, command] => {
                let spec = CommandSpec {
                    keep_leftovers: true,
                    ..marked(shell(command), mark)
                };
                let processes = processes();
                let mut child = processes.start(&spec).await.unwrap();
                println!("@started {}", processes.spawner_pid());
                println!("@ended {:?}", child.wait().await.by);
            }
            ["exhaust"] => exhaust().await,
            ["flood", mebibytes] => super::output::flood(mebibytes.parse().unwrap()).await,
            _ => panic!("unknown orders {orders:?}"),
        }
    });
}

async fn hold_run(alive_for: Duration, mark: &str, command: &str) {
    let processes = processes();
    let mut spec = marked(shell(command), mark);
    spec.alive_for = alive_for;
    let mut child = processes.start(&spec).await.unwrap();
    println!("@started {}", processes.spawner_pid());
    let control = child.control();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let end = loop {
        tokio::select! {
            biased;
            end = child.wait() => break end,
            _ = tick.tick() => control.extend(alive_for),
        }
    };
    println!("@ended {:?}", end.by);
}

async fn exhaust() {
    let processes = processes();
    println!("@started {}", processes.spawner_pid());
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100, hard).unwrap();
    let mut open = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        open.push(file);
    }
    let error = processes.start(&shell("true")).await.unwrap_err();
    println!("@refused {:?} {error}", error.step);
}
