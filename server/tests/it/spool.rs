//! The spool between a worker and a run log that comes and goes: what waits, in which order it follows, and what
//! becomes of it when the process, the disk or the file fails. Each promise has its mutant.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use sandclock_core::backend::{
    DoneRecord, Fence, OutputChunk, Result, RunHeader, RunSink, Version,
};
use sandclock_core::job::JobName;
use sandclock_core::policy::Streak;
use sandclock_core::ports::{Channel, Redacted};
use sandclock_core::run::{Outcome, RunId, RunKey, RunState};
use sandclock_core::{BackendError, ErrorKind, Timestamp};
use sandclock_server::clock::SystemClock;
use sandclock_server::spool::{Mutant, Spool, SpoolConfig};
use tempfile::TempDir;
use tokio::time::timeout;

/// No state that a test waits for may take longer; a mutant never gets there.
const PATIENCE: Duration = Duration::from_secs(60);
const MUTANT_PATIENCE: Duration = Duration::from_secs(3);

const MIB: u64 = 1 << 20;

/// How the run log is just now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mood {
    #[default]
    Answers,
    Refuses,
    Hangs,
}

/// A run log that writes down what it is told, in order.
#[derive(Debug, Default)]
struct Log {
    mood: Mutex<Mood>,
    said: Mutex<Vec<String>>,
}

impl Log {
    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// What it was told of this run.
    fn of(&self, run: &RunId) -> Vec<String> {
        let about = format!("{run} ");
        let said = self.said();
        let own = said.iter().filter_map(|line| line.strip_prefix(&about));
        own.map(str::to_owned).collect()
    }

    async fn take(&self, lines: Vec<String>) -> Result<()> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Answers => {
                self.said.lock().unwrap().extend(lines);
                Ok(())
            }
            Mood::Refuses => Err(BackendError::new("sink", ErrorKind::Unavailable)),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl RunSink for Log {
    async fn begin(&self, header: &RunHeader, fence: Fence) -> Result<()> {
        let line = format!("{} begin {} {fence}", header.id, header.attempt);
        self.take(vec![line]).await
    }

    async fn append(
        &self,
        run: &RunId,
        attempt: u32,
        chunks: &[OutputChunk],
        cut: Option<(u64, u64)>,
    ) -> Result<()> {
        let chunk = |chunk: &OutputChunk| {
            let text = String::from_utf8_lossy(chunk.bytes.bytes()).into_owned();
            format!("{run} {attempt}.{} at {}: {text}", chunk.seq, chunk.offset)
        };
        let mut lines: Vec<_> = chunks.iter().map(chunk).collect();
        lines.extend(cut.map(|(from, to)| format!("{run} {attempt} without {from}..{to}")));
        self.take(lines).await
    }

    async fn finish(&self, done: &DoneRecord) -> Result<()> {
        self.take(vec![format!("{} {}", done.run(), done.outcome.state)])
            .await
    }
}

fn run(name: &str) -> (JobName, RunKey, RunId) {
    let (job, key) = (
        JobName::parse(name).unwrap(),
        RunKey::Request(name.to_owned()),
    );
    let id = RunId::of(&job, &key);
    (job, key, id)
}

async fn prints(spool: &Spool, run: &RunId, attempt: u32, piece: OutputChunk) {
    spool.append(run, attempt, &[piece], None).await.unwrap();
}

fn chunk(seq: u64, offset: u64, text: &str) -> OutputChunk {
    OutputChunk {
        seq,
        channel: Channel::Stderr,
        offset,
        bytes: Redacted::vouch(Bytes::copy_from_slice(text.as_bytes())),
    }
}

fn done(name: &str) -> DoneRecord {
    let (job, key, _) = run(name);
    DoneRecord {
        job,
        key,
        span: None,
        outcome: Outcome::without_process(
            RunState::Killed,
            "x".repeat(4_096),
            Timestamp::from_millis(1),
        ),
        attempts: 1,
        fence: 1,
        worker: "worker".to_owned(),
        streak_before: Streak::default(),
        streak: Streak::default(),
        pinned: None,
    }
}

fn header(name: &str) -> RunHeader {
    let (job, key, id) = run(name);
    RunHeader {
        id,
        job,
        key,
        state: RunState::Running,
        attempt: 1,
        worker: "worker".to_owned(),
        started_at: Timestamp::from_millis(1),
        next_attempt_at: None,
        cause: String::new(),
    }
}

/// A folder, and the worker's lives in it.
struct Home {
    folder: TempDir,
    log: Arc<Log>,
    mutant: Option<Mutant>,
}

impl Home {
    fn new(mutant: Option<Mutant>) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            log: Arc::default(),
            mutant,
        }
    }

    fn config(&self, folder: &Path) -> SpoolConfig {
        SpoolConfig {
            most_ends: 0,
            mutant: self.mutant,
            ..SpoolConfig::new(folder, MIB)
        }
    }

    fn open(&self) -> Spool {
        self.open_in(self.folder.path())
    }

    fn open_in(&self, folder: &Path) -> Spool {
        let log = Arc::clone(&self.log) as Arc<dyn RunSink>;
        Spool::open(log, self.config(folder), Arc::new(SystemClock)).unwrap()
    }

    fn patience(&self) -> Duration {
        self.mutant.map_or(PATIENCE, |_| MUTANT_PATIENCE)
    }

    /// Lets what waits follow.
    async fn forward(&self, spool: &Spool) {
        let until_empty = async {
            while spool.status().waiting.entries > 0 {
                tokio::task::yield_now().await;
            }
        };
        let all = async {
            tokio::select! {
                () = spool.forward() => {}
                () = until_empty => {}
            }
        };
        timeout(self.patience(), all)
            .await
            .expect("all has followed");
    }
}

