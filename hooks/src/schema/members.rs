//! A schema in the words of people: which members there are, and what each may be.
//!
//! Names and descriptions are a plugin author's, and end in terminals and logs: none of their characters acts there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keywords::DEFINITIONS;
use crate::text;

/// The most members that are listed.
const MAX_MEMBERS: usize = 200;
/// Members of members of members are listed, and no more.
const MAX_DEPTH: usize = 4;
/// The most values of an enumeration that are named.
const MAX_NAMED: usize = 16;
/// The most characters of a description, of a default or of what is accepted.
const MAX_CHARS: usize = 300;

/// A member of a plugin's configuration, as its schema describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where it stands, such as `words` or `rungs[].after`.
    pub name: String,
    /// What it may be, in words.
    pub accepts: String,
    /// Whether it has to be there.
    pub required: bool,
    /// What it is if it is absent, as the author says, as JSON.
    pub default: Option<String>,
    /// What it is for, on one line.
    pub description: Option<String>,
}

/// The members of what `schema` accepts, and those inside of them behind each.
pub(super) fn of(schema: &Value) -> Vec<Member> {
    let mut found = Vec::new();
    collect(schema, schema, "", 0, &mut found);
    found
}

fn collect(root: &Value, schema: &Value, prefix: &str, depth: usize, found: &mut Vec<Member>) {
    if depth == MAX_DEPTH {
        return;
    }
    let schema = resolved(root, schema);
    let required = schema["required"].as_array().into_iter().flatten();
    let required: BTreeSet<_> = required.filter_map(Value::as_str).collect();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        if found.len() == MAX_MEMBERS {
            return;
        }
        let inner = resolved(root, member);
        let path = format!("{prefix}{}", plain(name));
        // What is said where the member stands goes before what is said of its type.
        let of_member = |keyword: &str| member.get(keyword).or_else(|| inner.get(keyword));
        found.push(Member {
            name: path.clone(),
            accepts: accepts(root, member),
            required: required.contains(name.as_str()),
            default: of_member("default").map(|value| plain(&value.to_string())),
            description: of_member("description").and_then(Value::as_str).map(plain),
        });
        collect(root, inner, &format!("{path}."), depth + 1, found);
        if let Some(items) = inner.get("items") {
            collect(root, items, &format!("{path}[]."), depth + 1, found);
        }
    }
}

/// A schema, or the definition that it is a reference to.
pub(super) fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut schema = schema;
    // References end, as all has been checked.
    while let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix(DEFINITIONS).unwrap_or_default();
        let Some(definition) = root["$defs"].get(name) else {
            break;
        };
        schema = definition;
    }
    schema
}

/// What a schema accepts, in words behind "has to be".
pub(super) fn accepts(root: &Value, schema: &Value) -> String {
    plain(&phrase(root, schema, 0))
}

fn phrase(root: &Value, schema: &Value, depth: usize) -> String {
    let schema = resolved(root, schema);
    if depth == MAX_DEPTH {
        return "a value".to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        let named = values.iter().take(MAX_NAMED).map(Value::to_string);
        let named: Vec<_> = named.collect();
        let more = if values.len() > MAX_NAMED {
            ", …"
        } else {
            ""
        };
        let one_of = if values.len() > 1 { "one of " } else { "" };
        return format!("{one_of}{}{more}", named.join(", "));
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(branches) = schema[choice].as_array() {
            let branches = branches.iter().take(MAX_NAMED);
            let branches: Vec<_> = branches
                .map(|branch| phrase(root, branch, depth + 1))
                .collect();
            return branches.join(" or ");
        }
    }
    let of_type = |name: &Value| typed(root, schema, name.as_str().unwrap_or_default(), depth);
    match &schema["type"] {
        Value::Array(names) => names.iter().map(of_type).collect::<Vec<_>>().join(" or "),
        name => of_type(name),
    }
}

fn typed(root: &Value, schema: &Value, name: &str, depth: usize) -> String {
    match name {
        "null" => "null".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => format!("an integer{}", range(schema)),
        "number" => format!("a number{}", range(schema)),
        "string" => {
            let length = counted(schema, "minLength", "maxLength", "characters");
            let pattern = schema["pattern"].as_str();
            let pattern = pattern.map(|pattern| format!(" that matches {pattern}"));
            format!("a text{length}{}", pattern.unwrap_or_default())
        }
        "array" => {
            let count = counted(schema, "minItems", "maxItems", "items");
            let items = schema.get("items");
            let items = items.map(|items| format!(", each {}", phrase(root, items, depth + 1)));
            format!("a list{count}{}", items.unwrap_or_default())
        }
        "object" => {
            let count = counted(schema, "minProperties", "maxProperties", "members");
            let others = schema
                .get("additionalProperties")
                .filter(|it| it.is_object());
            let others = others.map(|it| format!(", each member {}", phrase(root, it, depth + 1)));
            format!("an object{count}{}", others.unwrap_or_default())
        }
        _ => "any value".to_owned(),
    }
}

/// The bounds of a number, from the second word on.
fn range(schema: &Value) -> String {
    let bound = |keyword: &str| schema.get(keyword).filter(|bound| bound.is_number());
    if let (Some(from), Some(to)) = (bound("minimum"), bound("maximum")) {
        return format!(", {from} to {to}");
    }
    let bounds = [
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
        ("multipleOf", "a multiple of"),
    ];
    let bounds = bounds.into_iter().filter_map(|(keyword, words)| {
        let bound = bound(keyword)?;
        Some(format!("{words} {bound}"))
    });
    let bounds: Vec<_> = bounds.collect();
    match bounds.as_slice() {
        [] => String::new(),
        bounds => format!(", {}", bounds.join(" and ")),
    }
}

fn counted(schema: &Value, min: &str, max: &str, of: &str) -> String {
    match (schema[min].as_u64(), schema[max].as_u64()) {
        (Some(min), Some(max)) => format!(" of {min} to {max} {of}"),
        (Some(min), None) => format!(" of at least {min} {of}"),
        (None, Some(max)) => format!(" of at most {max} {of}"),
        (None, None) => String::new(),
    }
}

/// On one line, without characters that act, and not too long.
pub(super) fn plain(words: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.char_indices().nth(MAX_CHARS).map(|(end, _)| end);
    let mut shown = text::plain(line.get(..cut.unwrap_or(line.len())).unwrap_or_default());
    if cut.is_some() {
        shown.push('…');
    }
    shown
}
