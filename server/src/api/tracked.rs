//! What each request has: an id, which its answer and its log lines carry, and a time in which it is answered.
//!
//! A stream has it until its first byte.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tracing::Instrument as _;

use super::problem::Problem;
use crate::request::Request as Current;
use crate::telemetry::{Begun, Telemetry, TraceParent};

/// The header of requests and answers with the id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a client that is kept, in bytes.
const MAX_ID_BYTES: usize = 128;

/// How much of a path is told, in bytes: anybody may ask for a long one.
const MAX_PATH_BYTES: usize = 512;

/// Where a client says that a request belongs (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Carries a request to its answer.
pub async fn carry(
    State(telemetry): State<Option<Telemetry>>,
    request: Request,
    next: Next,
) -> Response {
    let id = id_of(&request);
    let name = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("request", id = name);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let asked = request.headers().get(TRACEPARENT);
    let asked = asked.and_then(|value| TraceParent::read(value.to_str().ok()?));
    let told = telemetry.map(|telemetry| Told::begin(telemetry, &request, asked));
    let place = told.as_ref().map(Told::place).or(asked);
    let current = Current::new(name, reads, place);
    let given_up = std::sync::Arc::clone(&current);
    let answering = async move {
        tokio::select! {
            biased;
            response = next.run(request) => response,
            () = given_up.given_up() => {
                tracing::warn!("no answer in time");
                Problem::unanswered().into_response()
            }
        }
    };
    let mut response = current.carry(answering).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    if let Some(told) = told {
        told.end(response.status());
    }
    response
}

/// A request that is told of: by its method and path, without its query.
struct Told {
    telemetry: Telemetry,
    begun: Begun,
    method: String,
    path: String,
}

impl Told {
    fn begin(telemetry: Telemetry, request: &Request, asked: Option<TraceParent>) -> Self {
        Self {
            begun: telemetry.begin_asked("API request", SpanKind::Server, asked),
            telemetry,
            method: request.method().as_str().to_owned(),
            path: {
                let path = request.uri().path();
                let end = path.floor_char_boundary(MAX_PATH_BYTES);
                path.get(..end).unwrap_or_default().to_owned()
            },
        }
    }

    fn place(&self) -> TraceParent {
        self.begun.place()
    }

    fn end(self, status: StatusCode) {
        // Whom nobody knows and who asks too fast could fill the queue.
        if [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
            return;
        }
        let attributes = vec![
            KeyValue::new("url.path", self.path),
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
        ];
        let wrong = status.is_server_error().then_some("it was not answered");
        self.telemetry.end(self.begun, attributes, wrong);
    }
}

/// The client's own id, if it is 1 to [`MAX_ID_BYTES`] visible ASCII characters, or a new one.
fn id_of(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID);
    let given = given.filter(|id| {
        let id = id.as_bytes();
        (1..=MAX_ID_BYTES).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        let id = HeaderValue::try_from(crate::random::token_hex(8));
        id.unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn an_id_of_a_client_is_kept_if_it_can_stand_in_a_log() {
        let of = |id: &[u8]| {
            let request = Request::get("/").header(REQUEST_ID, id);
            id_of(&request.body(Body::empty()).unwrap())
        };
        for kept in [&b"a"[..], b"x_1-{}\"", &[b'z'; 128]] {
            assert_eq!(of(kept).as_bytes(), kept);
        }
        for replaced in [&b""[..], b"two words", b"\xc3\xa4", &[b'z'; 129]] {
            let made = of(replaced);
            assert_eq!(made.as_bytes().len(), 16, "{replaced:?}: {made:?}");
        }
    }
}
