//! Whether the page of another site sends a request.
//!
//! Browsers say where a request comes from. Programs say nothing of the kind.

use axum::http::{HeaderMap, header};

/// Whether a browser says that a page of another site sends this. Over plain HTTP it says only which site's page
/// that is; a proxy may have put another name into `Host`.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
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
