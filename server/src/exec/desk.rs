//! What a supervisor has, whatever it runs: the line to the worker, and what wakes it up.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::cgroup::Group;
use super::frames::{Frames, frame};
use super::spawner::sigchld;
use super::timer::Alarm;
use super::wire::{BootMillis, Order, Report, Request};

/// A supervisor's desk.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) control: UnixStream,
    frames: Frames,
    /// Reports that are not yet written: what is known at one moment goes out in one piece.
    unsent: Vec<u8>,
    signals: SignalFd,
    alarm: Alarm,
    /// The group for its commands.
    pub(super) group: Option<&'a Group>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(control: UnixStream, group: Option<&'a Group>) -> io::Result<Desk<'a>> {
        Ok(Desk {
            control,
            frames: Frames::default(),
            unsent: Vec::new(),
            signals: sigchld()?,
            alarm: Alarm::new()?,
            group,
        })
    }

    /// Waits for the next command and the pipes that come with it; `None` if the worker has gone.
    pub(super) fn next_request(&mut self) -> io::Result<Option<(Request, Vec<OwnedFd>)>> {
        self.control.set_nonblocking(false)?;
        let mut pipes = Vec::new();
        loop {
            match self.frames.next()? {
                Some(Order::Start(request)) => {
                    self.control.set_nonblocking(true)?;
                    return Ok(Some((*request, pipes)));
                }
                // For a run that is over.
                Some(Order::Contact(..) | Order::End(..)) => {}
                None if self.frames.receive(&self.control, &mut pipes)? => {}
                None => return Ok(None),
            }
        }
    }

    /// To be written with the next [`Self::flush`].
    pub(super) fn say(&mut self, report: &Report) -> io::Result<()> {
        self.unsent.append(&mut frame(report)?);
        Ok(())
    }

    /// Writes what was said, in one call, so that it arrives whole even if this process is killed
    /// afterwards.
    pub(super) fn flush(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        if !unsent.is_empty() {
            // A worker that is gone is noticed by the end of its stream.
            let _ = self.control.write_all(&unsent);
        }
    }

    /// Orders that have come, for `take`; false when the worker's end is closed.
    pub(super) fn read_orders(&mut self, mut take: impl FnMut(Order)) -> io::Result<bool> {
        loop {
            match self.frames.read_from(&self.control) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(false),
            }
            while let Some(order) = self.frames.next()? {
                take(order);
            }
        }
    }

    /// Until a child ended, the time has come, or (if somebody is there) the worker says something.
    pub(super) fn wait(&mut self, until: BootMillis, worker_is_there: bool) -> io::Result<()> {
        self.alarm.set(until)?;
        let mut events = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.alarm.as_fd(), PollFlags::POLLIN),
        ];
        if worker_is_there {
            events.push(PollFd::new(self.control.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        while let Ok(Some(_)) = self.signals.read_signal() {}
        Ok(())
    }
}
