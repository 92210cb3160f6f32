//! Jobs of a Go master name no zone. Workers that read them in different ones must not keep each other from work.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::PATIENCE;
use crate::product::{Product, wait_for};
use crate::stores::{Evidence, Stores};
use crate::worker::Worker;

#[tokio::test]
async fn the_zone_in_which_others_decide_already_counts() {
    let stores = Stores::shared();
    let server = Product::server(&stores.toml());
    let start = |name, zone| {
        let zone = [("SANDCLOCK__DEFAULT_TIME_ZONE", zone)];
        Worker::watched(name, &stores, &zone)
    };
    let evidence = Evidence::new();
    let says = evidence.says("$SANDCLOCK_FIRE_TIME $SANDCLOCK_WORKER");
    stores.save("of go", &says, "* * * * * * *").await;
    let runs_by = |name: &str| {
        let runs = evidence.pairs().into_iter();
        runs.filter(|(_, by)| by == name).count()
    };
    let first = start("first", "Europe/Berlin");
    wait_for("it runs", PATIENCE, async || runs_by("first") > 0).await;

    let second = start("second", "Asia/Tokyo");
    let ready = async |worker: &Worker| {
        let url = format!("{}/readyz", worker.url.as_ref().unwrap());
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let differs = "this worker reads schedules that name no zone in Asia/Tokyo, and worker first, which decides \
                   already, in Europe/Berlin: set the same default_time_zone for all workers";
    wait_for("it is told", PATIENCE, async || {
        let (code, said) = ready(&second).await;
        code == 503 && said.contains(differs)
    })
    .await;
    assert!(second.log().contains(differs), "{}", second.log());
    assert_eq!(ready(&first).await.0, 200);
    wait_for("the others know", PATIENCE, async || {
        let workers = server.get("/workers").await;
        let workers = workers["items"].as_array().unwrap().iter();
        let differs = |worker: &Value| worker["zone_differs"] == true;
        let differ: Vec<_> = workers.filter(|worker| differs(worker)).collect();
        matches!(&differ[..], [only] if only["name"] == "second")
    })
    .await;
    let before = runs_by("first");
    wait_for("the first goes on", PATIENCE, async || {
        runs_by("first") >= before + 5
    })
    .await;
    assert_eq!(runs_by("second"), 0, "{:?}", evidence.lines());

    first.signal(Signal::SIGKILL);
    wait_for("the second takes over", PATIENCE, async || {
        runs_by("second") >= 5 && ready(&second).await.0 == 200
    })
    .await;
    let mut ticks: Vec<_> = evidence.pairs().into_iter().map(|(at, _)| at).collect();
    let all = ticks.len();
    ticks.sort_unstable();
    ticks.dedup();
    assert_eq!(ticks.len(), all, "no tick twice: {:?}", evidence.lines());
}
