//! Messages on a control socket: each a length (u32, little endian) and JSON.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::passing;

/// Upper bound of one frame, in bytes; above what `execve` accepts for arguments and environment
/// together (2 MiB by default), so that too long a command fails with the kernel's own error.
pub(super) const MAX_FRAME_BYTES: usize = 16 << 20;

/// One message as it goes over the socket.
pub(super) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = length.to_le_bytes();
    }
    Ok(bytes)
}

/// Writes one message in a single call, so that it arrives whole even if the writer is killed
/// afterwards.
pub(super) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&frame(message)?)
}

/// Bytes of a socket on their way to messages.
#[derive(Debug, Default)]
pub(super) struct Frames {
    held: Vec<u8>,
}

impl Frames {
    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Reads once. `Ok(false)` is the end of the stream; `WouldBlock` comes back as an error.
    pub(super) fn read_from(&mut self, mut from: impl Read) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let n = from.read(&mut chunk)?;
        self.push(chunk.get(..n).unwrap_or_default());
        Ok(n > 0)
    }

    /// As [`Self::read_from`], together with descriptors that came with what was read.
    pub(super) fn receive(
        &mut self,
        from: &UnixStream,
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let (n, mut received) = passing::receive(from, &mut chunk)?;
        self.push(chunk.get(..n).unwrap_or_default());
        descriptors.append(&mut received);
        Ok(n > 0)
    }

    /// The next whole message, if there is one.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(head) = self.held.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*head) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(io::Error::other(format!(
                "frame of {length} bytes is longer than the limit of {MAX_FRAME_BYTES}"
            )));
        }
        let Some(body) = self.held.get(4..4 + length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.held.drain(..4 + length);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let sent = [vec!["a".to_owned(), "\n".to_owned()], Vec::new()];
        let bytes: Vec<u8> = sent
            .iter()
            .flat_map(|message| frame(message).unwrap())
            .collect();
        for cut in 0..=bytes.len() {
            let mut frames = Frames::default();
            let mut got: Vec<Vec<String>> = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                frames.push(part);
                while let Some(message) = frames.next().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, sent, "cut at {cut}");
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_it_is_awaited() {
        let mut frames = Frames::default();
        frames.push(&u32::MAX.to_le_bytes());
        assert!(frames.next::<String>().is_err());
    }
}
