//! Lines that set a variable, read as cron reads them: no expansion, no comments behind the value.

use crate::document::FieldError;

/// Name and value of `NAME=value`; `None` if the line is something else. Blanks may stand around the `=`; both
/// sides may be quoted, and a quoted value ends with its quote. An unquoted value loses blanks at its end.
///
/// # Errors
/// If it begins as a setting that cron would not take, or its name is none that a job can have.
pub(super) fn read(line: &str) -> Result<Option<(String, String)>, FieldError> {
    let Some((name, rest)) = name(line) else {
        return Ok(None);
    };
    let space = |c: char| c.is_ascii_whitespace();
    let Some(rest) = rest.trim_start_matches(space).strip_prefix('=') else {
        return Ok(None);
    };
    let rest = rest.trim_start_matches(space);
    let value = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inner = rest.get(1..).unwrap_or_default();
            match inner.split_once(quote) {
                Some((value, behind)) if behind.chars().all(space) => value,
                _ => {
                    let accepted =
                        "a value in quotes, with nothing behind the second one, not even a comment";
                    return Err(FieldError::new(name, rest, accepted));
                }
            }
        }
        _ => rest.trim_end_matches(space),
    };
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let others = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.starts_with(first) || !name.chars().all(others) || name.starts_with("SANDCLOCK_") {
        let accepted =
            "a variable of letters, digits and '_', no digit first, and not one of SANDCLOCK_*";
        return Err(FieldError::new("NAME=value", name, accepted));
    }
    Ok(Some((name.to_owned(), value.to_owned())))
}

/// The name, which may be quoted, and what follows.
fn name(line: &str) -> Option<(&str, &str)> {
    match line.chars().next()? {
        quote @ ('"' | '\'') => {
            let (name, rest) = line.get(1..)?.split_once(quote)?;
            (!name.is_empty() && !name.contains('=')).then_some((name, rest))
        }
        _ => {
            let end = line.find(|c: char| c == '=' || c.is_ascii_whitespace())?;
            let (name, rest) = line.split_at_checked(end)?;
            (!name.is_empty()).then_some((name, rest))
        }
    }
}

/// What in a value its author may take for more than text.
pub(super) fn oddity(value: &str) -> Option<&'static str> {
    if value.contains(" #") {
        return Some(
            "the '#' in its value begins no comment: cron takes it as a part of the value, and so does the job",
        );
    }
    value
        .contains('$')
        .then_some("the '$' in its value is not expanded: cron does not, and neither does the job")
}
