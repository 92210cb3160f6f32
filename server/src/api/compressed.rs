//! Answers are sent as gzip or brotli to whoever says that it reads them.
//!
//! Not what is small, nor events, which have to arrive when they happen; and not a part of an output, whose range counts
//! its own bytes. An ETag says which bytes were sent, so that of a compressed answer is a weak one (RFC 9110, section
//! 8.8.3); `If-Match` takes both, because both name the version.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, NotForContentType, Predicate as _, SizeAbove};

/// What is smaller is sent as it is, in bytes.
const WORTH_IT: u16 = 1_024;

/// Half of brotli's scale and of gzip's: more costs time and saves little.
const LEVEL: i32 = 5;

type Worth = And<And<SizeAbove, NotForContentType>, NotForContentType>;

/// The layer that does it.
pub(super) fn layer() -> CompressionLayer<Worth> {
    let worth = SizeAbove::new(WORTH_IT)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("application/wasm"));
    CompressionLayer::new()
        .quality(CompressionLevel::Precise(LEVEL))
        .compress_when(worth)
}

/// Weakens the ETag of what was compressed.
pub(super) async fn weaken(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.contains_key(header::CONTENT_ENCODING) {
        let strong = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let strong = strong.filter(|tag| tag.starts_with('"'));
        let weak = strong.and_then(|tag| HeaderValue::try_from(format!("W/{tag}")).ok());
        if let Some(weak) = weak {
            headers.insert(header::ETAG, weak);
        }
    }
    response
}
