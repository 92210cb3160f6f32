//! Traces: from a tick, or the request for a run, to the alert about it, as spans that are sent by OTLP over HTTP.
//!
//! Spans are made where contracts meet: around the stores, the hooks and the executor ([`ports`]), of requests to the API
//! and of deliveries. Without `telemetry.otlp_endpoint` there is nothing around any of them. A span tells names, states
//! and numbers: no command, no output, no cause, no header and no value of a variable, so that there is no secret in it.
//! What a receiver does not take is dropped; nothing waits for it.

mod client;
mod context;
mod counted;
mod ports;
mod stores;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};
use sandclock_core::Timestamp;
use sandclock_core::backend::{Alert, Coordination, Records};
use sandclock_core::ports::{Executor, Hooks};
use sandclock_core::run::RunId;
use sandclock_core::time::Clock as _;
use tokio::time::Instant;

use crate::clock::SystemClock;
use crate::config::TelemetrySection;

use counted::{Counted, MOST_WAITING, Spans};
use ports::{TracedExecutor, TracedHooks};
use stores::{TracedFires, TracedSink};

pub use context::{RunTrace, TraceParent};

/// How long the receiver may take for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often what waits is sent.
const EVERY: Duration = Duration::from_secs(2);

/// How long the end of the process waits for the last spans.
const LAST_WORD: Duration = Duration::from_secs(3);

/// Where spans go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
    spans: Arc<Spans>,
}

/// A span that has begun. Nothing is told of one that is not ended.
#[derive(Debug)]
pub struct Begun {
    name: &'static str,
    kind: SpanKind,
    /// Its own place.
    place: TraceParent,
    /// What it stands below.
    below: Option<u64>,
    at: Timestamp,
    since: Instant,
}

impl Begun {
    /// Its own place, for what stands below it.
    pub fn place(&self) -> TraceParent {
        self.place
    }
}

