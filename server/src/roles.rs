//! The roles of a fleet: `sandclock server`, of which there may be any number, and `sandclock worker`.
//!
//! Both find each other through the stores alone. A server answers people and sends alerts; a worker decides
//! and runs. `sandclock dev` is both at once, on stores of its own.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use sandclock_hooks::KnownSecrets;
use tokio::net::TcpListener;

use crate::access;
use crate::cli::{ServerArgs, say};
use crate::clock::SystemClock;
use crate::config::{Config, CoordinationSection, Environment, GoFile};
use crate::exec::{Spawner, open_files};
use crate::face::{self, Face};
use crate::folders::Folders;
use crate::lifecycle::{Front, Running, Signals};
use crate::log as process_log;
use crate::reload::{Reload, Source, hangups};
use crate::wire::{self, Parts};

/// `sandclock server`: runs until a signal asks for the end.
///
/// # Errors
/// If something that it needs is not there; the message says what.
pub fn server(args: &ServerArgs) -> anyhow::Result<()> {
    open_files::raise();
    let environment = environment_with(args);
    let file = &args.config;
    let source = Source {
        file: file.clone(),
        environment: environment.clone(),
        fits: |config| check_fleet(config).and_then(|()| check_server(config)),
    };
    let config = source.read()?;
    let folders = Folders::of(None, &config)?;
    run(async {
        let hangups = hangups()?;
        let secrets = log(&environment, &config);
        let stores = wire::open_stores(&config, &folders.data).await?;
        let parts = Parts::new(stores, (&environment, secrets), &config, &folders.data)
            .await?
            .with_tls(&config)?
            .with_telemetry(&config, "server")?;
        let listener = listen(config.listen, LISTEN).await?;
        let signals = Signals::new()?;
        let lost = format!(
            "sandclock token create NAME --role admin --config {}",
            file.display()
        );
        let parts = Arc::new(parts);
        let gate = Arc::new(parts.gate());
        let face = Face {
            parts: Arc::clone(&parts),
            gate: Arc::clone(&gate),
            address: listener.local_addr()?,
        };
        let (router, delivery, apply) = face.kept(&config)?;
        greet(&listener, &folders, &parts, &lost).await?;
        gate.read().await;
        if config.go_api.open {
            tracing::warn!(
                listen = %config.listen,
                "the routes of the Go master are open: whoever reaches them can have any command run on every worker"
            );
        }
        let accepted = parts.accepted.clone();
        let reload = Reload::new(hangups, (source, config), accepted, apply);
        let running = Running {
            signals,
            front: Some(Front {
                listener,
                tls: parts.tls.clone(),
                router,
            }),
            worker: None,
            chores: Some(parts.chores()),
            delivery: Some(delivery),
            spool: None,
            rollout: Arc::clone(&parts.rollout),
            recorder: parts.recorder.clone(),
            away: parts.stores.away.clone(),
            certificates: parts.stores.certificates.clone(),
            reload: Some(reload),
            telemetry: parts.telemetry.clone(),
        };
        running.serve().await
    })
}

/// This process's environment, and the flags that count more.
fn environment_with(args: &ServerArgs) -> Environment {
    Environment::of_process().with([
        (
            "--go-open",
            "GO_API__OPEN",
            args.go_open.then_some(true.into()),
        ),
        (
            "--tls-certificate",
            "TLS__CERTIFICATE",
            Environment::path(args.tls_certificate.as_deref()),
        ),
        (
            "--tls-key",
            "TLS__KEY",
            Environment::path(args.tls_key.as_deref()),
        ),
    ])
}

/// `sandclock worker`: runs until a signal asks for the end, then lets running jobs finish.
///
/// # Errors
/// If something that it needs is not there; the message says what.
pub fn worker(config: &Path) -> anyhow::Result<()> {
    open_files::raise();
    // Early, while the process is small: this is what starts jobs.
    let spawner = Spawner::start().context("start the spawner")?;
    let environment = Environment::of_process();
    #[cfg(debug_assertions)]
    if environment
        .variables()
        .contains_key("SANDCLOCK_TEST_LATER_FORM")
    {
        sandclock_core::stored::write_later_form();
    }
    let source = Source {
        file: config.to_owned(),
        environment: environment.clone(),
        fits: |config| check_fleet(config).and_then(|()| check_worker(config)),
    };
    let config = source.read()?;
    let folders = Folders::of(None, &config)?;
    run(async {
        let hangups = hangups()?;
        let secrets = log(&environment, &config);
        let stores = wire::open_stores(&config, &folders.data).await?;
        let parts = Parts::new(
            stores,
            (&environment, secrets.clone()),
            &config,
            &folders.data,
        )
        .await?
        .with_spool(&config, &folders.data)?
        .with_tls(&config)?
        .with_telemetry(&config, "worker")?;
        let worker = parts
            .worker(&config, &environment, secrets, spawner)
            .await?;
        let handle = worker.handle();
        let name = handle.status().name;
        let watched = match config.worker.listen {
            Some(address) => Some(listen(address, "worker.listen").await?),
            None => None,
        };
        let signals = Signals::new()?;
        say(&format!(
            "Sandclock {} is ready: worker {name}",
            crate::VERSION
        ));
        let parts = Arc::new(parts);
        let (front, apply) = face::of_worker(&parts, &config, handle, watched).await?;
        let accepted = parts.accepted.clone();
        let reload = Reload::new(hangups, (source, config), accepted, apply);
        let running = Running {
            signals,
            front,
            worker: Some(worker),
            chores: None,
            delivery: None,
            spool: parts.spool.clone(),
            rollout: Arc::clone(&parts.rollout),
            recorder: parts.recorder.clone(),
            away: parts.stores.away.clone(),
            certificates: parts.stores.certificates.clone(),
            reload: Some(reload),
            telemetry: parts.telemetry.clone(),
        };
        running.serve().await
    })
}

