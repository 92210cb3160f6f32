//! The console's static files: for now one plain page that says what is here and how to reach it.
//!
//! It needs no token because it holds nothing: no data, no script. The headers forbid what it does not
//! use, so that nothing can be smuggled in.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::api::Api;
use crate::api::openapi::Served;

/// The routes of the console. The page of the API's document is one of its files: it says what is public.
pub fn router(document: &Arc<Served>) -> Router<Api> {
    let page = document.page();
    Router::new()
        .route("/", get(index))
        .route("/console.css", get(style))
        .route("/api/docs", get(async move || with_policy(Html(page))))
}

fn with_policy(page: impl IntoResponse) -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], page)
}

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

async fn index() -> impl IntoResponse {
    let page = include_str!("../console/index.html").replace("{version}", crate::VERSION);
    with_policy(Html(page))
}

async fn style() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    with_policy((kind, include_str!("../console/console.css")))
}
