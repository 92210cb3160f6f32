//! Fake processes: they take time, fail, ignore SIGTERM, and obey the dead-man's deadline whatever their
//! worker does. They end with the worker's process, as real ones do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sandclock_core::backend::Version;
use sandclock_core::job::JobName;
use sandclock_core::ports::{Executor, Fault, ProcessEnd, Running, StartError};
use sandclock_core::random::{Random, SplitMix64};
use sandclock_core::run::{OutputSummary, RunContext, RunId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::witness::{Fact, Start, Witness};

/// The lease that the store grants.
const TTL: Duration = Duration::from_secs(12);

/// How a process is going to behave.
#[derive(Clone, Copy, Debug)]
struct Nature {
    takes: Duration,
    exit_code: i32,
    ignores_term: bool,
}

/// A process, from its start on.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) host: String,
    pub(crate) job: JobName,
    pub(crate) run: RunId,
    /// Its job admits one run at a time.
    pub(crate) exclusive: bool,
    lost_after: Duration,
    pub(crate) started: Instant,
    nature: Nature,
    term: Option<Instant>,
    kill: Option<Instant>,
    dead: Instant,
    crash: Option<Instant>,
}

impl Process {
    /// When it is gone, as things stand.
    pub(crate) fn gone(&self) -> Instant {
        let mut gone = (self.started + self.nature.takes).min(self.dead);
        if let Some(term) = self.term.filter(|_| !self.nature.ignores_term) {
            gone = gone.min(term + Duration::from_millis(20));
        }
        if let Some(kill) = self.kill {
            gone = gone.min(kill);
        }
        if let Some(crash) = self.crash {
            gone = gone.min(crash);
        }
        gone.max(self.started)
    }

    /// Whether its deadline ended it and nobody's order.
    fn was_given_up(&self) -> bool {
        self.term.is_none() && self.crash.is_none() && !self.is_natural()
    }

    fn is_natural(&self) -> bool {
        self.gone() == self.started + self.nature.takes
    }
}

/// All processes of a simulation.
#[derive(Debug)]
pub(crate) struct Processes {
    seed: u64,
    /// The longest that a process takes.
    longest: Duration,
    list: Mutex<Vec<Process>>,
    changed: Notify,
    /// When each worker's process last began a call that kept its session.
    contact: Mutex<BTreeMap<String, Instant>>,
    /// Deadlines that were too late.
    outlived: Mutex<Vec<String>>,
    witness: Arc<Witness>,
}

impl Processes {
    pub(crate) fn new(seed: u64, longest: Duration, witness: Arc<Witness>) -> Arc<Self> {
        Arc::new(Self {
            seed,
            longest,
            list: Mutex::new(Vec::new()),
            changed: Notify::new(),
            contact: Mutex::new(BTreeMap::new()),
            outlived: Mutex::new(Vec::new()),
            witness,
        })
    }

    /// The worker's session was kept by a call that began then.
    pub(crate) fn contact(&self, host: &str, began: Instant) {
        self.contact.lock().unwrap().insert(host.to_owned(), began);
    }

    /// Processes that were allowed to live on when others might already have settled their runs (S5).
    pub(crate) fn outlived(&self) -> Vec<(&'static str, String)> {
        let outlived = self.outlived.lock().unwrap();
        outlived.iter().map(|what| ("S5", what.clone())).collect()
    }

    /// The last moment at which a process may live is a second or more before the lease and `lost_after`
    /// have run out, counted from the start of the call.
    fn check_deadline(&self, process: &Process) {
        let Some(began) = self.contact.lock().unwrap().get(&process.host).copied() else {
            return;
        };
        let slack = Duration::from_millis(975);
        if process.dead + slack > began + TTL + process.lost_after {
            self.outlived
                .lock()
                .unwrap()
                .push(format!("too late a deadline: {process:?}"));
        }
    }

    /// The executor of one worker's process.
    pub(crate) fn executor(self: &Arc<Self>, host: &str) -> Arc<dyn Executor> {
        Arc::new(Host {
            name: host.to_owned(),
            table: Arc::clone(self),
        })
    }

    /// The worker's process ends without a word: so do those it started.
    pub(crate) fn crash(&self, host: &str) {
        let now = Instant::now();
        let mut list = self.list.lock().unwrap();
        for process in list.iter_mut().filter(|process| process.host == host) {
            process.crash.get_or_insert(now);
        }
        drop(list);
        self.changed.notify_waiters();
    }

