//! What drives Chromium, by the protocol WebDriver.

use super::process::{is_installed, start};

/// How a person gets both.
const GET: &str = "sudo apt-get install chromium chromium-driver";

/// The line that says where it listens goes to standard output; logs are read from standard error. What browsers write goes
/// to the folder that is removed afterwards.
const LINE: &str = "TMPDIR=$1 exec chromedriver --port=0 >&2";

/// What it says before its port.
const READY: &str = "was started successfully on port ";

/// A running driver.
#[derive(Clone, Debug)]
pub struct Chromedriver {
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// The browser that it is to start: one that ends when the driver does.
    pub browser: &'static str,
}

impl Chromedriver {
    /// Starts one. Blocks until it listens; it ends with the test binary.
    ///
    /// # Panics
    /// If it or the browser is not installed, with the command that installs it, or if it does not start.
    pub fn start() -> Self {
        for program in ["chromium", "chromedriver"] {
            assert!(
                is_installed(program),
                "{program} is missing; get it with: {GET}"
            );
        }
        let port = start(&["bash", "-c", LINE, "chromedriver"], GET, |line| {
            let (_, port) = line.split_once(READY)?;
            Some(port.trim().trim_end_matches('.').to_owned())
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            browser: concat!(env!("CARGO_MANIFEST_DIR"), "/services/chromium.sh"),
        }
    }
}
