//! What each request must be allowed: the caller's role, and how far it reaches.
//!
//! Scheduling shell commands over a network is remote execution by design, so nothing is open by default. A route says
//! what it [`Needs`]. A caller who is limited to some jobs is refused where everything is meant; where one job or run is
//! meant, the extractor of its name or id refuses; and lists show the caller's part.
//!
//! A browser sends its cookie with whatever any page makes it ask for. So a request with a session's cookie that would
//! change something also has to say a word that was told to the page in which somebody signed in, once, and that whoever has
//! come by the cookie cannot find out (a CSRF token).

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
pub use sandclock_core::access::Role;
use sandclock_core::access::SignIn;
use sandclock_core::job::JobName;

use super::foreign::is_foreign;
use super::pace::{self, Asker};
use super::problem::Problem;
use super::{Api, sign_in};
use crate::access::{Caller, Denied, is_csrf};
use crate::front::Peer;

/// Where a request says its session's CSRF token.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One job, one of its runs, or what callers of some jobs may see as far as it is theirs.
    Jobs,
    /// Everything.
    Fleet,
}

impl Scope {
    /// As the API's document says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Fleet => "fleet",
        }
    }
}

/// What a caller must be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// At least this.
    pub role: Role,
    /// For this.
    pub scope: Scope,
}

impl Caller {
    /// Refuses a caller who is not for this job.
    ///
    /// # Errors
    /// Names the token and what it is for.
    pub fn check(&self, job: &JobName) -> Result<(), Problem> {
        if self.grant.covers(job) {
            return Ok(());
        }
        Err(self.beyond(&format!("job {job} is not among them")))
    }

    fn said(&self) -> String {
        let what = if self.id.is_some() { "token " } else { "" };
        format!("{what}{:?}", self.name)
    }

    fn beyond(&self, what: &str) -> Problem {
        Problem::forbidden(format!(
            "{} is for jobs whose names begin with {}: {what}",
            self.said(),
            self.grant.prefixes.join(" or ")
        ))
    }

    fn meets(&self, needs: Needs) -> Result<(), Problem> {
        if self.grant.role < needs.role {
            return Err(Problem::forbidden(format!(
                "{} has the role {}; {} is needed",
                self.said(),
                self.grant.role,
                needs.role
            )));
        }
        if needs.scope == Scope::Fleet && self.grant.is_limited() {
            return Err(self.beyond("this is about more than them"));
        }
        Ok(())
    }
}

/// Who asks, as [`require`] has found it out.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Behind a door that nobody guards, nobody is let in.
        caller.ok_or_else(|| Problem::unauthorized("nobody has looked at the token"))
    }
}

/// Lets a request pass whose caller meets the needs; who it is travels with it.
pub async fn require(
    State((api, needs)): State<(Api, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&api, needs, &parts).await {
        Err(problem) => problem.into_response(),
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
    }
}

