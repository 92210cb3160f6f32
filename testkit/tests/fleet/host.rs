//! One machine of the simulation: a worker that can be paused, killed, drained and started again.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::fleet::{
    CountersSnapshot, FleetMutant, Stopped, Worker, WorkerConfig, WorkerHandle,
};
use sandclock_core::random::SplitMix64;
use sandclock_core::time::{Clock, SimClock};
use sandclock_testkit::fault::{Late, Line, Weather, faulty};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::hooks::PlainHooks;
use super::layers::{TimedSessions, WitnessedFires, WitnessedSink};
use super::process::{Processes, fork};
use super::witness::Witness;

/// What all hosts of a simulation share.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) seed: u64,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) processes: Arc<Processes>,
    pub(crate) late: UnboundedSender<Late>,
    pub(crate) mutant: Option<FleetMutant>,
    pub(crate) capacity: u32,
}

/// A machine.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) clock: Arc<SimClock>,
    ground: Ground,
    /// The workers' handles, one for each life.
    lives: Vec<WorkerHandle>,
    up: Option<Life>,
}

/// One life of a worker's process.
#[derive(Debug)]
struct Life {
    id: String,
    handle: WorkerHandle,
    task: JoinHandle<Stopped>,
    gate: Arc<Gate>,
    line: Arc<Line>,
}

impl Host {
    pub(crate) fn new(name: &str, clock: SimClock, ground: Ground) -> Self {
        Self {
            name: name.to_owned(),
            clock: Arc::new(clock),
            ground,
            lives: Vec::new(),
            up: None,
        }
    }

    /// Starts the worker, unless it is up.
    pub(crate) fn start(&mut self) {
        if self
            .up
            .as_ref()
            .is_some_and(|life| !life.task.is_finished())
        {
            return;
        }
        let id = format!("{}#{}", self.name, self.lives.len() + 1);
        let ground = &self.ground;
        let random = fork(ground.seed, &format!("line {id}"));
        let line = Line::new(random, Arc::clone(&ground.weather), ground.late.clone());
        let mut records = ground.store.records();
        records.sink = Arc::new(WitnessedSink {
            inner: records.sink,
            witness: Arc::clone(&ground.witness),
        });
        let mut coordination = ground.store.coordination();
        coordination.fires = Arc::new(WitnessedFires {
            inner: coordination.fires,
            witness: Arc::clone(&ground.witness),
        });
        let (mut coordination, records) = faulty(&line, coordination, records);
        coordination.sessions = Arc::new(TimedSessions {
            inner: coordination.sessions,
            host: id.clone(),
            processes: Arc::clone(&ground.processes),
        });
        let mut config = WorkerConfig::new(&self.name);
        config.limits.max_concurrent_runs = ground.capacity;
        config.resync_every = Duration::from_secs(20);
        config.limits.drain_timeout = Duration::from_secs(20);
        config.limits.retention = None;
        config.mutant = ground.mutant;
        let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&self.clock);
        let worker = Worker::new(
            config,
            coordination,
            records,
            Arc::new(PlainHooks),
            ground.processes.executor(&id),
            clock,
            Box::new(random_of(ground.seed, &id)),
        );
        let handle = worker.handle();
        self.lives.push(handle.clone());
        let gate = Arc::new(Gate::default());
        let run = Gated {
            inner: Box::pin(worker.run(std::future::pending())),
            gate: Arc::clone(&gate),
        };
        self.up = Some(Life {
            id,
            handle,
            task: tokio::task::spawn_local(run),
            gate,
            line,
        });
    }

    /// Stops polling the worker (as SIGSTOP does), or goes on.
    pub(crate) fn set_paused(&self, paused: bool) {
        if let Some(life) = &self.up {
            life.gate.set_shut(paused);
        }
    }

    /// The worker is gone without a word, and its processes with it.
    pub(crate) fn crash(&mut self) {
        if let Some(life) = self.up.take() {
            life.task.abort();
            self.ground.processes.crash(&life.id);
        }
    }

    /// Asks the worker to finish what it has.
    pub(crate) fn drain(&self) {
        if let Some(life) = &self.up {
            life.handle.drain();
        }
    }

    /// Cuts or mends the worker's network.
    pub(crate) fn set_cut(&self, cut: bool) {
        if let Some(life) = &self.up {
            life.line.set_cut(cut);
        }
    }

    /// The worker's handle, while it is up.
    pub(crate) fn handle(&self) -> Option<&WorkerHandle> {
        self.up.as_ref().map(|life| &life.handle)
    }

    /// The counters of every life.
    pub(crate) fn counters(&self) -> impl Iterator<Item = CountersSnapshot> {
        self.lives.iter().map(WorkerHandle::counters)
    }

    /// How the worker stopped, once it has: a panic of the worker is a failure of the simulation.
    pub(crate) async fn stopped(&mut self) -> Option<Stopped> {
        let life = self.up.as_mut().filter(|life| life.task.is_finished())?;
        Some((&mut life.task).await.expect("a worker panicked"))
    }

    /// Whether the worker's future has ended.
    pub(crate) fn is_stopped(&self) -> bool {
        self.up.as_ref().is_none_or(|life| life.task.is_finished())
    }
}

fn random_of(seed: u64, id: &str) -> SplitMix64 {
    fork(seed, &format!("worker {id}"))
}

/// Lets a future be polled or not.
#[derive(Debug, Default)]
struct Gate {
    inner: Mutex<(bool, Option<Waker>)>,
}

impl Gate {
    fn set_shut(&self, shut: bool) {
        let mut inner = self.inner.lock().unwrap();
        inner.0 = shut;
        if !shut && let Some(waker) = inner.1.take() {
            waker.wake();
        }
    }
}

struct Gated {
    inner: Pin<Box<dyn Future<Output = Stopped>>>,
    gate: Arc<Gate>,
}

impl Future for Gated {
    type Output = Stopped;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Stopped> {
        {
            let mut gate = self.gate.inner.lock().unwrap();
            if gate.0 {
                gate.1 = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        self.inner.as_mut().poll(cx)
    }
}
