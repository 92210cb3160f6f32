//! A browser without a screen: what a person's browser holds and sends, each header by hand.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::product::Product;

/// A session, as the browser that has it knows it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// As it is sent.
    pub(super) cookie: String,
    pub(super) csrf: String,
    /// What was said of it.
    pub(super) said: Value,
    /// How the cookie was set.
    pub(super) set: String,
}

/// The cookie of this name that an answer sets, as it is sent, and the whole line.
pub(super) fn cookie(answer: &Response, name: &str) -> Option<(String, String)> {
    let lines = answer.headers().get_all("set-cookie").into_iter();
    let mut lines = lines.map(|line| line.to_str().unwrap().to_owned());
    let line = lines.find(|line| line.starts_with(&format!("{name}=")))?;
    let sent = line.split(';').next().unwrap().to_owned();
    Some((sent, line))
}

/// Tries to sign in with a token.
pub(super) async fn try_token(product: &Product, token: &str) -> Response {
    let asked = product.bare(Method::POST, "/api/v1/session");
    asked.json(&json!({ "token": token })).send().await.unwrap()
}

impl Session {
    /// Signs in with a token.
    pub(super) async fn begin(product: &Product, token: &str) -> Self {
        let answer = try_token(product, token).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let found = cookie(&answer, "sandclock-session")
            .or_else(|| cookie(&answer, "__Host-sandclock-session"));
        let (cookie, set) = found.unwrap();
        let said: Value = answer.json().await.unwrap();
        let csrf = said["csrf_token"].as_str().unwrap().to_owned();
        Self {
            cookie,
            csrf,
            said,
            set,
        }
    }

    /// The secret in the cookie.
    pub(super) fn secret(&self) -> &str {
        self.cookie.split_once('=').unwrap().1
    }

    /// A request with the cookie alone, below `/api/v1`.
    pub(super) fn bare(&self, product: &Product, method: Method, path: &str) -> RequestBuilder {
        let asked = product.bare(method, &format!("/api/v1{path}"));
        asked.header("cookie", &self.cookie)
    }

    /// A request as the console sends it.
    pub(super) fn request(&self, product: &Product, method: Method, path: &str) -> RequestBuilder {
        let asked = self.bare(product, method, path);
        asked.header("x-csrf-token", &self.csrf)
    }

    /// What it may see of itself.
    pub(super) async fn status(&self, product: &Product) -> StatusCode {
        let asked = self.bare(product, Method::GET, "/session");
        asked.send().await.unwrap().status()
    }
}