async fn is_caught(mutant: Mutant, promise: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(promise).catch_unwind().await;
    assert!(outcome.is_err(), "{mutant:?} was not caught");
}

async fn what_waits_follows_in_order_after_a_restart(mutant: Option<Mutant>) {
    let home = Home::new(mutant);
    let (_, _, one) = run("one");
    let (_, _, other) = run("other");
    home.log.is(Mood::Refuses);
    let spool = home.open();
    spool
        .begin(&header("one"), Fence::at(Version(7)))
        .await
        .unwrap();
    for (seq, text) in [(0, "first "), (1, "second ")] {
        prints(&spool, &one, 1, chunk(seq, seq * 10, text)).await;
        prints(&spool, &other, 2, chunk(seq, seq * 10, text)).await;
    }
    drop(spool);
    let spool = home.open();
    spool
        .append(&one, 1, &[chunk(2, 20, "third")], Some((1, 2)))
        .await
        .unwrap();
    assert_eq!(home.log.said(), Vec::<String>::new());
    home.log.is(Mood::Answers);
    home.forward(&spool).await;
    assert_eq!(
        home.log.of(&one),
        [
            "begin 1 7",
            "1.0 at 0: first ",
            "1.2 at 20: third",
            "1 without 1..2"
        ]
    );
    assert_eq!(
        home.log.of(&other),
        ["2.0 at 0: first ", "2.1 at 10: second "]
    );
    let empty = fs::metadata(home.folder.path().join("spool.db"))
        .unwrap()
        .len();
    assert!(empty < 64 << 10, "{empty} bytes");
}

#[tokio::test]
async fn what_waits_follows_after_the_worker_was_started_again() {
    what_waits_follows_in_order_after_a_restart(None).await;
}

#[tokio::test]
async fn a_spool_that_forgets_its_former_life_is_caught() {
    let mutant = Mutant::NotReplayed;
    is_caught(
        mutant,
        what_waits_follows_in_order_after_a_restart(Some(mutant)),
    )
    .await;
}

