//! How many spans wait, and what became of the others: a bound that is kept before the queue, and figures of what is dropped,
//! since nothing else tells of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// How many spans wait for a request, or are in one; more are dropped.
pub(super) const MOST_WAITING: usize = 8192;

/// What became of the spans of this process.
#[derive(Debug, Default)]
pub(super) struct Spans {
    waiting: AtomicUsize,
    sent: AtomicU64,
    not_taken: AtomicU64,
    no_room: AtomicU64,
}

impl Spans {
    /// Whether one more may wait. Counts it either way.
    pub(super) fn admit(&self) -> bool {
        let admitted = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < MOST_WAITING).then_some(waiting + 1)
            })
            .is_ok();
        if !admitted {
            self.no_room.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// This many are no longer waiting.
    fn leave(&self, spans: usize, taken: bool) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let figure = if taken { &self.sent } else { &self.not_taken };
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        figure.fetch_add(spans, Ordering::Relaxed);
    }

    /// Those that wait no longer, by their outcome: `sent`, `not_taken` by the receiver, or `no_room` to wait.
    pub(super) fn all(&self) -> [(&'static str, u64); 3] {
        [
            ("sent", &self.sent),
            ("not_taken", &self.not_taken),
            ("no_room", &self.no_room),
        ]
        .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }
}

/// An exporter whose batches are counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) inner: OtlpExporter,
    pub(super) spans: Arc<Spans>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.inner.export(batch).await;
        self.spans.leave(count, exported.is_ok());
        exported
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_room_comes_back() {
        let spans = Spans::default();
        assert!((0..MOST_WAITING).all(|_| spans.admit()));
        assert!(!spans.admit());
        spans.leave(2, true);
        assert!(spans.admit());
        spans.leave(1, false);
        assert_eq!(spans.all(), [("sent", 2), ("not_taken", 1), ("no_room", 1)]);
    }
}
