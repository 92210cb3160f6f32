//! The documents that a newcomer and a packager look for are there and say something.

use super::tree::{Finding, Tree};

/// Each with the words that it must hold.
const DOCUMENTS: &[(&str, &[&str])] = &[
    (
        "README.md",
        &["cargo run --release -- dev", "cargo xtask test"],
    ),
    ("ARCHITECTURE.md", &["## Invariants", "## Code map"]),
    ("CONTRIBUTING.md", &["cargo xtask test"]),
    ("CHANGELOG.md", &["## [Unreleased]", "### Added"]),
    ("LICENSE-APACHE", &["Version 2.0, January 2004"]),
    ("LICENSE-MIT", &["The Sandclock Authors"]),
];

/// ARCHITECTURE.md is read in one sitting.
const ARCHITECTURE_LINES: usize = 300;

/// Missing documents, and missing words in them.
pub(super) fn present(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, words) in DOCUMENTS {
        let Some(file) = tree.files.iter().find(|file| file.path == *path) else {
            found.push(Finding::new(path, 0, "is missing"));
            continue;
        };
        let missing = words.iter().filter(|word| !file.text.contains(**word));
        found.extend(missing.map(|word| Finding::new(path, 0, format!("does not say `{word}`"))));
        let lines = file.text.lines().count();
        if *path == "ARCHITECTURE.md" && lines > ARCHITECTURE_LINES {
            let text = format!("{lines} lines: {ARCHITECTURE_LINES} is the limit");
            found.push(Finding::new(path, 0, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_documents_and_words_are_found() {
        let complete: Vec<(&str, String)> = DOCUMENTS
            .iter()
            .map(|(path, words)| (*path, words.join("\n")))
            .collect();
        let as_tree = |files: &[(&str, String)]| {
            let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (*p, t.as_str())).collect();
            present(&Tree::of(&files)).len()
        };
        assert_eq!(as_tree(&complete), 0);
        assert_eq!(as_tree(&complete[1..]), 1);
        let mut wordless = complete.clone();
        wordless[0].1.clear();
        assert_eq!(as_tree(&wordless), 2);
        let mut long = complete;
        long[1].1.push_str(&"\n".repeat(300));
        assert_eq!(as_tree(&long), 1);
    }
}
