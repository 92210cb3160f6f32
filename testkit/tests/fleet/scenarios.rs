//! What happens in a simulation: jobs, and a script of what people, machines and networks do. All of it
//! follows from the seed.

use std::time::Duration;

use sandclock_core::job::{Job, JobName, ScheduleSpec};
use sandclock_core::policy::{
    Backoff, ConcurrencyPolicy, LostRunPolicy, Misfire, MisfirePolicy, RetryOn, RetryPolicy,
};
use sandclock_core::random::SplitMix64;

use super::process::fork;

/// How many machines there are.
pub(crate) const HOSTS: usize = 5;
/// For how long things go wrong.
pub(crate) const STORM: Duration = Duration::from_secs(120);
/// How long after that everything has to be well again.
pub(crate) const CALM: Duration = Duration::from_secs(100);

/// Which kind of simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Everything at random.
    Storm,
    /// Nothing but one worker whose clock is an hour ahead.
    ClockAhead,
    /// The whole store is out of reach for 25 s, less than `lost_after`.
    Outage,
    /// One worker alone has far more jobs due at once than one request holds.
    Crowd,
    /// A job that takes every worker down that holds it.
    Poison,
    /// Machines are suspended: wall time goes on, monotonic time does not, and the session is gone.
    Suspend,
    /// Records of jobs become unreadable, and are repaired later.
    Damage,
    /// One worker with two places, and always more due than it can run.
    Full,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 8] = [
        Self::Storm,
        Self::ClockAhead,
        Self::Outage,
        Self::Crowd,
        Self::Poison,
        Self::Suspend,
        Self::Damage,
        Self::Full,
    ];
}

/// Something that is done at some time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// An operator saves a job.
    Put(Box<Job>),
    /// An operator flips whether the job with this index is enabled.
    Flip(usize, bool),
    /// An operator deletes it.
    Delete(usize),
    /// Its record becomes unreadable.
    Break(usize),
    /// If it is unreadable, it gets back the definition it had; `true` if that counts as a new one.
    Repair(usize, bool),
    /// An operator asks for a run of it: the id, and whether waiting is fine.
    Ask(usize, String, bool),
    /// An operator kills an open run, if there is one: which, modulo their number.
    KillOpen(u64),
    /// An operator kills the next tick of a job before it is due.
    KillNext(usize),
    /// Somebody settles a run whose worker is alive: which, modulo their number. The store must refuse.
    SettleLive(u64),
    /// The worker that holds a run of the job is killed.
    CrashHolder(usize),
    /// All workers that are down are started.
    StartAll,
    /// A worker is stopped and goes on later.
    Pause(usize, bool),
    /// A worker is killed.
    Crash(usize),
    /// A worker is asked to drain.
    Drain(usize),
    /// A worker is started, unless it runs.
    Start(usize),
    /// A worker's network is cut or mended.
    Cut(usize, bool),
    /// All networks are cut or mended.
    CutAll(bool),
    /// A worker's wall clock jumps.
    Jump(usize, i64),
    /// A machine sleeps for so many milliseconds: to its worker, wall time goes on and nothing else.
    Suspend(usize, i64),
}

/// A simulation's plan.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) jobs: Vec<Job>,
    /// Skew in milliseconds and drift in ppm of each machine's clock.
    pub(crate) clocks: Vec<(i64, i64)>,
    /// When and what, in order.
    pub(crate) script: Vec<(Duration, Action)>,
    /// The longest that a process takes.
    pub(crate) longest: Duration,
    /// How many runs a worker takes at once.
    pub(crate) capacity: u32,
    /// Whether calls and watches go wrong.
    pub(crate) bad_weather: bool,
}

impl Scenario {
    /// The plan of this kind and seed.
    pub(crate) fn new(kind: Kind, seed: u64) -> Self {
        let dice = fork(seed, "scenario");
        let mut scenario = Self {
            kind,
            seed,
            jobs: jobs(&dice),
            clocks: vec![(0, 0); HOSTS],
            script: Vec::new(),
            longest: Duration::from_secs(25),
            capacity: 8,
            bad_weather: false,
        };
        match kind {
            Kind::Storm => scenario.storm(&dice),
            Kind::ClockAhead => scenario.clock_ahead(&dice),
            Kind::Outage => scenario.outage(&dice),
            Kind::Crowd => scenario.crowd(&dice),
            Kind::Poison => scenario.poison(&dice),
            Kind::Suspend => scenario.suspend(&dice),
            Kind::Damage => scenario.damage(&dice),
            Kind::Full => scenario.full(&dice),
        }
        scenario.script.sort_by_key(|(at, _)| *at);
        scenario
    }

    fn at(&mut self, at: Duration, action: Action) {
        self.script.push((at, action));
    }

