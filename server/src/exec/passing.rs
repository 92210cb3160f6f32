//! Descriptors across a Unix socket (`SCM_RIGHTS`, unix(7)).
#![expect(
    unsafe_code,
    reason = "the kernel hands received descriptors over as numbers"
)]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Control socket, two pipes, and their read ends.
const MAX_DESCRIPTORS: usize = 5;

/// Sends descriptors with one byte. `WouldBlock` means that nothing was sent.
pub(super) fn send(to: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    sendmsg::<()>(
        to.as_raw_fd(),
        &[IoSlice::new(&[1])],
        &rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

/// Receives the descriptors of one [`send`], close-on-exec; `None` at the end of the stream.
///
/// A read never takes bytes of two messages that both carry descriptors, so one byte asked for is
/// one message.
pub(super) fn receive(from: &UnixStream) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let message = recvmsg::<()>(
        from.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            // SAFETY: the kernel has just opened these numbers for this process, and nobody else
            // knows them.
            descriptors.extend(
                numbers
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok(Some(descriptors))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn each_message_keeps_its_own_descriptors() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send(a.as_fd(), &[writer.as_fd(), reader.as_fd()]).unwrap();
        send(a.as_fd(), &[writer.as_fd()]).unwrap();
        drop((a, writer));
        assert_eq!(receive(&b).unwrap().unwrap().len(), 2);
        let last = receive(&b).unwrap().unwrap().remove(0);
        assert!(receive(&b).unwrap().is_none());
        std::fs::File::from(last).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }
}
