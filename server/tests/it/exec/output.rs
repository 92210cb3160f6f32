//! The way of the output, from a real pipe to what is stored and followed, and what it costs the
//! worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandclock_core::backend::runs::{OutputChunk, RunHeader, RunSink};
use sandclock_core::backend::{DoneRecord, Fence};
use sandclock_core::error::{BackendError, ErrorKind};
use sandclock_core::job::{Job, JobName, Leftovers, OutputMode};
use sandclock_core::ports::{
    AlertDraft, Channel, Executor, Fault, History, Hooks, ProcessEnd, Redacted, Redactor, RunPolicy,
};
use sandclock_core::run::{HookNote, RunContext, RunId, RunKey};
use sandclock_hooks::KnownSecrets;
use sandclock_server::exec::{JobExecutor, Surroundings, Transcript, cut_marker, end_unsupervised};

use super::worker::Worker;
use super::{PATIENCE, processes, wait_until};

const MIB: u64 = 1 << 20;

/// What a run log does with chunks.
#[derive(Debug, Default)]
struct Stored {
    chunks: Mutex<BTreeMap<u64, OutputChunk>>,
    /// So many calls fail first.
    failures: Mutex<u32>,
}

impl Stored {
    fn text(&self, printed: u64) -> Vec<u8> {
        let (mut transcript, mut text) = (Transcript::default(), BytesMut::new());
        for chunk in self.chunks.lock().unwrap().values() {
            let parts = transcript.next(1, chunk);
            parts.for_each(|part| part.write_to(&mut text));
        }
        let end = transcript.end(1, printed);
        end.for_each(|part| part.write_to(&mut text));
        text.into()
    }

    /// What is stored, once it is so.
    async fn when(&self, is_so: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let now = || self.text(self.bytes());
        wait_until(PATIENCE, "the output is stored", || is_so(&now())).await;
        now()
    }

    fn bytes(&self) -> u64 {
        self.chunks
            .lock()
            .unwrap()
            .values()
            .map(|chunk| chunk.bytes.bytes().len() as u64)
            .sum()
    }
}

#[async_trait]
impl RunSink for Stored {
    async fn begin(&self, _: &RunHeader, _: Fence) -> Result<(), BackendError> {
        Ok(())
    }

    async fn append(
        &self,
        _: &RunId,
        _: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<(), BackendError> {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(BackendError::new("runs.append", ErrorKind::Unavailable));
        }
        let mut stored = self.chunks.lock().unwrap();
        stored.extend(chunks.iter().map(|chunk| (chunk.seq, chunk.clone())));
        if let Some((from, to)) = cut {
            stored.retain(|seq, _| !(from..to).contains(seq));
        }
        Ok(())
    }

    async fn finish(&self, _: &DoneRecord) -> Result<(), BackendError> {
        Ok(())
    }
}

/// Makes every `a` an `*`, and holds the last byte back, as a redactor does that does not yet know.
#[derive(Debug, Default)]
struct Stars {
    held: Vec<u8>,
}

#[async_trait]
impl Redactor for Stars {
    async fn push(&mut self, raw: Bytes) -> Redacted {
        self.held.extend(
            raw.iter()
                .map(|byte| if *byte == b'a' { b'*' } else { *byte }),
        );
        let last = self.held.split_off(self.held.len() - 1);
        Redacted::vouch(Bytes::from(std::mem::replace(&mut self.held, last)))
    }

    async fn finish(&mut self) -> Redacted {
        Redacted::vouch(Bytes::from(std::mem::take(&mut self.held)))
    }

    fn notes(&self) -> Vec<HookNote> {
        Vec::new()
    }
}

/// Changes nothing, at no cost.
#[derive(Debug)]
struct Plain;

#[async_trait]
impl Redactor for Plain {
    async fn push(&mut self, raw: Bytes) -> Redacted {
        Redacted::vouch(raw)
    }

    async fn finish(&mut self) -> Redacted {
        Redacted::default()
    }

    fn notes(&self) -> Vec<HookNote> {
        Vec::new()
    }
}

#[derive(Debug)]
struct TestHooks {
    stars: bool,
}

#[async_trait]
impl Hooks for TestHooks {
    async fn before_run(&self, _: &RunContext, _: &History, limit: Option<Duration>) -> RunPolicy {
        RunPolicy {
            limit,
            warn: None,
            grace: Duration::ZERO,
            reason: String::new(),
            refuse: None,
            notes: Vec::new(),
        }
    }

    async fn redactor(&self, _: &RunContext, _: Channel) -> Box<dyn Redactor> {
        if self.stars {
            Box::new(Stars::default())
        } else {
            Box::new(Plain)
        }
    }

    async fn after_run(&self, _: &DoneRecord, _: &Bytes) -> Vec<AlertDraft> {
        Vec::new()
    }
}

fn executor(sink: &Arc<Stored>) -> JobExecutor {
    JobExecutor {
        processes: processes(),
        surroundings: Arc::new(Surroundings::new(BTreeMap::new(), &[], KnownSecrets::new())),
        hooks: Arc::new(TestHooks { stars: true }),
        sink: Arc::clone(sink) as Arc<dyn RunSink>,
        patience: Duration::from_secs(10),
    }
}

