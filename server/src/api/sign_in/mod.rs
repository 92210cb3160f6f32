//! How browsers sign in: the cookies that they hold, and the two pages that lead to the provider and back.
//!
//! The pages are outside of the API's document: people follow them, programs do not.

mod cookies;

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

pub use self::cookies::Cookies;
use super::Api;
use super::audited::leave_entry;
use super::auth::origin;
use super::pace::Asker;
use super::problem::Problem;
use crate::access::{Begun, Person, Purpose, fits};
use crate::console;
use crate::sign_in::{Failed, Provider};

/// The longest way back, in bytes.
const MAX_BACK_BYTES: usize = 200;

/// The routes.
pub fn router() -> Router<Api> {
    Router::new()
        .route("/auth/login", get(login))
        .route("/auth/callback", get(callback))
}

/// What a page that leads to the provider may be told.
#[derive(Debug, Default, Deserialize)]
struct Login {
    /// Where the browser is to come back to, below this server.
    back: Option<String>,
}

/// What the provider sends back (RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207).
#[derive(Debug, Default, Deserialize)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// Begins a session, and leaves an entry of it in the audit trail, without which nobody gets in.
///
/// # Errors
/// If either cannot be written.
pub(super) async fn begin(api: &Api, parts: &Parts, who: Person) -> Result<Begun, Problem> {
    let from = origin(api, parts);
    leave_entry(api, "session.create", &who, from).await?;
    Ok(api.gate.begin(who, api.sessions).await?)
}

/// Sends a browser to the provider.
async fn login(State(api): State<Api>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Some(provider) = &api.provider else {
        return unconfigured();
    };
    if let Some(wait) = waits(&api, origin(&api, &parts)) {
        return too_many(wait);
    }
    let asked = query::<Login>(&parts);
    let back = asked.back.filter(|back| is_local(back));
    let secret = crate::random::token_hex(32);
    match provider.begin(&secret).await {
        Ok(url) => {
            let cookie = api.cookies.of_flow(&secret, back.as_deref().unwrap_or("/"));
            let headers = [(header::SET_COOKIE, cookie), no_store()];
            (headers, Redirect::to(url.as_str())).into_response()
        }
        Err(failed) => unsigned(&failed),
    }
}

/// Takes up a browser that comes back from the provider.
async fn callback(State(api): State<Api>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Some(provider) = api.provider.clone() else {
        return unconfigured();
    };
    let from = origin(&api, &parts);
    if let Some(wait) = waits(&api, from) {
        return too_many(wait);
    }
    let finished = match answered(&api, &provider, &parts) {
        Ok((code, secret, back)) => {
            let finished = provider.finish(code, &secret).await;
            if let Err(Failed::Refused(_) | Failed::NoRule(_)) = finished {
                api.gate.failed_to_sign_in(from);
            }
            finished.map(|who| (who, back))
        }
        // It is nobody's guess: any page can send its readers here.
        Err(why) => Err(Failed::Refused(why.to_owned())),
    };
    let response = match finished {
        Ok((who, back)) => match begin(&api, &parts, who).await {
            Ok(begun) => {
                let cookie = api.cookies.of_session(&begun);
                let headers = [(header::SET_COOKIE, cookie), no_store()];
                (headers, Redirect::to(&landing(&begun.csrf, &back))).into_response()
            }
            Err(problem) => page(problem.status(), "Nobody was signed in", &problem.told()),
        },
        Err(failed) => unsigned(&failed),
    };
    let over = AppendHeaders([(header::SET_COOKIE, api.cookies.no_flow())]);
    (over, response).into_response()
}

/// How long this address waits that has guessed, or asks too fast.
fn waits(api: &Api, from: IpAddr) -> Option<Duration> {
    let guessed = api.gate.hears_again_in(from);
    guessed.or_else(|| api.pace.count(&Asker::at(from)).err())
}

/// Where a browser goes that is signed in: to the console's page, which keeps the session's CSRF token and leads on to where
/// the browser wanted to go. Both stand in the fragment, which browsers send to no server (RFC 9110, section 4.2.5).
fn landing(csrf: &str, back: &str) -> String {
    let on = match back {
        "/" => String::new(),
        back => format!("&back={}", utf8_percent_encode(back, NON_ALPHANUMERIC)),
    };
    format!("/#csrf={csrf}{on}")
}