    fn storm(&mut self, dice: &SplitMix64) {
        self.bad_weather = true;
        self.capacity = u32::try_from(dice.between(3, 8)).unwrap();
        for clock in &mut self.clocks {
            let skew = i64::try_from(dice.below(1600)).unwrap() - 800;
            let drift = i64::try_from(dice.below(400)).unwrap() - 200;
            *clock = (skew, drift);
        }
        for _ in 0..dice.between(8, 20) {
            self.people(dice);
        }
        for _ in 0..dice.between(3, 9) {
            self.trouble(dice);
        }
        for _ in 0..4 {
            let job = usize::try_from(dice.below(self.jobs.len() as u64)).unwrap();
            self.at(moment(dice), Action::KillNext(job));
        }
    }

    /// One thing that an operator does.
    fn people(&mut self, dice: &SplitMix64) {
        let at = moment(dice);
        let job = usize::try_from(dice.below(self.jobs.len() as u64)).unwrap();
        match dice.below(17) {
            0 | 1 => {
                let edited = random_job(dice, job);
                self.at(at, Action::Put(Box::new(edited)));
            }
            2 | 3 => {
                self.at(at, Action::Flip(job, false));
                let later = at + Duration::from_millis(dice.between(1, 30_000));
                self.at(later, Action::Flip(job, true));
            }
            4 => {
                self.at(at, Action::Delete(job));
                let again = random_job(dice, job);
                let later = at + Duration::from_millis(dice.between(1, 20_000));
                self.at(later, Action::Put(Box::new(again)));
            }
            5..=9 => {
                let id = format!("ask-{}", dice.below(20));
                for _ in 0..dice.between(1, 3) {
                    let again = at + Duration::from_millis(dice.below(4000));
                    self.at(again, Action::Ask(job, id.clone(), dice.chance(700)));
                }
            }
            10..=12 => self.at(at, Action::KillOpen(dice.below(8))),
            13 | 14 => self.at(at, Action::SettleLive(dice.below(8))),
            _ => self.at(at, Action::KillNext(job)),
        }
    }

    /// One thing that goes wrong with a machine.
    fn trouble(&mut self, dice: &SplitMix64) {
        let at = moment(dice);
        let host = usize::try_from(dice.below(HOSTS as u64)).unwrap();
        let later = at + Duration::from_millis(dice.between(500, 45_000));
        match dice.below(12) {
            0..=2 => {
                self.at(at, Action::Pause(host, true));
                self.at(later, Action::Pause(host, false));
            }
            3..=5 => {
                self.at(at, Action::Crash(host));
                self.at(later, Action::Start(host));
            }
            6 | 7 => {
                self.at(at, Action::Cut(host, true));
                self.at(later, Action::Cut(host, false));
            }
            8 => {
                self.at(at, Action::CutAll(true));
                self.at(later, Action::CutAll(false));
            }
            9 => {
                self.at(at, Action::Drain(host));
                self.at(later, Action::Start(host));
            }
            _ => {
                let by = i64::try_from(dice.below(1600)).unwrap() - 800;
                self.at(at, Action::Jump(host, by));
            }
        }
    }

    fn clock_ahead(&mut self, dice: &SplitMix64) {
        let host = usize::try_from(dice.below(HOSTS as u64)).unwrap();
        self.at(moment(dice), Action::Jump(host, 3_600_000));
        let other = (host + 1) % HOSTS;
        self.at(moment(dice), Action::Jump(other, 5000));
        self.at(moment(dice), Action::Crash(host));
        self.at(STORM - Duration::from_secs(5), Action::Start(host));
    }

    fn outage(&mut self, dice: &SplitMix64) {
        self.longest = Duration::from_secs(100);
        for job in &mut self.jobs {
            job.lost_after = Duration::from_secs(30);
            job.timeout = None;
        }
        let at = Duration::from_millis(dice.between(20_000, 60_000));
        self.at(at, Action::CutAll(true));
        self.at(at + Duration::from_secs(25), Action::CutAll(false));
    }

    fn crowd(&mut self, dice: &SplitMix64) {
        self.longest = Duration::from_millis(300);
        self.capacity = 200;
        self.jobs = (0..150).map(|index| random_job(dice, index)).collect();
        for job in &mut self.jobs {
            job.timeout = None;
            job.schedule = Some(ScheduleSpec {
                expr: "* * * * *".to_owned(),
                ..spec(dice)
            });
        }
        for host in 1..HOSTS {
            self.at(Duration::from_secs(3), Action::Crash(host));
        }
        self.at(STORM - Duration::from_secs(2), Action::StartAll);
    }

    fn poison(&mut self, dice: &SplitMix64) {
        self.longest = Duration::from_secs(60);
        let job = usize::try_from(dice.below(self.jobs.len() as u64)).unwrap();
        self.jobs[job].on_lost = LostRunPolicy::Rerun { max: 2 };
        self.jobs[job].lost_after = Duration::ZERO;
        for second in 3..115 {
            self.at(Duration::from_secs(second), Action::CrashHolder(job));
            self.at(Duration::from_millis(second * 1000 + 500), Action::StartAll);
        }
    }

