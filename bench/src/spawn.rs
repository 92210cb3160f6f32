//! What a start costs: through spawner and supervisor against a plain `sh -c` and a bare `posix_spawn`, and with a
//! large worker against a small one.
//!
//! All sides keep the same number of commands going, read what they print, and wait for their end.

use std::hint::black_box;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use sandclock_server::exec::{CommandSpec, Exit, Processes, Spawner};
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::figure::{Figure, Side, Work, compare, median, rate};

/// Commands that run at the same time.
const AT_ONCE: u32 = 8;

/// Runs of one step, over all that run at once.
const STEP: u32 = 160;

/// What a worker of a large fleet may hold.
const LARGE: usize = 1 << 30;

/// Rounds with and without the memory.
const ROUNDS: usize = 5;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let spawner = Spawner::start().context("cannot start the spawner")?;
    let runtime = Runtime::new()?;
    let _inside = runtime.enter();
    let processes = Processes::new(spawner)?;
    let shell = ["/bin/sh", "-c", "true"];
    let program = ["/bin/true"];
    let mut supervised_shell = || supervised(&runtime, &processes, &shell);
    let mut supervised_program = || supervised(&runtime, &processes, &program);
    let figures = vec![
        compare(
            "spawn.shell",
            "runs",
            Work {
                label: "supervised sh -c true",
                step: &mut supervised_shell,
            },
            Work {
                label: "plain sh -c true",
                step: &mut || plain(&shell),
            },
        )?,
        compare(
            "spawn.program",
            "runs",
            Work {
                label: "supervised /bin/true",
                step: &mut supervised_program,
            },
            Work {
                label: "posix_spawn of /bin/true",
                step: &mut || plain(&program),
            },
        )?,
        with_memory(&mut || supervised(&runtime, &processes, &shell))?,
    ];
    Ok(figures)
}

/// The same starts with 1 GiB resident in this process and without, in turns.
fn with_memory(step: &mut dyn FnMut() -> Result<f64>) -> Result<Figure> {
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let held = black_box(vec![1_u8; LARGE]);
        large.push(rate(step)?);
        drop(black_box(held));
        small.push(rate(step)?);
    }
    Ok(Figure {
        name: "spawn.resident",
        unit: "runs",
        ours: Side {
            label: "with 1 GiB resident",
            rate: median(large),
        },
        other: Side {
            label: "without",
            rate: median(small),
        },
    })
}

/// Our way.
fn supervised(runtime: &Runtime, processes: &Processes, argv: &[&str]) -> Result<f64> {
    let spec = CommandSpec {
        argv: argv.iter().map(|&part| part.to_owned()).collect(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        workdir: None,
        user: None,
        umask: 0o022,
        limits: Default::default(),
        split: false,
        keep_leftovers: false,
        grace: Duration::from_secs(10),
        alive_for: Duration::from_secs(60),
    };
    let lane = || async {
        for _ in 0..STEP / AT_ONCE {
            let mut child = processes.start(&spec).await?;
            let mut printed = Vec::new();
            for (_, pipe) in &mut child.outputs {
                pipe.read_to_end(&mut printed).await?;
            }
            ensure!(
                child.wait().await.exit == Exit::Code(0),
                "the command failed"
            );
        }
        Ok(())
    };
    runtime.block_on(try_join_all((0..AT_ONCE).map(|_| lane())))?;
    Ok(f64::from(STEP))
}

/// What anybody would write: a process per command, by the standard library (which uses `posix_spawn` for this).
fn plain(argv: &[&str]) -> Result<f64> {
    let lane = || -> Result<()> {
        for _ in 0..STEP / AT_ONCE {
            let (program, arguments) = argv.split_first().context("no program")?;
            let mut command = Command::new(program);
            let command = command
                .args(arguments)
                .env_clear()
                .env("PATH", "/usr/bin:/bin");
            let mut child = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let mut printed = Vec::new();
            child
                .stdout
                .take()
                .context("no pipe")?
                .read_to_end(&mut printed)?;
            ensure!(child.wait()?.success(), "the command failed");
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| {
            lane.join()
                .unwrap_or_else(|_| anyhow::bail!("a lane panicked"))
        })
    })?;
    Ok(f64::from(STEP))
}
