//! The worker's line to a supervisor, and the lines that no run has at the moment.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::frames::Frames;
use super::passing;
use super::wire::Report;

/// How many supervisors are kept for runs to come. A fleet's runs end and begin all the time, so a
/// few serve most of them; each holds some hundred KiB.
const IDLE_LIMIT: usize = 8;

/// The worker's end of a supervisor's control socket.
#[derive(Debug)]
pub(super) struct Line {
    socket: Arc<UnixStream>,
    frames: Frames,
}

impl Line {
    /// A new line, and the end that the supervisor gets.
    pub(super) fn pair() -> io::Result<(Line, OwnedFd)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = Arc::new(UnixStream::from_std(ours)?);
        let frames = Frames::default();
        Ok((Line { socket, frames }, OwnedFd::from(theirs)))
    }

    /// For orders, beside whoever reads reports.
    pub(super) fn socket(&self) -> Arc<UnixStream> {
        Arc::clone(&self.socket)
    }

    /// Sends a request, as a frame, with the descriptors that belong to it. After an error the
    /// request was not received as a whole, so nothing of it happens.
    pub(super) async fn send(
        &self,
        request: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut rest = request;
        while !rest.is_empty() {
            let write = || passing::send(self.socket.as_fd(), rest, descriptors);
            let sent = self.socket.async_io(Interest::WRITABLE, write).await?;
            rest = rest.get(sent..).unwrap_or_default();
            descriptors = &[];
        }
        Ok(())
    }

    /// The next report; `None` at the end of the stream. Cancel-safe.
    pub(super) async fn next_report(&mut self) -> io::Result<Option<Report>> {
        loop {
            if let Some(report) = self.frames.next()? {
                return Ok(Some(report));
            }
            self.socket.readable().await?;
            let mut chunk = [0; 1024];
            match self.socket.try_read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(n) => self.frames.push(chunk.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether nothing has come since the last report. A supervisor without a run says nothing, but
    /// its end, and what the spawner says of it, would be there.
    fn is_quiet(&self) -> bool {
        // Asks the kernel: the runtime may not have looked yet.
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.socket.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
    }
}

/// Lines to supervisors that have no run. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct IdleLines(Arc<Mutex<Vec<Line>>>);

impl IdleLines {
    /// One whose supervisor is there; the one that was used last, whose memory is warm.
    pub(super) fn take(&self) -> Option<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| lines.pop()).find(Line::is_quiet)
    }

    /// Keeps a line, unless there are enough: then its supervisor goes away.
    pub(super) fn keep(&self, line: Line) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < IDLE_LIMIT {
            lines.push(line);
        }
    }

    /// Lets all of them go.
    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
