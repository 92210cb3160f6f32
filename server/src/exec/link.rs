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
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use sandclock_core::ports::Channel;

use super::child::{Child, Started};
use super::frames::{MAX_FRAME_BYTES, frame};
use super::line::{IdleLines, Line};
use super::passing;
use super::spawner::SPAWNER_NAME;
use super::spec::{CommandSpec, SpawnError};
use super::wire::{Deadline, Order, Report, Request, RunNumber, StartStep};

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
    /// Lines to supervisors of this spawner: one that it does not watch over is of no use.
    idle: IdleLines,
    runs: u64,
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
        match timeout(START_TIMEOUT, self.negotiate(spec)).await {
            Ok(started) => started,
            Err(_) => Err(of_spawner(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn negotiate(&self, spec: &CommandSpec) -> Result<Child, SpawnError> {
        let run = self.next_run();
        let request = request(run, spec)?;
        let mut pipes = Pipes::make(spec).map_err(of_spawner)?;
        let (mut line, idle) = self.hand_over(&request, &pipes).await?;
        // What stays open here would hide the end of the pipes.
        pipes.theirs.clear();
        match line.next_report().await.map_err(of_spawner)? {
            Some(Report::Started {
                supervisor,
                pid,
                grouped,
            }) => {
                if !grouped {
                    note_without_groups();
                }
                let started = Started {
                    supervisor,
                    pid,
                    grouped,
                };
                Ok(Child::new(line, idle, run, pipes.outputs, started))
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

    /// Gives the request to a supervisor that is free, else to a new one.
    async fn hand_over(
        &self,
        request: &[u8],
        pipes: &Pipes,
    ) -> Result<(Line, IdleLines), SpawnError> {
        let descriptors: Vec<BorrowedFd<'_>> = pipes.theirs.iter().map(AsFd::as_fd).collect();
        let idle = self.idle();
        while let Some(line) = idle.take() {
            // One that ended just now has not got the request.
            if line.send(request, &descriptors).await.is_ok() {
                return Ok((line, idle));
            }
        }
        let (line, idle) = self.new_line().await?;
        line.send(request, &descriptors).await.map_err(of_spawner)?;
        Ok((line, idle))
    }

    /// Has the spawner make a supervisor; starts a new spawner if there is none.
    async fn new_line(&self) -> Result<(Line, IdleLines), SpawnError> {
        let (line, theirs) = Line::pair().map_err(of_spawner)?;
        let mut socket = self.socket();
        for last_try in [false, true] {
            let sent = socket.async_io(Interest::WRITABLE, || {
                passing::send(socket.as_fd(), &[1], &[theirs.as_fd()])
            });
            match sent.await {
                Ok(_) => return Ok((line, self.idle())),
                Err(error) if last_try => return Err(of_spawner(error)),
                Err(error) => socket = self.replace(&socket, &error).map_err(of_spawner)?,
            }
        }
        Err(of_spawner(io::ErrorKind::BrokenPipe.into()))
    }

    fn next_run(&self) -> RunNumber {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.runs += 1;
        RunNumber(link.runs)
    }

    /// Supervisors without a run; none if nobody is left to watch over them.
    fn idle(&self) -> IdleLines {
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

    /// Starts a new spawner, unless somebody else has replaced `dead` in the meantime.
    fn replace(&self, dead: &Arc<UnixStream>, why: &io::Error) -> io::Result<Arc<UnixStream>> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&link.socket, dead) {
            // It closed its socket by ending, so there is nothing to wait for but its entry in the
            // process table.
            let ended = link.process.try_wait();
            tracing::warn!(pid = link.process.id(), ?ended, error = %why, "spawner is gone; starting another");
            let runs = link.runs;
            *link = Link::new(Spawner::start_from(&link.program.clone())?)?;
            link.runs = runs;
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

/// The pipes of one run: our ends, and the descriptors for the supervisor in the order in which it
/// expects them.
struct Pipes {
    outputs: Vec<(Channel, pipe::Receiver)>,
    theirs: Vec<OwnedFd>,
}

impl Pipes {
    fn make(spec: &CommandSpec) -> io::Result<Pipes> {
        let channels: &[Channel] = if spec.split {
            &[Channel::Stdout, Channel::Stderr]
        } else {
            &[Channel::Combined]
        };
        let mut outputs = Vec::new();
        let mut theirs = Vec::new();
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
        Ok(Pipes { outputs, theirs })
    }
}

/// The request of a run as it goes over the socket.
fn request(run: RunNumber, spec: &CommandSpec) -> Result<Vec<u8>, SpawnError> {
    let request = Request {
        run,
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
    let bytes = frame(&Order::Start(Box::new(request))).map_err(of_spawner)?;
    if bytes.len() > MAX_FRAME_BYTES {
        // No kernel takes that much; say it as the kernel would.
        return Err(SpawnError {
            step: StartStep::Exec,
            subject: spec.argv.first().cloned().unwrap_or_default(),
            source: Errno::E2BIG.into(),
        });
    }
    Ok(bytes)
}

/// Said once, for it is the same for every run.
fn note_without_groups() {
    static NOTED: Once = Once::new();
    NOTED.call_once(|| {
        tracing::info!("no writable cgroup v2 hierarchy; process trees are ended by signals alone");
    });
}
