//! Killed at random moments under load, and opened again: nothing acknowledged is lost, no fire time is
//! decided twice, every tick has its record, and the file is sound.
//!
//! The load runs in a process of its own, which is this very test binary started again for one test. It
//! says on a pipe what was acknowledged to it. The moment of the kill is drawn, as a number of such lines
//! and of idle turns after the last of them, so that a seed names it without a clock.

mod ledger;
mod load;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ledger::Ledger;
use sandclock_backend_embedded::Embedded;

use crate::scene::{Home, config};

const KILLS: u32 = 200;

/// Each store goes through this many lives.
const LIVES: u32 = 20;

const STORE: &str = "SANDCLOCK_TEST_STORE";
const EARLY: &str = "SANDCLOCK_TEST_ANSWER_EARLY";

/// The moments that this seed names (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the load must be a process that can be killed"
)]
fn start(path: &Path, early: bool) -> Child {
    let program = std::env::current_exe().expect("this program's file");
    let mut command = Command::new(program);
    command
        .args(["--exact", "crash::runs_until_it_is_killed", "--nocapture"])
        .env(STORE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if early {
        command.env(EARLY, "1");
    }
    command.spawn().expect("start the load")
}

/// The load itself; as a test of its own it only shows that it does nothing unless it is asked to.
#[expect(
    clippy::disallowed_methods,
    reason = "how the parent hands over the file"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_until_it_is_killed() {
    if let Ok(path) = std::env::var(STORE) {
        load::run(path.as_ref(), std::env::var(EARLY).is_ok()).await;
    }
}

/// One life of the load, from start to kill. What it said goes into the ledger.
fn one_life(path: &Path, early: bool, dice: &mut Dice, ledger: &mut Ledger) -> Result<(), String> {
    let mut child = start(path, early);
    let stdout = child.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    // One life in eight ends before or while the file is opened.
    let wait_for = match dice.below(8) {
        0 => dice.below(3),
        _ => dice.below(300),
    };
    let mut heard = Vec::new();
    for line in lines.by_ref() {
        heard.push(line.expect("a line"));
        if u64::try_from(heard.len()).unwrap_or(u64::MAX) > wait_for {
            break;
        }
    }
    for _ in 0..dice.below(200_000) {
        std::hint::spin_loop();
    }
    child.kill().expect("kill");
    heard.extend(lines.map(|line| line.expect("a line")));
    let end = child.wait_with_output().expect("the end");
    if end.status.code().is_some() {
        let said = String::from_utf8_lossy(&end.stderr).into_owned();
        return Err(format!("the load ended by itself: {said}"));
    }
    heard.iter().try_for_each(|line| ledger.note(line))
}

/// As long as a process lives, and not a moment longer, nobody else opens its file.
#[test]
fn another_process_is_named() {
    let home = Home::new();
    let mut child = start(&home.path(), false);
    let stdout = child.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(stdout).lines();
    assert!(lines.any(|line| line.expect("a line") == "open"));
    let error = Embedded::open(config(&home.path())).expect_err("opened beside");
    let holder = format!("store.db is in use by process {}", child.id());
    assert!(error.to_string().contains(&holder), "{error}");
    child.kill().expect("kill");
    child.wait().expect("the end");
    drop(home.open());
}

#[tokio::test]
async fn a_store_killed_at_any_moment_is_whole() {
    let seed = 20;
    let mut dice = Dice(seed);
    let mut acknowledged = 0;
    for store in 0..KILLS / LIVES {
        let home = Home::new();
        let mut ledger = Ledger::default();
        for life in 0..LIVES {
            let outcome = match one_life(&home.path(), false, &mut dice, &mut ledger) {
                Ok(()) => ledger.check(&home).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                panic!("seed {seed}, store {store}, life {life}: {error}");
            }
        }
        acknowledged += ledger.acknowledged();
    }
    println!("{KILLS} kills, {acknowledged} acknowledged writes, all there");
    assert!(acknowledged > u64::from(KILLS) * 20, "hardly any load");
}

#[tokio::test]
async fn a_store_that_answers_too_early_loses_writes() {
    let mut dice = Dice(21);
    for kill in 1..=KILLS {
        let home = Home::new();
        let mut ledger = Ledger::default();
        let life = one_life(&home.path(), true, &mut dice, &mut ledger);
        life.expect("the load");
        if let Err(loss) = ledger.check(&home).await {
            println!("caught at kill {kill}: {loss}");
            return;
        }
    }
    panic!("answers before the commit were not caught");
}
