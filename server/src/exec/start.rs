//! The worker's side of a start: a supervisor that is free, or a new one, is given the request and
//! the pipes, and says what became of it.
//!
//! Until the request has gone out, whatever fails is tried again ([`super::link`]). From then on
//! the command may have begun, so nothing is tried again here, and a start whose answer is lost is
//! told as one of which nobody knows whether it began.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Once;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use sandclock_core::ports::Channel;

use super::child::{Child, Started};
use super::frames::{MAX_FRAME_BYTES, frame};
use super::line::{IdleLines, Line};
use super::link::Processes;
use super::open_files;
use super::spec::{CommandSpec, HOLDS_NUL, SpawnError};
use super::wire::{Deadline, Order, Report, Request, RunNumber, StartStep};

/// How long a supervisor may take to start a command. Nothing runs on after that: the control
/// socket is closed.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Between the dead man's SIGTERM and SIGKILL: two seconds of the six that a lost worker's run has
/// left.
pub(super) const CONTACT_GRACE: Duration = Duration::from_secs(2);

impl Processes {
    /// Starts a command and returns when its program runs.
    ///
    /// Cancel-safe: dropping the future ends whatever was started.
    ///
    /// # Errors
    /// See [`StartStep`]. What is left of the command, if anything, is being ended.
    pub async fn start(&self, spec: &CommandSpec) -> Result<Child, SpawnError> {
        refuse_nul(spec)?;
        let run = self.next_run();
        let request = request(run, spec)?;
        let mut pipes = Pipes::make(spec).map_err(SpawnError::of_spawner)?;
        let (mut line, idle) = self.hand_over(&request, &pipes).await?;
        // What stays open here would hide the end of the pipes.
        pipes.theirs.clear();
        let answer = timeout(START_TIMEOUT, line.next_report()).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match answer.map_err(SpawnError::unknown)? {
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
                    alive_for: spec.alive_for,
                };
                Ok(Child::new(line, idle, run, pipes.outputs, started))
            }
            Some(Report::Refused {
                step,
                subject,
                errno,
            }) => Err(SpawnError::refused(step, subject, errno)),
            _ => Err(SpawnError::unknown(io::ErrorKind::UnexpectedEof.into())),
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
            if send(&line, request, &descriptors).await.is_ok() {
                return Ok((line, idle));
            }
        }
        let (line, idle) = self.new_line().await?;
        let sent = send(&line, request, &descriptors).await;
        sent.map_err(SpawnError::of_spawner)?;
        Ok((line, idle))
    }
}

/// Sends the whole request; one that was cut off is never obeyed.
async fn send(line: &Line, request: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let sent = timeout(START_TIMEOUT, line.send(request, descriptors)).await;
    sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
        soft_open_files: open_files::inherited(),
        split: spec.split,
        keep_leftovers: spec.keep_leftovers,
        grace_ms: u64::try_from(spec.grace.as_millis()).unwrap_or(u64::MAX),
        contact: Deadline::from_now(spec.alive_for, CONTACT_GRACE),
    };
    let bytes = frame(&Order::Start(Box::new(request))).map_err(SpawnError::of_spawner)?;
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

/// A string ends at its first NUL byte, so that what is behind would be lost. Jobs are refused for it
/// when they are saved; one may still come by a secret's value or from another program.
fn refuse_nul(spec: &CommandSpec) -> Result<(), SpawnError> {
    let program = spec.argv.first().map_or("", String::as_str);
    for (at, word) in spec.argv.iter().enumerate() {
        if word.contains('\0') {
            // As the kernel refuses arguments, for a Go master shows it in the words of Go's os/exec.
            let why = format!("Invalid argument (argv[{at}] {HOLDS_NUL})");
            return Err(SpawnError {
                step: StartStep::Exec,
                subject: program.to_owned(),
                source: io::Error::new(io::ErrorKind::InvalidInput, why),
            });
        }
    }
    let check = |text: &str, what: &dyn Fn() -> String| match text.contains('\0') {
        false => Ok(()),
        true => Err(SpawnError {
            step: StartStep::Nul,
            subject: what(),
            source: Errno::EINVAL.into(),
        }),
    };
    for (name, value) in &spec.env {
        check(name, &|| "a name of env".to_owned())?;
        check(value, &|| format!("env {}", name.escape_debug()))?;
    }
    for (field, text) in [("workdir", &spec.workdir), ("user", &spec.user)] {
        check(text.as_deref().unwrap_or_default(), &|| field.to_owned())?;
    }
    Ok(())
}

/// Said once, for it is the same for every run.
fn note_without_groups() {
    static NOTED: Once = Once::new();
    NOTED.call_once(|| {
        tracing::info!("no writable cgroup v2 hierarchy; process trees are ended by signals alone");
    });
}
