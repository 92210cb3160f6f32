//! A target: where it is, what goes with each request to it, and what a plugin may put behind its address.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;

use super::address::{self, Refused};

/// A target of plugins' requests.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    /// Its address, without user, query and fragment.
    pub url: Url,
    /// Headers of every request, which no plugin sees or replaces.
    pub headers: BTreeMap<String, Template>,
    /// Whether it may be at a private address.
    pub allow_private: bool,
}

impl HttpTarget {
    /// The target's address with a plugin's path behind it.
    ///
    /// # Errors
    /// If that would lead elsewhere.
    pub(super) fn at(&self, path: &str) -> Result<Url, String> {
        let denied = || "denied: the path leads out of the target's address".to_owned();
        if !path.is_empty() && !path.starts_with(['/', '?']) {
            return Err(denied());
        }
        let (base, own) = (self.url.as_str(), self.url.path());
        let base = if path.is_empty() {
            base
        } else {
            base.trim_end_matches('/')
        };
        let whole = Url::parse(&format!("{base}{path}")).map_err(|_| denied())?;
        let within = |whole: &str| {
            let rest = whole.strip_prefix(own.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_same = whole.origin() == self.url.origin()
            && whole.username().is_empty()
            && whole.password().is_none();
        // A server may decode what stands encoded, and then go up.
        let plain = whole.path().to_ascii_lowercase();
        let is_coded = ["%25", "%2e", "%2f", "%5c"]
            .iter()
            .any(|coded| plain.contains(coded));
        // Or leave away what a segment has behind a semicolon.
        let is_up = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        let goes_up = is_coded || plain.split('/').any(is_up);
        if is_same && within(whole.path()) && !goes_up {
            return Ok(whole);
        }
        Err(denied())
    }

    /// Whether a plugin's header would replace one of the operator's.
    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers
            .keys()
            .any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether the target may be where it is, if that is written out as an address.
    ///
    /// # Errors
    /// What it is that it may not.
    pub fn check_literal(&self) -> Result<(), Refused> {
        let host = self.url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        match literal.parse() {
            Ok(literal) => address::check(literal, self.allow_private),
            Err(_) => Ok(()),
        }
    }
}

/// A header's value, in which `{{secret:NAME}}` stands for the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Secret(String),
}

impl Template {
    /// Reads a value.
    ///
    /// # Errors
    /// What would be accepted.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let accepted = "text in which {{secret:NAME}} stands for a secret below plugins.secrets";
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (inner, after) = behind.split_once("}}").ok_or(accepted)?;
            let name = inner.strip_prefix("secret:").ok_or(accepted)?.trim();
            if name.is_empty() {
                return Err(accepted);
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Secret(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The names of the secrets in it.
    pub fn secrets(&self) -> BTreeSet<&str> {
        let names = self.0.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            Part::Text(_) => None,
        });
        names.collect()
    }

    /// The value, with these values of secrets in place.
    pub(super) fn filled(&self, secrets: &BTreeMap<String, String>) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Secret(name) => secrets.get(name).map_or("", String::as_str),
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> HttpTarget {
        HttpTarget {
            url: Url::parse(url).unwrap(),
            headers: BTreeMap::new(),
            allow_private: false,
        }
    }

    #[test]
    fn a_path_stays_below_the_target() {
        let api = target("https://oncall.example.org/api/v1");
        for (path, whole) in [
            ("", "https://oncall.example.org/api/v1"),
            ("/who", "https://oncall.example.org/api/v1/who"),
            ("/who/../whom", "https://oncall.example.org/api/v1/whom"),
            ("?team=data", "https://oncall.example.org/api/v1?team=data"),
            (
                "/who?of=a/../../b",
                "https://oncall.example.org/api/v1/who?of=a/../../b",
            ),
        ] {
            assert_eq!(api.at(path).as_ref().map(Url::as_str), Ok(whole), "{path}");
        }
        for path in [
            "/..",
            "/../",
            "/../v2",
            "/../v1x",
            "/%2e%2e/v2",
            "/.%2E/",
            "/..%2f..%2fadmin",
            "\\..\\..\\v2",
            "/..\\..\\x",
            "x",
            "@evil.example",
            ".evil.example/",
            ":8443/x",
            "/a/%5c..",
            "/..;/admin",
            "/a/.;x/b",
            "/%252e%252e/",
        ] {
            assert!(api.at(path).is_err(), "{path}: {:?}", api.at(path));
        }
        let root = target("https://oncall.example.org");
        for path in [
            "@evil.example",
            ".evil.example",
            ":8443",
            "\\\\evil.example",
        ] {
            let at = root.at(path);
            assert!(at.is_err(), "{path}: {at:?}");
        }
        assert_eq!(
            root.at("//evil.example/x")
                .map(|url| url.host_str().map(str::to_owned)),
            Ok(Some("oncall.example.org".to_owned()))
        );
    }

    #[test]
    fn an_address_that_is_written_out_is_checked_too() {
        for url in [
            "http://127.0.0.1:8070",
            "http://[::1]/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(target(url).check_literal().is_err(), "{url}");
        }
        assert!(target("https://1.1.1.1").check_literal().is_ok());
    }

    #[test]
    fn secrets_stand_where_they_are_named() {
        let template = Template::parse("Bearer {{secret:token}}; k={{secret: key }}").unwrap();
        assert_eq!(template.secrets(), BTreeSet::from(["key", "token"]));
        let values =
            [("token", "T"), ("key", "K")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(template.filled(&values.into()), "Bearer T; k=K");
        assert_eq!(Template::parse("plain").unwrap().secrets().len(), 0);
        for wrong in ["{{secret:a", "{{token}}", "{{secret:}}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
