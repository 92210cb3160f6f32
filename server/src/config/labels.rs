//! `[worker.labels]`: words that fit into a table, a query and a selector.

use std::collections::BTreeMap;

use crate::document::FieldError;

/// How many a worker may have. All stand in its session, which every worker reads.
const MOST: usize = 32;

/// How long a name or a value may be, in bytes.
const BYTES: usize = 63;

/// What a name or a value may be.
const WORD: &str = "1 to 63 letters, digits, '.', '_', '-' and '/'";

fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    (1..=BYTES).contains(&text.len()) && text.chars().all(fits)
}

/// Refuses labels that would not be legible everywhere.
pub(super) fn check(labels: &BTreeMap<String, String>) -> Result<(), FieldError> {
    const FIELD: &str = "worker.labels";
    if labels.len() > MOST {
        let accepted = format!("at most {MOST} labels");
        return Err(FieldError::new(FIELD, labels.len(), accepted));
    }
    for (name, value) in labels {
        if !is_word(name) {
            return Err(FieldError::new(FIELD, format!("{name:?}"), WORD));
        }
        if !is_word(value) {
            let field = format!("{FIELD}.{name}");
            return Err(FieldError::new(field, format!("{value:?}"), WORD));
        }
    }
    Ok(())
}
