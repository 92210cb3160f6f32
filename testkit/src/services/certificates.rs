//! Certificates for servers and their clients, made by openssl in a moment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How a person gets the program.
const GET: &str = "cargo xtask tools";

/// What a server on the loopback interface is called.
const LOOPBACK: &str = "IP:127.0.0.1, DNS:localhost";

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
        made.one("authority", None, LOOPBACK);
        made.one("stranger", None, LOOPBACK);
        made.issue("server", "authority");
        made.issue("client", "authority");
        made
    }

    /// One more for the loopback interface, or a new one of this name, vouched for by this authority.
    ///
    /// # Panics
    /// As [`Certificates::make`].
    pub fn issue(&self, name: &str, by: &str) {
        self.issue_for(name, by, LOOPBACK);
    }

    /// The same for these names, such as `DNS:example.org`.
    ///
    /// # Panics
    /// As [`Certificates::make`].
    pub fn issue_for(&self, name: &str, by: &str, names: &str) {
        self.one(name, Some(by), names);
    }

    /// The same for the loopback interface, valid for this very second.
    ///
    /// # Panics
    /// As [`Certificates::make`].
    pub fn issue_expiring(&self, name: &str, by: &str) {
        self.issue(name, by);
        let shown = |path: PathBuf| path.display().to_string();
        let (certificate, request) = (shown(self.certificate(name)), shown(self.path(name, "csr")));
        let (key, config) = (shown(self.key(name)), shown(self.path(name, "cnf")));
        let again = [
            "req", "-new", "-key", &key, "-config", &config, "-out", &request,
        ];
        openssl(again.map(OsString::from));
        let (by, by_key) = (shown(self.certificate(by)), shown(self.key(by)));
        let sign = [
            "x509", "-req", "-days", "0", "-in", &request, "-CA", &by, "-CAkey", &by_key,
        ];
        let to = [
            "-extfile",
            &config,
            "-extensions",
            "extensions",
            "-out",
            &certificate,
        ];
        openssl(sign.into_iter().chain(to).map(OsString::from));
        self.join(name);
    }

    /// The certificate of `authority`, `stranger`, `server` or `client`, or of another that was issued.
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
    fn one(&self, name: &str, by: Option<&str>, names: &str) {
        let extensions = match by {
            None => {
                "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign".to_owned()
            }
            Some(_) => format!(
                "basicConstraints = critical, CA:FALSE\nsubjectAltName = {names}\n\
                 extendedKeyUsage = serverAuth, clientAuth"
            ),
        };
        let config = self.path(name, "cnf");
        let text = format!(
            "[req]\ndistinguished_name = name\nprompt = no\nx509_extensions = extensions\n\
             [name]\nCN = {name}\n[extensions]\n{extensions}\n"
        );
        std::fs::write(&config, text).expect("room for a configuration");
        let request = ["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"];
        let curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config"];
        let mut arguments: Vec<OsString> =
            request.into_iter().chain(curve).map(Into::into).collect();
        arguments.extend([config.into(), "-keyout".into(), self.key(name).into()]);
        arguments.extend(["-out".into(), self.certificate(name).into()]);
        if let Some(by) = by {
            arguments.extend(["-CA".into(), self.certificate(by).into()]);
            arguments.extend(["-CAkey".into(), self.key(by).into()]);
        }
        openssl(arguments);
        self.join(name);
    }

    fn join(&self, name: &str) {
        let read = |path| std::fs::read(path).expect("it was made");
        let both = [read(self.certificate(name)), read(self.key(name))].concat();
        std::fs::write(self.both(name), both).expect("room for it");
    }
}

fn openssl(arguments: impl IntoIterator<Item = OsString>) {
    #[expect(clippy::disallowed_methods, reason = "certificates for tests")]
    let made = Command::new("openssl").args(arguments).output();
    let made = made.unwrap_or_else(|_| panic!("openssl is missing; get it with: {GET}"));
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "openssl: {said}");
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
