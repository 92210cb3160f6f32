//! The near end of a run's pipe: bytes in pieces that are worth redacting and storing.
//!
//! A job that writes byte by byte would cost a plugin call for each; so reads are gathered until
//! there are 4 KiB, or 20 ms have passed since the first byte. No piece is larger than 64 KiB, and
//! no more than one is held.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A piece of this size is passed on without waiting for more.
const ENOUGH_BYTES: usize = 4 << 10;

/// No piece is larger.
const PIECE_BYTES: usize = 64 << 10;

/// How long a byte may wait for others.
const GATHER: Duration = Duration::from_millis(20);

/// What a pipe holds at most if the kernel does not say (`/proc/sys/fs/pipe-max-size`).
const PIPE_BYTES: usize = 1 << 20;

/// One pipe and what was read and not yet passed on.
#[derive(Debug)]
pub(super) struct Intake {
    pipe: pipe::Receiver,
    held: BytesMut,
    /// Once the run has ended: how much may still be read.
    left: Option<usize>,
    closed: bool,
}

impl Intake {
    pub(super) fn new(pipe: pipe::Receiver) -> Intake {
        Intake {
            pipe,
            held: BytesMut::new(),
            left: None,
            closed: false,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// The end is the end of the pipe, or, once `ended` is true, what the pipe held at that time: a
    /// process that was left behind and keeps the pipe open does not keep the run open.
    pub(super) async fn next(&mut self, ended: &mut watch::Receiver<bool>) -> Option<Bytes> {
        // A pipe that always has more must not keep the other tasks of this thread waiting.
        tokio::task::coop::consume_budget().await;
        let mut gather_until = None;
        loop {
            if self.closed || self.held.len() >= PIECE_BYTES {
                return self.take();
            }
            if *ended.borrow_and_update() {
                self.read_rest();
                continue;
            }
            // Small at first, for a thousand silent jobs hold a buffer each.
            let room = self
                .held
                .len()
                .max(ENOUGH_BYTES)
                .min(PIECE_BYTES - self.held.len());
            self.held.reserve(room);
            match self.pipe.try_read_buf(&mut (&mut self.held).limit(room)) {
                Ok(0) => self.closed = true,
                Ok(_) => drop(gather_until.get_or_insert_with(|| Instant::now() + GATHER)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.held.len() >= ENOUGH_BYTES || !self.wait(gather_until, ended).await {
                        return self.take();
                    }
                }
                // A pipe's read end does not fail; if it did, nothing more would come of it.
                Err(_) => self.closed = true,
            }
        }
    }

    /// Reads on after the end of the run: what the pipe holds, and never more than it can hold.
    ///
    /// Asks the kernel, for the runtime may not have heard yet that there is something.
    fn read_rest(&mut self) {
        let left = *self.left.get_or_insert_with(|| {
            let size = fcntl(&self.pipe, FcntlArg::F_GETPIPE_SZ).ok();
            size.and_then(|size| usize::try_from(size).ok())
                .unwrap_or(PIPE_BYTES)
        });
        let held = self.held.len();
        self.held.resize(held + left.min(PIECE_BYTES - held), 0);
        let room = self.held.get_mut(held..).unwrap_or_default();
        let n = match nix::unistd::read(&self.pipe, room) {
            Ok(n) => n,
            Err(Errno::EINTR) => return self.held.truncate(held),
            Err(_) => 0,
        };
        self.held.truncate(held + n);
        self.left = Some(left - n);
        self.closed = n == 0 || n == left;
    }

    /// Waits for more; false when what is held has waited long enough.
    async fn wait(&self, until: Option<Instant>, ended: &mut watch::Receiver<bool>) -> bool {
        let enough = async {
            match until {
                Some(instant) => sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.pipe.readable() => true,
            // An error is a sender that is gone: then nobody ends the run but the pipe.
            Ok(()) = ended.changed() => true,
            () = enough => false,
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let piece = self.held.split().freeze();
        (!piece.is_empty()).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    fn pipe() -> (Intake, std::io::PipeWriter) {
        let (reader, writer) = std::io::pipe().unwrap();
        (
            Intake::new(pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).unwrap()),
            writer,
        )
    }

    #[tokio::test]
    async fn many_small_writes_are_one_piece() {
        let (mut intake, mut writer) = pipe();
        let (_ended, mut seen) = watch::channel(false);
        for _ in 0..100 {
            writer.write_all(b"x").unwrap();
        }
        assert_eq!(intake.next(&mut seen).await.unwrap().len(), 100);
        drop(writer);
        assert_eq!(intake.next(&mut seen).await, None);
    }

    #[tokio::test]
    async fn a_full_pipe_comes_in_one_large_piece() {
        let (mut intake, mut writer) = pipe();
        let (_ended, mut seen) = watch::channel(false);
        writer.write_all(&[7; PIECE_BYTES]).unwrap();
        assert_eq!(intake.next(&mut seen).await.unwrap().len(), PIECE_BYTES);
    }

    #[tokio::test]
    async fn an_open_pipe_ends_with_the_run_after_what_it_holds() {
        let (mut intake, mut writer) = pipe();
        let (ended, mut seen) = watch::channel(false);
        writer.write_all(b"last words").unwrap();
        ended.send_replace(true);
        assert_eq!(intake.next(&mut seen).await.unwrap(), "last words");
        assert_eq!(intake.next(&mut seen).await, None);
        drop(writer);
    }

    #[tokio::test]
    async fn a_writer_that_never_stops_cannot_keep_an_ended_run_open() {
        let (mut intake, mut writer) = pipe();
        let (ended, mut seen) = watch::channel(false);
        let flood = std::thread::spawn(move || while writer.write_all(&[1; 4096]).is_ok() {});
        ended.send_replace(true);
        let mut bytes = 0;
        while let Some(piece) = intake.next(&mut seen).await {
            bytes += piece.len();
        }
        assert!(bytes <= 2 * PIPE_BYTES, "{bytes}");
        drop(intake);
        flood.join().unwrap();
    }
}
