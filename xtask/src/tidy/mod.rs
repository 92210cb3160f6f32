//! The rules of this repository that no other tool checks.
//!
//! Each rule is a function from the tree to its findings, small enough to read at a glance, with a test that
//! shows it fire. To add one: write the function, give it a row in [`RULES`], and show it fire.

mod documents;
mod edges;
mod invariants;
mod purity;
mod routes;
mod select;
mod sizes;
pub(crate) mod tree;
mod words;

use std::path::Path;

use anyhow::{Result, bail};

use tree::{Finding, Tree};

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule with the name under which it reports.
const RULES: &[(&str, Rule)] = &[
    ("a file opens with //!", words::module_comment),
    ("no unfinished work", words::unfinished),
    ("no test is switched off", words::disabled_tests),
    ("no module without a subject", words::vague_names),
    ("nothing of one machine", words::one_machine),
    ("files have one subject", sizes::file_sizes),
    ("core performs no I/O (A1)", purity::core_is_pure),
    ("select! is biased", select::biased),
    ("routes are documented", routes::documented),
    ("invariants are tested", invariants::cited),
    ("standing documents", documents::present),
];

/// Runs every rule over the tree at `root`, prints what they find, and is an error if they found anything.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let mut findings = 0;
    let mut report = |name: &str, found: Vec<Finding>| {
        findings += found.len();
        for finding in found {
            println!("{finding} [{name}]");
        }
    };
    for (name, rule) in RULES {
        report(name, rule(&tree));
    }
    report(
        "dependency direction",
        edges::check(&crate::place::metadata(root)?)?,
    );
    report("built plugins", crate::plugins::verify(root)?);
    println!(
        "tidy: {} files, {} rules, {findings} findings",
        tree.files.len(),
        RULES.len() + 2
    );
    if findings > 0 {
        bail!("tidy found {findings} things to mend");
    }
    Ok(())
}
