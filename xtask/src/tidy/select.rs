//! `tokio::select!` picks a random ready branch unless it says `biased;`. In core that would make the
//! simulation depend on more than its seed, and in hooks it would hide which branch wins a tie.

use super::tree::{Finding, Tree};

/// Uses of `select!` in core and hooks that do not begin with `biased;`.
pub(super) fn biased(tree: &Tree) -> Vec<Finding> {
    let in_scope = |path: &str| path.starts_with("core/") || path.starts_with("hooks/");
    let mut found = Vec::new();
    for file in tree.rust().filter(|file| in_scope(&file.path)) {
        for (at, _) in file.text.match_indices("select!") {
            let (before, rest) = (&file.text[..at], &file.text["select!".len() + at..]);
            let last_line = before.rsplit('\n').next().unwrap_or_default();
            let body = rest.trim_start().strip_prefix(['{', '(']).unwrap_or(rest);
            if !last_line.contains("//") && !body.trim_start().starts_with("biased;") {
                let line = before.matches('\n').count() + 1;
                found.push(Finding::new(
                    &file.path,
                    line,
                    "select! begins with `biased;` here",
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unbiased_select_is_found() {
        let wrong = "//! x\ntokio::select! {\n    a = b => {}\n}\n";
        let right = "// why select! is biased\ntokio::select! {\n    biased;\n    a = b => {}\n}\n";
        assert_eq!(biased(&Tree::of(&[("core/src/a.rs", wrong)])).len(), 1);
        assert_eq!(biased(&Tree::of(&[("hooks/src/a.rs", right)])).len(), 0);
        assert_eq!(biased(&Tree::of(&[("server/src/a.rs", wrong)])).len(), 0);
    }
}
