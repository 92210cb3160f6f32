//! The JSON Schema of a plugin's configuration: what is accepted of one, and what it says of a configuration.
//!
//! Its author is not trusted with the processor of whoever reads it. A part of draft 2020-12 is accepted (`keywords`): it is a
//! tree of bounded size, in which nothing is fetched and no pattern backtracks, and how long a configuration may take is
//! known beforehand.

mod keywords;
mod members;
mod pattern;
mod refusal;

use std::fmt;
use std::sync::Arc;

use boon::{CompileError, Compiler, Draft, SchemaIndex, Schemas, UrlLoader};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use self::members::Member;
use crate::secrets::KnownSecrets;

/// The name under which a schema is compiled. Nothing is read from there.
const PLACE: &str = "mem:///config";

/// The most bytes of a schema, as JSON.
pub const MAX_SCHEMA_BYTES: usize = 16 << 10;

/// How much of a configuration is looked at: a configuration's values times the schema's parts.
const MAX_WORK: usize = 512 << 10;
/// The same for patterns: a configuration's bytes times the size of all patterns in KiB.
const MAX_PATTERN_WORK: usize = 1 << 20;

/// The JSON Schema of a plugin's configuration, ready to be asked. It is written and read as the schema.
#[derive(Clone)]
pub struct ConfigSchema(Arc<Compiled>);

struct Compiled {
    written: Value,
    schemas: Schemas,
    root: SchemaIndex,
    cost: keywords::Cost,
}

impl ConfigSchema {
    /// Checks and compiles a schema. It takes milliseconds, whatever the schema says.
    ///
    /// # Errors
    /// Names the keyword that is not accepted by its path, and what would be.
    pub fn new(written: Value) -> Result<Self, String> {
        let bytes = written.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(format!(
                "{bytes} bytes of JSON, of which at most {MAX_SCHEMA_BYTES} are accepted"
            ));
        }
        let cost = keywords::check(&written)?;
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.use_loader(Box::new(Nothing));
        let mut schemas = Schemas::new();
        let told = |error: CompileError| refusal::of_schema(&written, &error);
        compiler
            .add_resource(PLACE, written.clone())
            .map_err(told)?;
        let root = compiler.compile(PLACE, &mut schemas).map_err(told)?;
        Ok(Self(Arc::new(Compiled {
            written,
            schemas,
            root,
            cost,
        })))
    }

    /// As its author wrote it.
    pub fn written(&self) -> &Value {
        &self.0.written
    }

    /// What a person can configure, in the order in which the schema names it.
    pub fn members(&self) -> Vec<Member> {
        members::of(&self.0.written)
    }

    /// Whether a configuration is as the schema says.
    ///
    /// # Errors
    /// Begins with the path of the member at fault (`config.words[1]: …`), and says what is accepted there. The value is not
    /// repeated; what is repeated, the names of members, is without `secrets`.
    pub fn check(&self, config: &Value, secrets: &KnownSecrets) -> Result<(), String> {
        let compiled = &*self.0;
        self.affordable(config)?;
        let checked = compiled.schemas.validate(config, compiled.root);
        checked.map_err(|error| refusal::of_config(&compiled.written, secrets, &error))
    }

    fn affordable(&self, config: &Value) -> Result<(), String> {
        let keywords::Cost { parts, pattern_kib } = self.0.cost;
        let (values, most) = (values(config), MAX_WORK / parts.max(1));
        if values > most {
            return Err(format!(
                "config: {values} values, has to be at most {most} with the {parts} parts of the plugin's schema"
            ));
        }
        let (bytes, most) = (
            config.to_string().len(),
            MAX_PATTERN_WORK / pattern_kib.max(1),
        );
        if pattern_kib > 0 && bytes > most {
            return Err(format!(
                "config: {bytes} bytes, has to be at most {most} with the patterns of the plugin's schema"
            ));
        }
        Ok(())
    }
}

/// How many values there are in one, with itself. The reader of JSON has bounded its depth.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
        _ => 1,
    }
}

/// Finds nothing anywhere: no schema is a reason to open a file or a connection.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("{url} is not fetched").into())
    }
}

impl fmt::Debug for ConfigSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConfigSchema").field(self.written()).finish()
    }
}

impl PartialEq for ConfigSchema {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for ConfigSchema {}

impl Serialize for ConfigSchema {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(to)
    }
}

impl<'de> Deserialize<'de> for ConfigSchema {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(Value::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