async fn output_keeps_its_order(mutant: Option<Mutant>) {
    let home = Home::new(mutant);
    let (_, _, one) = run("one");
    let spool = home.open();
    home.log.is(Mood::Hangs);
    prints(&spool, &one, 1, chunk(0, 0, "a")).await;
    drop(spool);
    home.log.is(Mood::Answers);
    // Nobody has asked the log since.
    let spool = home.open();
    prints(&spool, &one, 1, chunk(1, 1, "b")).await;
    home.forward(&spool).await;
    prints(&spool, &one, 1, chunk(2, 2, "c")).await;
    assert_eq!(
        home.log.of(&one),
        ["1.0 at 0: a", "1.1 at 1: b", "1.2 at 2: c"]
    );
}

#[tokio::test]
async fn later_output_does_not_overtake_what_waits() {
    output_keeps_its_order(None).await;
}

#[tokio::test]
async fn output_that_overtakes_is_caught() {
    let mutant = Mutant::Overtaking;
    is_caught(mutant, output_keeps_its_order(Some(mutant))).await;
}

async fn an_end_follows_its_output(mutant: Option<Mutant>) {
    let home = Home::new(mutant);
    let (_, _, one) = run("one");
    home.log.is(Mood::Refuses);
    let spool = home.open();
    prints(&spool, &one, 1, chunk(0, 0, "a")).await;
    drop(spool);
    home.log.is(Mood::Answers);
    let spool = home.open();
    let refused = spool
        .finish(&done("one"))
        .await
        .expect_err("its output waits");
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    spool.finish(&done("other")).await.unwrap();
    home.forward(&spool).await;
    spool.finish(&done("one")).await.unwrap();
    assert_eq!(home.log.of(&one), ["1.0 at 0: a", "killed"]);
}

#[tokio::test]
async fn a_run_is_over_for_the_log_once_it_has_the_output() {
    an_end_follows_its_output(None).await;
}

#[tokio::test]
async fn an_end_before_its_output_is_caught() {
    let mutant = Mutant::EndFirst;
    is_caught(mutant, an_end_follows_its_output(Some(mutant))).await;
}

async fn no_end_is_lost_when_it_is_full(mutant: Option<Mutant>) {
    let home = Home::new(mutant);
    home.log.is(Mood::Refuses);
    let spool = home.open();
    // Very many ends wait in the coordination store.
    spool.watch_ends("worker".to_owned(), || 1);
    let (_, _, noisy) = run("noisy");
    let piece = "x".repeat(64 << 10);
    let mut stored = 0;
    while let Ok(()) = spool
        .append(&noisy, 1, &[chunk(stored, stored, &piece)], None)
        .await
    {
        stored += 1;
    }
    assert!(stored > 8, "{stored}");
    let mut acknowledged = Vec::new();
    for n in 0..10_000 {
        let name = format!("run-{n}");
        match spool.finish(&done(&name)).await {
            Ok(()) => acknowledged.push(name),
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Throttled, "{error}");
                break;
            }
        }
        assert!(spool.status().waiting.bytes <= MIB);
    }
    assert!(acknowledged.len() > 8, "output took the room of ends");
    assert!(acknowledged.len() < 10_000, "it never refused");
    drop(spool);
    home.log.is(Mood::Answers);
    let spool = home.open();
    home.forward(&spool).await;
    for name in &acknowledged {
        assert_eq!(home.log.of(&run(name).2), ["killed"], "{name}");
    }
    assert_eq!(home.log.of(&noisy).len() as u64, stored);
}

#[tokio::test]
async fn a_full_spool_refuses_output_before_ends_and_loses_none() {
    no_end_is_lost_when_it_is_full(None).await;
}

#[tokio::test]
async fn an_end_dropped_when_it_is_full_is_caught() {
    let mutant = Mutant::EndDroppedWhenFull;
    is_caught(mutant, no_end_is_lost_when_it_is_full(Some(mutant))).await;
}

#[tokio::test]
async fn an_end_that_the_store_keeps_does_not_wait_here() {
    let few: fn() -> usize = || 0;
    let many: fn() -> usize = || 1;
    for (worker, ends) in [("worker", few), ("another", many)] {
        let home = Home::new(None);
        home.log.is(Mood::Refuses);
        let spool = home.open();
        spool.watch_ends(worker.to_owned(), ends);
        let refused = spool.finish(&done("one")).await;
        refused.expect_err("the log is away");
        assert_eq!(spool.status().waiting.entries, 0);
    }
}

