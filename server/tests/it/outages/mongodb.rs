//! MongoDB away at 20 runs a second, and a worker killed while it is: every tick runs, and every record and all output
//! is there in the end, once.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;

use super::{Form, MONGODB, PATIENCE, all_say, asked, is_away, is_there, watched, workers};
use crate::product::wait_for;
use crate::run_log_away::{Scene, are_consecutive, print, printed};
use crate::stores::pairs;
use crate::worker::Worker;

/// Each runs every second.
const JOBS: usize = 20;

/// How often each job runs before anybody looks again.
const STRETCH: usize = 6;

/// How many writes wait on the disks of these workers, as they tell it.
async fn waiting(scene: &Scene, workers: &[Worker]) -> u64 {
    let mut all = 0;
    for process in &watched(&scene.server, workers)[..workers.len()] {
        let (_, metrics) = process.page("/metrics").await;
        let number = |line: &str| line.strip_prefix("sandclock_spool_entries ")?.parse().ok();
        let entries: u64 = metrics.lines().find_map(number).unwrap();
        all += entries;
    }
    all
}

#[tokio::test]
async fn mongodb_away_at_20_runs_a_second_loses_nothing() {
    let lasts_s = usize::try_from(asked("SANDCLOCK_OUTAGE_S", 12)).unwrap();
    let mut scene = Scene::new();
    let workers = workers(&scene.stores, [Form::Today; 3]);
    for number in 0..JOBS {
        scene.put(&format!("job-{number:02}"), &print()).await;
    }
    scene.runs_more(2).await;
    is_there(&scene.server, &workers, MONGODB).await;
    scene.mongo(Signal::SIGSTOP);
    // It lasts for as long as so many ticks take: they do not wait for it.
    scene.runs_more(STRETCH).await;
    is_away(&scene.server, &workers, MONGODB).await;
    for _ in 1..lasts_s.div_ceil(STRETCH) {
        scene.runs_more(STRETCH).await;
    }
    is_away(&scene.server, &workers, MONGODB).await;
    assert!(waiting(&scene, &workers).await > 0);
    scene.mongo(Signal::SIGCONT);
    is_there(&scene.server, &workers, MONGODB).await;
    scene.runs_more(2).await;
    scene.disable_all().await;
    for number in 0..JOBS {
        let job = format!("job-{number:02}");
        scene.all_is_there(&job, lasts_s).await;
        let evidence = scene.evidence_of(&job);
        assert!(are_consecutive(&evidence), "{job} missed a tick");
        let began = pairs(&evidence);
        let distinct: BTreeSet<_> = began.iter().collect();
        assert_eq!(distinct.len(), began.len(), "{job} started a tick twice");
    }
    wait_for("nothing waits any more", PATIENCE, async || {
        waiting(&scene, &workers).await == 0
    })
    .await;
}

/// A worker is killed while MongoDB is away, and is back after it, on its data.
pub(super) async fn a_worker_dies_meanwhile(forms: [Form; 2]) {
    let mut scene = Scene::new();
    let [dies, stays] = workers(&scene.stores, forms);
    let jobs = ["a", "b", "c", "d", "e", "f"];
    let ended = |job: &str| format!("{job}-ended");
    for job in jobs {
        let file = scene.evidence_of(&ended(job));
        let says = format!("echo $SANDCLOCK_FIRE_TIME ended >>{}", file.display());
        scene.put(job, &format!("{}; {says}", print())).await;
    }
    scene.runs_more(2).await;
    scene.mongo(Signal::SIGSTOP);
    let both = [dies, stays];
    is_away(&scene.server, &both, MONGODB).await;
    let [dies, stays] = both;
    let away = SystemClock.now();
    scene.runs_more(6).await;
    dies.signal(Signal::SIGKILL);
    let killed = SystemClock.now();
    scene.runs_more(3).await;
    scene.mongo(Signal::SIGCONT);
    let name = dies.name().to_owned();
    let both = [dies.restart(), stays];
    all_say(&watched(&scene.server, &both[..1]), MONGODB, false).await;
    is_there(&scene.server, &both[1..], MONGODB).await;
    scene.runs_more(1).await;
    scene.disable_all().await;

    let mut of_the_outage = 0;
    for job in jobs {
        let began = pairs(&scene.evidence_of(job));
        let runs = scene.all_recorded(job).await;
        let began: Vec<&String> = began.iter().map(|(at, _)| at).collect();
        let distinct: BTreeSet<_> = began.iter().collect();
        assert_eq!(distinct.len(), began.len(), "{job} started a tick twice");
        let ended = pairs(&scene.evidence_of(&ended(job)));
        for (at, run) in &runs {
            let has_begun = began.contains(&at);
            let has_ended = ended.iter().any(|(ended, _)| ended == at);
            match run["state"].as_str().unwrap() {
                "succeeded" => assert!(has_ended, "{job} {at}: {run}"),
                "missed" => {
                    assert!(!has_begun, "{job} {at}: {run}");
                    continue;
                }
                "lost" => {
                    let cause = run["cause"].as_str().unwrap();
                    assert!(cause.contains(&name), "{job} {at}: {run}");
                    continue;
                }
                _ => panic!("{job} {at}: {run}"),
            }
            wait_for("its output is there", PATIENCE, async || {
                scene.output(run).await == printed(at)
            })
            .await;
            let fire = Timestamp::parse(at).unwrap();
            of_the_outage +=
                u32::from(run["worker"] == name.as_str() && fire > away && fire < killed);
        }
    }
    assert!(of_the_outage > 0, "nothing that the dead worker had waited");
}

#[tokio::test]
async fn a_worker_killed_while_mongodb_is_away_has_lost_no_record() {
    a_worker_dies_meanwhile([Form::Today; 2]).await;
}
