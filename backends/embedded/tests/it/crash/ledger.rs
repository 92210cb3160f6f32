//! What was acknowledged, over all lives of a store, and whether the store has it.

use std::collections::{BTreeMap, BTreeSet};

use sandclock_core::Timestamp;
use sandclock_core::backend::{Coordination, FireView, Records, RunFilter, RunRecord};
use sandclock_core::job::JobName;
use sandclock_core::run::{RunId, RunKey};

use crate::scene::{Home, at};

type Tick = (String, i64);

/// The acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    held: BTreeSet<Tick>,
    over: BTreeSet<Tick>,
    logged: BTreeSet<Tick>,
    cleaned: BTreeSet<Tick>,
    output: BTreeSet<Tick>,
    /// The newest version of each job.
    put: BTreeMap<String, u64>,
    /// The greatest version of earlier lives, and of this one.
    earlier: u64,
    latest: u64,
    acknowledged: u64,
}

fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

impl Ledger {
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Takes down a line of the load; lines of the test harness are none.
    pub(super) fn note(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<_> = line.split(' ').collect();
        let ["ack", what, job, number] = words.as_slice() else {
            return Ok(());
        };
        self.acknowledged += 1;
        let number: u64 = number.parse().expect("a number");
        let job = (*job).to_owned();
        let tick = || (job.clone(), i64::try_from(number).expect("an instant"));
        match *what {
            "held" => require(self.held.insert(tick()), || {
                format!("{line}: the fire time was held before (S2)")
            }),
            "over" => require(self.over.insert(tick()), || {
                format!("{line}: the run had ended before (S8)")
            }),
            "logged" => {
                self.logged.insert(tick());
                Ok(())
            }
            "cleaned" => {
                self.cleaned.insert(tick());
                Ok(())
            }
            "output" => {
                self.output.insert(tick());
                Ok(())
            }
            "fence" => {
                self.latest = self.latest.max(number);
                let earlier = self.earlier;
                require(number > earlier, || {
                    format!("{line}: not above {earlier} of an earlier life (S1)")
                })
            }
            "put" => {
                self.latest = self.latest.max(number);
                self.put.insert(job, number);
                Ok(())
            }
            other => panic!("unknown acknowledgement {other}"),
        }
    }

    /// Opens the store and compares. A new life follows.
    pub(super) async fn check(&mut self, home: &Home) -> Result<(), String> {
        self.earlier = self.latest;
        if !home.path().exists() {
            return require(self.acknowledged == 0, || "the file is gone".to_owned());
        }
        let store = home.open();
        let (jobs, log) = (store.coordination(), store.records());
        let (view, _) = jobs.feed.snapshot().await.map_err(|e| e.to_string())?;
        let runs = all_runs(&log).await;
        self.check_ticks(&view, &runs)?;
        self.check_jobs(&jobs).await?;
        self.check_output(&log).await?;
        drop((store, jobs, log));

        let file = rusqlite::Connection::open(home.path()).map_err(|e| e.to_string())?;
        let sound: String = file
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .map_err(|e| e.to_string())?;
        require(sound == "ok", || format!("integrity_check: {sound}"))
    }

    /// Every tick up to a job's mark is in exactly one place, acknowledged or not (S7), and no other is.
    fn check_ticks(&self, view: &FireView, runs: &BTreeMap<Tick, RunRecord>) -> Result<(), String> {
        let key = |job: &JobName, key: &RunKey| {
            let at = key.fire_time().expect("only ticks");
            (job.as_str().to_owned(), at.as_millis())
        };
        let open: BTreeSet<_> = (view.open.iter())
            .map(|open| key(&open.value.job, &open.value.key))
            .collect();
        let done: BTreeSet<_> = (view.done.iter())
            .map(|done| key(&done.value.job, &done.value.key))
            .collect();
        let over = |tick: &Tick| {
            let logged = runs.get(tick).is_some_and(|run| run.state.is_terminal());
            logged || done.contains(tick)
        };
        let mut decided = BTreeSet::new();
        for (job, mark) in &view.marks {
            let mut t = at(1);
            while t <= mark.value.at {
                let tick = (job.as_str().to_owned(), t.as_millis());
                require(open.contains(&tick) != over(&tick), || {
                    format!("tick {tick:?} is not in exactly one place")
                })?;
                decided.insert(tick);
                t = t.plus(std::time::Duration::from_secs(1));
            }
        }
        for tick in open
            .iter()
            .chain(&done)
            .chain(runs.keys())
            .chain(&self.held)
        {
            require(decided.contains(tick), || {
                format!("tick {tick:?} is known, but its job's mark is before it")
            })?;
        }
        for tick in &self.over {
            require(over(tick), || format!("the end of {tick:?} is lost"))?;
        }
        for tick in &self.logged {
            let there = runs.get(tick).is_some_and(|run| run.state.is_terminal());
            require(there, || format!("{tick:?} is lost from the run log"))?;
        }
        for tick in &self.cleaned {
            require(!done.contains(tick), || format!("{tick:?} is back"))?;
        }
        Ok(())
    }

    async fn check_jobs(&self, jobs: &Coordination) -> Result<(), String> {
        let there = jobs.jobs.snapshot().await.map_err(|e| e.to_string())?.jobs;
        for (name, version) in &self.put {
            let job = there.iter().find(|job| job.job.name.as_str() == name);
            let found = job.map(|job| job.version.0);
            require(found.is_some_and(|found| found >= *version), || {
                format!("job {name} is {found:?}, acknowledged was {version}")
            })?;
        }
        Ok(())
    }

    async fn check_output(&self, log: &Records) -> Result<(), String> {
        for (job, at) in &self.output {
            let key = RunKey::Tick(Timestamp::from_millis(*at));
            let run = RunId::of(&JobName::existing(job.as_str()), &key);
            let page = log.runs.read_log(&run, None, 1024).await;
            let chunks = page.map_err(|e| e.to_string())?.chunks;
            let text = chunks.first().map(|(_, chunk)| chunk.bytes.bytes().clone());
            require(text == Some(key.to_string().into()), || {
                format!("the output of {job} {at} is {text:?}")
            })?;
        }
        Ok(())
    }
}

/// The whole run log.
async fn all_runs(log: &Records) -> BTreeMap<Tick, RunRecord> {
    let mut runs = BTreeMap::new();
    let mut page = None;
    loop {
        let filter = RunFilter::default();
        let list = log.runs.list(&filter, page.as_ref(), 1_000).await;
        let list = list.expect("list");
        for run in list.items {
            let at = run.key.fire_time().expect("only ticks");
            let tick = (run.job.as_str().to_owned(), at.as_millis());
            assert!(runs.insert(tick, run).is_none(), "a run twice in the log");
        }
        page = list.next;
        if page.is_none() {
            return runs;
        }
    }
}
