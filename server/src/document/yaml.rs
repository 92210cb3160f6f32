//! YAML 1.2 as a tree, with the line of each field, and a tree as YAML.
//!
//! Text that stands in quotes is text. Without quotes only what the core schema says is something else: `null`,
//! `true`, `12`, `0x1f`, `1.5`; `no`, `on` and `2026-01-01` are text. Who reads what is written here may see it
//! otherwise, so every text that is written stands in quotes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::{FieldError, Lines, WHOLE, item, member};

/// The deepest nesting, which is that of JSON.
const MAX_DEPTH: usize = 128;

/// The most values of a document, those that aliases repeat among them.
const MAX_VALUES: usize = 1_000_000;

/// The most bytes of names and text that aliases repeat.
const MAX_REPEATED_BYTES: usize = 16 << 20;

/// Parses one YAML document.
///
/// # Errors
/// Names the line at which it ceases to be one, or has something that JSON has not.
pub fn parse(text: &str) -> Result<(Value, Lines), FieldError> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        lines: Lines::default(),
        anchors: BTreeMap::new(),
        values: 0,
        repeated: 0,
    };
    loop {
        match reader.next()? {
            (Event::DocumentStart(_), _) => break,
            (Event::StreamEnd, _) => {
                return Err(FieldError::new(WHOLE, "nothing", "one YAML document is"));
            }
            _ => {}
        }
    }
    let (event, span) = reader.next()?;
    let tree = reader.tree(event, span, "", 0)?;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok((tree, reader.lines)),
            (Event::DocumentStart(_), span) => {
                return Err(refused(span, "a second document begins; one is accepted"));
            }
            _ => {}
        }
    }
}

/// How much a value is.
#[derive(Clone, Copy)]
struct Extent {
    values: usize,
    /// Of names and text.
    bytes: usize,
    /// Levels below it.
    depth: usize,
}

impl Extent {
    fn of(value: &Value) -> Self {
        let inner = |items: &mut dyn Iterator<Item = (usize, &Value)>| {
            let none = Self {
                values: 1,
                bytes: 0,
                depth: 0,
            };
            items.fold(none, |sum, (name, value)| {
                let own = Self::of(value);
                Self {
                    values: sum.values + own.values,
                    bytes: sum.bytes + name + own.bytes,
                    depth: sum.depth.max(own.depth + 1),
                }
            })
        };
        match value {
            Value::Array(items) => inner(&mut items.iter().map(|item| (0, item))),
            Value::Object(members) => {
                inner(&mut members.iter().map(|(name, value)| (name.len(), value)))
            }
            Value::String(text) => Self {
                values: 1,
                bytes: text.len(),
                depth: 0,
            },
            _ => Self {
                values: 1,
                bytes: 0,
                depth: 0,
            },
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    lines: Lines,
    /// What has a name.
    anchors: BTreeMap<usize, (Value, Extent)>,
    /// How many there were so far.
    values: usize,
    /// How many bytes of names and text aliases have repeated so far.
    repeated: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), FieldError> {
        match self.events.next_event() {
            Some(event) => event.map_err(|error| no_yaml(&error)),
            None => Err(FieldError::new(WHOLE, "the text", "one YAML document is")),
        }
    }

    /// The value that this event begins.
    fn tree(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: &str,
        depth: usize,
    ) -> Result<Value, FieldError> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            let accepted =
                format!("at most {MAX_DEPTH} levels and {MAX_VALUES} values are accepted");
            return Err(refused(span, &accepted));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                untagged(tag.as_deref(), "seq", span)?;
                (self.sequence(path, depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                untagged(tag.as_deref(), "map", span)?;
                (self.mapping(path, depth)?, anchor)
            }
            Event::Alias(anchor) => {
                let Some((value, extent)) = self.anchors.get(&anchor) else {
                    return Err(refused(
                        span,
                        "an alias stands behind its anchor, not inside it",
                    ));
                };
                self.values += extent.values;
                self.repeated += extent.bytes;
                if depth + extent.depth > MAX_DEPTH
                    || self.values > MAX_VALUES
                    || self.repeated > MAX_REPEATED_BYTES
                {
                    let accepted = format!(
                        "with what aliases repeat, at most {MAX_DEPTH} levels, {MAX_VALUES} values and \
                         {MAX_REPEATED_BYTES} repeated bytes are accepted"
                    );
                    return Err(refused(span, &accepted));
                }
                return Ok(value.clone());
            }
            _ => return Err(refused(span, "a value is expected")),
        };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (value.clone(), Extent::of(&value)));
        }
        Ok(value)
    }

    fn sequence(&mut self, path: &str, depth: usize) -> Result<Value, FieldError> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(list));
            }
            let path = item(path, list.len());
            self.lines.stands(&path, span.start.line());
            list.push(self.tree(event, span, &path, depth + 1)?);
        }
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Result<Value, FieldError> {
        let mut members = Map::new();
        loop {
            let (event, span) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(Value::Object(members)),
                Event::Scalar(name, ScalarStyle::Plain, ..) if name == "<<" => {
                    let why = "merge keys (<<) are not known here; write the members out, or let an alias stand for a \
                               whole value";
                    return Err(refused(span, why));
                }
                Event::Scalar(name, ..) => name.into_owned(),
                _ => return Err(refused(span, "a name is text")),
            };
            if members.contains_key(&name) {
                return Err(refused(span, &format!("\"{name}\" is given twice")));
            }
            let path = member(path, &name);
            self.lines.stands(&path, span.start.line());
            let (event, span) = self.next()?;
            let value = self.tree(event, span, &path, depth + 1)?;
            members.insert(name, value);
        }
    }
}

