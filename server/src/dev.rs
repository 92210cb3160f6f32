//! `sandclock dev`: everything in one process on one file, for a newcomer and for a single host.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use sandclock_hooks::KnownSecrets;
use tokio::net::TcpListener;

use crate::api::auth::{Role, TokenInfo, Tokens};
use crate::cli::{DevArgs, say};
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::exec::Spawner;
use crate::{api, examples, lifecycle, log, wire};

/// Runs until a signal asks for the end, then lets running jobs finish.
///
/// # Errors
/// If something that it needs is not there; the message says what.
pub fn main(args: &DevArgs) -> anyhow::Result<()> {
    // First, while the process is small: this is what starts jobs.
    let spawner = Spawner::start().context("start the spawner")?;
    let environment = Environment::of_process();
    let mut config = Config::load(args.config.as_deref(), &environment)?;
    if let Some(listen) = args.listen {
        config.listen = listen;
        config.check()?;
    }
    let folders = Folders::of(args, &config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(args, &config, &environment, &folders, spawner));
    // What still blocks (a hook, a name lookup) must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn run(
    args: &DevArgs,
    config: &Config,
    environment: &Environment,
    folders: &Folders,
    spawner: Spawner,
) -> anyhow::Result<()> {
    let zone = config.default_time_zone.clone().unwrap_or_else(local_zone);
    let secrets = KnownSecrets::new();
    let filter = environment.variables().get("SANDCLOCK_LOG");
    log::start(filter.map(String::as_str), secrets.clone());
    let product = wire::embedded(config, environment, &folders.data, secrets, spawner).await?;
    let listening = || format!("listen on {}", config.listen);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(listening)?;
    let jobs = &*product.coordination.jobs;
    if !args.no_examples {
        let secret = examples::secret_file(&folders.config)?;
        examples::create(jobs, &SystemClock, &zone, &secret).await?;
    }
    let path = folders.data.join("tokens.json");
    let mut tokens = Tokens::load(&path)?;
    let first = tokens.is_empty();
    let admin = || TokenInfo {
        name: "admin".to_owned(),
        role: Role::Admin,
    };
    let token = if first {
        Some(tokens.create(&path, admin())?)
    } else {
        None
    };
    announce(&listener, token.as_deref(), folders)?;
    let router = api::router(product.api(tokens, zone));
    lifecycle::serve(listener, router, product.worker, product.delivery).await
}

fn announce(listener: &TcpListener, token: Option<&str>, folders: &Folders) -> anyhow::Result<()> {
    let url = format!("http://{}", listener.local_addr()?);
    say(&format!("Sandclock {} is ready: {url}", crate::VERSION));
    say(&format!("  data   {}", folders.data.display()));
    match token {
        Some(token) => {
            say(&format!(
                "  token  {token}  (admin; shown this once, stored as a hash)"
            ));
            say("In another terminal:");
            say(&format!(
                "  export SANDCLOCK_URL={url} SANDCLOCK_TOKEN={token}"
            ));
            say("  sandclock run ls");
        }
        None => say("  token  the one that was shown at the first start"),
    }
    Ok(())
}

/// Where things are kept.
#[derive(Debug)]
struct Folders {
    data: PathBuf,
    config: PathBuf,
}

impl Folders {
    fn of(args: &DevArgs, config: &Config) -> anyhow::Result<Self> {
        let user = etcetera::choose_base_strategy().ok();
        let own = |folder: PathBuf| folder.join("sandclock");
        let data = args
            .data
            .clone()
            .or_else(|| config.data.clone())
            .or_else(|| user.as_ref().map(|user| own(user.data_dir())))
            .context("there is no home directory: say where data is kept with --data DIR")?;
        let config = match user {
            Some(user) => own(user.config_dir()),
            None => beside(&data)?,
        };
        private_folder(&data)?;
        Ok(Self { data, config })
    }
}

/// Without a home, what must not lie in the data directory lies beside it.
fn beside(data: &Path) -> anyhow::Result<PathBuf> {
    let mut name = data
        .file_name()
        .context("--data / is not accepted: name a folder")?
        .to_owned();
    name.push("-config");
    Ok(data.with_file_name(name))
}

/// Makes a folder that only its owner can enter; one that is there keeps its mode.
fn private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(path)
        .with_context(|| format!("create the data directory {}", path.display()))
}

/// The host's own zone; UTC if it does not say.
fn local_zone() -> String {
    let zone = iana_time_zone::get_timezone().ok();
    zone.filter(|zone| sandclock_core::schedule::parse_zone(zone).is_ok())
        .unwrap_or_else(|| "UTC".to_owned())
}
