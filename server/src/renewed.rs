//! Files that are replaced while this process runs, such as certificates.
//!
//! They are read again every [`AGAIN`]: whoever renews them need not know of this process, and has no right to send it a
//! signal. What two looks in a row have found is complete; the first alone may be half of a pair.

use std::time::Duration;

use tokio::time::sleep;

/// How often files are looked at.
const AGAIN: Duration = Duration::from_secs(1);

/// Waits until `read` finds something else than `used`, twice in a row. It may block.
pub(crate) async fn other<T, R>(used: &T, read: R) -> T
where
    T: PartialEq + Send + 'static,
    R: Fn() -> T + Clone + Send + 'static,
{
    let mut found = None;
    loop {
        sleep(AGAIN).await;
        let Ok(now) = tokio::task::spawn_blocking(read.clone()).await else {
            // No thread could be made; there will be one later.
            continue;
        };
        if *used == now {
            found = None;
        } else if found.as_ref() == Some(&now) {
            return now;
        } else {
            found = Some(now);
        }
    }
}
