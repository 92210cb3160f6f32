//! Bindings of the plugin's own world, in `bindings` of its folder: for languages whose compilers know nothing of components. The
//! generators are part of this program, so that an author of C or Go needs none.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

use super::tool::{CONTRACT, WORLD};

/// The folder of what is generated, from the plugin's.
pub(super) const FOLDER: &str = "bindings";

/// Writes the bindings that `generator` makes. A file that is the same already is left alone.
///
/// # Errors
/// If the contract or the world is not accepted, or a file cannot be written.
pub(super) fn write(folder: &Path, mut generator: Box<dyn WorldGenerator>) -> anyhow::Result<()> {
    let wit = folder.join(CONTRACT);
    let read = || wit.display().to_string();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(&wit).with_context(read)?;
    let world = resolve.select_world(&[package], Some(WORLD));
    let world = world.with_context(read)?;
    let mut files = Files::default();
    generator
        .generate(&mut resolve, world, &mut files)
        .with_context(read)?;
    for (name, made) in files.iter() {
        let file = folder.join(FOLDER).join(name);
        if fs::read(&file).is_ok_and(|there| there == made) {
            continue;
        }
        let parent = file.parent().ok_or_else(|| anyhow!("{name} is no file"))?;
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&file, made))
            .with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}
