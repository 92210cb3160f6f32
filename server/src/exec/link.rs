//! The worker's side: asking the spawner for a run, and starting another spawner when the first is
//! gone.
//!
//! A spawner that dies takes no run with it (each has its supervisor and its own control socket);
//! it only cannot start any more, which shows as a broken pipe at the next start. Nothing of that
//! start has happened then, so it is repeated with a new spawner.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use sandclock_core::ports::Channel;

use super::child::Child;
use super::passing;
use super::spawner::SPAWNER_NAME;
use super::spec::{CommandSpec, SpawnError};
use super::wire::{self, Deadline, Report, Request, StartStep};

/// How long a start may take before it counts as failed. Nothing runs on after that: the control
/// socket is closed.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Between the dead man's SIGTERM and SIGKILL: two seconds of the six that a lost worker's run has
/// left.
pub(super) const CONTACT_GRACE: Duration = Duration::from_secs(2);

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
        // An empty environment: what the worker knows by it (tokens, passwords) is no job's
        // parent's business.
        let command = command
            .arg0(SPAWNER_NAME)
            .args(arguments)
            .env_clear()
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

    /// Starts a command and returns when its program runs.
    ///
    /// Cancel-safe: dropping the future ends whatever was started.
    ///
    /// # Errors
    /// See [`StartStep`]. Nothing of the command is left then.
    pub async fn start(&self, spec: &CommandSpec) -> Result<Child, SpawnError> {
        let mut run = Descriptors::make(spec).map_err(of_spawner)?;
        let started = timeout(START_TIMEOUT, async {
            self.hand_over(&run).await?;
            // What stays open here would hide the end of the pipes.
            run.theirs.clear();
            run.negotiate(spec).await
        });
        match started.await {
            Ok(Ok(started)) => Ok(Child::new(run.control, run.frames, run.outputs, started)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(of_spawner(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Gives the spawner the run's descriptors; starts a new spawner if there is none.
    async fn hand_over(&self, run: &Descriptors) -> Result<(), SpawnError> {
        let descriptors: Vec<BorrowedFd<'_>> = run.theirs.iter().map(AsFd::as_fd).collect();
        let mut socket = self.socket();
        for last_try in [false, true] {
            let sent = socket.async_io(Interest::WRITABLE, || {
                passing::send(socket.as_fd(), &descriptors)
            });
            match sent.await {
                Ok(()) => return Ok(()),
                Err(error) if last_try => return Err(of_spawner(error)),
                Err(error) => socket = self.replace(&socket, &error).map_err(of_spawner)?,
            }
        }
        Ok(())
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

    /// Starts a new spawner, unless somebody else has replaced `dead` in the meantime.
    fn replace(&self, dead: &Arc<UnixStream>, why: &io::Error) -> io::Result<Arc<UnixStream>> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&link.socket, dead) {
            // It closed its socket by ending, so there is nothing to wait for but its entry in the
            // process table.
            let ended = link.process.try_wait();
            tracing::warn!(pid = link.process.id(), ?ended, error = %why, "spawner is gone; starting another");
            *link = Link::new(Spawner::start_from(&link.program.clone())?)?;
        }
        Ok(Arc::clone(&link.socket))
    }
}

fn of_spawner(source: io::Error) -> SpawnError {
    SpawnError {
        step: StartStep::Spawner,
        subject: String::new(),
        source,
    }
}

/// The descriptors of one run: ours, and those for the supervisor in the order in which it expects
/// them.
struct Descriptors {
    control: UnixStream,
    frames: wire::Frames,
    outputs: Vec<(Channel, pipe::Receiver)>,
    theirs: Vec<OwnedFd>,
}

impl Descriptors {
    fn make(spec: &CommandSpec) -> io::Result<Descriptors> {
        let (ours, control) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let channels: &[Channel] = if spec.split {
            &[Channel::Stdout, Channel::Stderr]
        } else {
            &[Channel::Combined]
        };
        let mut outputs = Vec::new();
        let mut theirs = vec![OwnedFd::from(control)];
        let mut drains = Vec::new();
        for channel in channels {
            let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
            theirs.push(write);
            if spec.keep_leftovers {
                drains.push(read.try_clone()?);
            }
            // Sets the read end non-blocking.
            outputs.push((*channel, pipe::Receiver::from_owned_fd(read)?));
        }
        theirs.append(&mut drains);
        Ok(Descriptors {
            control: UnixStream::from_std(ours)?,
            frames: wire::Frames::default(),
            outputs,
            theirs,
        })
    }

    /// Sends the request and reads the answer.
    async fn negotiate(&mut self, spec: &CommandSpec) -> Result<Started, SpawnError> {
        let request = Request {
            argv: spec.argv.clone(),
            env: spec.env.clone(),
            workdir: spec.workdir.clone(),
            user: spec.user.clone(),
            umask: spec.umask,
            limits: spec.limits,
            split: spec.split,
            keep_leftovers: spec.keep_leftovers,
            grace_ms: u64::try_from(spec.grace.as_millis()).unwrap_or(u64::MAX),
            contact: Deadline::from_now(spec.alive_for, CONTACT_GRACE),
        };
        let bytes = wire::frame(&request).map_err(of_spawner)?;
        if bytes.len() > wire::MAX_FRAME_BYTES {
            // No kernel takes that much; say it as the kernel would.
            let subject = spec.argv.first().cloned().unwrap_or_default();
            return Err(SpawnError {
                step: StartStep::Exec,
                subject,
                source: Errno::E2BIG.into(),
            });
        }
        self.control.write_all(&bytes).await.map_err(of_spawner)?;
        match super::child::next_report(&self.control, &mut self.frames)
            .await
            .map_err(of_spawner)?
        {
            Some(Report::Started {
                supervisor,
                pid,
                grouped,
            }) => {
                if !grouped {
                    note_without_groups();
                }
                Ok(Started {
                    supervisor,
                    pid,
                    grouped,
                })
            }
            Some(Report::Refused {
                step,
                subject,
                errno,
            }) => Err(SpawnError {
                step,
                subject,
                source: io::Error::from_raw_os_error(errno),
            }),
            _ => Err(of_spawner(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// What the supervisor says of a command that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    pub(super) supervisor: i32,
    pub(super) pid: i32,
    pub(super) grouped: bool,
}

/// Said once, for it is the same for every run.
fn note_without_groups() {
    static NOTED: Once = Once::new();
    NOTED.call_once(|| {
        tracing::info!("no writable cgroup v2 hierarchy; process trees are ended by signals alone");
    });
}