fn run(text: &str, change: impl FnOnce(&mut Job)) -> RunContext {
    let name = JobName::parse("test").unwrap();
    let mut job = Job::shell(name.clone(), text);
    change(&mut job);
    let key = RunKey::Request("one".to_owned());
    let id = RunId::of(&name, &key);
    RunContext {
        id,
        key,
        job: Arc::new(job),
        attempt: 1,
        fence: 1,
        worker: "w".to_owned(),
    }
}

/// Runs a job to its end.
async fn finish(executor: &JobExecutor, run: &RunContext) -> ProcessEnd {
    let mut running = executor.start(run, PATIENCE).await.unwrap();
    tokio::time::timeout(PATIENCE, running.wait())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_stored_has_passed_redaction() {
    let stored = Arc::new(Stored::default());
    let run = run("echo banana; echo $SANDCLOCK_JOB; exit 3", |_| {});
    let end = finish(&executor(&stored), &run).await;
    assert_eq!(
        (end.exit_code, end.signal, end.fault),
        (Some(3), None, None)
    );
    assert_eq!(stored.text(end.output.bytes), b"b*n*n*\ntest\n");
    assert_eq!((end.output.bytes, end.output.cut), (12, 0));
    assert_eq!(&end.tail[..], b"b*n*n*\ntest\n");
}

#[tokio::test]
async fn split_streams_are_stored_under_their_names() {
    let stored = Arc::new(Stored::default());
    let run = run("echo out; echo err >&2", |job| {
        job.command.output = OutputMode::Split
    });
    finish(&executor(&stored), &run).await;
    let chunks = stored.chunks.lock().unwrap();
    let of = |channel| {
        let of = chunks.values().filter(|chunk| chunk.channel == channel);
        of.flat_map(|chunk| chunk.bytes.bytes().to_vec())
            .collect::<Vec<u8>>()
    };
    assert_eq!(
        (of(Channel::Stdout), of(Channel::Stderr)),
        (b"out\n".to_vec(), b"err\n".to_vec())
    );
}

#[tokio::test]
async fn a_process_that_keeps_the_pipe_open_does_not_keep_the_run_open() {
    for leftovers in [Leftovers::Kill, Leftovers::Keep] {
        let stored = Arc::new(Stored::default());
        let run = run("setsid sleep 9000 & echo $!", |job| {
            job.command.leftovers = leftovers;
            job.grace = Duration::from_secs(1);
        });
        let end = finish(&executor(&stored), &run).await;
        assert_eq!(end.exit_code, Some(0));
        assert_eq!(end.leftovers_ended, u32::from(leftovers == Leftovers::Kill));
        let printed = String::from_utf8(stored.text(end.output.bytes)).unwrap();
        let sleeper = Pid::from_raw(printed.trim_end().parse().unwrap());
        let stayed = kill(sleeper, Signal::SIGKILL).is_ok();
        assert_eq!(stayed, leftovers == Leftovers::Keep);
    }
}

#[tokio::test]
async fn output_is_stored_while_it_is_printed() {
    let stored = Arc::new(Stored::default());
    let executor = executor(&stored);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let run = run(
        &format!("echo one; until [ -s {path} ]; do sleep 0.01; done; echo two"),
        |_| {},
    );
    let mut running = executor.start(&run, PATIENCE).await.unwrap();
    // The redactor holds one byte back, so the first line comes without its end.
    stored.when(|text| text == b"one").await;
    std::fs::write(file.path(), "go on").unwrap();
    let end = running.wait().await;
    let text = stored.text(end.output.bytes);
    assert_eq!(text, b"one\ntwo\n");
    assert_eq!(&end.tail[..], b"one\ntwo\n");
}

#[tokio::test]
async fn waiting_can_be_given_up_and_taken_up_again() {
    let stored = Arc::new(Stored::default());
    let executor = executor(&stored);
    let run = run("for i in 1 2 3 4 5; do echo $i; sleep 0.05; done", |_| {});
    let mut running = executor.start(&run, PATIENCE).await.unwrap();
    let end = loop {
        match tokio::time::timeout(Duration::from_millis(7), running.wait()).await {
            Ok(end) => break end,
            Err(_) => running.extend(PATIENCE),
        }
    };
    assert_eq!(stored.text(end.output.bytes), b"1\n2\n3\n4\n5\n");
    assert_eq!(running.wait().await, end, "the end stays known");
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_gets_everything_in_the_end() {
    let stored = Arc::new(Stored {
        failures: Mutex::new(2),
        ..Stored::default()
    });
    let run = run("seq 1 30000", |_| {});
    let end = finish(&executor(&stored), &run).await;
    let expected: String = (1..=30000).map(|i| format!("{i}\n")).collect();
    assert_eq!(
        String::from_utf8(stored.text(end.output.bytes)).unwrap(),
        expected
    );
}

#[tokio::test]
async fn a_store_that_is_away_neither_blocks_the_job_nor_loses_the_run() {
    let stored = Arc::new(Stored {
        failures: Mutex::new(u32::MAX),
        ..Stored::default()
    });
    let run = run("head -c 20000000 /dev/zero; exit 6", |_| {});
    let end = finish(&executor(&stored), &run).await;
    assert_eq!((end.exit_code, end.output.bytes), (Some(6), 20_000_000));
    assert_eq!(end.output.cut, 20_000_000, "nothing is stored");
    let note = end.notes.first().unwrap();
    assert!(
        note.failed
            && note
                .decision
                .starts_with("output from byte 0 on is not stored"),
        "{note:?}"
    );
}

#[tokio::test]
async fn a_run_ended_by_its_deadline_says_that_contact_was_lost() {
    let stored = Arc::new(Stored::default());
    let run = run("sleep 1000", |_| {});
    let soon = Duration::from_millis(300);
    let mut running = executor(&stored).start(&run, soon).await.unwrap();
    let end = running.wait().await;
    assert!(matches!(end.fault, Some(Fault::NoContact(_))), "{end:?}");
}

#[tokio::test]
async fn a_run_that_lost_supervisor_and_spawner_is_found_and_ended() {
    let stored = Arc::new(Stored::default());
    let executor = executor(&stored);
    let mut run = run("setsid sleep 1000 & echo $PPID; sleep 1000", |_| {});
    // Other tests' runs are found by their id too, so this one needs its own.
    run.id = RunId::of(&run.job.name, &RunKey::Request(super::mark()));
    let mut running = executor.start(&run, PATIENCE).await.unwrap();
    let supervisor = stored.when(|text| !text.is_empty()).await;
    let supervisor = String::from_utf8_lossy(&supervisor).trim().parse().unwrap();
    let spawner = i32::try_from(executor.processes.spawner_pid()).unwrap();
    for pid in [spawner, supervisor] {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    let end = running.wait().await;
    let Some(Fault::Executor(fault)) = end.fault else {
        panic!("{:?}", end.fault);
    };
    assert!(
        fault.starts_with("its supervisor and the spawner were stopped or killed from outside"),
        "{fault}"
    );
    assert!(end.leftovers_ended >= 2, "{fault}");
    assert_eq!(
        end_unsupervised("SANDCLOCK_RUN_ID", run.id.as_str()).await,
        (0, 0)
    );
}

#[tokio::test]
async fn a_failed_start_is_told_in_one_sentence() {
    let stored = Arc::new(Stored::default());
    let run = run("true", |job| {
        job.command.workdir = Some("/nowhere".to_owned())
    });
    let error = executor(&stored).start(&run, PATIENCE).await.unwrap_err();
    assert_eq!(
        error.cause,
        "cannot start: workdir \"/nowhere\": No such file or directory (os error 2)"
    );
}

/// 1 GiB of output: the worker's memory stays, and head and tail are stored within the limit.
#[test]
fn a_gibibyte_of_output_costs_neither_memory_nor_space() {
    let mut worker = Worker::start("flood\u{1f}1024".to_owned());
    let said = worker.said("@memory ");
    let figures: Vec<u64> = said
        .split(' ')
        .map(|figure| figure.parse().unwrap())
        .collect();
    let [idle, peak, after] = figures[..] else {
        panic!("{said}")
    };
    println!("resident: idle {idle} KiB, peak {peak} KiB, afterwards {after} KiB");
    assert!(peak <= idle + 32 * 1024, "idle {idle} KiB, peak {peak} KiB");
    assert!(
        after <= idle + 32 * 1024,
        "idle {idle} KiB, afterwards {after} KiB"
    );
}

/// Inside the worker process: prints so much through the whole way and looks at its own memory.
pub(super) async fn flood(mebibytes: u64) {
    let stored = Arc::new(Stored::default());
    let executor = JobExecutor {
        hooks: Arc::new(TestHooks { stars: false }),
        ..executor(&stored)
    };
    println!("@started {}", executor.processes.spawner_pid());
    finish(&executor, &run("echo warm", |_| {})).await;
    stored.chunks.lock().unwrap().clear();
    let idle = resident("VmRSS");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let length = mebibytes * MIB;
    let text = format!("echo head; yes 0123456789abcde | head -c {length}; echo; echo tail");
    let end = finish(&executor, &run(&text, |_| {})).await;
    let peak = resident("VmHWM");
    assert_eq!(end.output.bytes, length + 11);
    assert!(stored.bytes() <= MIB, "{} stored", stored.bytes());
    assert_eq!(end.output.cut, end.output.bytes - stored.bytes());
    let text = stored.text(end.output.bytes);
    assert!(text.starts_with(b"head\n0123456789abcde\n0123456789abcde\n"));
    assert!(text.ends_with(b"0123456789abcde\n\ntail\n"));
    let marker = cut_marker(end.output.cut);
    assert!(
        String::from_utf8_lossy(&text).contains(&marker),
        "no {marker:?}"
    );
    println!("@memory {idle} {peak} {}", resident("VmRSS"));
}

/// A line of this process's own status, in KiB.
fn resident(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
