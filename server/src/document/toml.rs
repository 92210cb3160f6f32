//! TOML as a tree, and on which line of the text each field stands.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{FieldError, Lines, WHOLE, item, member};

/// Parses a TOML document.
///
/// # Errors
/// Names the line at which it ceases to be one.
pub fn parse(text: &str) -> Result<(Value, Lines), FieldError> {
    let line = |offset: usize| {
        let before = text.get(..offset).unwrap_or(text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    };
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line(span.start));
        let what = format!("line {line} is not TOML: {}", error.message());
        FieldError::new(WHOLE, "the text", what)
    })?;
    let mut lines = Lines::default();
    let tree = object(table.get_ref(), "", &line, &mut lines);
    Ok((tree, lines))
}

fn object(
    table: &DeTable<'_>,
    path: &str,
    line: &impl Fn(usize) -> usize,
    lines: &mut Lines,
) -> Value {
    let mut members = Map::new();
    for (name, value) in table {
        let path = member(path, name.get_ref());
        lines.stands(&path, line(name.span().start));
        let value = tree(value, &path, line, lines);
        members.insert(name.get_ref().clone().into_owned(), value);
    }
    Value::Object(members)
}

fn tree(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    line: &impl Fn(usize) -> usize,
    lines: &mut Lines,
) -> Value {
    match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_or_else(|_| value_text(value), Value::from)
        }
        // What JSON has no number for stays text, and is refused where a number is asked for.
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map_or_else(|| value_text(value), Value::Number),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Datetime(at) => at.to_string().into(),
        DeValue::Array(values) => {
            let each = |(at, value): (usize, &Spanned<DeValue<'_>>)| {
                let path = item(path, at);
                lines.stands(&path, line(value.span().start));
                tree(value, &path, line, lines)
            };
            Value::Array(values.iter().enumerate().map(each).collect())
        }
        DeValue::Table(table) => object(table, path, line, lines),
    }
}

fn value_text(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::Integer(number) => number.to_string().into(),
        DeValue::Float(number) => number.to_string().into(),
        _ => Value::Null,
    }
}
