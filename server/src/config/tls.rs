//! `[tls]`: what the listeners of this process show to their clients, and ask of them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::document::FieldError;

/// `[tls]`: files in PEM. Without any, listeners speak plain HTTP.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// Our certificate, and behind it those that lead to its authority.
    pub certificate: Option<PathBuf>,
    /// Its key, which others than owner and group may not read.
    pub key: Option<PathBuf>,
    /// The authorities that vouch for clients: who shows no certificate of theirs is not let in.
    pub client_ca: Option<PathBuf>,
}

/// The files, where there is TLS.
#[derive(Clone, Copy, Debug)]
pub struct TlsFiles<'a> {
    /// The certificate and its chain.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
    /// The authorities of clients.
    pub client_ca: Option<&'a Path>,
}

impl TlsSection {
    /// The files; `None` is plain HTTP.
    pub fn files(&self) -> Option<TlsFiles<'_>> {
        Some(TlsFiles {
            certificate: self.certificate.as_deref()?,
            key: self.key.as_deref()?,
            client_ca: self.client_ca.as_deref(),
        })
    }

    /// Refuses half of what TLS needs.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        let missing = match (&self.certificate, &self.key, &self.client_ca) {
            (Some(_), Some(_), _) | (None, None, None) => return Ok(()),
            (None, ..) => "tls.certificate",
            (Some(_), None, _) => "tls.key",
        };
        let accepted = "a file in PEM: [tls] needs certificate and key together";
        Err(FieldError::new(missing, "nothing", accepted))
    }
}
