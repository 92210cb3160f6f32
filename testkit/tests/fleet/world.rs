//! Runs a scenario: machines, store, operator and weather in virtual time, until all is calm again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use sandclock_core::backend::kills::RETAIN;
use sandclock_core::backend::memory::{MemoryStore, StoreMutant};
use sandclock_core::backend::{
    Kill, OpenState, Precondition, RecordSeen, Request, RunRecord, Settle, SettleAs, StoredJob,
    Triggered,
};
use sandclock_core::fleet::{CountersSnapshot, FleetMutant};
use sandclock_core::job::{Job, JobName};
use sandclock_core::run::{Outcome as RunOutcome, RunId, RunKey, RunState};
use sandclock_core::schedule::{Schedule, Timetable, parse_zone};
use sandclock_core::time::{SimClock, Timestamp};
use sandclock_testkit::fault::{Late, Weather};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::host::{Ground, Host};
use super::process::{Process, Processes};
use super::scenarios::{Action, CALM, STORM, Scenario};
use super::witness::{Fact, Witness};

/// The wall time at which every simulation begins.
pub(crate) fn epoch() -> Timestamp {
    Timestamp::parse("2027-03-01T00:00:00Z").unwrap()
}

/// A known defect to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Defect {
    Store(StoreMutant),
    Worker(FleetMutant),
}

/// A machine has slept and woken up.
#[derive(Clone, Debug)]
pub(crate) struct Sleep {
    pub(crate) host: String,
    pub(crate) woke: Instant,
    pub(crate) woke_ms: u64,
    /// How far wall time is ahead of virtual time from then on.
    pub(crate) total_ms: u64,
}

/// What a simulation leaves behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) facts: Vec<(u64, Fact)>,
    pub(crate) sleeps: Vec<Sleep>,
    pub(crate) processes: Vec<Process>,
    pub(crate) run_log: Vec<RunRecord>,
    /// Virtual milliseconds at which all jobs were switched off.
    pub(crate) off_ms: u64,
    /// What was wrong when it had to be right, with the invariant it breaks.
    pub(crate) complaints: Vec<(&'static str, String)>,
    pub(crate) counters: Vec<CountersSnapshot>,
}

impl Outcome {
    /// The history as text: the same seed must give the same bytes.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (ms, fact) in &self.facts {
            writeln!(text, "{ms:>8} {fact:?}").unwrap();
        }
        text
    }
}

/// Runs the scenario with a defect or without.
pub(crate) fn simulate(scenario: Scenario, defect: Option<Defect>) -> Outcome {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async move {
        World::new(scenario, defect).await.run().await
    })
}

