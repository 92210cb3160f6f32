//! What each request has: an id, which its answer and its log lines carry, and a time in which it is answered.
//!
//! A stream has it until its first byte.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use super::problem::Problem;
use crate::request::Request as Current;

/// The header of requests and answers with the id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a client that is kept, in bytes.
const MAX_ID_BYTES: usize = 128;

/// Carries a request to its answer.
pub async fn carry(request: Request, next: Next) -> Response {
    let id = id_of(&request);
    let name = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("request", id = name);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let current = Current::new(name, reads);
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
    response
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
