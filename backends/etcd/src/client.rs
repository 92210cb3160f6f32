//! The connection, and the one way to use it: every call has a deadline, and every failure one meaning.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use etcd_client::{
    Certificate, ConnectOptions, GetOptions, Identity, KeyValue, KvClient, LeaseClient,
    MaintenanceClient, TlsOptions, Txn, TxnResponse, WatchClient,
};
use sandclock_core::backend::Result;
use sandclock_core::{BackendError, ErrorKind};

use crate::config::EtcdConfig;
use crate::error::{Nature, from_driver, timeout};
use crate::keys::Range;

/// The oldest server whose transactions nest as the protocol needs it.
const OLDEST: (u64, u64) = (3, 4);

/// How many records one page of a range holds.
const PAGE: i64 = 512;

/// The largest answer that is read: a page of the largest jobs that there may be.
const ANSWER_BYTES: usize = 512 << 20;

/// etcd refuses clients that ask "are you there" more often than every 5 s.
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long the answer to that may take. A connection that went silent is given up after both.
const PING_WAIT: Duration = Duration::from_secs(5);

/// A connection to a cluster, shared by all contracts. Another may take its place: what is under way on the old one
/// ends there.
#[derive(Clone)]
pub(crate) struct Client {
    current: Arc<RwLock<Connection>>,
    patience: Duration,
}

#[derive(Clone)]
struct Connection {
    kv: KvClient,
    watch: WatchClient,
    lease: LeaseClient,
    maintenance: MaintenanceClient,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects, and refuses a server that is too old.
    pub(crate) async fn connect(config: &EtcdConfig) -> Result<Self> {
        config.check()?;
        let connection = Connection::open(config).await?;
        Ok(Self {
            current: Arc::new(RwLock::new(connection)),
            patience: config.call_timeout,
        })
    }

    /// Puts a new connection in the place of the one that is there, once it is open.
    pub(crate) async fn renew(&self, config: &EtcdConfig) -> Result<()> {
        let connection = Connection::open(config).await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = connection;
        Ok(())
    }

