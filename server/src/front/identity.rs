//! What a listener shows and asks: read from files as a whole, and judged before it is used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sandclock_core::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::TlsFiles;
use crate::private_file;

/// The longest file of certificates that is read, in bytes.
const MAX_CERTIFICATES_BYTES: u64 = 1 << 20;

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Places {
    pub(super) fn of(files: TlsFiles<'_>) -> Self {
        Self {
            certificate: files.certificate.to_owned(),
            key: files.key.to_owned(),
            client_ca: files.client_ca.map(Path::to_owned),
        }
    }

    /// The content of all of them, or which one cannot be read and why.
    pub(super) fn read(&self) -> Result<Content, String> {
        let key = private_file::read(&self.key);
        let key = key.map_err(|error| format!("tls.key: {error:#}"))?;
        let certificate = certificates("tls.certificate", &self.certificate)?;
        let client_ca = self.client_ca.as_deref();
        let client_ca = client_ca.map(|path| certificates("tls.client_ca", path));
        Ok(Content {
            certificate,
            key,
            client_ca: client_ca.transpose()?,
        })
    }

    /// What the content is good for.
    ///
    /// # Errors
    /// Names the field whose content is of no use, and why.
    pub(super) fn identity(&self, content: &Content) -> anyhow::Result<Identity> {
        let field = |name: &str, path: &Path| format!("tls.{name} {}", path.display());
        let of_certificate = || field("certificate", &self.certificate);
        let own = chain(&content.certificate).with_context(of_certificate)?;
        let valid = validity(&own).with_context(of_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&content.key);
        let key = key.with_context(|| field("key", &self.key))?;
        let config = ServerConfig::builder();
        let config = match (&content.client_ca, &self.client_ca) {
            (Some(authorities), Some(path)) => {
                let of_authorities = || field("client_ca", path);
                let mut roots = RootCertStore::empty();
                for authority in chain(authorities).with_context(of_authorities)? {
                    roots.add(authority).with_context(of_authorities)?;
                }
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
                config.with_client_cert_verifier(verifier.with_context(of_authorities)?)
            }
            _ => config.with_no_client_auth(),
        };
        let paired = config
            .with_single_cert(own, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    anyhow!("the key does not belong to the certificate")
                }
                other => other.into(),
            });
        let mut config = paired.with_context(|| {
            format!(
                "tls.certificate {} with tls.key {}",
                self.certificate.display(),
                self.key.display()
            )
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Identity {
            config: Arc::new(config),
            valid,
        })
    }
}

fn certificates(field: &str, path: &Path) -> Result<Vec<u8>, String> {
    let read = || {
        let length = fs::metadata(path)?.len();
        if length > MAX_CERTIFICATES_BYTES {
            return Err(io::Error::other(format!(
                "it has more than {MAX_CERTIFICATES_BYTES} bytes"
            )));
        }
        fs::read(path)
    };
    read().map_err(|error| format!("{field}: read {}: {error}", path.display()))
}

/// What the files hold. One of them is a key, so none shows itself.
#[derive(PartialEq, Eq)]
pub(super) struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Between which moments a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// What a listener shows and asks.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    pub(super) valid: Validity,
}

fn chain(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if found.is_empty() {
        bail!("it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
    }
    Ok(found)
}

/// Of the first one, which is ours.
fn validity(chain: &[CertificateDer<'_>]) -> anyhow::Result<Validity> {
    let own = chain.first().context("it is empty")?;
    let own = Certificate::from_der(own).context("it holds no X.509 certificate")?;
    let validity = own.tbs_certificate().validity();
    let at = |time: x509_cert::time::Time| {
        let since = time.to_unix_duration().as_millis();
        Timestamp::from_millis(i64::try_from(since).unwrap_or(i64::MAX))
    };
    Ok(Validity {
        from: at(validity.not_before),
        until: at(validity.not_after),
    })
}
