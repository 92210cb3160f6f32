//! A fleet in bad weather, on real servers: three servers and five workers whose clocks disagree, of which one is
//! killed and one stopped again and again. The jobs themselves write down when they start, and hold a lock of the
//! kernel while any process of theirs lives, so that nothing that Sandclock says is believed.
//!
//! `cargo xtask storm` runs the long form: 200 jobs for ten minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;
use sandclock_core::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::{Worker, borrowed, other_time};

/// No state that the test waits for may take longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a clock is off, for each worker.
const CLOCKS: [&str; 5] = ["+0", "+1.5s", "-1.5s", "+10s", "-10s"];

/// The seconds between the ticks of a job, in turn.
const INTERVALS: [i64; 20] = [
    1, 60, 30, 20, 15, 12, 10, 60, 30, 20, 6, 5, 60, 30, 4, 3, 60, 30, 20, 2,
];

/// How long a stopped worker stays so: three times the life of its lease.
const STOPPED: Duration = Duration::from_secs(36);

/// How much there is of it.
struct Weather {
    jobs: usize,
    lasts: Duration,
    /// From one kill to the next.
    gusts: Duration,
}

impl Weather {
    /// As the environment says, else short.
    fn asked() -> Self {
        let number = |name: &str, default| {
            #[expect(clippy::disallowed_methods, reason = "the environment of the test")]
            let text = std::env::var(name).ok();
            text.map_or(default, |text| text.parse().expect("a whole number"))
        };
        Self {
            jobs: usize::try_from(number("SANDCLOCK_STORM_JOBS", 40)).unwrap(),
            lasts: Duration::from_secs(number("SANDCLOCK_STORM_S", 60)),
            gusts: Duration::from_secs(number("SANDCLOCK_STORM_GUST_S", 20)),
        }
    }
}

/// A job, and what it says.
struct Witness {
    name: String,
    every_s: i64,
    exclusive: bool,
    /// No late tick may be missed.
    all: bool,
    evidence: Evidence,
}

impl Witness {
    fn new(number: usize) -> Self {
        Self {
            name: format!("job-{number:03}"),
            every_s: INTERVALS[number % INTERVALS.len()],
            exclusive: number % 4 != 3,
            all: number.is_multiple_of(3),
            evidence: Evidence::new(),
        }
    }

    fn job(&self) -> Value {
        let file = self.evidence.file().display();
        let tick = "$SANDCLOCK_FIRE_TIME $SANDCLOCK_ATTEMPT";
        // Longer than the interval for some, so that they are busy at the next tick.
        let runs_s = [0.1, 0.5, 1.5][usize::try_from(self.every_s).unwrap() % 3];
        let command = format!(
            "exec 9>>{file}.lock; flock -n 9 || echo overlap {tick} >> {file}; echo start {tick} >> {file}; \
             sleep {runs_s}; echo end {tick} >> {file}"
        );
        let schedule = match self.every_s {
            60 => "0 * * * * * *".to_owned(),
            every => format!("*/{every} * * * * * *"),
        };
        json!({
            "command": command,
            "schedule": schedule,
            "concurrency": if self.exclusive { "forbid" } else { "allow" },
            "misfire": if self.all { json!({ "policy": "all", "max": 1000 }) } else { json!({ "policy": "once" }) },
            "on_lost": if self.all { json!({ "rerun": { "max": 3 } }) } else { json!("record") },
            "lost_after_s": 3,
        })
    }

    /// The lines that begin with a word: fire time and attempt.
    fn said(&self, word: &str) -> Vec<(String, String)> {
        let lines = self.evidence.lines();
        let of_word = lines.iter().filter_map(|line| {
            let mut words = line.split(' ');
            let is_it = words.next() == Some(word);
            let pair = (words.next()?.to_owned(), words.next()?.to_owned());
            is_it.then_some(pair)
        });
        of_word.collect()
    }
}

/// The workers, and who is stopped until when.
struct Fleet<'a> {
    stores: &'a Stores,
    workers: Vec<Worker>,
    stopped: Vec<(usize, Instant)>,
}

impl<'a> Fleet<'a> {
    fn new(stores: &'a Stores) -> Self {
        let mut fleet = Self {
            stores,
            workers: Vec::new(),
            stopped: Vec::new(),
        };
        fleet.workers = (0..CLOCKS.len()).map(|at| fleet.start(at)).collect();
        fleet
    }

    fn start(&self, at: usize) -> Worker {
        let clock = other_time(CLOCKS[at]);
        Worker::start_with(&format!("worker-{at}"), self.stores, &borrowed(&clock))
    }

    /// One worker dies and is started again, another one stops for a while.
    fn gust(&mut self, number: usize) {
        let (dies, stops) = (number % CLOCKS.len(), (number + 2) % CLOCKS.len());
        // A new life of the same worker is not stopped any more.
        self.stopped.retain(|(at, _)| *at != dies);
        self.workers[dies].signal(Signal::SIGKILL);
        self.workers[dies].process.wait().unwrap();
        self.workers[dies] = self.start(dies);
        self.workers[stops].signal(Signal::SIGSTOP);
        self.stopped.push((stops, Instant::now() + STOPPED));
    }

    fn go_on(&mut self, now: Option<Instant>) {
        let workers = &self.workers;
        self.stopped.retain(|(at, until)| {
            let over = now.is_none_or(|now| now >= *until);
            if over {
                workers[*at].signal(Signal::SIGCONT);
            }
            !over
        });
    }
}

/// Every record, by job.
async fn ledger(server: &Product) -> BTreeMap<String, Vec<Value>> {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for run in server.runs("").await {
        let job = run["job"].as_str().unwrap().to_owned();
        all.entry(job).or_default().push(run);
    }
    all
}

