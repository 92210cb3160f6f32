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

/// Two pipes, and their read ends.
const MAX_DESCRIPTORS: usize = 4;

/// Sends bytes, at least one, and descriptors with the first of them. Returns how many bytes were
/// taken; `WouldBlock` means that nothing was sent.
pub(super) fn send(
    to: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    // Rights to nothing are no message.
    let rights = if raw.is_empty() { &[] } else { &rights[..] };
    let parts = [IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<()>(to.as_raw_fd(), &parts, rights, flags, None)?)
}

/// Receives bytes and the descriptors of one [`send`], close-on-exec; no bytes at the end of the
/// stream.
///
/// A read never takes bytes of two messages that both carry descriptors, so descriptors belong to
/// the last message that it took.
pub(super) fn receive(from: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut parts = [IoSliceMut::new(bytes)];
    let mut space = cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let message = recvmsg::<()>(
        from.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
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
    Ok((message.bytes, descriptors))
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
        send(a.as_fd(), b"plain", &[]).unwrap();
        send(a.as_fd(), b"two", &[writer.as_fd(), reader.as_fd()]).unwrap();
        send(a.as_fd(), b"one", &[writer.as_fd()]).unwrap();
        drop((a, writer));
        let mut bytes = [0; 100];
        let (n, descriptors) = receive(&b, &mut bytes).unwrap();
        assert_eq!((&bytes[..n], descriptors.len()), (&b"plaintwo"[..], 2));
        drop(descriptors);
        let (n, mut descriptors) = receive(&b, &mut bytes).unwrap();
        assert_eq!((&bytes[..n], descriptors.len()), (&b"one"[..], 1));
        let last = descriptors.remove(0);
        assert_eq!(receive(&b, &mut bytes).unwrap().0, 0);
        std::fs::File::from(last).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }
}
