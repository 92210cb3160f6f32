//! Compiles the shapes into tables, so that no stream has to wait until its instance has done so.

#[path = "src/shapes.rs"]
mod shapes;

use std::error::Error;
use std::path::PathBuf;

use sandclock_plugin_sdk::rules::Rules;
use shapes::{PRIVATE_KEY, SHAPES, Shape};

/// Values of what is called a password, a secret or a token: useful, yet the only shape here that hides ordinary text too, so it
/// is asked for.
const ASSIGNMENT: Shape = (
    "assignment",
    r#"(?i)(?:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key)["']?[ \t]{0,4}[:=][ \t]{0,4}["']?[^\s"',;&]{4,}"#,
);

fn main() -> Result<(), Box<dyn Error>> {
    let mut all = Rules::builder().armoured(PRIVATE_KEY.0, PRIVATE_KEY.1)?;
    for (name, pattern) in SHAPES {
        all = all.pattern(name, pattern)?;
    }
    let assignment = Rules::builder().pattern(ASSIGNMENT.0, ASSIGNMENT.1)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is cargo's to set")?);
    std::fs::write(out.join("shapes.rs"), all.prebuild()?)?;
    std::fs::write(out.join("assignment.rs"), assignment.prebuild()?)?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/shapes.rs");
    Ok(())
}
