//! Sections of which there are several kinds, chosen by their member `type`.
//!
//! Serde has a form for these, but it forgets where in the document a value stands; errors would name the
//! section instead of the field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A section of several kinds.
pub(super) trait Kinds<'de>: Sized {
    /// What `type` may say.
    type Kind: Deserialize<'de>;

    /// Reads the other members.
    fn read<D: Deserializer<'de>>(kind: Self::Kind, rest: D) -> Result<Self, D::Error>;
}

/// Reads a section: `type`, which our documents show first, then the rest as the kind has it.
pub(super) fn read<'de, T: Kinds<'de>, D: Deserializer<'de>>(section: D) -> Result<T, D::Error> {
    section.deserialize_map(Section(PhantomData))
}

/// The kind that has no members.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

struct Section<T>(PhantomData<T>);

impl<'de, T: Kinds<'de>> Visitor<'de> for Section<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section with a type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<T, A::Error> {
        match members.next_key::<String>()? {
            Some(name) if name == "type" => {
                let kind = members.next_value()?;
                T::read(kind, MapAccessDeserializer::new(members))
            }
            _ => Err(A::Error::missing_field("type")),
        }
    }
}
