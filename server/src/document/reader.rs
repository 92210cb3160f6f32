//! Reading values out of a tree, strictly: an object is never taken from a list, a number never from text
//! (except where everything is text), and each complaint is in words of the document.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer as _, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::fault::Fault;
use super::{item, member, names};

/// What chooses among the kinds of a section; it is read first wherever it stands.
const KIND: &str = "type";

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    value: &'a Value,
    path: String,
    /// Numbers and truth come as text.
    all_text: bool,
}

impl<'a> Member<'a> {
    /// The whole tree.
    pub(super) fn whole(value: &'a Value) -> Self {
        let (path, all_text) = (String::new(), false);
        Self {
            value,
            path,
            all_text,
        }
    }

    /// The whole tree, in which every value is text.
    pub(super) fn text(value: &'a Value) -> Self {
        let all_text = true;
        Self {
            all_text,
            ..Self::whole(value)
        }
    }

    fn inner(&self, value: &'a Value, path: String) -> Self {
        let all_text = self.all_text;
        Self {
            value,
            path,
            all_text,
        }
    }

    /// Reads what stands here. A complaint that has no place yet is about it, also one that comes after the value
    /// was read.
    pub(super) fn read<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, Fault> {
        let (path, value) = (self.path.clone(), self.value);
        let read = seed.deserialize(self);
        read.map_err(|fault| fault.at(&path, value))
    }

    /// The number that stands here, or that its text says.
    fn number<T: std::str::FromStr>(&self) -> Option<T> {
        match self.value {
            Value::Number(number) => number.to_string().parse().ok(),
            Value::String(text) if self.all_text => text.parse().ok(),
            _ => None,
        }
    }

    fn members<V: Visitor<'a>>(self, visitor: V, accepted: String) -> Result<V::Value, Fault> {
        let Value::Object(object) = self.value else {
            return refused(accepted);
        };
        let (first, rest): (Vec<_>, Vec<_>) = object.iter().partition(|(name, _)| *name == KIND);
        let members = Members {
            of: &self,
            rest: first
                .into_iter()
                .chain(rest)
                .collect::<Vec<_>>()
                .into_iter(),
            value: None,
        };
        visitor.visit_map(members)
    }
}

fn refused<T>(accepted: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::accepted(accepted))
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),+ $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.number::<$type>() {
                Some(number) => visitor.$visit(number),
                None if <$type>::BITS >= 64 => {
                    refused(format!("a whole number from {}", <$type>::MIN))
                }
                None => refused(format!(
                    "a whole number from {} to {}",
                    <$type>::MIN,
                    <$type>::MAX
                )),
            }
        }
    )+};
}

impl<'de> Deserializer<'de> for Member<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
            Value::Number(number) => {
                if let Some(number) = number.as_u64() {
                    visitor.visit_u64(number)
                } else if let Some(number) = number.as_i64() {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or_default())
                }
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) if self.all_text => match text.parse() {
                Ok(value) => visitor.visit_bool(value),
                Err(_) => refused("true or false"),
            },
            _ => refused("true or false"),
        }
    }

    whole_numbers!(
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.number::<f64>().filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => refused("a number"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            _ => refused("text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::Array(list) = self.value else {
            return refused("a list");
        };
        let items = Items {
            of: &self,
            rest: list.iter().enumerate(),
        };
        visitor.visit_seq(items)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.members(visitor, "an object of names and values".to_owned())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let accepted = format!("an object with fields out of {}", names(fields));
        self.members(visitor, accepted)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Value::String(text) => visitor.visit_enum(Name(text)),
            _ => refused(format!("known are {}", names(variants))),
        }
    }

    forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The members of an object.
struct Members<'m, 'a> {
    of: &'m Member<'a>,
    rest: std::vec::IntoIter<(&'a String, &'a Value)>,
    value: Option<Member<'a>>,
}

impl<'a> MapAccess<'a> for Members<'_, 'a> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((name, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(self.of.inner(value, member(&self.of.path, name)));
        let name: StrDeserializer<'_, Fault> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(member) => member.read(seed),
            None => Err(Fault::accepted("a name before each value")),
        }
    }
}

/// The items of a list.
struct Items<'m, 'a> {
    of: &'m Member<'a>,
    rest: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

impl<'a> SeqAccess<'a> for Items<'_, 'a> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((at, value)) = self.rest.next() else {
            return Ok(None);
        };
        let item = self.of.inner(value, item(&self.of.path, at));
        item.read(seed).map(Some)
    }
}

/// One name out of several.
struct Name<'a>(&'a str);

impl<'a> EnumAccess<'a> for Name<'a> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'a> VariantAccess<'a> for Name<'a> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, _: T) -> Result<T::Value, Fault> {
        Err(more_than(self.0))
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(more_than(self.0))
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(more_than(self.0))
    }
}

/// No type that is read has names with more behind them.
fn more_than(name: &str) -> Fault {
    Fault::invalid_type(Unexpected::Str(name), &"another form")
}
