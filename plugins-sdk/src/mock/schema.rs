//! The JSON Schema of a plugin's configuration, from the type that the plugin reads it into, so that nobody writes it by hand.
#![allow(
    clippy::disallowed_methods,
    reason = "a test of the plugin compares a file of its folder"
)]

use std::path::PathBuf;
use std::{env, fs};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::Result;

/// Beside `plugin.toml`; the build puts it into the plugin.
const FILE: &str = "config.schema.json";
/// Whoever sets it wants the file written.
const WRITE: &str = "WRITE_SCHEMA";

/// The schema of `T` as the text of a file. Doc comments become descriptions, and `#[serde(default)]` the defaults.
#[must_use]
pub fn config_schema<T: JsonSchema>() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = generator.into_root_schema_for::<T>();
    let mut text = format!("{:#}", schema.as_value());
    text.push('\n');
    text
}

/// Whether `config.schema.json` in the plugin's folder says what `T` does. With `WRITE_SCHEMA=1 cargo test` it is written.
///
/// # Errors
/// If it says something else, or cannot be read or written.
pub fn check_schema<T: JsonSchema>() -> Result<()> {
    let folder = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo test says where the folder is")?;
    let file = PathBuf::from(folder).join(FILE);
    let schema = config_schema::<T>();
    if env::var_os(WRITE).is_some() {
        fs::write(&file, schema)?;
        return Ok(());
    }
    if fs::read_to_string(&file).unwrap_or_default() == schema {
        return Ok(());
    }
    Err(
        format!("{FILE} says something else than the settings: {WRITE}=1 cargo test writes it")
            .into(),
    )
}