/// The code that the provider has sent to this browser, with the secret of the flow and the way back; else why not.
fn answered(
    api: &Api,
    provider: &Provider,
    parts: &Parts,
) -> Result<(String, String, String), &'static str> {
    let answer = query::<Answer>(parts);
    let flow = api.cookies.flow(&parts.headers);
    let (secret, back) = flow.ok_or("this browser did not begin to sign in, or too long ago")?;
    let state = answer.state.unwrap_or_default();
    if !fits(&secret, Purpose::State, &state) {
        return Err("the answer is to another try to sign in than this browser's last");
    }
    if answer.iss.is_some_and(|issuer| !provider.is(&issuer)) {
        return Err("the answer is another provider's");
    }
    if answer.error.is_some() {
        return Err("the provider has refused");
    }
    let code = answer.code.ok_or("the provider's answer has no code")?;
    let back = Some(back).filter(|back| is_local(back));
    Ok((code, secret, back.unwrap_or_else(|| "/".to_owned())))
}

fn query<T: Default + serde::de::DeserializeOwned>(parts: &Parts) -> T {
    axum::extract::Query::try_from_uri(&parts.uri).map_or_else(|_| T::default(), |query| query.0)
}

/// Whether a browser that is sent there stays here: a path from the root, which no browser takes for another host.
fn is_local(back: &str) -> bool {
    let second = back.as_bytes().get(1);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    back.starts_with('/')
        && !matches!(second, Some(b'/' | b'\\'))
        && back.len() <= MAX_BACK_BYTES
        && back.bytes().all(is_plain)
}

/// What a person reads who is not signed in; the log says more.
fn unsigned(failed: &Failed) -> Response {
    match failed {
        Failed::Away(why) => {
            tracing::warn!(why, "the OpenID provider does not answer");
            let told = "The provider with which people sign in here does not answer. Try again in a while.";
            page(
                StatusCode::BAD_GATEWAY,
                "The provider does not answer",
                told,
            )
        }
        Failed::Refused(why) => {
            tracing::warn!(why, "somebody could not sign in");
            let told = "What came from the provider is no valid answer to this browser. Begin again; if that does \
                        not help, the server's log says why.";
            page(StatusCode::FORBIDDEN, "Nobody was signed in", told)
        }
        Failed::NoRule(name) => {
            tracing::warn!(name, "no rule lets somebody in who has signed in");
            let told = format!(
                "The provider says that this is {name}, and no rule of this server lets them in. Ask those who run it."
            );
            page(StatusCode::FORBIDDEN, "You may not come in", &told)
        }
    }
}

fn unconfigured() -> Response {
    let told =
        "This server has no provider to sign in with: its configuration has no section [oidc].";
    page(StatusCode::NOT_FOUND, "There is no provider", told)
}

fn too_many(wait: std::time::Duration) -> Response {
    let told = format!(
        "Too many tries to sign in came from this address. Try again in {} s.",
        wait.as_secs().max(1)
    );
    page(StatusCode::TOO_MANY_REQUESTS, "Too many tries", &told)
}

fn page(status: StatusCode, title: &str, told: &str) -> Response {
    let text = include_str!("../../../console/told.html");
    let text = text
        .replace("{title}", &escaped(title))
        .replace("{told}", &escaped(told));
    (status, [no_store()], console::with_policy(Html(text))).into_response()
}

/// Text in a page.
fn escaped(text: &str) -> String {
    let mut page = String::new();
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            // It would be filled in.
            '{' => page.push_str("&#123;"),
            c => page.push(c),
        }
    }
    page
}

/// Says that nobody on the way keeps an answer.
pub(super) fn no_store() -> (header::HeaderName, String) {
    (header::CACHE_CONTROL, "no-store".to_owned())
}

/// The secret of the session that a request has, if it has one.
pub(super) fn session(api: &Api, headers: &HeaderMap) -> Option<String> {
    api.cookies.session(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_stays_here() {
        for local in ["/", "/jobs/a%2Fb?x=1#y", "/a//b"] {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "evil.example",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x=y",
            " //evil.example",
            "/a\\..\\b",
        ] {
            assert!(!is_local(foreign), "{foreign:?}");
        }
        assert!(!is_local(&format!("/{}", "a".repeat(MAX_BACK_BYTES))));
    }

    #[test]
    fn text_in_a_page_is_text() {
        assert_eq!(
            escaped("<b a='\"'>&{told}"),
            "&lt;b a=&#39;&quot;&#39;&gt;&amp;&#123;told}"
        );
    }
}
