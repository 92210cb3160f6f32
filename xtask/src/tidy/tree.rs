//! The tree as the rules see it: every text file with its path from the root.
//!
//! Walked by hand and not asked of git, so that an unpacked archive, or a clone that git distrusts because
//! somebody else owns it, is checked like any other.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What is never ours to check, wherever it is. In a worktree `.git` is a file.
const NOT_OURS: &[&str] = &[".git", "target", "node_modules", "__pycache__"];

/// One text file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

impl File {
    /// Whether this is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is test code: a `tests` folder, a `tests.rs`, or the testkit.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.starts_with("testkit/")
    }

    /// The part before the inline test module, which by habit stands last.
    pub(crate) fn product(&self) -> &str {
        self.text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or(&self.text)
    }

    /// The inline test module, or everything if the file is a test.
    pub(crate) fn tests(&self) -> &str {
        if self.is_test() {
            return &self.text;
        }
        self.text.strip_prefix(self.product()).unwrap_or_default()
    }
}

/// All text files.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// In the order of their paths.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads every text file below `root`; a file that is no UTF-8 is left out.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for path in paths(root)? {
            let bytes = fs::read(root.join(&path)).with_context(|| format!("reading {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path, text });
            }
        }
        Ok(Self { files })
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// A tree made of literals, for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).into(),
            text: (*text).into(),
        };
        Self {
            files: files.iter().map(file).collect(),
        }
    }
}

/// The path of every file below `root`, sorted.
pub(crate) fn paths(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    walk(root, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    let reading = || format!("reading {}", folder.display());
    for entry in fs::read_dir(folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(reading)?;
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if kind.is_file() {
            found.push(format!("{prefix}{name}"));
        } else if kind.is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), found)?;
        }
    }
    Ok(())
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl Finding {
    /// `line` counts from 1; 0 means the file as a whole.
    pub(crate) fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_and_tests_are_told_apart() {
        let text = "//! x\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        let file = File {
            path: "core/src/a.rs".into(),
            text: text.into(),
        };
        assert_eq!(file.product(), "//! x\nfn a() {}\n\n");
        assert!(file.tests().contains("fn b"));
        let whole = File {
            path: "core/tests/it/main.rs".into(),
            text: "fn c() {}".into(),
        };
        assert_eq!(whole.tests(), "fn c() {}");
    }
}