fn no_yaml(error: &ScanError) -> FieldError {
    let (line, info) = (error.marker().line(), error.info());
    let what = format!(
        "line {line} is not YAML: {info}; text that begins with one of * & ! % @ ` or holds ': ' stands in quotes"
    );
    FieldError::new(WHOLE, "the text", what)
}

fn refused(span: Span, why: &str) -> FieldError {
    let line = span.start.line();
    FieldError::new(WHOLE, "the text", format!("line {line}: {why}"))
}

/// No tag, or the one that says what is there anyway.
fn untagged(tag: Option<&Tag>, own: &str, span: Span) -> Result<(), FieldError> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || tag.suffix != own => {
            let why = format!("the tag {}{} is not known here", tag.handle, tag.suffix);
            Err(refused(span, &why))
        }
        _ => Ok(()),
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Value, FieldError> {
    if tag.is_some() {
        untagged(tag, "str", span)?;
    }
    Ok(match style {
        ScalarStyle::Plain if tag.is_none() => plain(text),
        _ => text.into(),
    })
}

/// A word without quotes, by the core schema (YAML 1.2.2, section 10.3.2). What JSON has no number for stays text, and
/// is refused where a number is asked for.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(unsigned) {
        let text = text.strip_prefix('+').unwrap_or(text);
        let negative = text.parse::<i64>().map(Value::from);
        return negative
            .or_else(|_| text.parse::<u64>().map(Value::from))
            .unwrap_or_else(|_| text.into());
    }
    let based = [("0x", 16), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, base)| {
            let digits = text
                .strip_prefix(prefix)
                .filter(|rest| !rest.starts_with(['-', '+']))?;
            u64::from_str_radix(digits, base).ok()
        });
    if let Some(number) = based {
        return number.into();
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let mut parts = [whole, fraction].into_iter();
    let is_number = digits(exponent)
        && !(whole.is_empty() && fraction.is_empty())
        && parts.all(|part| part.is_empty() || digits(part));
    let number = is_number.then(|| text.parse().ok()).flatten();
    number
        .and_then(Number::from_f64)
        .map_or_else(|| text.into(), Value::Number)
}

/// A tree as a YAML document, which ends with a newline.
pub fn write(tree: &Value) -> String {
    let mut text = String::new();
    match tree {
        Value::Object(members) if !members.is_empty() => block(tree, 0, &mut text),
        Value::Array(items) if !items.is_empty() => block(tree, 0, &mut text),
        simple => {
            let _ = writeln!(text, "{simple}");
        }
    }
    text
}

/// Members or items, each on lines of its own.
fn block(tree: &Value, indent: usize, text: &mut String) {
    // Writing to a string cannot fail.
    match tree {
        Value::Object(members) => {
            for (at, (name, value)) in members.iter().enumerate() {
                // The first one of an item stands behind the item's dash.
                if at > 0 || text.is_empty() || text.ends_with('\n') {
                    let _ = write!(text, "{:indent$}", "");
                }
                let _ = write!(text, "{}:", key(name));
                inner(value, indent, text);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                if at > 0 || text.is_empty() || text.ends_with('\n') {
                    let _ = write!(text, "{:indent$}", "");
                }
                text.push('-');
                match value {
                    Value::Object(members) if !members.is_empty() => {
                        text.push(' ');
                        block(value, indent + 2, text);
                    }
                    _ => inner(value, indent, text),
                }
            }
        }
        _ => {}
    }
}

/// What stands behind `name:` or a dash.
fn inner(value: &Value, indent: usize, text: &mut String) {
    let nested = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        text.push('\n');
        block(value, indent + 2, text);
    } else {
        // JSON is YAML, and its text stands in quotes.
        let _ = writeln!(text, " {value}");
    }
}

