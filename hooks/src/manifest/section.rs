//! The custom section in which a manifest travels, on the top level of an artifact.

use std::borrow::Cow;

use wasm_encoder::{CustomSection, Section as _};
use wasmparser::{Parser, Payload};

/// The section's name.
const NAME: &str = "sandclock:manifest";
/// The most bytes of a manifest.
const MAX_BYTES: usize = 64 << 10;

/// What the section holds; `None` if there is none, or the bytes are no wasm, which others complain about.
///
/// # Errors
/// If there are two, or too large a one.
pub(super) fn find(artifact: &[u8]) -> Result<Option<&[u8]>, String> {
    let mut found = None;
    // How many modules and components are open around a section.
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(artifact) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::CustomSection(section)) if depth == 0 && section.name() == NAME => {
                if section.data().len() > MAX_BYTES {
                    return Err(format!("it has more than {MAX_BYTES} bytes"));
                }
                if found.replace(section.data()).is_some() {
                    return Err("there are two".to_owned());
                }
            }
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(found)
}

/// Adds the section at the end.
pub(super) fn append(artifact: &mut Vec<u8>, manifest: &[u8]) {
    let section = CustomSection {
        name: Cow::Borrowed(NAME),
        data: Cow::Borrowed(manifest),
    };
    section.append_to(artifact);
}
