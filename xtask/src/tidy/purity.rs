//! Invariant A1: core performs no I/O and reads neither clock, environment nor randomness by itself.
//!
//! clippy refuses the usual calls everywhere; this rule refuses whole modules of the standard library and of
//! tokio in core, where not even an exception with a reason is wanted.

use super::tree::{Finding, Tree};

const REFUSED: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "tokio::fs",
    "tokio::net",
    "tokio::process",
    "tokio::signal",
    "getrandom",
    "rand::",
];

/// Uses of the outside world in core's product code.
pub(super) fn core_is_pure(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree
        .rust()
        .filter(|file| file.path.starts_with("core/src/") && !file.is_test())
    {
        for (at, line) in file.product().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = REFUSED.iter().find(|word| code.contains(**word)) {
                let text = format!("{word}: core is given what it needs as an argument or a port");
                found.push(Finding::new(&file.path, at + 1, text));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outside_world_is_found_in_core_only() {
        let uses = "use std::fs;\n";
        assert_eq!(core_is_pure(&Tree::of(&[("core/src/a.rs", uses)])).len(), 1);
        assert_eq!(
            core_is_pure(&Tree::of(&[("server/src/a.rs", uses)])).len(),
            0
        );
        assert_eq!(
            core_is_pure(&Tree::of(&[("core/src/a.rs", "// not std::fs\n")])).len(),
            0
        );
    }
}