    /// All processes that ever were.
    pub(crate) fn all(&self) -> Vec<Process> {
        self.list.lock().unwrap().clone()
    }

    fn nature(&self, run: &RunContext) -> Nature {
        let dice = SplitMix64::new(self.seed).fork(&format!("{} {}", run.id, run.attempt));
        let longest = u64::try_from(self.longest.as_millis()).unwrap();
        let most = if dice.chance(200) {
            longest
        } else {
            3000.min(longest)
        };
        Nature {
            takes: Duration::from_millis(dice.between(1, most)),
            exit_code: i32::from(dice.chance(250)),
            ignores_term: dice.chance(200),
        }
    }

    fn with<T>(&self, id: usize, change: impl FnOnce(&mut Process) -> T) -> T {
        let answer = change(&mut self.list.lock().unwrap()[id]);
        self.changed.notify_waiters();
        answer
    }
}

#[derive(Debug)]
struct Host {
    name: String,
    table: Arc<Processes>,
}

#[async_trait]
impl Executor for Host {
    async fn start(
        &self,
        run: &RunContext,
        alive_for: Duration,
    ) -> Result<Box<dyn Running>, StartError> {
        let table = &self.table;
        let dice = SplitMix64::new(table.seed).fork(&format!("start {} {}", run.id, run.fence));
        if dice.chance(20) {
            return Err(StartError {
                cause: "no such file".to_owned(),
            });
        }
        // The order is given here; what starts the process does not depend on this worker any more.
        let started = Instant::now() + Duration::from_millis(dice.between(0, 20));
        let process = Process {
            host: self.name.clone(),
            job: run.job.name.clone(),
            run: run.id.clone(),
            exclusive: run.job.concurrency.is_exclusive(),
            lost_after: run.job.lost_after,
            started,
            nature: table.nature(run),
            term: None,
            kill: None,
            dead: started + alive_for,
            crash: None,
        };
        let id = {
            table.check_deadline(&process);
            let mut list = table.list.lock().unwrap();
            list.push(process);
            list.len() - 1
        };
        let (fence_holds, session_lives) = table.witness.holds(&run.job.name, &run.key, run.fence);
        table.witness.note(Fact::Started(Start {
            process: id,
            host: self.name.clone(),
            job: run.job.name.clone(),
            key: run.key.clone(),
            attempt: run.attempt,
            fence: Version(run.fence).0,
            session_lives,
            fence_holds,
        }));
        sleep_until(started).await;
        Ok(Box::new(Handle {
            id,
            table: Arc::clone(table),
        }))
    }
}

#[derive(Debug)]
struct Handle {
    id: usize,
    table: Arc<Processes>,
}

#[async_trait]
impl Running for Handle {
    async fn wait(&mut self) -> ProcessEnd {
        loop {
            let mut changed = std::pin::pin!(self.table.changed.notified());
            changed.as_mut().enable();
            let process = self.table.list.lock().unwrap()[self.id].clone();
            if process.gone() <= Instant::now() {
                let natural = process.is_natural();
                return ProcessEnd {
                    exit_code: natural.then_some(process.nature.exit_code),
                    signal: (!natural).then_some(if process.nature.ignores_term { 9 } else { 15 }),
                    fault: process
                        .was_given_up()
                        .then(|| Fault::NoContact("its deadline was not extended".to_owned())),
                    core_dumped: false,
                    leftovers_ended: 0,
                    output: OutputSummary::default(),
                    tail: bytes::Bytes::from_static(b"tail"),
                    notes: Vec::new(),
                };
            }
            tokio::select! {
                biased;
                () = &mut changed => {}
                () = sleep_until(process.gone()) => {}
            }
        }
    }

    fn terminate(&mut self, grace: Duration) {
        let now = Instant::now();
        self.table.with(self.id, |process| {
            process.term.get_or_insert(now);
            let kill = now + grace;
            process.kill = Some(process.kill.map_or(kill, |old| old.min(kill)));
        });
    }

    fn extend(&mut self, alive_for: Duration) {
        let now = Instant::now();
        self.table.with(self.id, |process| {
            // The dead stay dead.
            if process.gone() > now {
                process.dead = now + alive_for;
                self.table.check_deadline(process);
            }
        });
    }
}

/// A seed for a part of the simulation, by name.
pub(crate) fn fork(seed: u64, name: &str) -> SplitMix64 {
    SplitMix64::new(SplitMix64::new(seed).next_u64()).fork(name)
}
