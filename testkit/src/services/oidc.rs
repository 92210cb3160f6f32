//! A private OpenID provider: npm's `oidc-provider`, which is certified, with people who need no password.

use super::process::start;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/oidc/provider.mjs");

/// How a person gets it.
const GET: &str = "cargo xtask tools, with Node.js 18 or later";

/// What it says once it listens, before its address.
const READY: &str = "ready at ";

/// A running provider. It knows `alice` (verified, in the groups `ops` and `staff`), `bob` (verified, in none) and
/// `mallory`, who claims the address of alice; everybody else is somebody with an address that nobody has verified.
#[derive(Clone, Debug)]
pub struct OidcProvider {
    /// Its address, without a slash at the end.
    pub issuer: String,
}

impl OidcProvider {
    /// Starts one that knows a client by this name and secret, whose browsers come back to `/auth/callback` at any port of
    /// 127.0.0.1. Blocks until it listens; it ends with the test binary.
    ///
    /// # Panics
    /// If it is not installed, with the command that installs it, or does not start.
    pub fn start(client: &str, secret: &str) -> Self {
        // The test that asks is a binary in `deps` of a profile's folder.
        let test = std::env::current_exe().expect("this test's path");
        let target = test.ancestors().nth(3).expect("a target directory");
        let folder = target.join("tools/oidc");
        assert!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "there is no OpenID provider in {}; get it with: {GET}",
            folder.display()
        );
        let folder = folder.display().to_string();
        let arguments = ["node", SCRIPT, &folder, client, secret];
        let issuer = start(&arguments, GET, |line| {
            let (_, issuer) = line.split_once(READY)?;
            Some(issuer.trim().to_owned())
        });
        Self { issuer }
    }
}
