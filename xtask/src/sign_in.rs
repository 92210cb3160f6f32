//! What the tests of signing in need: a browser with its driver, from the system's packages, and a real OpenID provider,
//! from npm, below `target/tools/oidc`.
//!
//! The provider's version is pinned by the request beside its script; a copy of the request says which one is there.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::place::Place;
use crate::{process, tools};

/// What npm is asked for.
const REQUEST: &str = "testkit/services/oidc/package.json";

/// Chromium, and what drives it.
pub(crate) fn browser() -> Result<()> {
    for (package, program) in [
        ("chromium", "chromium"),
        ("chromium-driver", "chromedriver"),
    ] {
        tools::packaged(program, package, || {
            process::succeeds(Command::new(program).arg("--version"))
        })?;
    }
    Ok(())
}

/// The provider.
pub(crate) fn provider(place: &Place) -> Result<()> {
    let folder = place.tools().join("oidc");
    let path = place.root.join(REQUEST);
    let wanted = fs::read_to_string(&path).with_context(|| format!("reading {REQUEST}"))?;
    let loads = || {
        let mut node = Command::new("node");
        node.args(["-e", "import('oidc-provider')"]);
        process::output(node.current_dir(&folder)).map(drop)
    };
    // Beside npm's own file, which is there before the packages are.
    let stamp = folder.join("installed.json");
    let same = fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    if same && loads().is_ok() {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let kept = folder.join("package.json");
    fs::write(&kept, &wanted).with_context(|| format!("writing {}", kept.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .arg("--prefix")
        .arg(&folder);
    process::run(&mut npm)
        .and_then(|()| loads())
        .with_context(|| {
            let command = process::shown(&npm);
            format!(
                "the OpenID provider for tests is missing; with a network and Node.js 18 or later at hand get it with: \
                 {command}"
            )
        })?;
    fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))
}
