//! Who may use the routes of a Go master, and for how long.
//!
//! A Go master lets everybody in, other sites' pages included: a form on any page could save a job. Browsers say
//! where a request comes from; what comes from elsewhere is refused. Programs say nothing of the kind and pass.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sandclock_core::access::{Grant, Role};
use tokio::time::timeout;

use super::super::auth::{self, Needs};
use super::Go;
use super::answer::Refusal;
use crate::access::Caller;
use crate::front::Peer;
use crate::request::Request as Current;

/// How much longer an answer is waited for that waits for no store.
const GRACE: Duration = Duration::from_secs(1);

/// Lets a request pass that comes from no other site and has a token of the role, if one is asked for; and ends
/// it when its time is over.
pub(super) async fn pass(
    State((go, needs)): State<(Go, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    if is_foreign(request.headers()) {
        let why =
            "this request comes from the page of another site, which may not use these routes";
        return Refusal(why.to_owned()).with_status(StatusCode::FORBIDDEN);
    }
    let within = go.master.write_timeout;
    if let Some(current) = Current::current() {
        current.ends_within(within);
    }
    let (mut parts, body) = request.into_parts();
    let who = match auth::admit(&go.api, needs, &parts).await {
        Ok(who) => who,
        Err(problem) if go.master.open && !problem.is_too_fast() => anybody(&parts),
        Err(problem) => {
            let status = problem.status();
            return Refusal::from(problem).with_status(status);
        }
    };
    parts.extensions.insert(who);
    let request = Request::from_parts(parts, body);
    // The stores' calls end before, and say which store it was.
    match timeout(within + GRACE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal(format!(
            "etcd or MongoDB did not answer within {} ms: what was to be changed may have been changed or not",
            within.as_millis()
        ))
        .into_response(),
    }
}

/// Who it is in records, where nobody has to say.
fn anybody(parts: &Parts) -> Caller {
    let from = match parts.extensions.get::<Peer>() {
        Some(Peer(address)) => address.ip().to_string(),
        None => "somebody".to_owned(),
    };
    Caller {
        id: None,
        name: format!("{from}, not signed in"),
        grant: Grant::unlimited(Role::Editor),
    }
}

/// Whether a browser says that a page of another site sends this. Over plain HTTP it says only which site's page
/// that is; a proxy may have put another name into `Host`.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &header::HeaderValue| value.to_str().unwrap_or_default())
    };
    match (
        text(header::HeaderName::from_static("sec-fetch-site")),
        text(header::ORIGIN),
    ) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, None) => false,
        (None, Some(origin)) => {
            let site = origin.split_once("://").map(|(_, site)| site);
            let forwarded = header::HeaderName::from_static("x-forwarded-host");
            let own = [text(header::HOST), text(forwarded)];
            !site.is_some_and(|site| {
                own.iter()
                    .flatten()
                    .any(|own| own.eq_ignore_ascii_case(site))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_sites_page_sends_is_told() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let header = |(name, value): &(&'static str, &'static str)| {
                (
                    header::HeaderName::from_static(name),
                    header::HeaderValue::from_static(value),
                )
            };
            pairs.iter().map(header).collect()
        };
        let host = ("host", "cron.example:8070");
        for own in [
            &[host][..],
            &[host, ("origin", "http://cron.example:8070")],
            &[host, ("origin", "https://Cron.Example:8070")],
            &[host, ("sec-fetch-site", "none")],
            &[
                ("host", "masters"),
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://cron.example"),
            ],
            &[
                ("host", "masters"),
                ("x-forwarded-host", "cron.example"),
                ("origin", "https://cron.example"),
            ],
        ] {
            assert!(!is_foreign(&headers(own)), "{own:?}");
        }
        for foreign in [
            &[host, ("origin", "http://evil.example")][..],
            &[host, ("origin", "http://cron.example")],
            &[host, ("origin", "null")],
            &[host, ("origin", "")],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site")],
            &[("origin", "http://cron.example:8070")],
        ] {
            assert!(is_foreign(&headers(foreign)), "{foreign:?}");
        }
    }
}