/// A name that no reader takes for anything else, or one in quotes.
fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    match !name.is_empty() && name.chars().all(plain) && !words.contains(&name) {
        true => name.to_owned(),
        false => Value::from(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_has_lines_and_json_s_values() {
        let text = "# jobs\na: 1\nb:\n  c:\n    - 2\n    - {d: 0x10, e: [x, 'y']}\nno: no\nat: 2026-01-01\nt: |\n  one\n  two\n\
                    n: ~\nf: -1.5e3\nbig: 18446744073709551615\ns: !!str 5\nq: \"true\"\nz: 022\n\"sp ace\": +3\ni: .inf\nv: 1.2.3\n";
        let (tree, lines) = parse(text).unwrap();
        let expected = json!({
            "a": 1, "b": { "c": [2, { "d": 16, "e": ["x", "y"] }] }, "no": "no", "at": "2026-01-01",
            "t": "one\ntwo\n", "n": null, "f": -1500.0, "big": 18_446_744_073_709_551_615_u64, "s": "5", "q": "true",
            "z": 22, "sp ace": 3, "i": ".inf", "v": "1.2.3",
        });
        assert_eq!(tree, expected);
        for (field, line) in [
            ("a", Some(2)),
            ("b.c[1].e[1]", Some(6)),
            ("b.c[0]", Some(5)),
            ("b.absent", Some(3)),
            ("t", Some(9)),
            ("absent", None),
        ] {
            assert_eq!(lines.of(field), line, "{field}");
        }
    }

    #[test]
    fn what_json_has_not_is_refused_with_its_line() {
        let deep = "[".repeat(200);
        let laughs: String = (1..12)
            .map(|at| {
                let before = format!("*a{}, ", at - 1).repeat(9);
                format!("a{at}: &a{at} [{before}]\n")
            })
            .collect();
        let laughs = format!("a0: &a0 x\n{laughs}");
        let brackets = ("[".repeat(100), "]".repeat(100));
        let nested = format!("a: &x {0}{1}\nb: {0}*x{1}\n", brackets.0, brackets.1);
        let long = format!(
            "a: &x {}\nb: [{}]\n",
            "y".repeat(1 << 20),
            "*x, ".repeat(17)
        );
        for (text, told) in [
            ("", "nothing is not accepted: one YAML document is"),
            ("a: 1\nb: *x\n", "line 2 is not YAML: "),
            ("schedule: @daily\n", "stands in quotes"),
            ("a: 1\na: 2\n", "line 2: \"a\" is given twice"),
            ("a: 1\n---\nb: 1\n", "line 2: a second document begins"),
            (
                "a: !secret x\n",
                "line 1: the tag !secret is not known here",
            ),
            ("? [a]\n: 1\n", "line 1: a name is text"),
            ("a: &x [*x]\n", "line 1: an alias stands behind its anchor"),
            (&deep, "at most 128 levels"),
            (&laughs, "1000000 values and"),
            (&nested, "at most 128 levels"),
            (&long, "repeated bytes are accepted"),
            ("a: &x {b: 1}\nc:\n  <<: *x\n", "line 3: merge keys (<<)"),
        ] {
            let refusal = parse(text).unwrap_err().to_string();
            assert!(refusal.contains(told), "{text:.40}: {refusal}");
        }
        let shared = "a: &x {b: 1}\nc: *x\nd: [*x]\n";
        let expected = json!({ "a": { "b": 1 }, "c": { "b": 1 }, "d": [{ "b": 1 }] });
        assert_eq!(parse(shared).unwrap().0, expected);
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let texts = [
            "",
            "no",
            "Yes",
            "on",
            "null",
            "~",
            "12",
            "1e3",
            "0x1f",
            "2026-01-01",
            "12:30:45",
            "a: b",
            "# x",
            " x ",
            "- a",
            "one\ntwo\n",
            "\ttab",
            "'",
            "\"",
            "\\",
            "ü€😀",
            "\u{1}\u{7f}\u{85}\u{2028}",
            "*/5 * * * *",
            "@daily",
            "=",
            "<<",
        ];
        let keyed: Map<_, _> = texts
            .iter()
            .map(|text| ((*text).to_owned(), json!(text)))
            .collect();
        let tree = json!({
            "texts": texts, "keyed": keyed, "empty": {}, "none": [], "nested": [[1, [2]], [], [{}, { "a": [{ "b": null }], "c": 1 }]],
            "numbers": [0, -1, 1.5, 1e300, u64::MAX, i64::MIN], "truth": [true, false, null],
        });
        let text = write(&tree);
        assert_eq!(parse(&text).unwrap().0, tree, "{text}");
        for simple in [json!([]), json!({}), json!("no"), json!(3), json!(null)] {
            assert_eq!(parse(&write(&simple)).unwrap().0, simple);
        }
        let people = json!({ "jobs": [{ "name": "a/b", "argv": ["x", "y z"] }] });
        let expected = "jobs:\n  - name: \"a/b\"\n    argv:\n      - \"x\"\n      - \"y z\"\n";
        assert_eq!(write(&people), expected);
    }
}
