//! A product with targets, and jobs that fail or succeed when told to.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::alerts::receiver::PATIENCE;
use crate::product::{Product, wait_for};

/// A configuration file in a folder of its own.
#[derive(Debug)]
pub(crate) struct Config {
    folder: TempDir,
}

impl Config {
    pub(crate) fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("sandclock.toml"), text).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> String {
        self.folder
            .path()
            .join("sandclock.toml")
            .display()
            .to_string()
    }

    /// `sandclock dev` with this configuration.
    pub(crate) fn dev(&self) -> Product {
        Product::start(&["--no-examples", "--config", &self.path()])
    }

    /// The same once it was killed and started again.
    pub(crate) fn killed_and_started(&self, product: Product) -> Product {
        product.restart_after_kill(&["--no-examples", "--config", &self.path()])
    }
}

/// A job that fails while its file is not there, and tells a target of each failure.
#[derive(Debug)]
pub(crate) struct Fragile {
    pub(crate) name: String,
    folder: TempDir,
}

impl Fragile {
    pub(crate) async fn put(product: &Product, name: &str, target: &str) -> Self {
        Self::put_with(product, name, &json!({ "target": target })).await
    }

    pub(crate) async fn put_with(product: &Product, name: &str, config: &Value) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("fine");
        let mut all = json!({ "every": 1, "recovery": false });
        for (member, value) in config.as_object().unwrap() {
            all[member] = value.clone();
        }
        let job = json!({
            "command": format!("test -e {}", file.display()),
            "hooks": [{ "plugin": "webhook-alert", "config": all }],
        });
        product.put_job(name, &job).await;
        let name = name.to_owned();
        Self { name, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("fine")
    }

    /// A run that fails.
    pub(crate) async fn fail(&self, product: &Product) -> String {
        let run = product.run_job(&self.name).await;
        assert_eq!(run["state"], "failed", "{run}");
        run["id"].as_str().unwrap().to_owned()
    }

    /// A run that succeeds, as all after it.
    pub(crate) async fn succeed(&self, product: &Product) {
        std::fs::write(self.file(), "").unwrap();
        let run = product.run_job(&self.name).await;
        assert_eq!(run["state"], "succeeded", "{run}");
    }
}

/// All alerts, oldest first.
pub(crate) async fn alerts(product: &Product) -> Vec<Value> {
    let mut all = Vec::new();
    let mut path = "/alerts?limit=500".to_owned();
    loop {
        let mut page = product.get(&path).await;
        all.append(page["items"].as_array_mut().unwrap());
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/alerts?limit=500&cursor={next}");
    }
    all.reverse();
    all
}

/// Waits until the alerts are such, and returns them.
pub(crate) async fn alerts_are(
    product: &Product,
    what: &str,
    mut are: impl FnMut(&[Value]) -> bool,
) -> Vec<Value> {
    let mut all = Vec::new();
    wait_for(what, PATIENCE, async || {
        all = alerts(product).await;
        are(&all)
    })
    .await;
    all
}

/// Waits until there are so many alerts in this state, and returns all.
pub(crate) async fn so_many(product: &Product, count: usize, state: &str) -> Vec<Value> {
    let what = format!("{count} alerts are {state}");
    let of = |alert: &&Value| alert["state"] == state;
    alerts_are(product, &what, |all| all.iter().filter(of).count() == count).await
}
