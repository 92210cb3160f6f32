//! W3, W7: clock changes, time zones and clocks that are off.

use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;

use super::{PATIENCE, assert_once, each_second, goes_on};
use crate::product::wait_for;
use crate::stores::{Evidence, Stores};
use crate::worker::{Worker, borrowed, other_time};

/// In the hour before a gap an hourly job ran for ever.
#[tokio::test]
async fn w03_an_hourly_job_runs_once_across_a_gap() {
    let stores = Stores::shared();
    let hourly = Evidence::new();
    let command = hourly.says("$SANDCLOCK_FIRE_TIME");
    stores.save("hourly", &command, "0 * * * *").await;
    // At 02:00 in New York, which is 07:00 of UTC, clocks go to 03:00.
    let mut variables = other_time("@2026-03-08 06:59:45");
    variables.push(("TZ".to_owned(), "UTC".to_owned()));
    variables.push((
        "SANDCLOCK__DEFAULT_TIME_ZONE".to_owned(),
        "America/New_York".to_owned(),
    ));
    let _worker = Worker::of_go("w", "192.0.2.1", &stores, &borrowed(&variables));
    let clock = each_second(&stores, "clock").await;
    wait_for("ten seconds after the gap", PATIENCE, async || {
        let pairs = clock.pairs();
        pairs
            .iter()
            .any(|(at, _)| at.as_str() >= "2026-03-08T07:00:10")
    })
    .await;
    assert_eq!(hourly.lines(), ["2026-03-08T07:00:00Z"]);
}

/// Workers with other zones and clocks ran a tick again, each at its own time.
#[tokio::test]
async fn w07_workers_with_other_zones_and_clocks_share_each_tick() {
    let stores = Stores::shared();
    let ahead = other_time("+5s");
    let ahead = borrowed(&ahead);
    let behind = other_time("-5s");
    let behind = borrowed(&behind);
    let _workers = [
        Worker::of_go("a", "192.0.2.1", &stores, &[("TZ", "America/New_York")]),
        Worker::of_go("b", "192.0.2.2", &stores, &[("TZ", "Asia/Tokyo")]),
        Worker::of_go("ahead", "192.0.2.3", &stores, &ahead),
        Worker::of_go("behind", "192.0.2.4", &stores, &behind),
    ];
    let evidence = each_second(&stores, "job").await;
    // Each second of these hours, which are now in the fleet's zone, and of those that are now in Tokyo.
    let hour = SystemClock.now().as_millis() / 3_600_000;
    let of_hours = async |name, first: i64| {
        let evidence = Evidence::new();
        let hours = format!("{},{}", first % 24, (first + 1) % 24);
        let command = evidence.says("$SANDCLOCK_FIRE_TIME $SANDCLOCK_WORKER");
        let schedule = format!("* * {hours} * * * *");
        stores.save(name, &command, &schedule).await;
        evidence
    };
    let now_here = of_hours("here", hour).await;
    let now_in_tokyo = of_hours("tokyo", hour + 9).await;
    goes_on(&evidence, 20).await;
    goes_on(&now_here, 5).await;
    assert_once(&evidence);
    assert_once(&now_here);
    assert_eq!(now_in_tokyo.lines(), [""; 0]);
}