    fn connection(&self) -> Connection {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What opens watches.
    pub(crate) fn watch(&self) -> WatchClient {
        self.connection().watch
    }

    /// What asks members how they are.
    pub(crate) fn maintenance(&self) -> MaintenanceClient {
        self.connection().maintenance
    }

    /// Waits for an answer as long as a call may take.
    pub(crate) async fn within<T>(
        &self,
        op: &'static str,
        nature: Nature,
        call: impl Future<Output = std::result::Result<T, etcd_client::Error>>,
    ) -> Result<T> {
        within(op, nature, self.patience, call).await
    }

    /// Carries out a transaction; the answer's revision is that of its changes, if it made any.
    pub(crate) async fn txn(
        &self,
        op: &'static str,
        nature: Nature,
        txn: Txn,
    ) -> Result<TxnResponse> {
        let mut kv = self.connection().kv;
        self.within(op, nature, kv.txn(txn)).await
    }

    /// One record, or none.
    pub(crate) async fn get(&self, op: &'static str, key: &[u8]) -> Result<Option<KeyValue>> {
        let mut kv = self.connection().kv;
        let mut answer = self.within(op, Nature::Reads, kv.get(key, None)).await?;
        Ok(answer.take_kvs().pop())
    }

    /// Every record of a range, page by page, all as of one revision, which is returned: `at` if that is
    /// given, else the present.
    pub(crate) async fn range(
        &self,
        op: &'static str,
        range: &Range,
        at: Option<i64>,
    ) -> Result<(Vec<KeyValue>, i64)> {
        self.pages(op, range, at, GetOptions::new()).await
    }

    /// The same without values, for the question what is there.
    pub(crate) async fn present(&self, op: &'static str, range: &Range) -> Result<Vec<KeyValue>> {
        let only_keys = GetOptions::new().with_keys_only();
        Ok(self.pages(op, range, None, only_keys).await?.0)
    }

    async fn pages(
        &self,
        op: &'static str,
        range: &Range,
        at: Option<i64>,
        options: GetOptions,
    ) -> Result<(Vec<KeyValue>, i64)> {
        let mut kv = self.connection().kv;
        let (mut read, mut at, mut from) = (Vec::new(), at, range.start.clone());
        loop {
            let options = (options.clone())
                .with_range(range.end.clone())
                .with_limit(PAGE)
                .with_revision(at.unwrap_or(0));
            let get = kv.get(std::mem::take(&mut from), Some(options));
            let mut page = self.within(op, Nature::Reads, get).await?;
            let revision = at.unwrap_or_else(|| revision(page.header()));
            at = Some(revision);
            read.append(&mut page.take_kvs());
            match read.last() {
                Some(last) if page.more() => {
                    from = last.key().to_vec();
                    from.push(0);
                }
                _ => return Ok((read, revision)),
            }
        }
    }

    /// A new lease and what the server made of the time asked for, which may be longer.
    pub(crate) async fn grant(&self, op: &'static str, ttl: Duration) -> Result<(i64, Duration)> {
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let asked = i64::try_from(seconds.max(1)).unwrap_or(i64::MAX);
        let mut lease = self.connection().lease;
        // A lease that nobody learns of holds nothing and ends by itself.
        let granted = self
            .within(op, Nature::Reads, lease.grant(asked, None))
            .await?;
        let ttl = u64::try_from(granted.ttl()).unwrap_or(0);
        Ok((granted.id(), Duration::from_secs(ttl)))
    }

    /// Renews a lease for its whole time, counted from when the server handles the call.
    ///
    /// # Errors
    /// `NotFound` if it has run out.
    pub(crate) async fn keep_alive(
        &self,
        op: &'static str,
        lease: i64,
        patience: Duration,
    ) -> Result<()> {
        let mut client = self.connection().lease;
        let call = client.keep_alive(lease);
        let patience = patience.min(self.patience);
        within(op, Nature::Writes, patience, call).await.map(drop)
    }

    /// Ends a lease and deletes what hangs on it. One that has run out is as good as ended.
    pub(crate) async fn revoke(&self, op: &'static str, lease: i64) -> Result<()> {
        let mut client = self.connection().lease;
        match self.within(op, Nature::Writes, client.revoke(lease)).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How long a lease still lasts; zero if it has run out.
    pub(crate) async fn remaining(&self, op: &'static str, lease: i64) -> Result<Duration> {
        let mut client = self.connection().lease;
        let ask = client.time_to_live(lease, None);
        let left = self.within(op, Nature::Reads, ask).await?.ttl();
        Ok(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
    }
}

impl Connection {
    /// Connects, and refuses a server that is too old.
    async fn open(config: &EtcdConfig) -> Result<Self> {
        const OP: &str = "etcd.connect";
        let connect = etcd_client::Client::connect(&config.endpoints, Some(options(config)));
        let patience = config.call_timeout;
        let mut client = within(OP, Nature::Reads, patience, connect).await?;
        let status = within(OP, Nature::Reads, patience, client.status()).await?;
        check_version(status.version())?;
        Ok(Self {
            kv: client.kv_client().max_decoding_message_size(ANSWER_BYTES),
            watch: client
                .watch_client()
                .max_decoding_message_size(ANSWER_BYTES),
            lease: client.lease_client(),
            maintenance: client.maintenance_client(),
        })
    }
}

async fn within<T>(
    op: &'static str,
    nature: Nature,
    patience: Duration,
    call: impl Future<Output = std::result::Result<T, etcd_client::Error>>,
) -> Result<T> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer.map_err(|error| from_driver(op, nature, error)),
        Err(_) => Err(timeout(op, nature)),
    }
}

/// The revision of an answer.
pub(crate) fn revision(header: Option<&etcd_client::ResponseHeader>) -> i64 {
    header.map_or(0, etcd_client::ResponseHeader::revision)
}

fn options(config: &EtcdConfig) -> ConnectOptions {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(config.call_timeout)
        .with_keep_alive(PING_EVERY, PING_WAIT)
        .with_keep_alive_while_idle(true)
        // A member that has lost the cluster ends its watches instead of falling silent.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some(login) = &config.login {
        options = options.with_user(&login.user, &login.password);
    }
    if let Some(tls) = &config.tls {
        let mut secure = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.authorities));
        if let Some((certificate, key)) = &tls.identity {
            secure = secure.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &tls.server_name {
            secure = secure.domain_name(name);
        }
        options = options.with_tls(secure);
    }
    options
}

fn check_version(version: &str) -> Result<()> {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    let found = (numbers.next().flatten(), numbers.next().flatten());
    match found {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(()),
        _ => {
            let refused = BackendError::new("etcd.connect", ErrorKind::InvalidConfig);
            let (major, minor) = OLDEST;
            Err(refused.context(format!(
                "the server is etcd {version}; {major}.{minor} or later is needed"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_by_name() {
        for right in ["3.4.0", "3.5.30", "3.6.0-rc.1", "4.0.0"] {
            assert!(check_version(right).is_ok(), "{right}");
        }
        for wrong in ["3.3.27", "2.3.8", "", "three"] {
            let refused = check_version(wrong).expect_err(wrong);
            assert!(refused.to_string().contains(wrong), "{refused}");
        }
    }
}
