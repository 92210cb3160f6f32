//! Every numbered promise of ARCHITECTURE.md is cited by a test, and what core calls an invariant is one of them.

use super::tree::{Finding, Tree};
use super::words::has_word;

const DOCUMENT: &str = "ARCHITECTURE.md";
const SOURCE: &str = "core/src/invariant.rs";

/// Promises without a test that names them, and identifiers in core without a promise.
pub(super) fn cited(tree: &Tree) -> Vec<Finding> {
    let lines_of = |path: &str| {
        let file = tree.files.iter().find(|file| file.path == path);
        file.map(|file| file.text.lines().enumerate())
            .into_iter()
            .flatten()
    };
    let promises: Vec<(usize, &str)> = lines_of(DOCUMENT)
        .filter_map(|(at, line)| Some((at + 1, promise(line)?)))
        .collect();
    if promises.is_empty() {
        return vec![Finding::new(
            DOCUMENT,
            0,
            "numbers no invariant as `- **S1** …`",
        )];
    }
    let product_tests = |id: &str| {
        let mut files = tree.rust().filter(|file| !file.path.starts_with("xtask/"));
        files.any(|file| has_word(file.tests(), id))
    };
    let mut found: Vec<Finding> = promises
        .iter()
        .filter(|(_, id)| !product_tests(id))
        .map(|(line, id)| Finding::new(DOCUMENT, *line, format!("{id} is cited by no test")))
        .collect();
    for (at, line) in lines_of(SOURCE) {
        let id = line.trim().trim_end_matches(',');
        if is_id(id) && !promises.iter().any(|(_, promise)| *promise == id) {
            found.push(Finding::new(
                SOURCE,
                at + 1,
                format!("{id} is not explained in {DOCUMENT}"),
            ));
        }
    }
    found
}

/// The id of a line like `- **S1** …`. What is nowhere to be found (A1 to A6) is for the rules of tidy and deny.
fn promise(line: &str) -> Option<&str> {
    let (id, _) = line.strip_prefix("- **")?.split_once("**")?;
    (is_id(id) && !id.starts_with('A')).then_some(id)
}

/// Whether this is a capital letter and a number.
fn is_id(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| c.is_ascii_uppercase())
        && word.len() > 1
        && chars.all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMISES: &str = "- **A1** none\n- **S1** one\n- **S10** ten\n";

    #[test]
    fn a_promise_without_a_test_is_found() {
        let tree = Tree::of(&[
            (DOCUMENT, PROMISES),
            ("testkit/tests/fleet/checks.rs", "// S10\n"),
        ]);
        assert_eq!(
            cited(&tree),
            [Finding::new(DOCUMENT, 2, "S1 is cited by no test")]
        );
        let tree = Tree::of(&[(DOCUMENT, PROMISES), ("core/tests/it/a.rs", "// S1, S10\n")]);
        assert_eq!(cited(&tree), []);
    }

    #[test]
    fn an_identifier_without_a_promise_is_found() {
        let source = "//! x\npub enum InvariantId {\n    /// One.\n    S1,\n    S2,\n}\n";
        let tests = ("core/tests/it/a.rs", "// S1, S10\n");
        let tree = Tree::of(&[(DOCUMENT, PROMISES), (SOURCE, source), tests]);
        assert_eq!(
            cited(&tree),
            [Finding::new(
                SOURCE,
                5,
                "S2 is not explained in ARCHITECTURE.md"
            )]
        );
    }

    #[test]
    fn a_document_without_promises_is_found() {
        assert_eq!(cited(&Tree::of(&[(DOCUMENT, "prose\n")])).len(), 1);
    }
}
