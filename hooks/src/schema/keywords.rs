//! Which keywords of JSON Schema are accepted, and what a schema may cost.
//!
//! With references followed a schema is a tree, and each of its parts looks at each value of a configuration once at most. So
//! the product of their numbers bounds the work, and what is collected of it. Keywords that break this (`$dynamicRef`, `unevaluated…`) or that name another
//! document (`$id`, `$anchor`) are not accepted.

use regex::RegexBuilder;
use serde_json::Value;

use super::pattern;

/// Keywords with a schema below them.
const SCHEMAS: [&str; 8] = [
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
];
/// Keywords with a list of schemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords with schemas by name.
const NAMED: [&str; 3] = ["$defs", "patternProperties", "properties"];
/// All others: of numbers, of texts, of lists, of objects, of any value, and for people.
const PLAIN: [&str; 29] = [
    "maximum",
    "minimum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "multipleOf",
    "maxLength",
    "minLength",
    "pattern",
    "format",
    "maxItems",
    "minItems",
    "maxContains",
    "minContains",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
    "type",
    "enum",
    "const",
    "$ref",
    "$schema",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "$comment",
];
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// How a reference begins; a name of `$defs` follows.
pub(super) const DEFINITIONS: &str = "#/$defs/";

/// The most parts of a schema, with references followed.
const MAX_PARTS: usize = 1_000;
/// The most schemas around a schema, references counted.
const MAX_DEPTH: usize = 24;
/// The most bytes of a pattern as it is written.
const MAX_PATTERN_BYTES: usize = 256;
/// The most KiB of a compiled pattern.
const MAX_PATTERN_KIB: usize = 64;
/// The sizes of a compiled pattern in KiB.
const PATTERN_KIB: [usize; 5] = [4, 8, 16, 32, MAX_PATTERN_KIB];
/// The most KiB of all patterns.
const MAX_PATTERNS_KIB: usize = 256;

/// What a schema costs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Its schemas, the values of its enumerations, and the names that it requires.
    pub(super) parts: usize,
    /// What its patterns need.
    pub(super) pattern_kib: usize,
}

/// Whether a schema has accepted keywords only, and what it costs.
///
/// # Errors
/// Names the keyword by its path, and what is accepted.
pub(super) fn check(schema: &Value) -> Result<Cost, String> {
    if !schema.is_object() {
        return Err(format!("{schema}, has to be an object"));
    }
    let mut walk = Walk {
        root: schema,
        cost: Cost::default(),
        inside: Vec::new(),
    };
    walk.schema(schema, &mut Path::default(), 0)?;
    Ok(walk.cost)
}

/// Where the walk is, for people.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn refused<T>(&self, why: &str) -> Result<T, String> {
        let place = self.0.join(".").escape_debug().to_string();
        match place.is_empty() {
            true => Err(why.to_owned()),
            false => Err(format!("{place}: {why}")),
        }
    }
}

struct Walk<'s> {
    root: &'s Value,
    cost: Cost,
    /// The definitions around what is looked at.
    inside: Vec<&'s str>,
}

impl<'s> Walk<'s> {
    fn schema(&mut self, schema: &'s Value, path: &mut Path, depth: usize) -> Result<(), String> {
        self.part(path)?;
        if depth > MAX_DEPTH {
            return path.refused(&format!("has to be at most {MAX_DEPTH} schemas deep"));
        }
        match schema {
            Value::Bool(_) => Ok(()),
            Value::Object(keywords) => {
                for (keyword, value) in keywords {
                    path.0.push(keyword.clone());
                    self.keyword(keyword, value, path, depth)?;
                    path.0.pop();
                }
                Ok(())
            }
            other => path.refused(&format!(
                "{other}, has to be a schema: an object, true or false"
            )),
        }
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: &'s Value,
        path: &mut Path,
        depth: usize,
    ) -> Result<(), String> {
        if SCHEMAS.contains(&keyword) {
            return self.schema(value, path, depth + 1);
        }
        if LISTS.contains(&keyword) {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let mut items = items.iter().enumerate();
            return items.try_for_each(|(at, item)| self.below(&at.to_string(), item, path, depth));
        }
        if NAMED.contains(&keyword) {
            if keyword == "$defs" && depth > 0 {
                return path.refused("has to stand at the top of the schema");
            }
            return self.named(keyword, value, path, depth);
        }
        if !PLAIN.contains(&keyword) {
            let mut known = [&SCHEMAS[..], &LISTS, &NAMED, &PLAIN].concat();
            known.sort_unstable();
            return path.refused(&format!(
                "unknown keyword, has to be one of {}",
                known.join(", ")
            ));
        }
        self.plain(keyword, value, path, depth)
    }