async fn is_over(server: &Product) -> bool {
    for state in ["running", "queued"] {
        let page = server.get(&format!("/runs?state={state}&limit=1")).await;
        if !page["items"].as_array().unwrap().is_empty() {
            return false;
        }
    }
    true
}

fn seconds(at: &str) -> i64 {
    Timestamp::parse(at).unwrap().as_millis() / 1000
}

/// The ticks of a job that its records speak of, each with the state of its record.
fn ticks(witness: &Witness, records: &[Value]) -> BTreeMap<i64, String> {
    let mut ticks = BTreeMap::new();
    let mut note = |at: i64, run: &Value| {
        let state = match run["state"].as_str().unwrap() {
            // The storm ends with an edit, which a tick may meet.
            "missed"
                if run["cause"]
                    .as_str()
                    .unwrap()
                    .contains("definition changed") =>
            {
                "edited"
            }
            state => state,
        }
        .to_owned();
        let twice = ticks.insert(at, state);
        assert_eq!(twice, None, "{}: two records of {at}: {run}", witness.name);
    };
    for run in records {
        match run.get("ticks") {
            None => note(seconds(run["fire_time"].as_str().unwrap()), run),
            Some(span) => {
                let edge = |name: &str| seconds(span[name].as_str().unwrap());
                let step = usize::try_from(witness.every_s).unwrap();
                for at in (edge("first")..=edge("last")).step_by(step) {
                    note(at, run);
                }
            }
        }
    }
    ticks
}

/// What the job and the records say of each other. Returns how many starts there were, and how many ticks were missed.
fn agree(witness: &Witness, records: &[Value]) -> (usize, usize) {
    let name = &witness.name;
    let (starts, ends) = (witness.said("start"), witness.said("end"));
    let distinct: BTreeSet<_> = starts.iter().collect();
    assert_eq!(
        distinct.len(),
        starts.len(),
        "{name}: an attempt started twice: {starts:?}"
    );
    if witness.exclusive {
        assert_eq!(witness.said("overlap"), [], "{name}: two runs at once");
    }
    let ticks = ticks(witness, records);
    let (Some((first, _)), Some((last, _))) = (ticks.first_key_value(), ticks.last_key_value())
    else {
        return (starts.len(), 0);
    };
    let step = usize::try_from(witness.every_s).unwrap();
    let without: Vec<i64> = (*first..=*last)
        .step_by(step)
        .filter(|at| !ticks.contains_key(at))
        .collect();
    assert_eq!(without, [0; 0], "{name}: ticks without a record");
    let started: BTreeSet<i64> = starts.iter().map(|(at, _)| seconds(at)).collect();
    let ended: BTreeSet<i64> = ends.iter().map(|(at, _)| seconds(at)).collect();
    for (at, state) in &ticks {
        match state.as_str() {
            "succeeded" => assert!(ended.contains(at), "{name}: {at} is said to have succeeded"),
            "skipped" | "missed" | "edited" => {
                assert!(!started.contains(at), "{name}: {at} is said to be {state}")
            }
            _ => {}
        }
    }
    let unknown: Vec<_> = started
        .iter()
        .filter(|at| !ticks.contains_key(at))
        .collect();
    assert!(
        unknown.is_empty(),
        "{name}: started without a record: {unknown:?}"
    );
    let missed = ticks.values().filter(|state| *state == "missed").count();
    assert!(
        !witness.all || missed == 0,
        "{name}: {missed} ticks missed, of which none may be"
    );
    (starts.len(), missed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_tick_starts_once_in_a_storm() {
    let weather = Weather::asked();
    let stores = Stores::shared();
    let servers = [(); 3].map(|()| Product::server(&stores.toml()));
    let mut fleet = Fleet::new(&stores);
    let witnesses: Vec<_> = (0..weather.jobs).map(Witness::new).collect();
    for (at, witness) in witnesses.iter().enumerate() {
        servers[at % 3].put_job(&witness.name, &witness.job()).await;
    }
    let began = Instant::now();
    let mut gusts = 0;
    while began.elapsed() < weather.lasts {
        // The pace of the weather.
        sleep(Duration::from_millis(200)).await;
        fleet.go_on(Some(Instant::now()));
        if began.elapsed() > weather.gusts * u32::try_from(gusts + 1).unwrap() {
            fleet.gust(gusts);
            gusts += 1;
        }
    }
    fleet.go_on(None);
    for witness in &witnesses {
        let path = format!("/jobs/{}/disable", witness.name);
        let disabled = servers[0]
            .request(Method::POST, &path)
            .send()
            .await
            .unwrap();
        assert!(disabled.status().is_success());
    }
    wait_for("all runs are over", PATIENCE, async || {
        is_over(&servers[0]).await
    })
    .await;
    let records = ledger(&servers[1]).await;
    assert_eq!(
        ledger(&servers[2]).await,
        records,
        "every server says the same"
    );
    let (mut starts, mut missed) = (0, 0);
    for witness in &witnesses {
        let of_job = records.get(&witness.name).map_or(&[][..], Vec::as_slice);
        let (some, late) = agree(witness, of_job);
        starts += some;
        missed += late;
    }
    let ended: usize = witnesses
        .iter()
        .map(|witness| witness.said("end").len())
        .sum();
    println!(
        "{starts} starts, {ended} ends, {missed} ticks missed, {gusts} workers killed and {gusts} stopped"
    );
    assert!(
        starts > weather.jobs && gusts > 0,
        "the storm was too mild to say anything"
    );
}