/// A machine that dies in the middle of a write leaves a torn end of the file.
#[tokio::test]
async fn a_torn_last_entry_costs_that_entry_alone() {
    let home = Home::new(None);
    let (_, _, one) = run("one");
    home.log.is(Mood::Refuses);
    let spool = home.open();
    for seq in 0..3 {
        prints(&spool, &one, 1, chunk(seq, seq, "x")).await;
    }
    // What is on disk now, without the last few bytes.
    let image = TempDir::new().unwrap();
    for name in ["spool.db", "spool.db-wal"] {
        fs::copy(home.folder.path().join(name), image.path().join(name)).unwrap();
    }
    let writes = image.path().join("spool.db-wal");
    let length = fs::metadata(&writes).unwrap().len();
    File::options()
        .write(true)
        .open(&writes)
        .unwrap()
        .set_len(length - 7)
        .unwrap();
    home.log.is(Mood::Answers);
    let revived = home.open_in(image.path());
    home.forward(&revived).await;
    assert_eq!(home.log.of(&one), ["1.0 at 0: x", "1.1 at 1: x"]);
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside() {
    let home = Home::new(None);
    let path = home.folder.path().join("spool.db");
    fs::write(
        &path,
        "no spool at all, and longer than the header of a file ".repeat(9),
    )
    .unwrap();
    home.log.is(Mood::Refuses);
    let spool = home.open();
    let (_, _, one) = run("one");
    prints(&spool, &one, 1, chunk(0, 0, "x")).await;
    assert!(home.folder.path().join("spool.db.damaged").exists());
}

#[tokio::test]
async fn without_a_usable_file_output_is_refused_and_the_log_is_still_asked() {
    let home = Home::new(None);
    fs::create_dir(home.folder.path().join("spool.db")).unwrap();
    let spool = home.open();
    let (_, _, one) = run("one");
    home.log.is(Mood::Refuses);
    spool
        .append(&one, 1, &[chunk(0, 0, "x")], None)
        .await
        .expect_err("nowhere to wait");
    assert_eq!(spool.status().refused, 1);
    home.log.is(Mood::Answers);
    let again = async {
        while spool
            .append(&one, 1, &[chunk(0, 0, "x")], None)
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    let asked = async {
        tokio::select! {
            () = spool.forward() => {}
            () = again => {}
        }
    };
    timeout(PATIENCE, asked)
        .await
        .expect("the log is asked again");
    assert_eq!(home.log.of(&one), ["1.0 at 0: x"]);
}

#[tokio::test]
async fn a_file_that_is_removed_takes_nothing_more() {
    let home = Home::new(None);
    home.log.is(Mood::Refuses);
    let spool = home.open();
    fs::remove_file(home.folder.path().join("spool.db")).unwrap();
    let (_, _, one) = run("one");
    let refused = spool.append(&one, 1, &[chunk(0, 0, "x")], None).await;
    assert!(refused.expect_err("gone").to_string().contains("not at"));
}

#[tokio::test]
async fn the_file_has_one_owner_and_is_private() {
    let home = Home::new(None);
    home.log.is(Mood::Refuses);
    let spool = home.open();
    let log = Arc::clone(&home.log) as Arc<dyn RunSink>;
    let second = Spool::open(log, home.config(home.folder.path()), Arc::new(SystemClock));
    let error = format!("{:#}", second.expect_err("it is in use"));
    let holder = format!("in use by this process ({})", std::process::id());
    assert!(
        error.contains(&holder) && error.contains("data folder of its own"),
        "{error}"
    );
    let (_, _, one) = run("one");
    prints(&spool, &one, 1, chunk(0, 0, "x")).await;
    for name in ["spool.db", "spool.db-wal"] {
        let mode = fs::metadata(home.folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
