//! For every way in which a store may keep the values of plugins wrongly some case must fail.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{PluginKv, Result, Swap};
use sandclock_testkit::conformance::{RECORDS, RecordsEnv};

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// A swap looks at nothing.
    ExpectationIgnored,
    /// Nothing goes by itself.
    TimeIgnored,
    /// All plugins are one.
    PluginIgnored,
    /// The share is that of a key.
    ShareOfEachKey,
    /// A value stays when it is to be taken away.
    NeverGone,
    /// A plugin that is cleared keeps what it has.
    ClearIgnored,
}

const DEFECTS: [Defect; 6] = [
    Defect::ExpectationIgnored,
    Defect::TimeIgnored,
    Defect::PluginIgnored,
    Defect::ShareOfEachKey,
    Defect::NeverGone,
    Defect::ClearIgnored,
];

#[derive(Debug)]
struct Defective {
    inner: Arc<dyn PluginKv>,
    defect: Defect,
}

impl Defective {
    fn plugin(&self, plugin: &str, key: &str) -> String {
        match self.defect {
            Defect::PluginIgnored => "all".to_owned(),
            Defect::ShareOfEachKey => format!("{plugin}/{key}"),
            _ => plugin.to_owned(),
        }
    }
}

#[async_trait]
impl PluginKv for Defective {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Bytes>> {
        self.inner.get(&self.plugin(plugin, key), key).await
    }

    async fn swap(&self, plugin: &str, swap: &Swap) -> Result<bool> {
        let plugin = self.plugin(plugin, &swap.key);
        let mut swap = swap.clone();
        match self.defect {
            Defect::ExpectationIgnored => {
                swap.check()?;
                swap.expect = self.inner.get(&plugin, &swap.key).await?;
            }
            Defect::TimeIgnored => {
                swap.check()?;
                swap.ttl = None;
            }
            Defect::NeverGone if swap.value.is_none() => swap.value.clone_from(&swap.expect),
            _ => {}
        }
        self.inner.swap(&plugin, &swap).await
    }

    async fn clear(&self, plugin: &str) -> Result<()> {
        match self.defect {
            Defect::ClearIgnored => Ok(()),
            _ => self.inner.clear(plugin).await,
        }
    }
}

/// The cases on values that fail on a store with this defect.
async fn caught_by(defect: Defect) -> Vec<&'static str> {
    let mut caught = Vec::new();
    for case in RECORDS.iter().filter(|case| case.name.starts_with("kv::")) {
        let mut store = MemoryStore::new().records();
        store.kv = Arc::new(Defective {
            inner: store.kv,
            defect,
        });
        let env = RecordsEnv {
            store,
            keep: Arc::new(()),
        };
        let tried = AssertUnwindSafe((case.run)(&env)).catch_unwind().await;
        if tried.is_err() {
            caught.push(case.name);
        }
    }
    caught
}

#[tokio::test(start_paused = true)]
async fn every_defect_is_caught() {
    assert_eq!(caught_by(Defect::None).await, [] as [&str; 0]);
    for defect in DEFECTS {
        let caught = caught_by(defect).await;
        println!("{defect:?}: {caught:?}");
        assert!(!caught.is_empty(), "no case finds {defect:?}");
    }
}
