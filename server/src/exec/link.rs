//! The worker's side: asking the spawner for a supervisor, and starting another spawner when the
//! first is gone or does not answer.
//!
//! A spawner that ends takes no run with it (each has its supervisor and its own control socket);
//! it only cannot start any more. That shows before a supervisor has been asked for anything, so
//! the question is repeated with a new spawner.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::line::{IdleLines, Line};
use super::orphans;
use super::passing;
use super::spawner::SPAWNER_NAME;
use super::spec::SpawnError;
use super::wire::{Report, RunNumber};

/// How long a spawner may take for a supervisor, which is one fork, before it counts as stopped or
/// stuck and is replaced.
const SPAWNER_PATIENCE: Duration = Duration::from_secs(5);

/// A running spawner. Make it first thing in `main`, while the process is small; no runtime is
/// needed.
#[derive(Debug)]
pub struct Spawner {
    program: PathBuf,
    process: std::process::Child,
    socket: StdUnixStream,
}

impl Spawner {
    /// Starts a spawner from this program's own file.
    ///
    /// # Errors
    /// If it cannot be executed or there are no descriptors left.
    pub fn start() -> io::Result<Spawner> {
        // Follows the file that runs even if it was replaced or removed by an upgrade.
        Spawner::start_from(Path::new("/proc/self/exe"))
    }

    /// Starts a spawner from another file of this program; it must begin with
    /// [`super::is_spawner`].
    ///
    /// # Errors
    /// If it cannot be executed or there are no descriptors left.
    pub fn start_from(program: &Path) -> io::Result<Spawner> {
        Spawner::start_with(program, &[])
    }

    /// Starts a spawner with a fault, for tests.
    ///
    /// # Errors
    /// Like [`Self::start_from`].
    #[cfg(debug_assertions)]
    pub fn start_mutant(program: &Path, mutant: super::Mutant) -> io::Result<Spawner> {
        Spawner::start_with(program, &[mutant.name()])
    }

    fn start_with(program: &Path, arguments: &[&str]) -> io::Result<Spawner> {
        let (socket, theirs) = StdUnixStream::pair()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the module that starts processes"
        )]
        let mut command = Command::new(program);
        // What the worker knows by its environment (tokens, passwords) is no job's parent's
        // business; only who the worker is.
        let command = command
            .arg0(SPAWNER_NAME)
            .args(arguments)
            .env_clear()
            .envs(orphans::mark_of_worker())
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        let process = command.stdout(Stdio::null()).spawn()?;
        socket.set_nonblocking(true)?;
        Ok(Spawner {
            program: program.to_owned(),
            process,
            socket,
        })
    }

    /// The spawner's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// Starts commands. Cheap to clone; needs a tokio runtime with I/O.
#[derive(Clone)]
pub struct Processes {
    link: Arc<Mutex<Link>>,
}

struct Link {
    program: PathBuf,
    process: std::process::Child,
    socket: Arc<UnixStream>,
    /// Lines to supervisors of this spawner: one that it does not watch over is of no use.
    idle: IdleLines,
    runs: u64,
    /// Spawners that were replaced, until they have left the process table.
    replaced: Vec<std::process::Child>,
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes")
            .field("spawner", &self.spawner_pid())
            .finish()
    }
}

impl Link {
    fn new(spawner: Spawner) -> io::Result<Link> {
        let Spawner {
            program,
            process,
            socket,
        } = spawner;
        Ok(Link {
            program,
            process,
            socket: Arc::new(UnixStream::from_std(socket)?),
            idle: IdleLines::default(),
            runs: 0,
            replaced: Vec::new(),
        })
    }
}

impl Processes {
    /// Takes over the spawner.
    ///
    /// # Errors
    /// If the runtime cannot watch its socket.
    pub fn new(spawner: Spawner) -> io::Result<Processes> {
        Ok(Processes {
            link: Arc::new(Mutex::new(Link::new(spawner)?)),
        })
    }

