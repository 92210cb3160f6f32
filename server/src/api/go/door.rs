//! Who may use the routes of a Go master, and for how long.
//!
//! A Go master lets everybody in, other sites' pages included: a form on any page could save a job. Browsers say
//! where a request comes from; what comes from elsewhere is refused. Programs say nothing of the kind and pass.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sandclock_core::access::{Grant, Role};
use tokio::time::timeout;

use super::super::auth::{self, Needs};
use super::super::foreign::is_foreign;
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
    let who = match auth::admit_token(&go.api, needs, &parts).await {
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
        session: None,
        name: format!("{from}, not signed in"),
        grant: Grant::unlimited(Role::Editor),
    }
}
