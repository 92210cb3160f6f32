//! Certificates for servers and their clients, made by openssl in a moment.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How a person gets the program.
const GET: &str = "cargo xtask tools";

/// An authority, and what it vouches for: a server on the loopback interface, and a client. And another authority
/// that vouches for nothing of these. Everything in PEM, in a folder that is removed with this.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Panics
    /// If openssl is not installed, with the command that installs it, or fails.
    pub fn make() -> Self {
        let made = Self {
            folder: TempDir::new().expect("a folder of its own"),
        };
        made.one("authority", None);
        made.one("stranger", None);
        made.one("server", Some("authority"));
        made.one("client", Some("authority"));
        for name in ["server", "client"] {
            let read = |path| std::fs::read(path).expect("it was made");
            let both = [read(made.certificate(name)), read(made.key(name))].concat();
            std::fs::write(made.both(name), both).expect("room for it");
        }
        made
    }

    /// The certificate of `authority`, `stranger`, `server` or `client`.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.path(name, "pem")
    }

    /// Its key.
    pub fn key(&self, name: &str) -> PathBuf {
        self.path(name, "key")
    }

    /// Both in one file.
    pub fn both(&self, name: &str) -> PathBuf {
        self.path(name, "both")
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.path().join(name).with_extension(extension)
    }

    /// A certificate by this authority, or by itself and then an authority.
    fn one(&self, name: &str, by: Option<&str>) {
        let extensions = match by {
            None => "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign",
            Some(_) => {
                "basicConstraints = critical, CA:FALSE\nsubjectAltName = IP:127.0.0.1, DNS:localhost\n\
                 extendedKeyUsage = serverAuth, clientAuth"
            }
        };
        let config = self.path(name, "cnf");
        let text = format!(
            "[req]\ndistinguished_name = name\nprompt = no\nx509_extensions = extensions\n\
             [name]\nCN = {name}\n[extensions]\n{extensions}\n"
        );
        std::fs::write(&config, text).expect("room for a configuration");
        #[expect(clippy::disallowed_methods, reason = "certificates for tests")]
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config"])
            .arg(config)
            .arg("-keyout")
            .arg(self.key(name))
            .arg("-out")
            .arg(self.certificate(name));
        if let Some(by) = by {
            openssl.arg("-CA").arg(self.certificate(by));
            openssl.arg("-CAkey").arg(self.key(by));
        }
        let made = openssl.output();
        let made = made.unwrap_or_else(|_| panic!("openssl is missing; get it with: {GET}"));
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "openssl: {said}");
    }
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
