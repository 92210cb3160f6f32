//! The console's static files: one page with which people sign in, see the jobs, run one, and read what it printed.
//!
//! They need no token because they hold no data; the script asks the API for it, with the session's cookie. What it
//! shows is set as text, never as markup. The headers forbid what the page does not use, above all any script that is
//! not in a file of its own.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::api::Api;
use crate::api::openapi::Served;

/// The routes of the console. The page of the API's document is one of its files: it says what is public.
pub fn router(api: &Api, document: &Arc<Served>) -> Router<Api> {
    let page = document.page();
    let index = index(api.provider.is_some());
    Router::new()
        .route("/", get(async move || with_script(Html(index))))
        .route("/console.css", get(style))
        .route("/console.js", get(script))
        .route("/api/docs", get(async move || with_policy(Html(page))))
}

/// A page without script.
pub(crate) fn with_policy(page: impl IntoResponse) -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], page)
}

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

fn with_script(page: impl IntoResponse) -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, SCRIPT_POLICY)], page)
}

const SCRIPT_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; \
                             img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page; with a link to the provider where there is one.
fn index(has_provider: bool) -> String {
    let provider = match has_provider {
        true => r#"<p><a id="provider" href="/auth/login">Sign in with the provider</a></p>"#,
        false => "",
    };
    let page = include_str!("../console/index.html");
    page.replace("{version}", crate::VERSION)
        .replace("{provider}", provider)
}

async fn style() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    with_policy((kind, include_str!("../console/console.css")))
}

async fn script() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    with_policy((kind, include_str!("../console/console.js")))
}
