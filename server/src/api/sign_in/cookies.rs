//! The two cookies: of a session, and of a try to sign in at the provider.
//!
//! Where browsers come by TLS, their names begin with `__Host-`, so that no other host and nothing without TLS can set
//! them (RFC 6265bis, section 4.1.3.2). No script reads them, and pages of other sites send them only by following a
//! link (`SameSite=Lax`), as the provider does.

use axum::http::{HeaderMap, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::access::Begun;

/// How long a try to sign in may take, in seconds.
const FLOW_S: u64 = 600;

/// How cookies are called and what is said of them.
#[derive(Clone, Copy, Debug)]
pub struct Cookies {
    has_tls: bool,
}

impl Cookies {
    /// For browsers that come by TLS, or on this host alone.
    pub fn new(has_tls: bool) -> Self {
        Self { has_tls }
    }

    fn name(self, of: &str) -> String {
        let prefix = if self.has_tls { "__Host-" } else { "" };
        format!("{prefix}sandclock-{of}")
    }

    fn set(self, of: &str, value: &str, seconds: u64) -> String {
        let secure = if self.has_tls { "; Secure" } else { "" };
        let name = self.name(of);
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }

    /// What sets the cookie of a session.
    pub(crate) fn of_session(self, begun: &Begun) -> String {
        let life = begun.kept.expires_at.since(begun.kept.created_at);
        self.set("session", &begun.secret, life.as_secs())
    }

    /// What takes it away.
    pub(crate) fn no_session(self) -> String {
        self.set("session", "", 0)
    }

    /// The secret of a request's session.
    pub(crate) fn session(self, headers: &HeaderMap) -> Option<String> {
        self.get("session", headers)
    }

    /// What sets the cookie of a try to sign in, with the way back.
    pub(super) fn of_flow(self, secret: &str, back: &str) -> String {
        let back = utf8_percent_encode(back, NON_ALPHANUMERIC);
        self.set("flow", &format!("{secret}.{back}"), FLOW_S)
    }

    /// What takes it away.
    pub(super) fn no_flow(self) -> String {
        self.set("flow", "", 0)
    }

    /// The secret of a try to sign in, with the way back.
    pub(super) fn flow(self, headers: &HeaderMap) -> Option<(String, String)> {
        let value = self.get("flow", headers)?;
        let (secret, back) = value.split_once('.')?;
        let back = percent_decode_str(back).decode_utf8().ok()?;
        let is_secret = secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_secret.then(|| (secret.to_owned(), back.into_owned()))
    }

    /// The value of a cookie; none if there are two of it, of which nobody can say which is ours.
    fn get(self, of: &str, headers: &HeaderMap) -> Option<String> {
        let name = self.name(of);
        let lines = headers.get_all(header::COOKIE).into_iter();
        let pairs = lines.filter_map(|line| line.to_str().ok());
        let pairs = pairs.flat_map(|line| line.split(';'));
        let mut own = pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(key, value)| *key == name && !value.is_empty());
        let value = own.next().map(|(_, value)| value.to_owned());
        value.filter(|_| own.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    #[test]
    fn a_cookie_is_read_by_its_whole_name() {
        let (plain, tls) = (Cookies::new(false), Cookies::new(true));
        let of = |cookies: Cookies, line: &str| cookies.session(&sent(line));
        assert_eq!(of(plain, "a=b; sandclock-session=x"), Some("x".to_owned()));
        assert_eq!(
            of(tls, "__Host-sandclock-session=x;sandclock-session=y"),
            Some("x".to_owned())
        );
        assert_eq!(of(tls, "sandclock-session=x"), None);
        assert_eq!(of(plain, "sandclock-session="), None);
        assert_eq!(of(plain, "sandclock-session=x; sandclock-session=y"), None);
    }

    #[test]
    fn a_flow_has_its_way_back() {
        let secret = "ab".repeat(32);
        let line = Cookies::new(true).of_flow(&secret, "/a?b=c;d");
        assert!(line.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{line}");
        let cookie = line.split("; ").next().unwrap();
        let read = Cookies::new(true).flow(&sent(cookie));
        assert_eq!(read, Some((secret, "/a?b=c;d".to_owned())));
    }
}
