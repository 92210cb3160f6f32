//! The console's static files: for now one plain page that says what is here and how to reach it.
//!
//! It needs no token because it holds nothing: no data, no script. The headers forbid what it does not
//! use, so that nothing can be smuggled in.

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::api::Api;

/// The routes of the console.
pub fn router() -> Router<Api> {
    Router::new()
        .route("/", get(index))
        .route("/console.css", get(style))
}

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

async fn index() -> impl IntoResponse {
    let page = include_str!("../console/index.html").replace("{version}", crate::VERSION);
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page))
}

async fn style() -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, "text/css; charset=utf-8");
    (
        [kind, (header::CONTENT_SECURITY_POLICY, POLICY)],
        include_str!("../console/console.css"),
    )
}
