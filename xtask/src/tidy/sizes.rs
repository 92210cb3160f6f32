//! How long a file may be: one subject, readable in one sitting.

use super::tree::{Finding, Tree};

/// From here on a file needs a row in [`LONG`]. Tests beside the code are not counted.
const NEEDS_REASON: usize = 400;

/// No file is longer, whatever the reason; a file of tests neither.
const REFUSED: usize = 600;

/// Files that are long for a reason that a reader would accept.
const LONG: &[(&str, &str)] = &[];

/// Files that have grown past one subject.
pub(super) fn file_sizes(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let lines = file.product().lines().count();
        let has_reason = LONG.iter().any(|(path, _)| *path == file.path);
        if lines > REFUSED {
            found.push(Finding::new(
                &file.path,
                0,
                format!("{lines} lines: split it, {REFUSED} is the limit"),
            ));
        } else if lines > NEEDS_REASON && !has_reason && !file.is_test() {
            let text =
                format!("{lines} lines: split it, or give the reason in xtask/src/tidy/sizes.rs");
            found.push(Finding::new(&file.path, 0, text));
        }
    }
    for (path, _) in LONG {
        let still = |file: &&super::tree::File| {
            file.path == *path && file.product().lines().count() > NEEDS_REASON
        };
        if tree.rust().find(still).is_none() {
            found.push(Finding::new(
                path,
                0,
                "is no longer long: take its row out of xtask/src/tidy/sizes.rs",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, lines: usize, tests: usize) -> usize {
        let text = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "a\n".repeat(lines),
            "b\n".repeat(tests)
        );
        file_sizes(&Tree::of(&[(path, &text)])).len()
    }

    #[test]
    fn long_files_are_found_and_tests_beside_the_code_are_not_counted() {
        assert_eq!(found("core/src/a.rs", 400, 900), 0);
        assert_eq!(found("core/src/a.rs", 401, 0), 1);
        assert_eq!(found("core/tests/it/a.rs", 600, 0), 0);
        assert_eq!(found("core/tests/it/a.rs", 601, 0), 1);
    }
}
