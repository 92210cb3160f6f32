//! Headers that the configuration adds to requests.

use reqwest::header::HeaderName;

/// What makes a message what it is on its connection (RFC 9110, sections 7.6.1, 8.6 and 10.1.1): another value would damage it.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header that may be added.
///
/// # Errors
/// What would be accepted.
pub fn header_name(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::try_from(name).map_err(|_| "the name of an HTTP header")?;
    match OF_THE_CONNECTION.contains(&name.as_str()) {
        true => Err("a header that is not of the connection, which sets this one by itself"),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_are_refused() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Connection",
            "a b",
            "",
        ] {
            assert!(header_name(name).is_err(), "{name}");
        }
        for name in ["Authorization", "X-Team", "Host"] {
            assert!(header_name(name).is_ok(), "{name}");
        }
    }
}
