//! Every invariant that core names is written down in ARCHITECTURE.md and cited by a test.

use super::tree::{Finding, Tree};
use super::words::has_word;

const SOURCE: &str = "core/src/invariant.rs";
const DOCUMENT: &str = "ARCHITECTURE.md";

/// Invariants of `InvariantId` without a line in the document or a test that names them.
pub(super) fn cited(tree: &Tree) -> Vec<Finding> {
    let Some(source) = tree.files.iter().find(|file| file.path == SOURCE) else {
        return vec![Finding::new(
            SOURCE,
            0,
            "is missing: the list of invariants lives there",
        )];
    };
    let ids = ids(&source.text);
    if ids.is_empty() {
        return vec![Finding::new(
            SOURCE,
            0,
            "has no `enum InvariantId` that this rule can read",
        )];
    }
    let documented = |id: &str| {
        tree.files
            .iter()
            .any(|file| file.path == DOCUMENT && has_word(&file.text, id))
    };
    let tested = |id: &str| {
        tree.rust()
            .any(|file| file.path != SOURCE && has_word(file.tests(), id))
    };
    let mut found = Vec::new();
    for (line, id) in ids {
        if !documented(&id) {
            found.push(Finding::new(
                SOURCE,
                line,
                format!("{id} is not explained in {DOCUMENT}"),
            ));
        }
        if !tested(&id) {
            found.push(Finding::new(
                SOURCE,
                line,
                format!("{id} is cited by no test"),
            ));
        }
    }
    found
}

/// The variants of `enum InvariantId` with their lines.
fn ids(source: &str) -> Vec<(usize, String)> {
    let variant = |line: &str| -> Option<String> {
        let name = line.trim().split([',', ' ', '=']).next()?;
        let (letter, number) = name.split_at_checked(1)?;
        let named = letter.starts_with(|c: char| c.is_ascii_uppercase());
        (named && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
            .then(|| name.to_owned())
    };
    source
        .lines()
        .enumerate()
        .skip_while(|(_, line)| !line.contains("enum InvariantId"))
        .take_while(|(_, line)| *line != "}")
        .filter_map(|(at, line)| Some((at + 1, variant(line)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "//! x\npub enum InvariantId {\n    /// One.\n    S1,\n    S10,\n}\n";

    #[test]
    fn an_invariant_without_a_line_or_a_test_is_found() {
        let tree = Tree::of(&[
            (SOURCE, LIST),
            (DOCUMENT, "- S1 one\n- S10 ten\n"),
            ("testkit/tests/fleet/checks.rs", "// S10 only\n"),
        ]);
        assert_eq!(
            cited(&tree),
            [Finding::new(SOURCE, 4, "S1 is cited by no test")]
        );
        let tree = Tree::of(&[
            (SOURCE, LIST),
            (DOCUMENT, "S1"),
            ("core/tests/it/a.rs", "S1 S10"),
        ]);
        assert_eq!(cited(&tree).len(), 1);
    }
}