    fn suspend(&mut self, dice: &SplitMix64) {
        self.bad_weather = true;
        for _ in 0..30 {
            let host = usize::try_from(dice.below(HOSTS as u64)).unwrap();
            let by = i64::try_from(dice.between(12_000, 60_000)).unwrap();
            self.at(moment(dice), Action::Suspend(host, by));
        }
    }

    fn damage(&mut self, dice: &SplitMix64) {
        self.bad_weather = true;
        for _ in 0..10 {
            let (at, job) = (moment(dice), self.any_job(dice));
            self.at(at, Action::Break(job));
            let later = at + Duration::from_millis(dice.between(1, 60_000));
            self.at(later, Action::Repair(job, dice.chance(500)));
        }
        for n in 0..10 {
            let job = self.any_job(dice);
            self.at(moment(dice), Action::Ask(job, format!("ask-{n}"), true));
        }
        for _ in 0..3 {
            self.trouble(dice);
        }
    }

    fn full(&mut self, dice: &SplitMix64) {
        self.clocks.truncate(1);
        self.longest = Duration::from_secs(2);
        self.capacity = 2;
        self.jobs = (0..9).map(|index| random_job(dice, index)).collect();
        for job in &mut self.jobs {
            job.schedule = Some(ScheduleSpec {
                expr: "@every 1s".to_owned(),
                ..spec(dice)
            });
            // Whoever has to run all late ticks is behind for ever.
            job.misfire.policy = MisfirePolicy::Once;
            // There is no other.
            job.retry.other_worker = false;
        }
        for first in &mut self.jobs[..2] {
            first.concurrency = ConcurrencyPolicy::Allow;
        }
        for n in 0..20 {
            let job = self.any_job(dice);
            self.at(moment(dice), Action::Ask(job, format!("ask-{n}"), true));
        }
    }

    fn any_job(&self, dice: &SplitMix64) -> usize {
        usize::try_from(dice.below(self.jobs.len() as u64)).unwrap()
    }
}

fn moment(dice: &SplitMix64) -> Duration {
    let longest = u64::try_from(STORM.as_millis()).unwrap();
    Duration::from_millis(dice.between(3000, longest - 1000))
}

fn jobs(dice: &SplitMix64) -> Vec<Job> {
    let count = usize::try_from(dice.between(3, 7)).unwrap();
    (0..count).map(|n| random_job(dice, n)).collect()
}

/// The job with this index, anew.
fn random_job(dice: &SplitMix64, index: usize) -> Job {
    let name = JobName::parse(&format!("team/job-{index}")).unwrap();
    let mut job = Job::shell(name, "work");
    job.schedule = (!dice.chance(100)).then(|| spec(dice));
    job.concurrency = pick(
        dice,
        &[
            ConcurrencyPolicy::Forbid,
            ConcurrencyPolicy::Forbid,
            ConcurrencyPolicy::Allow,
            ConcurrencyPolicy::Queue,
            ConcurrencyPolicy::Replace,
        ],
    );
    job.misfire = Misfire {
        policy: pick(
            dice,
            &[
                MisfirePolicy::Skip,
                MisfirePolicy::Once,
                MisfirePolicy::All { max: 3 },
            ],
        ),
        deadline: Duration::from_secs(pick(dice, &[40, 60, 3600])),
    };
    job.timeout = pick(dice, &[None, None, Some(Duration::from_secs(10))]);
    job.grace = Duration::from_secs(pick(dice, &[1, 10]));
    job.on_lost = pick(
        dice,
        &[LostRunPolicy::Record, LostRunPolicy::Rerun { max: 2 }],
    );
    job.lost_after = Duration::from_secs(pick(dice, &[0, 1, 5, 15, 30]));
    if dice.chance(400) {
        job.retry = RetryPolicy {
            max: 2,
            backoff: Backoff {
                initial: Duration::from_secs(2),
                ..Backoff::default()
            },
            on: RetryOn {
                timeout: dice.chance(500),
                lost: dice.chance(300),
                ..RetryOn::default()
            },
            other_worker: dice.chance(300),
        };
    }
    job
}

fn spec(dice: &SplitMix64) -> ScheduleSpec {
    let every = ["1s", "2s", "3s", "5s", "7s", "15s"];
    let expr = match dice.below(8) {
        0 => "*/10 * * * * * *".to_owned(),
        1 => "* * * * *".to_owned(),
        n => format!("@every {}", every[usize::try_from(n - 2).unwrap()]),
    };
    ScheduleSpec::utc(expr)
}

fn pick<T: Clone>(dice: &SplitMix64, of: &[T]) -> T {
    of[usize::try_from(dice.below(of.len() as u64)).unwrap()].clone()
}
