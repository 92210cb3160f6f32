//! Server-sent events, as a client reads them.

/// Server-sent events from the bytes of a stream (WHATWG HTML, 9.2.6), as far as our server writes them.
#[derive(Debug, Default)]
pub(super) struct Events {
    rest: Vec<u8>,
    kind: String,
    data: Vec<String>,
}

impl Events {
    /// Takes the next bytes, and gives the events that they complete: kind and data.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<(String, String)> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if !self.data.is_empty() {
                    events.push((std::mem::take(&mut self.kind), self.data.join("\n")));
                    self.data.clear();
                }
            } else if let Some((field, value)) = line.split_once(':') {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut self.kind),
                    "data" => self.data.push(value.to_owned()),
                    _ => {}
                }
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_are_whole_however_the_bytes_are_cut() {
        let stream =
            b": hello\n\nevent: output\ndata: {\"a\":1}\n\nevent: end\ndata: x\ndata: y\n\n";
        let whole = vec![
            ("output".to_owned(), "{\"a\":1}".to_owned()),
            ("end".to_owned(), "x\ny".to_owned()),
        ];
        for size in 1..stream.len() {
            let mut events = Events::default();
            let got: Vec<_> = stream
                .chunks(size)
                .flat_map(|piece| events.push(piece))
                .collect();
            assert_eq!(got, whole, "pieces of {size}");
        }
    }
}