/// What a server does not start with.
fn check_server(config: &Config) -> anyhow::Result<()> {
    if config.from_go == Some(GoFile::Worker) {
        bail!(
            "it has no apiPort, so it is a Go worker's: run sandclock-worker with it, and name the master's file \
             or a configuration of ours here"
        );
    }
    // Of others the configuration was checked for this.
    if config.from_go.is_some() && config.is_exposed() && !config.go_api.open {
        bail!(
            "a Go master serves plain HTTP on all interfaces ({}) without a login, so that whoever reaches it can \
             have any command run: say --go-open if that is meant. Otherwise the routes ask for a token, and need \
             TLS: --tls-certificate and --tls-key, or SANDCLOCK__TLS__CERTIFICATE and SANDCLOCK__TLS__KEY; or let a \
             proxy end it, with SANDCLOCK__BEHIND_PROXY=true; or listen on 127.0.0.1, with SANDCLOCK__LISTEN",
            config.listen
        );
    }
    Ok(())
}

/// What neither server nor worker starts with.
fn check_fleet(config: &Config) -> anyhow::Result<()> {
    if matches!(config.coordination, CoordinationSection::Embedded {}) {
        bail!(
            "coordination.type = \"embedded\" is for one process alone: set coordination.type = \"etcd\", or run \
             everything in one process with sandclock dev"
        );
    }
    Ok(())
}

/// What a worker does not start with.
fn check_worker(config: &Config) -> anyhow::Result<()> {
    if config.from_go == Some(GoFile::Master) {
        bail!(
            "it has a port of an API, so it is a Go master's: run sandclock server with it, and name the worker's \
             file here"
        );
    }
    Ok(())
}

/// What `sandclock dev` does not start with.
pub(crate) fn check_dev(config: &Config) -> anyhow::Result<()> {
    if !matches!(config.coordination, CoordinationSection::Embedded {}) {
        bail!(
            "sandclock dev keeps everything in one file: run sandclock server and sandclock worker for a fleet"
        );
    }
    Ok(())
}

/// Which commands take a configuration, and why the others do not.
pub(crate) fn fits(config: &Config) -> [(&'static str, anyhow::Result<()>); 3] {
    let fleet = || check_fleet(config);
    [
        ("server", fleet().and_then(|()| check_server(config))),
        ("worker", fleet().and_then(|()| check_worker(config))),
        ("dev", check_dev(config)),
    ]
}

/// Runs a role on a runtime of its own.
pub(crate) fn run(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Where no thread can be made, blocking work waits for one that is there, and panics only if there is none.
        // A job may take all processes of its user: so the first one is made now, and none ends while idle.
        .thread_keep_alive(Duration::from_secs(u32::MAX.into()))
        .build()?;
    let result = runtime.block_on(async {
        tokio::task::spawn_blocking(|| ())
            .await
            .context("start a thread for blocking work")?;
        role.await
    });
    // What still blocks (a hook, a name lookup) must not hold up the end.
    runtime.shutdown_background();
    result
}

/// Starts the process's log, and returns the secrets that never leave by it.
pub(crate) fn log(environment: &Environment, config: &Config) -> KnownSecrets {
    let secrets = KnownSecrets::new();
    let filter = environment.variables().get("SANDCLOCK_LOG");
    let format = config.log.format;
    process_log::start(filter.map(String::as_str), format, secrets.clone());
    secrets
}

/// How the API's address is set.
pub(crate) const LISTEN: &str = "listen in the configuration, or --listen of sandclock dev";

/// Opens an address that is set in this way.
pub(crate) async fn listen(address: SocketAddr, how: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => {
                "another process listens there, perhaps another sandclock: stop it, or choose another address"
            }
            ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): choose a higher one"
            }
            ErrorKind::AddrNotAvailable => "this host does not have that address: choose another",
            _ => "choose another address",
        };
        anyhow!("cannot listen on {address}: {error}; {remedy} ({how})")
    })
}

/// Says that this process is ready, and where; shows the first token, if this start made it. `lost` is how another one is
/// made without a token.
pub(crate) async fn greet(
    listener: &TcpListener,
    folders: &Folders,
    parts: &Parts,
    lost: &str,
) -> anyhow::Result<()> {
    let docs = &*parts.stores.coordination.docs;
    let first = access::ready(docs, &SystemClock, &folders.data).await?;
    let url = parts.url(listener)?;
    say(&format!("Sandclock {} is ready: {url}", crate::VERSION));
    say(&format!("  data   {}", folders.data.display()));
    match first {
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
        None => {
            say("  token  one that was made before");
            say(&format!("         (if it is lost: {lost})"));
        }
    }
    Ok(())
}
