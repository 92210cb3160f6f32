//! The commands that docs/plugins.md shows to those who run a fleet, as they stand there. What it shows to authors is run by
//! their own test.
#![expect(
    clippy::disallowed_methods,
    reason = "tests run commands as a user types them"
)]

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::fleet::PATIENCE;
use crate::product::{PROGRAM, Product, wait_for};

/// The first block of commands below this heading.
pub(crate) fn block(heading: &str) -> &'static str {
    blocks(heading).next().expect("a block")
}

/// All blocks of commands below this heading, and those of the sections after it.
fn blocks(heading: &str) -> impl Iterator<Item = &'static str> {
    let document = include_str!("../../../docs/plugins.md");
    let (_, section) = document.split_once(heading).expect(heading);
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap())
}

/// A shell into which the commands are typed, that finds the program and a server.
pub(crate) fn shell(commands: &str, folder: &Path, product: &Product) -> Command {
    let programs = Path::new(PROGRAM).parent().unwrap().display();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-ec", &format!("PATH={programs}:$PATH\n{commands}")])
        .current_dir(folder)
        .env("PATH", "/usr/bin:/bin")
        .env("SANDCLOCK_URL", &product.url)
        .env("SANDCLOCK_TOKEN", &product.token);
    shell
}

/// What the commands print.
fn typed(commands: &str, folder: &Path, product: &Product) -> String {
    let output = shell(commands, folder, product).output().unwrap();
    assert!(output.status.success(), "{commands}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_tells_operators_works() {
    let product = Product::start(&["--no-examples"]);
    let home = TempDir::new().unwrap();
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/artifacts");
    let pager = home.path().join("pager.wasm");
    std::fs::copy(artifacts.join("webhook-alert.wasm"), pager).unwrap();
    // There is something to go back to.
    let before = "sandclock plugin push --version 0.9.0 --name pager pager.wasm";
    typed(before, home.path(), &product);

    let said = typed(block("\n## To the fleet\n"), home.path(), &product);
    assert!(said.starts_with("serving pager 1.0.0\n"), "{said}");
    assert!(said.ends_with("rolled back pager\n"), "{said}");
    let said = typed(block("\n### Signatures\n"), home.path(), &product);
    assert!(said.contains("[plugins.trusted_keys]"), "{said}");
    assert!(said.contains("signed pager.wasm as "), "{said}");
    let job = serde_json::json!({
        "command": "false", "hooks": [{ "plugin": "pager", "config": { "target": "log" } }],
    });
    product.put_job("fails", &job).await;
    let run = product.run_job("fails").await;
    let recordings = format!("/runs/{}/recordings", run["id"].as_str().unwrap());
    wait_for("the call is recorded", PATIENCE, async || {
        let list = product.get(&recordings).await;
        !list["items"].as_array().unwrap().is_empty()
    })
    .await;
    let mut commands = blocks("\n## Trying a change on real runs\n");
    let said = typed(commands.next().unwrap(), home.path(), &product);
    let held = said.matches("1 the same, 0 different, 0 skipped\n").count();
    assert_eq!(held, 2, "{said}");
    let said = typed(commands.next().unwrap(), home.path(), &product);
    assert!(said.ends_with("no shadow of pager\n"), "{said}");
    let said = typed(commands.next().unwrap(), home.path(), &product);
    assert_eq!(said, "serving pager 1.2.0\nenforcing pager\n");
    let said = typed(block("\n## For many jobs\n"), home.path(), &product);
    assert!(said.starts_with("bound timeout-ladder to 0 jobs"), "{said}");
    assert!(said.ends_with("unbound timeout-ladder\n"), "{said}");
}
