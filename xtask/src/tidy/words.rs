//! Rules about words: what every file says first, and what none may say.

use super::tree::{File, Finding, Tree};

/// These rules name what they forbid, so this file is the one place where the words may stand.
const THIS_FILE: &str = "xtask/src/tidy/words.rs";

/// Every Rust file tells in its first line what lives there.
pub(super) fn module_comment(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| {
            Finding::new(
                &file.path,
                1,
                "starts with //! and what lives here, and why",
            )
        })
        .collect()
}

/// Markers of unfinished work: finish it, or write an issue.
pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "todo!", "unimplemented!"];
    find(
        tree,
        |_| true,
        |line| {
            let marker = MARKERS.iter().find(|marker| has_word(line, marker))?;
            Some(format!("{marker}: finish it, or write an issue"))
        },
    )
}

/// A test that does not run, or that accepts any panic, proves nothing.
pub(super) fn disabled_tests(tree: &Tree) -> Vec<Finding> {
    const ATTRIBUTES: &[&str] = &["#[ignore", "#[should_panic"];
    find(tree, File::is_rust, |line| {
        let attribute = ATTRIBUTES
            .iter()
            .find(|attribute| line.trim_start().starts_with(**attribute))?;
        Some(format!(
            "{attribute}]: let the test run and assert what it expects"
        ))
    })
}

/// Modules named after nothing attract everything.
pub(super) fn vague_names(tree: &Tree) -> Vec<Finding> {
    const VAGUE: &[&str] = &[
        "util", "utils", "common", "helper", "helpers", "manager", "misc",
    ];
    let remedy = |name: &str| format!("{name} is no subject: name the module after what it does");
    let mut found = find(tree, File::is_rust, |line| {
        let (_, rest) = line
            .trim_start()
            .split_once("mod ")
            .filter(|(before, _)| before.is_empty() || before.starts_with("pub"))?;
        let name = rest.split([';', ' ', '{']).next()?;
        VAGUE.contains(&name).then(|| remedy(name))
    });
    for file in tree.rust() {
        let stem = file.path.trim_end_matches(".rs");
        if let Some(name) = stem.split('/').find(|part| VAGUE.contains(part)) {
            found.push(Finding::new(&file.path, 0, remedy(name)));
        }
    }
    found
}

/// Paths of one machine and package indexes of one network mean nothing elsewhere.
pub(super) fn one_machine(tree: &Tree) -> Vec<Finding> {
    const PATHS: &[&str] = &["/work/", "/root/", "/home/"];
    const INDEXES: &[&str] = &[
        "--index-url",
        "--find-links",
        "--trusted-host",
        "replace-with",
    ];
    find(
        tree,
        |_| true,
        |line| {
            let path = PATHS.iter().find(|path| {
                line.match_indices(**path).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/".contains(c))
                })
            });
            let index = INDEXES.iter().find(|index| line.contains(**index));
            let word = path.or(index)?;
            Some(format!("{word} belongs to one machine"))
        },
    )
}

/// Asks `wrong` about every line of the files that `wanted` picks.
fn find(
    tree: &Tree,
    wanted: impl Fn(&File) -> bool,
    wrong: impl Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.path != THIS_FILE && wanted(file))
    {
        for (at, line) in file.text.lines().enumerate() {
            found.extend(wrong(line).map(|text| Finding::new(&file.path, at + 1, text)));
        }
    }
    found
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(joins) && !line[at + word.len()..].starts_with(joins))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(rule: super::super::Rule, path: &str, text: &str) -> bool {
        !rule(&Tree::of(&[(path, text)])).is_empty()
    }

    #[test]
    fn a_file_without_a_module_comment_is_found() {
        assert!(fires(module_comment, "core/src/a.rs", "fn a() {}\n"));
        assert!(!fires(module_comment, "core/src/a.rs", "//! What a is.\n"));
        assert!(!fires(module_comment, "README.md", "# Sandclock\n"));
    }

    #[test]
    fn unfinished_work_is_found() {
        for text in [
            "// TODO later",
            "/* FIXME */",
            "XXX",
            "    todo!()",
            "unimplemented!(\"x\")",
        ] {
            assert!(fires(unfinished, "core/src/a.rs", text), "{text}");
        }
        assert!(fires(unfinished, "docs/a.md", "TODO: write"));
        assert!(!fires(unfinished, "a.sh", "mktemp -d /tmp/a.XXXXXX"));
    }

    #[test]
    fn disabled_tests_are_found() {
        for text in [
            "#[ignore]",
            "    #[ignore = \"slow\"]",
            "#[should_panic(expected = \"x\")]",
        ] {
            assert!(fires(disabled_tests, "core/src/a.rs", text), "{text}");
        }
        assert!(!fires(
            disabled_tests,
            "core/src/a.rs",
            "// what #[ignore] would hide"
        ));
    }

    #[test]
    fn vague_modules_are_found() {
        for text in [
            "mod util;",
            "pub(crate) mod helpers {",
            "    pub mod common;",
        ] {
            assert!(fires(vague_names, "core/src/lib.rs", text), "{text}");
        }
        assert!(fires(vague_names, "core/src/manager.rs", ""));
        assert!(fires(vague_names, "core/src/common/mod.rs", ""));
        assert!(!fires(
            vague_names,
            "core/src/lib.rs",
            "mod schedule; // a common word"
        ));
    }

    #[test]
    fn what_belongs_to_one_machine_is_found() {
        for text in [
            "cd /root/x",
            "path = \"/home/ann/x\"",
            "/work/x",
            "--index-url https://x",
        ] {
            assert!(fires(one_machine, "a.toml", text), "{text}");
        }
        assert!(!fires(one_machine, "a.toml", "src/work/a.rs"));
        assert!(!fires(
            one_machine,
            "a.toml",
            "https://example.org/home/page"
        ));
    }
}
