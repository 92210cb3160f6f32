//! The configuration: one tree, from a file, then the environment, then flags.
//!
//! Unknown keys are refused. An environment variable `SANDCLOCK__SECTION__KEY` sets `section.key`; its
//! value is read as TOML where it is TOML, else as text. This is the only place that reads the
//! environment.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

mod checked;
mod environment;
mod stores;

pub use environment::Environment;
pub use stores::{
    CoordinationSection, EtcdSection, EtcdTls, GoKeysSection, MongodbSection, RunLogSection,
};

/// The whole tree.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// A proxy in front ends TLS: only then may `listen` be other than loopback.
    pub behind_proxy: bool,
    /// Where data is kept; `None` is the user's data directory.
    pub data: Option<PathBuf>,
    /// For jobs that name no zone; `None` is UTC, or with `dev` the local zone.
    #[serde(deserialize_with = "checked::zone")]
    pub default_time_zone: Option<String>,
    /// Where workers agree.
    pub coordination: CoordinationSection,
    /// Where runs and their output are kept.
    pub run_log: RunLogSection,
    /// The worker in this process.
    pub worker: WorkerSection,
    /// Alerts.
    pub alerts: AlertSection,
    /// How long records are kept.
    pub retention: RetentionSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8070)),
            behind_proxy: false,
            data: None,
            default_time_zone: None,
            coordination: CoordinationSection::default(),
            run_log: RunLogSection::default(),
            worker: WorkerSection::default(),
            alerts: AlertSection::default(),
            retention: RetentionSection::default(),
        }
    }
}

/// `[worker]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSection {
    /// Its name in the fleet; `None` is the host's name.
    pub name: Option<String>,
    /// How many runs it takes at once.
    pub max_concurrent_runs: u32,
    /// Variables of its environment that commands see.
    pub pass_env: Vec<String>,
    /// The limit of a run that neither its job nor a plugin limits, in seconds; `None` is no limit.
    pub default_timeout_s: Option<u64>,
    /// How long running jobs may take to end when the worker stops, in seconds.
    pub drain_s: u64,
}

impl Default for WorkerSection {
    fn default() -> Self {
        let (name, default_timeout_s) = (None, None);
        Self {
            name,
            max_concurrent_runs: 64,
            pass_env: Vec::new(),
            default_timeout_s,
            drain_s: 30,
        }
    }
}

/// `[alerts]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSection {
    /// Where alerts can go, by the name that plugins use.
    pub targets: BTreeMap<String, Target>,
}

impl Default for AlertSection {
    /// Without configuration every alert still goes somewhere: into the log.
    fn default() -> Self {
        let log = |name: &str| (name.to_owned(), Target::Log {});
        Self {
            targets: BTreeMap::from([log("default"), log("log")]),
        }
    }
}

/// `[alerts.targets.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Target {
    /// The process's own log.
    Log {},
    /// An HTTP POST.
    Webhook {
        /// Where to.
        #[serde(deserialize_with = "checked::webhook_url")]
        url: String,
        /// Headers besides those of the alert.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
}

/// `[retention]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSection {
    /// Days that ended runs and their output are kept.
    pub runs_days: u32,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self { runs_days: 30 }
    }
}

impl Config {
    /// From a file, if there is one, and the environment.
    ///
    /// # Errors
    /// Names the file and line, or the variable, and what would be accepted.
    pub fn load(file: Option<&Path>, environment: &Environment) -> anyhow::Result<Self> {
        let mut tree = toml::Table::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("read configuration {}", path.display()))?;
            // Read as it is first, so that an error shows the file's line.
            let _: Self = toml::from_str(&text)
                .with_context(|| format!("configuration {}", path.display()))?;
            tree = toml::from_str(&text)?;
        }
        for (name, value) in environment.settings() {
            let set = set(&mut tree, &name, value);
            let read = |()| Ok(tree.clone().try_into::<Self>().map(|_| ())?);
            set.and_then(read)
                .with_context(|| format!("environment variable {name}"))?;
        }
        let config: Self = tree.try_into()?;
        config.check()?;
        Ok(config)
    }

    /// Checks what no single member can say.
    ///
    /// # Errors
    /// Says which members do not fit, and what would.
    pub fn check(&self) -> anyhow::Result<()> {
        if !self.listen.ip().is_loopback() && !self.behind_proxy {
            bail!(
                "listen = \"{}\" is open to other hosts: put a proxy that ends TLS in front and set \
                 behind_proxy = true, or listen on 127.0.0.1",
                self.listen
            );
        }
        if matches!(
            (&self.coordination, &self.run_log),
            (CoordinationSection::Etcd(_), RunLogSection::Embedded {})
        ) {
            bail!(
                "run_log.type = \"embedded\" does not go with coordination.type = \"etcd\": a file of one process \
                 cannot hold the runs of a fleet; set run_log.type = \"mongodb\""
            );
        }
        if self.worker.max_concurrent_runs == 0 {
            bail!("worker.max_concurrent_runs = 0 is not accepted: a number from 1");
        }
        Ok(())
    }
}