    fn below(
        &mut self,
        name: &str,
        schema: &'s Value,
        path: &mut Path,
        depth: usize,
    ) -> Result<(), String> {
        path.0.push(name.to_owned());
        self.schema(schema, path, depth + 1)?;
        path.0.pop();
        Ok(())
    }

    fn named(
        &mut self,
        keyword: &str,
        value: &'s Value,
        path: &mut Path,
        depth: usize,
    ) -> Result<(), String> {
        for (name, schema) in value.as_object().into_iter().flatten() {
            if keyword == "patternProperties" {
                self.pattern(name, path)?;
            }
            if keyword == "$defs" {
                self.inside.push(name);
            }
            self.below(name, schema, path, depth)?;
            if keyword == "$defs" {
                self.inside.pop();
            }
        }
        Ok(())
    }

    fn plain(
        &mut self,
        keyword: &str,
        value: &'s Value,
        path: &mut Path,
        depth: usize,
    ) -> Result<(), String> {
        match (keyword, value) {
            ("$ref", Value::String(to)) => self.reference(to, path, depth),
            ("$ref", _) => path.refused(&format!("{value}, has to be {DEFINITIONS} and a name")),
            ("$schema", _) if value != DRAFT => {
                path.refused(&format!("{value}, has to be {DRAFT}, or absent"))
            }
            ("pattern", Value::String(pattern)) => self.pattern(pattern, path),
            // A value is compared with each of these, and of names all that are missing are collected.
            ("enum" | "const" | "required" | "dependentRequired", _) => {
                (0..super::values(value)).try_for_each(|_| self.part(path))
            }
            // What else is wrong the schema of schemas says.
            _ => Ok(()),
        }
    }

    fn reference(&mut self, to: &'s str, path: &mut Path, depth: usize) -> Result<(), String> {
        let name = to.strip_prefix(DEFINITIONS).filter(|name| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            !name.is_empty() && name.bytes().all(plain)
        });
        let Some(name) = name else {
            let why =
                "has to be a definition of this schema, such as #/$defs/Name: nothing is fetched";
            return path.refused(&format!("{to:?}, {why}"));
        };
        let Some(target) = self.root["$defs"].get(name) else {
            return path.refused(&format!("{to:?}, which $defs does not have"));
        };
        if self.inside.contains(&name) {
            return path.refused(&format!("{to:?} leads back to itself: a schema has to end"));
        }
        self.inside.push(name);
        self.schema(target, path, depth + 1)?;
        self.inside.pop();
        Ok(())
    }

    /// `regex` never backtracks; what is left to bound is how large a pattern is that counts.
    fn pattern(&mut self, pattern: &str, path: &Path) -> Result<(), String> {
        if pattern.len() > MAX_PATTERN_BYTES {
            let bytes = pattern.len();
            return path.refused(&format!(
                "{bytes} bytes, a pattern has to have at most {MAX_PATTERN_BYTES}"
            ));
        }
        let runs = pattern::as_run(pattern);
        let build = |kib: usize| RegexBuilder::new(&runs).size_limit(kib << 10).build();
        let Some(kib) = PATTERN_KIB.into_iter().find(|kib| build(*kib).is_ok()) else {
            let why = build(MAX_PATTERN_KIB).err().map(|error| error.to_string());
            let why = why
                .as_deref()
                .and_then(|why| why.lines().last())
                .unwrap_or_default();
            return path.refused(&format!(
                "{pattern:?}, has to be a pattern without look-around, back-references and large counts: {why}"
            ));
        };
        self.cost.pattern_kib += kib;
        if self.cost.pattern_kib > MAX_PATTERNS_KIB {
            return path.refused("all patterns together have to be smaller");
        }
        Ok(())
    }

    fn part(&mut self, path: &Path) -> Result<(), String> {
        self.cost.parts += 1;
        match self.cost.parts > MAX_PARTS {
            true => path.refused(&format!(
                "a schema has to have at most {MAX_PARTS} parts, with references followed"
            )),
            false => Ok(()),
        }
    }
}
