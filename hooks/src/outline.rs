//! What an artifact asks for and offers, read without compiling it: also of one that cannot be installed.

use wasmparser::{Parser, Payload};

use crate::componentize::componentize;
use crate::install::InstallError;

/// The outside of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The interfaces and functions that it imports, as it names them.
    pub imports: Vec<String>,
    /// Those that it exports.
    pub exports: Vec<String>,
}

impl Outline {
    /// Of a component, or of a core module that can become one.
    ///
    /// # Errors
    /// If it is neither.
    pub fn of(artifact: &[u8]) -> Result<Self, InstallError> {
        let component = componentize(artifact, None)?;
        let malformed = |error: wasmparser::BinaryReaderError| InstallError::Malformed {
            why: error.to_string(),
        };
        let mut outline = Self::default();
        // How many modules and components are open around a section.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(&component) {
            match payload.map_err(malformed)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let name = import.map_err(malformed)?.name;
                        outline.imports.push(name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let name = export.map_err(malformed)?.name;
                        outline.exports.push(name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(outline)
    }
}