    /// The current spawner's process id.
    pub fn spawner_pid(&self) -> u32 {
        self.link
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .process
            .id()
    }

    /// Has the spawner make a supervisor; starts a new spawner if there is none that answers.
    ///
    /// Nothing was asked of the supervisor yet, so trying again cannot start anything twice.
    pub(super) async fn new_line(&self) -> Result<(Line, IdleLines), SpawnError> {
        let mut socket = self.socket();
        // A spawner that ends meanwhile may show as the end of the line first, as a broken pipe
        // next.
        for last_try in [false, false, true] {
            let error = match timeout(SPAWNER_PATIENCE, supervisor(&socket)).await {
                Ok(Ok(line)) => return Ok((line, self.idle())),
                Ok(Err(refused)) if !refused.is_about_the_spawner() => return Err(refused),
                Ok(Err(lost)) => lost,
                Err(_) => SpawnError::of_spawner(io::ErrorKind::TimedOut.into()),
            };
            if last_try {
                return Err(error);
            }
            let replaced = self.replace(&socket, &error.source);
            socket = replaced.map_err(SpawnError::of_spawner)?;
        }
        Err(SpawnError::of_spawner(io::ErrorKind::BrokenPipe.into()))
    }

    pub(super) fn next_run(&self) -> RunNumber {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.runs += 1;
        RunNumber(link.runs)
    }

    /// Supervisors without a run; none if nobody is left to watch over them.
    pub(super) fn idle(&self) -> IdleLines {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(link.process.try_wait(), Ok(None)) {
            link.idle.clear();
        }
        link.idle.clone()
    }

    fn socket(&self) -> Arc<UnixStream> {
        Arc::clone(
            &self
                .link
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .socket,
        )
    }

    /// Starts a new spawner in the place of one that has ended or is silent, unless somebody else
    /// has done so in the meantime.
    ///
    /// Runs below the old one go on: each supervisor serves its own socket.
    fn replace(&self, old: &Arc<UnixStream>, why: &io::Error) -> io::Result<Arc<UnixStream>> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.replaced
            .retain_mut(|process| matches!(process.try_wait(), Ok(None)));
        let has_ended = !matches!(link.process.try_wait(), Ok(None));
        let is_silent = why.kind() == io::ErrorKind::TimedOut;
        if Arc::ptr_eq(&link.socket, old) && (has_ended || is_silent) {
            let pid = link.process.id();
            tracing::warn!(pid, has_ended, error = %why, "the spawner is gone or silent; starting another");
            let mut next = Link::new(Spawner::start_from(&link.program.clone())?)?;
            // A stopped one would hold copies of its runs' sockets for ever.
            let _ = link.process.kill();
            next.runs = link.runs;
            next.replaced = std::mem::take(&mut link.replaced);
            let old = std::mem::replace(&mut *link, next);
            link.replaced.push(old.process);
        }
        Ok(Arc::clone(&link.socket))
    }
}

/// Asks this spawner for a supervisor and waits until that is there.
async fn supervisor(spawner: &UnixStream) -> Result<Line, SpawnError> {
    let (mut line, theirs) = Line::pair().map_err(SpawnError::of_spawner)?;
    let ask = || passing::send(spawner.as_fd(), &[1], &[theirs.as_fd()]);
    let asked = spawner.async_io(Interest::WRITABLE, ask).await;
    asked.map_err(SpawnError::of_spawner)?;
    // What stays open here would hide the end of the line.
    drop(theirs);
    match line.next_report().await.map_err(SpawnError::of_spawner)? {
        Some(Report::Ready) => Ok(line),
        Some(Report::Refused {
            step,
            subject,
            errno,
        }) => Err(SpawnError::refused(step, subject, errno)),
        _ => Err(SpawnError::of_spawner(io::ErrorKind::UnexpectedEof.into())),
    }
}
