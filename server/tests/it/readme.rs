//! The README's commands, run as they stand there.
#![expect(
    clippy::disallowed_methods,
    reason = "a reader types these commands into a shell"
)]

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::product::Product;

#[tokio::test]
async fn every_client_command_of_the_readme_works() {
    let product = Product::start(&["--no-examples"]);
    product
        .put_job("first", &json!({ "command": "echo one" }))
        .await;
    let run = product.run_job("first").await;
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"));
    let readme = readme.unwrap();
    let blocks: Vec<_> = readme
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|block| block.contains("sandclock "))
        .collect();
    assert_eq!(
        blocks.len(),
        2,
        "the README has the blocks that this test runs"
    );
    // What the reader fills in: where the program is, its address, the token, and a run.
    let own = |line: &&str| !line.starts_with("export ");
    let script: Vec<_> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter(own)
        .collect();
    let script = script
        .join("\n")
        .replace("RUN", run["id"].as_str().unwrap());
    let program = Path::new(env!("CARGO_BIN_EXE_sandclock")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("bash")
        .args(["-euxc", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("SANDCLOCK_URL", &product.url)
        .env("SANDCLOCK_TOKEN", &product.token)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(
        out.contains("Mounted on") && out.contains("saved report/disk"),
        "{out}"
    );
}