fn set(tree: &mut toml::Table, name: &str, value: &str) -> anyhow::Result<()> {
    let path = name.trim_start_matches(Environment::PREFIX).to_lowercase();
    let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut keys: Vec<_> = path.split("__").collect();
    let last = keys.pop().unwrap_or_default();
    let mut table = tree;
    for key in keys {
        let section = table
            .entry(key)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        table = section
            .as_table_mut()
            .with_context(|| format!("{key} is no section"))?;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Config, CoordinationSection, Environment, RunLogSection, Target};

    fn load(text: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = Environment(environment.iter().map(own).collect());
        Config::load(Some(file.path()), &environment)
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "default_time_zone = \"Asia/Tokyo\"\n[worker]\nmax_concurrent_runs = 3\n";
        let config = load(
            file,
            &[
                ("SANDCLOCK__WORKER__NAME", "w-7"),
                ("SANDCLOCK__WORKER__MAX_CONCURRENT_RUNS", "9"),
            ],
        );
        let config = config.unwrap();
        assert_eq!(config.worker.name.as_deref(), Some("w-7"));
        assert_eq!(config.worker.max_concurrent_runs, 9);
        assert_eq!(config.default_time_zone.as_deref(), Some("Asia/Tokyo"));
    }

    #[test]
    fn errors_name_the_key_and_what_is_accepted() {
        let cases = [
            ("[worker]\nmax_runs = 3\n", "max_runs"),
            ("listen = \"everywhere\"\n", "listen"),
            ("listen = \"0.0.0.0:8070\"\n", "behind_proxy"),
            ("[alerts.targets.ops]\ntype = \"pager\"\n", "webhook"),
            ("[coordination]\ntype = \"zookeeper\"\n", "etcd"),
            ("\ndefault_time_zone = \"Mars/Base\"\n", "line 2"),
            (
                "default_time_zone = \"Mars/Base\"\n",
                "default_time_zone = \"Mars/Base\"",
            ),
            (
                "default_time_zone = \"Europe/Berln\"\n",
                "did you mean Europe/Berlin",
            ),
            (
                "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"ftp://a/b\"\n",
                "http or https",
            ),
            (
                "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"hooks/secret\"\n",
                "url \"hooks/secret\"",
            ),
            (
                "[alerts.targets.ops]\ntype = \"webhook\"\nurl = \"http://\"\n",
                "with a host",
            ),
            ("[coordination]\ntype = \"etcd\"\n", "endpoints"),
            (
                "[coordination]\ntype = \"etcd\"\nendpoints = [\"a:2379\"]\nuser = \"x\"\nprefx = \"/\"\n",
                "prefx",
            ),
            (
                "[coordination]\ntype = \"etcd\"\nendpoints = [\"a:2379\"]\n",
                "run_log.type = \"mongodb\"",
            ),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", load(text, &[]).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = load("", &[("SANDCLOCK__WORKER__DRAIN_S", "soon")]).unwrap_err();
        assert!(
            format!("{error:#}").contains("SANDCLOCK__WORKER__DRAIN_S"),
            "{error:#}"
        );
    }

    #[test]
    fn a_fleet_names_its_stores_and_shows_no_password() {
        let text = "[coordination]\ntype = \"etcd\"\nendpoints = [\"a:2379\", \"b:2379\"]\nuser = \"ann\"\n\
                    password = \"hunter2\"\n[run_log]\ntype = \"mongodb\"\nuri = \"mongodb://ann:hunter2@m\"\n";
        let config = load(text, &[("SANDCLOCK__RUN_LOG__DATABASE", "jobs")]).unwrap();
        let CoordinationSection::Etcd(etcd) = &config.coordination else {
            panic!("{config:?}")
        };
        assert_eq!(
            (etcd.endpoints.len(), etcd.prefix.as_str()),
            (2, "/sandclock/")
        );
        let RunLogSection::Mongodb(mongodb) = &config.run_log else {
            panic!("{config:?}")
        };
        assert_eq!(
            (mongodb.database.as_str(), mongodb.collection.as_str()),
            ("jobs", "log")
        );
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn without_targets_alerts_go_to_the_log() {
        let config = load("", &[]).unwrap();
        assert!(matches!(
            config.alerts.targets.get("default"),
            Some(Target::Log {})
        ));
    }
}
