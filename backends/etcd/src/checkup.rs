//! What a cluster says of itself, for whoever looks for what is wrong. It decides nothing (A2), and nothing is written.

use etcd_client::{AlarmAction, AlarmType};
use sandclock_core::backend::Result;

use crate::client::Client;
use crate::config::EtcdConfig;
use crate::error::Nature;
use crate::keys::Keys;
use crate::store::check_rights;

/// What this is called in errors.
const OP: &str = "etcd.checkup";

/// What one member said, and the alarms of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// Its version, such as `3.5.16`.
    pub version: String,
    /// What its database takes on its disk, in bytes.
    pub db_bytes: u64,
    /// How much of that is in use; the rest is free for new records only.
    pub used_bytes: u64,
    /// Its quota in bytes; `None` of a member that does not say it.
    pub quota_bytes: Option<u64>,
    /// What is wrong with the cluster, by its own account.
    pub alarms: Vec<Alarm>,
}

/// An alarm of etcd. It stays until somebody disarms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A member's database has reached its quota: nothing can be written.
    NoSpace,
    /// A member's data differs from the others'.
    Corrupt,
}

/// Asks the cluster how it is, and whether it would let us read and write where we have to.
///
/// # Errors
/// As [`connect`](crate::connect). A member that knows no leader refuses every call of ours, and says so.
pub async fn checkup(config: &EtcdConfig) -> Result<Checkup> {
    let client = Client::connect(config).await?;
    let mut maintenance = client.maintenance();
    let asked = client.within(OP, Nature::Reads, maintenance.status());
    let status = asked.await?;
    let mut maintenance = client.maintenance();
    let alarms = maintenance.alarm(AlarmAction::Get, AlarmType::None, None);
    let alarms = client.within(OP, Nature::Reads, alarms).await?;
    let alarms = alarms.alarms().iter().filter_map(|one| match one.alarm() {
        AlarmType::Nospace => Some(Alarm::NoSpace),
        AlarmType::Corrupt => Some(Alarm::Corrupt),
        AlarmType::None => None,
    });
    check_rights(&client, &Keys::of(config)).await?;
    let bytes = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(Checkup {
        version: status.version().to_owned(),
        db_bytes: bytes(status.db_size()),
        used_bytes: bytes(status.raft_used_db_size()),
        quota_bytes: Some(bytes(status.db_size_quota())).filter(|quota| *quota > 0),
        alarms: alarms.collect(),
    })
}