impl Telemetry {
    /// To the receiver of this configuration; `None` without one. `role` is what the process is, `name` which.
    ///
    /// Must be called on the runtime that the requests shall be made on.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn start(
        section: &TelemetrySection,
        role: &str,
        name: &str,
    ) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &section.otlp_endpoint else {
            return Ok(None);
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client::OwnClient::new(section.headers()?, PATIENCE)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .context("telemetry.otlp_endpoint")?;
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MOST_WAITING)
            .with_scheduled_delay(EVERY)
            .build();
        let spans = Arc::<Spans>::default();
        let exporter = Counted {
            inner: exporter,
            spans: Arc::clone(&spans),
        };
        let mut processor = BatchSpanProcessor::new(exporter, config);
        processor.set_resource(
            &Resource::builder_empty()
                .with_service_name("sandclock")
                .with_attributes([
                    KeyValue::new("service.version", crate::LONG_VERSION),
                    KeyValue::new("service.instance.id", name.to_owned()),
                    KeyValue::new("sandclock.role", role.to_owned()),
                ])
                .build(),
        );
        Ok(Some(Self {
            processor: Arc::new(processor),
            scope: InstrumentationScope::builder("sandclock").build(),
            spans,
        }))
    }

    /// Begins a span below this place.
    pub fn begin(&self, name: &'static str, kind: SpanKind, below: TraceParent) -> Begun {
        let place = TraceParent {
            span: random_id(),
            ..below
        };
        Self::begin_as(name, kind, place, Some(below.span))
    }

    /// Begins a span below what asked for it, or a trace of its own.
    pub fn begin_asked(
        &self,
        name: &'static str,
        kind: SpanKind,
        asked: Option<TraceParent>,
    ) -> Begun {
        match asked {
            Some(asked) => self.begin(name, kind, asked),
            None => {
                let trace = u128::from(random_id()) << 64 | u128::from(random_id());
                let place = TraceParent {
                    trace,
                    span: random_id(),
                    sampled: true,
                };
                Self::begin_as(name, kind, place, None)
            }
        }
    }

    /// Begins a span that has this place.
    fn begin_as(
        name: &'static str,
        kind: SpanKind,
        place: TraceParent,
        below: Option<u64>,
    ) -> Begun {
        Begun {
            name,
            kind,
            place,
            below,
            at: SystemClock.now(),
            since: Instant::now(),
        }
    }

    /// Ends a span now. `wrong` is what failed, in words that tell nothing of the job.
    pub fn end(&self, begun: Begun, attributes: Vec<KeyValue>, wrong: Option<&'static str>) {
        let start = system(begun.at);
        let times = (start, start + begun.since.elapsed());
        self.tell(begun, times, attributes, wrong);
    }

    fn tell(
        &self,
        begun: Begun,
        (start_time, end_time): (SystemTime, SystemTime),
        attributes: Vec<KeyValue>,
        wrong: Option<&'static str>,
    ) {
        if !begun.place.sampled || !self.spans.admit() {
            return;
        }
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(begun.place.trace.to_be_bytes()),
                SpanId::from_bytes(begun.place.span.to_be_bytes()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: begun.below.map_or(SpanId::INVALID, |span| {
                SpanId::from_bytes(span.to_be_bytes())
            }),
            parent_span_is_remote: false,
            span_kind: begun.kind,
            name: begun.name.into(),
            start_time,
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: wrong.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Begins a try to deliver an alert about this run.
    pub fn begin_delivery(&self, run: &RunId) -> Begun {
        self.begin("deliver alert", SpanKind::Producer, RunTrace::of_id(run))
    }

    /// Ends it.
    pub fn end_delivery(&self, begun: Begun, alert: &Alert, delivered: bool) {
        let mut attributes = of_run(&alert.run, alert.job.as_str());
        attributes.extend([
            KeyValue::new("sandclock.alert", alert.id.to_string()),
            KeyValue::new("sandclock.target", alert.draft.target.clone()),
            KeyValue::new("sandclock.try", i64::from(alert.tries.saturating_add(1))),
        ]);
        let wrong = (!delivered).then_some("the target did not take it");
        self.end(begun, attributes, wrong);
    }

    /// What the scheduler works with, told of.
    pub fn around(
        &self,
        hooks: Arc<dyn Hooks>,
        executor: Arc<dyn Executor>,
    ) -> (Arc<dyn Hooks>, Arc<dyn Executor>) {
        let hooks = TracedHooks {
            inner: hooks,
            telemetry: self.clone(),
        };
        let executor = TracedExecutor {
            inner: executor,
            telemetry: self.clone(),
        };
        (Arc::new(hooks), Arc::new(executor))
    }

    /// The same of its stores.
    pub fn around_stores(&self, coordination: &mut Coordination, records: &mut Records) {
        coordination.fires = Arc::new(TracedFires {
            inner: Arc::clone(&coordination.fires),
            telemetry: self.clone(),
        });
        records.sink = Arc::new(TracedSink {
            inner: Arc::clone(&records.sink),
            telemetry: self.clone(),
        });
    }

    /// How many spans were sent, or dropped and why.
    pub fn spans(&self) -> [(&'static str, u64); 3] {
        self.spans.all()
    }

    /// Sends what waits, for as long as the end of a process may take. Blocks: for a thread of its own.
    pub fn stop(&self) {
        let _ = self.processor.shutdown_with_timeout(LAST_WORD);
    }
}

/// What names a run in a span.
fn of_run(run: &RunId, job: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("sandclock.run", run.to_string()),
        KeyValue::new("sandclock.job", job.to_owned()),
    ]
}

fn system(at: Timestamp) -> SystemTime {
    let millis = u64::try_from(at.as_millis()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

/// Never 0.
fn random_id() -> u64 {
    let text = crate::random::token_hex(8);
    u64::from_str_radix(&text, 16).unwrap_or_default().max(1)
}