struct World {
    scenario: Scenario,
    store: Arc<MemoryStore>,
    weather: Arc<Weather>,
    witness: Arc<Witness>,
    processes: Arc<Processes>,
    hosts: Vec<Host>,
    origin: Instant,
    slept_ms: i64,
    sleeps: Vec<Sleep>,
    /// What jobs were before their records became unreadable.
    damaged: BTreeMap<JobName, Job>,
    complaints: Vec<(&'static str, String)>,
}

impl World {
    async fn new(scenario: Scenario, defect: Option<Defect>) -> Self {
        let origin = Instant::now();
        let store = match defect {
            Some(Defect::Store(mutant)) => MemoryStore::with_mutant(mutant),
            _ => MemoryStore::new(),
        };
        let witness = Witness::of(&store).await;
        let processes = Processes::new(scenario.seed, scenario.longest, Arc::clone(&witness));
        let weather = Arc::new(Weather::default());
        let (late, deliveries) = unbounded_channel();
        tokio::task::spawn_local(deliver(deliveries));
        let ground = Ground {
            seed: scenario.seed,
            store: Arc::clone(&store),
            weather: Arc::clone(&weather),
            witness: Arc::clone(&witness),
            processes: Arc::clone(&processes),
            late,
            mutant: match defect {
                Some(Defect::Worker(mutant)) => Some(mutant),
                _ => None,
            },
            capacity: scenario.capacity,
        };
        let hosts = scenario
            .clocks
            .iter()
            .enumerate()
            .map(|(n, (skew, drift))| {
                let clock = SimClock::new(epoch(), origin, *skew, *drift);
                Host::new(&format!("worker-{n}"), clock, ground.clone())
            });
        Self {
            hosts: hosts.collect(),
            scenario,
            store,
            weather,
            witness,
            processes,
            origin,
            slept_ms: 0,
            sleeps: Vec::new(),
            damaged: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    fn now(&self) -> Timestamp {
        let slept = Duration::from_millis(self.slept_ms.unsigned_abs());
        epoch().plus(self.origin.elapsed() + slept)
    }

    async fn run(mut self) -> Outcome {
        tokio::task::spawn_local(keep_looking(Arc::clone(&self.witness)));
        for job in self.scenario.jobs.clone() {
            self.put(job).await;
        }
        for host in &mut self.hosts {
            host.start();
            sleep(Duration::from_millis(37)).await;
        }
        self.weather.set_bad(self.scenario.bad_weather);
        for (at, action) in self.scenario.script.clone() {
            sleep_until(self.origin + at).await;
            self.witness.note(Fact::Note(format!("{action:?}")));
            self.act(action).await;
        }
        sleep_until(self.origin + STORM).await;
        self.calm_down().await;
        self.check_catalogues().await;
        let off_ms = self.switch_off().await;
        self.check_empty().await;
        self.drain_all().await;
        let run_log = self.run_log().await;
        Outcome {
            facts: self.witness.take_facts(),
            scenario: self.scenario,
            sleeps: self.sleeps,
            processes: self.processes.all(),
            run_log,
            off_ms,
            complaints: self
                .complaints
                .into_iter()
                .chain(self.processes.outlived())
                .collect(),
            counters: self.hosts.iter().flat_map(Host::counters).collect(),
        }
    }

    fn complain(&mut self, invariant: &'static str, what: String) {
        self.witness
            .note(Fact::Note(format!("{invariant}: {what}")));
        self.complaints.push((invariant, what));
    }

    async fn put(&self, mut job: Job) {
        job.schedule_since = Some(self.now());
        self.save(&job).await;
    }

    async fn save(&self, job: &Job) {
        let jobs = self.store.coordination().jobs;
        jobs.put(job, Precondition::Any).await.unwrap();
        self.witness.look();
    }

    fn job_name(&self, index: usize) -> JobName {
        self.scenario.jobs[index].name.clone()
    }

    async fn stored(&self, index: usize) -> Option<StoredJob> {
        let jobs = self.store.coordination().jobs;
        // None also while its record cannot be read.
        jobs.get(&self.job_name(index)).await.ok().flatten()
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Put(job) => self.put(*job).await,
            Action::Flip(index, enabled) => {
                if let Some(stored) = self.stored(index).await {
                    let mut job = Job::clone(&stored.job);
                    job.enabled = enabled;
                    self.put(job).await;
                }
            }
            Action::Delete(index) => {
                let jobs = self.store.coordination().jobs;
                drop(jobs.delete(&self.job_name(index), Precondition::Any).await);
                self.witness.look();
            }
            Action::Break(index) => {
                if let Some(stored) = self.stored(index).await {
                    self.damaged
                        .insert(self.job_name(index), Job::clone(&stored.job));
                }
                self.store.break_job(&self.job_name(index), false);
                self.witness.look();
            }
            Action::Repair(index, anew) => {
                if self.stored(index).await.is_none()
                    && let Some(job) = self.damaged.remove(&self.job_name(index))
                {
                    match anew {
                        true => self.put(job).await,
                        false => self.save(&job).await,
                    }
                }
            }
            Action::Ask(index, id, wait) => self.ask(index, id, wait).await,
            Action::KillOpen(which) => {
                let open = self.witness.open();
                let count = open.len().max(1) as u64;
                let chosen = open.get(usize::try_from(which % count).unwrap());
                if let Some(run) = chosen.map(|open| open.value.run()) {
                    self.kill(run).await;
                }
            }
            Action::KillNext(index) => {
                let stored = self.stored(index).await;
                let next = stored.and_then(|stored| timetable(&stored.job)?.next_after(self.now()));
                if let Some(fire) = next {
                    self.kill(RunId::of(&self.job_name(index), &RunKey::Tick(fire)))
                        .await;
                }
            }
            Action::SettleLive(which) => self.settle_live(which).await,
            Action::CrashHolder(job) => self.crash_holder(job),
            Action::StartAll => self.hosts.iter_mut().for_each(Host::start),
            Action::Pause(host, paused) => self.hosts[host].set_paused(paused),
            Action::Crash(host) => self.hosts[host].crash(),
            Action::Drain(host) => self.hosts[host].drain(),
            Action::Start(host) => self.hosts[host].start(),
            Action::Cut(host, cut) => self.hosts[host].set_cut(cut),
            Action::CutAll(cut) => self.hosts.iter().for_each(|host| host.set_cut(cut)),
            Action::Jump(host, by) => self.hosts[host].clock.jump(by),
            Action::Suspend(host, by) => self.suspend(host, by),
        }
    }

    /// There is one monotonic clock for all, so the world's wall time moves instead: every clock shows
    /// what it would after the sleep, and the sleeper's lease has run out meanwhile.
    fn suspend(&mut self, host: usize, by: i64) {
        for host in &self.hosts {
            host.clock.jump(by);
        }
        self.slept_ms += by;
        self.sleeps.push(Sleep {
            host: self.hosts[host].name.clone(),
            woke: Instant::now(),
            woke_ms: self.witness.elapsed_ms(),
            total_ms: self.slept_ms.unsigned_abs(),
        });
        let session = self.hosts[host]
            .handle()
            .and_then(|handle| handle.status().session);
        if let Some(session) = session {
            self.store.expire(&session);
        }
        self.witness.look();
    }

    async fn settle_live(&self, which: u64) {
        let owned = self.witness.open_of_live_sessions();
        let count = owned.len().max(1) as u64;
        let Some(open) = owned.get(usize::try_from(which % count).unwrap()) else {
            return;
        };
        let outcome = |state| RunOutcome::without_process(state, "somebody was hasty", self.now());
        let settle = Settle {
            record: RecordSeen {
                job: open.value.job.clone(),
                key: open.value.key.clone(),
                version: open.version,
            },
            how: SettleAs::Lost(outcome(RunState::Lost)),
            killed: outcome(RunState::Killed),
            pinned: None,
            worker: "hasty".to_owned(),
        };
        let fires = self.store.coordination().fires;
        drop(fires.settle(&settle).await.unwrap());
        self.witness.look();
    }

    fn crash_holder(&mut self, index: usize) {
        let job = self.job_name(index);
        let holder = self
            .witness
            .open()
            .into_iter()
            .find_map(|open| match open.value.state {
                OpenState::Claimed { worker, .. } if open.value.job == job => Some(worker),
                _ => None,
            });
        if let Some(host) = self
            .hosts
            .iter_mut()
            .find(|host| Some(&host.name) == holder.as_ref())
        {
            host.crash();
        }
    }

    async fn ask(&self, index: usize, id: String, wait: bool) {
        let request = Request {
            id: id.clone(),
            by: "operator".to_owned(),
            refuse_if_busy: !wait,
        };
        let job = self.job_name(index);
        let fires = self.store.coordination().fires;
        // Refused while its record cannot be read.
        let answer = fires.trigger(&job, &request).await;
        let granted = matches!(answer, Ok(Triggered::Run(_)));
        self.witness.note(Fact::Asked(job, id, granted));
    }

    async fn kill(&self, run: RunId) {
        let kill = Kill {
            run: run.clone(),
            by: "operator".to_owned(),
            why: "because".to_owned(),
        };
        let kills = self.store.coordination().kills;
        kills.send(&kill, RETAIN).await.unwrap();
        self.witness.note(Fact::Killed(run));
    }

    fn open_runs(&self) -> BTreeSet<RunId> {
        let open = self.witness.open();
        open.iter().map(|open| open.value.run()).collect()
    }

    /// Faults stop. Everybody is up again, and stays so.
    async fn calm_down(&mut self) {
        self.weather.set_bad(false);
        for host in &mut self.hosts {
            host.set_cut(false);
            host.set_paused(false);
            // A worker that was draining ends first.
            while host.handle().is_some_and(|h| h.status().draining) && !host.is_stopped() {
                sleep(Duration::from_millis(100)).await;
            }
            host.start();
        }
        self.witness.note(Fact::Note("calm".to_owned()));
        sleep(CALM / 2).await;
        // L2: a kill of a live run ends it.
        let killed: BTreeSet<RunId> = self.open_runs();
        for run in &killed {
            self.kill(run.clone()).await;
        }
        sleep(Duration::from_secs(16)).await;
        for run in self.open_runs().intersection(&killed) {
            self.complain("L2", format!("killed run {run} is still open"));
        }
        sleep(CALM / 2).await;
    }

    /// S10: every catalogue equals the store.
    async fn check_catalogues(&mut self) {
        let snapshot = self.store.coordination().jobs.snapshot().await.unwrap();
        let truth: Vec<_> = snapshot
            .jobs
            .iter()
            .map(|stored| (stored.job.name.clone(), stored.version))
            .collect();
        if !snapshot.broken.is_empty() {
            self.complain("S10", format!("left broken: {:?}", snapshot.broken));
        }
        for n in 0..self.hosts.len() {
            let Some(handle) = self.hosts[n].handle() else {
                continue;
            };
            let jobs = handle.jobs();
            let seen = jobs
                .iter()
                .map(|job| (job.stored.job.name.clone(), job.stored.version));
            let seen: Vec<_> = seen.collect();
            let broken = handle.broken_jobs();
            if seen != truth || !broken.is_empty() {
                let what = format!("worker {n} sees {seen:?} {broken:?}, the store has {truth:?}");
                self.complain("S10", what);
            }
        }
    }

    /// All jobs are switched off; what runs may end.
    async fn switch_off(&mut self) -> u64 {
        let snapshot = self.store.coordination().jobs.snapshot().await.unwrap();
        for stored in snapshot.jobs {
            let mut job = Job::clone(&stored.job);
            job.enabled = false;
            self.put(job).await;
        }
        let off_ms = self.witness.elapsed_ms();
        let deadline = Instant::now() + self.scenario.longest * 4 + Duration::from_secs(60);
        while Instant::now() < deadline {
            sleep(Duration::from_secs(2)).await;
            let (view, _) = self.store.coordination().feed.snapshot().await.unwrap();
            if view.open.is_empty() && view.wait.is_empty() && view.done.is_empty() {
                break;
            }
        }
        off_ms
    }

    /// L1: nothing is left open, waiting or done.
    async fn check_empty(&mut self) {
        let (view, _) = self.store.coordination().feed.snapshot().await.unwrap();
        for open in view.open {
            self.complain("L1", format!("left open: {open:?}"));
        }
        for wait in view.wait {
            self.complain("L1", format!("left waiting: {wait:?}"));
        }
        for done in view.done {
            self.complain("L1", format!("left uncopied: {done:?}"));
        }
    }

    /// L3: a drain ends, and closes the session.
    async fn drain_all(&mut self) {
        for host in &self.hosts {
            host.drain();
        }
        sleep(Duration::from_secs(5)).await;
        for n in 0..self.hosts.len() {
            match self.hosts[n].stopped().await {
                Some(stopped) if stopped.unfinished == 0 => {}
                other => self.complain("L3", format!("worker {n} did not drain: {other:?}")),
            }
        }
        if self.witness.live_sessions() > 0 {
            self.complain("L3", "a session is left after the drain".to_owned());
        }
    }

    async fn run_log(&self) -> Vec<RunRecord> {
        let runs = self.store.records().runs;
        let filter = sandclock_core::backend::RunFilter::default();
        let mut all = Vec::new();
        let mut page = None;
        loop {
            let next = runs.list(&filter, page.as_ref(), 1000).await.unwrap();
            all.extend(next.items);
            page = next.next;
            if page.is_none() {
                return all;
            }
        }
    }
}

/// The timetable of a job, if it makes ticks.
pub(crate) fn timetable(job: &Job) -> Option<Timetable> {
    let spec = job.schedule.as_ref().filter(|_| job.enabled)?;
    let schedule = Schedule::parse(&spec.expr, spec.dialect).unwrap();
    let zone = parse_zone(&spec.time_zone).unwrap();
    Some(Timetable::new(schedule, zone, spec.dst, spec.starts_at, spec.ends_at).unwrap())
}

/// Delivers what a slow network still holds.
async fn deliver(mut late: UnboundedReceiver<Late>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(request) = late.recv() => under_way.push(request),
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            else => return,
        }
    }
}

/// The feeds that the witness reads keep a limited history.
async fn keep_looking(witness: Arc<Witness>) {
    loop {
        witness.look();
        sleep(Duration::from_millis(200)).await;
    }
}