/// The address that a request came from; behind a proxy, what that says.
pub(super) fn origin(api: &Api, parts: &Parts) -> IpAddr {
    let proxied = api.behind_proxy.then(|| forwarded(&parts.headers));
    let said = proxied.flatten().and_then(|said| said.parse().ok());
    let peer = parts.extensions.get::<Peer>();
    let peer = || peer.map(|Peer(address)| address.ip());
    said.or_else(peer)
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The address that the proxy in front says the request came from: the last one, which is its own word.
fn forwarded(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = all.to_str().ok()?.rsplit(',').next()?.trim();
    Some(last).filter(|last| !last.is_empty())
}

/// Whose request it is, if the caller meets the needs.
async fn admit(api: &Api, needs: Needs, parts: &Parts) -> Result<Caller, Problem> {
    let caller = authenticate(api, parts).await?;
    caller.meets(needs)?;
    Ok(caller)
}

/// The same for routes that change things whatever the method is: a cookie is nothing there.
pub(super) async fn admit_token(api: &Api, needs: Needs, parts: &Parts) -> Result<Caller, Problem> {
    let who = match parts.headers.get(header::AUTHORIZATION) {
        Some(header) => by_token(api, parts, header).await,
        None => Err(nobody()),
    };
    let caller = counted(api, parts, who)?;
    caller.meets(needs)?;
    Ok(caller)
}

/// A route that does not exist answers 404 only to those who may know.
pub async fn unknown_route(State(api): State<Api>, request: Request) -> Problem {
    let (parts, _) = request.into_parts();
    match authenticate(&api, &parts).await {
        Err(problem) => problem,
        Ok(_) => Problem::no_route(parts.uri.path()),
    }
}

/// Whose request it is, if that caller has not asked too much.
async fn authenticate(api: &Api, parts: &Parts) -> Result<Caller, Problem> {
    counted(api, parts, recognise(api, parts).await)
}

/// The same of one who is recognised, or is not.
fn counted(api: &Api, parts: &Parts, who: Result<Caller, Problem>) -> Result<Caller, Problem> {
    let asker = match &who {
        Ok(Caller {
            session: Some(id), ..
        }) => Asker::Session(id.clone()),
        Ok(Caller { id: Some(id), .. }) => Asker::Token(id.clone()),
        // This process itself.
        Ok(_) => return who,
        Err(_) => Asker::at(origin(api, parts)),
    };
    if !pace::is_stream(parts) {
        api.pace.count(&asker).map_err(Problem::too_fast)?;
    }
    who
}

async fn recognise(api: &Api, parts: &Parts) -> Result<Caller, Problem> {
    if let Some(header) = parts.headers.get(header::AUTHORIZATION) {
        return by_token(api, parts, header).await;
    }
    match sign_in::session(api, &parts.headers) {
        Some(secret) => by_session(api, parts, &secret).await,
        None => Err(nobody()),
    }
}

fn nobody() -> Problem {
    Problem::unauthorized("send the header \"Authorization: Bearer <token>\"")
}

async fn by_token(api: &Api, parts: &Parts, header: &HeaderValue) -> Result<Caller, Problem> {
    let token = header
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            Problem::unauthorized("the header must be \"Authorization: Bearer <token>\"")
        })?;
    let admitted = api.gate.admit(token, origin(api, parts)).await;
    admitted.map_err(refused)
}

async fn by_session(api: &Api, parts: &Parts, secret: &str) -> Result<Caller, Problem> {
    let (caller, kept) = api.gate.admit_session(secret).await.map_err(refused)?;
    if !parts.method.is_safe() {
        check_source(&parts.headers, &kept)?;
    }
    Ok(caller)
}

/// Whether a page of ours sends this, as far as can be told.
fn check_source(headers: &HeaderMap, kept: &SignIn) -> Result<(), Problem> {
    if is_foreign(headers) {
        return Err(Problem::foreign("it comes from the page of another site"));
    }
    match headers.contains_key(CSRF) {
        false => Err(Problem::foreign("it has no CSRF token")),
        true if !says_csrf(headers, kept) => {
            Err(Problem::foreign("its CSRF token is another session's"))
        }
        true => Ok(()),
    }
}

/// Whether a request says its session's CSRF token.
pub(super) fn says_csrf(headers: &HeaderMap, kept: &SignIn) -> bool {
    let said = headers.get(CSRF).and_then(|value| value.to_str().ok());
    said.is_some_and(|said| is_csrf(kept, said))
}

/// What somebody is told who is not let in.
pub(super) fn refused(denied: Denied) -> Problem {
    match denied {
        Denied::Unknown => Problem::unauthorized("this token is not known here"),
        Denied::Expired(name, at) => {
            Problem::unauthorized(format!("token {name:?} has expired at {at}"))
        }
        Denied::Ended => Problem::unauthorized("this session has ended: sign in again"),
        Denied::Throttled(wait) => Problem::too_many(wait),
        Denied::Away(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_proxy_says_where_a_request_came_from() {
        let headers = |lines: &[&str]| {
            let line = |line: &&str| {
                let name = axum::http::HeaderName::from_static("x-forwarded-for");
                (name, line.parse().unwrap())
            };
            HeaderMap::from_iter(lines.iter().map(line))
        };
        assert_eq!(forwarded(&headers(&[])), None);
        assert_eq!(forwarded(&headers(&[""])), None);
        let said = headers(&["10.0.0.1", "198.51.100.1, 192.0.2.7"]);
        assert_eq!(forwarded(&said), Some("192.0.2.7"));
    }
}
