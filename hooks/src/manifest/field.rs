//! What the fields of a manifest may hold. A complaint is what would be accepted; who reads adds the field and its value.

use std::collections::BTreeSet;
use std::fmt;

use sandclock_core::backend::plugins::{
    PLUGIN_NAMES, RELEASE_NAMES, is_plugin_name, is_release_name,
};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::host;
use crate::limits::TEXT_BYTES;
use crate::text;

/// A page of wasm's memory, of which every instance has at least one.
const PAGE: usize = 64 << 10;
/// The most characters of a value that are repeated.
const MAX_SHOWN_CHARS: usize = 200;

/// The field at fault and its value, or those around it if it is not there.
pub(super) fn at<'t>(tree: &'t Value, path: &Path) -> (String, &'t Value) {
    let mut field = String::new();
    let mut value = tree;
    for segment in path {
        let (name, inner) = match segment {
            Segment::Map { key } => (key.clone(), value.get(key)),
            Segment::Seq { index } => (format!("[{index}]"), value.get(index)),
            Segment::Enum { .. } | Segment::Unknown => break,
        };
        let Some(inner) = inner else { break };
        if !field.is_empty() && !name.starts_with('[') {
            field.push('.');
        }
        field.push_str(&name);
        value = inner;
    }
    if field.is_empty() {
        field.push_str("(the manifest)");
    }
    (field, value)
}

/// A value as JSON, shortened: a schema is as long as it is.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn text_that<'de, D: Deserializer<'de>>(
    from: D,
    holds: impl FnOnce(&str) -> bool,
    accepted: &str,
) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if holds(&text) {
        Ok(text)
    } else {
        Err(D::Error::custom(accepted))
    }
}

pub(super) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text_that(from, is_plugin_name, PLUGIN_NAMES)
}

pub(super) fn version<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text_that(from, is_release_name, RELEASE_NAMES)
}

pub(super) fn api<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let track = host::track();
    let accepted = format!("{track}, the track of the contract that this host speaks");
    text_that(from, |api| api == track, &accepted).map(Some)
}

pub(super) fn line<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let holds = |line: &str| !line.is_empty() && line.len() <= TEXT_BYTES && text::is_plain(line);
    text_that(from, holds, "one line of plain text, up to 1 KiB").map(Some)
}

pub(super) fn targets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let targets = Vec::<String>::deserialize(from)?;
    let mut seen = BTreeSet::new();
    if targets
        .iter()
        .all(|name| is_plugin_name(name) && seen.insert(name))
    {
        return Ok(targets);
    }
    let accepted = format!("names of targets, each once: {PLUGIN_NAMES}");
    Err(D::Error::custom(accepted))
}

pub(super) fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    match u32::deserialize(from)? {
        0 => Err(D::Error::custom("at least 1 ms")),
        millis => Ok(Some(millis)),
    }
}

pub(super) fn memory<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    let bytes = from.deserialize_any(Size)?;
    if bytes < PAGE {
        return Err(D::Error::custom("at least 64 KiB"));
    }
    Ok(Some(bytes))
}

/// A number of bytes, or a text such as `32MiB`.
struct Size;

impl Visitor<'_> for Size {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a text such as \"32MiB\" with KiB or MiB")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<usize, E> {
        usize::try_from(bytes).map_err(|_| E::custom("fewer bytes"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
        let units = [("KiB", 1_usize << 10), ("MiB", 1 << 20)];
        let mut sizes = units.into_iter().filter_map(|(unit, bytes)| {
            let number: usize = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            number.checked_mul(bytes)
        });
        sizes
            .next()
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}
