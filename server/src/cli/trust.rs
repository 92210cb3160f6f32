//! Whom a client command trusts, and as whom it comes, where the server speaks TLS.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use reqwest::{Certificate, ClientBuilder, Identity};

use super::Told;
use crate::private_file;

/// A client that trusts the authorities of `ca` alone, or else those of this host, and shows `identity`.
///
/// # Errors
/// Names the file that is of no use, by its flag.
pub(super) fn certificates(
    ca: Option<&Path>,
    identity: Option<&Path>,
) -> anyhow::Result<ClientBuilder> {
    let mut http = reqwest::Client::builder();
    if let Some(path) = ca {
        let given = || format!("--ca or SANDCLOCK_CA: {}", path.display());
        let authorities = Certificate::from_pem_bundle(&fs::read(path).with_context(given)?);
        let authorities = authorities.with_context(given)?;
        if authorities.is_empty() {
            return Err(Told(format!("{} holds no certificate in PEM", given())).into());
        }
        http = http.tls_certs_only(authorities);
    }
    if let Some(path) = identity {
        let given = || format!("--identity or SANDCLOCK_IDENTITY: {}", path.display());
        let pem = private_file::read(path).with_context(given)?;
        http = http.identity(Identity::from_pem(&pem).with_context(given)?);
    }
    Ok(http)
}
