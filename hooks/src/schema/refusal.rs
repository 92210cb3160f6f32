//! What is wrong with a configuration or with a schema, for a person: where, and what is accepted. What stands there is said
//! of a schema only: a configuration's value may be long or secret, and is shown by who has it.

use std::fmt::Write as _;

use boon::{CompileError, ErrorKind, InstanceLocation, InstanceToken, ValidationError};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::members::{self, plain};
use crate::secrets::KnownSecrets;

/// The most characters of a schema's value that are repeated.
const MAX_VALUE_CHARS: usize = 60;

/// What a schema's schema says of it, or its compiler.
pub(super) fn of_schema(schema: &Value, error: &CompileError) -> String {
    match error {
        CompileError::ValidationError { src, .. } => {
            let leaf = leaf(src);
            let place = place("", &leaf.instance_location);
            let place = place.trim_start_matches('.');
            let value = short(found(schema, &leaf.instance_location));
            plain(&format!("{place}: {value}, {}", leaf.kind))
        }
        other => plain(&other.to_string()),
    }
}

/// What a configuration lacks or has too much, from the path of the member on.
///
/// The names in it are a person's, and are shortened: they are without `secrets` before, as nobody recognises a part of one.
pub(super) fn of_config(
    schema: &Value,
    secrets: &KnownSecrets,
    error: &ValidationError<'_, '_>,
) -> String {
    let leaf = leaf(error);
    let shown = |name: &str| plain(&secrets.mask_text(name));
    let at = shown(&place("config", &leaf.instance_location));
    let node = node(schema, leaf.schema_url);
    let accepts = |node: &Value| members::accepts(schema, node);
    match &leaf.kind {
        ErrorKind::AdditionalProperties { got } => {
            let name = got.first().map(AsRef::as_ref).unwrap_or_default();
            format!("{at}.{}: unknown, {}", shown(name), names(node))
        }
        ErrorKind::Required { want } => {
            let name = want.first().copied().unwrap_or_default();
            let is = accepts(node["properties"].get(name).unwrap_or(&Value::Null));
            format!("{at}: lacks {}, which is {is}", plain(name))
        }
        ErrorKind::DependentRequired { prop, missing } => {
            let missing = missing.first().copied().unwrap_or_default();
            format!(
                "{at}: lacks {}, without which {} has no meaning",
                plain(missing),
                plain(prop)
            )
        }
        ErrorKind::PropertyName { prop } => {
            let accepts = accepts(&node["propertyNames"]);
            format!("{at}.{}: the name has to be {accepts}", shown(prop))
        }
        ErrorKind::UniqueItems {
            got: [first, again],
        } => {
            format!("{at}[{again}]: the same as [{first}], has to be there once")
        }
        ErrorKind::Contains => format!("{at}: has to contain {}", accepts(&node["contains"])),
        ErrorKind::FalseSchema => format!("{at}: has to be absent"),
        ErrorKind::Not | ErrorKind::OneOf(Some(_)) => {
            format!("{at}: is excluded by the plugin's schema")
        }
        _ => format!("{at}: has to be {}", accepts(node)),
    }
}

/// The first of the errors that says what to do.
fn leaf<'e, 's, 'v>(error: &'e ValidationError<'s, 'v>) -> &'e ValidationError<'s, 'v> {
    match &error.kind {
        // Of alternatives, the only one that was meant: whose type is right.
        ErrorKind::AnyOf | ErrorKind::OneOf(None) => {
            let depth = error.instance_location.tokens.len();
            let of_another_type = |leaf: &&ValidationError<'s, 'v>| {
                let kind = matches!(
                    leaf.kind,
                    ErrorKind::Type { .. } | ErrorKind::Const { .. } | ErrorKind::Enum { .. }
                );
                kind && leaf.instance_location.tokens.len() == depth
            };
            let causes = error.causes.iter().map(leaf);
            let mut meant = causes.filter(|leaf| !of_another_type(leaf));
            match (meant.next(), meant.next()) {
                (Some(one), None) => one,
                _ => error,
            }
        }
        ErrorKind::PropertyName { .. } | ErrorKind::Contains => error,
        _ => error.causes.first().map_or(error, leaf),
    }
}

/// The schema that refuses. Its address is what it was compiled under, and a JSON pointer.
fn node<'s>(schema: &'s Value, address: &str) -> &'s Value {
    let pointer = address.split_once('#').map_or("", |(_, pointer)| pointer);
    let pointer = percent_decode_str(pointer).decode_utf8_lossy();
    schema.pointer(&pointer).unwrap_or(&Value::Null)
}

fn place(of: &str, location: &InstanceLocation<'_>) -> String {
    let mut path = of.to_owned();
    for token in &location.tokens {
        // Writing to a string cannot fail.
        let _ = match token {
            InstanceToken::Prop(name) => write!(path, ".{name}"),
            InstanceToken::Item(at) => write!(path, "[{at}]"),
        };
    }
    path
}

fn found<'v>(value: &'v Value, location: &InstanceLocation<'_>) -> &'v Value {
    location.tokens.iter().fold(value, |value, token| {
        let inner = match token {
            InstanceToken::Prop(name) => value.get(name.as_ref()),
            InstanceToken::Item(at) => value.get(at),
        };
        inner.unwrap_or(&Value::Null)
    })
}

fn short(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => {
            let text = scalar.to_string();
            match text.char_indices().nth(MAX_VALUE_CHARS) {
                Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
                None => text,
            }
        }
    }
}

fn names(node: &Value) -> String {
    let names = node["properties"].as_object().into_iter().flatten();
    let names: Vec<_> = names.map(|(name, _)| plain(name)).collect();
    match names.as_slice() {
        [] => "there are no members".to_owned(),
        [one] => format!("the only member is {one}"),
        names => format!("has to be one of {}", names.join(", ")),
    }
}
