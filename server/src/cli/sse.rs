//! Server-sent events, as a client reads them.

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// What it is called.
    pub(super) kind: String,
    /// What a reader that was cut off behind it says to go on there; empty if it has none.
    pub(super) id: String,
    /// What it says.
    pub(super) data: String,
}

/// Server-sent events from the bytes of a stream (WHATWG HTML, 9.2.6), as far as our server writes them.
#[derive(Debug, Default)]
pub(super) struct Events {
    rest: Vec<u8>,
    event: Event,
    data: Vec<String>,
}

impl Events {
    /// Takes the next bytes, and gives the events that they complete.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                let mut event = std::mem::take(&mut self.event);
                if !self.data.is_empty() {
                    event.data = std::mem::take(&mut self.data).join("\n");
                    events.push(event);
                }
            } else if let Some((field, value)) = line.split_once(':') {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut self.event.kind),
                    "id" => value.clone_into(&mut self.event.id),
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
    use super::{Event, Events};

    #[test]
    fn events_are_whole_however_the_bytes_are_cut() {
        let stream =
            b": hello\n\nevent: output\nid: 1-2\ndata: {\"a\":1}\n\nevent: end\ndata: x\ndata: y\n\n";
        let event = |kind: &str, id: &str, data: &str| Event {
            kind: kind.to_owned(),
            id: id.to_owned(),
            data: data.to_owned(),
        };
        let whole = vec![
            event("output", "1-2", "{\"a\":1}"),
            event("end", "", "x\ny"),
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
