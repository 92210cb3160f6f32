//! Files that programs have written, committed so that nobody needs the programs: each is what its generator makes today.
//!
//! With `SANDCLOCK_GENERATE` set, as `cargo xtask plugins` does, they are written instead.

use std::path::PathBuf;

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Compares a file of the repository with what its generator makes.
fn check(path: &str, made: &[u8]) {
    let file = PathBuf::from(ROOT).join(path);
    #[expect(
        clippy::disallowed_methods,
        reason = "only a test, and its cargo command says so"
    )]
    if std::env::var("SANDCLOCK_GENERATE").is_ok() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, made).expect("writes");
    }
    let committed = std::fs::read(&file).unwrap_or_default();
    assert!(
        committed == made,
        "{path} is not what its generator makes: run `cargo xtask plugins` and commit what it writes"
    );
}

#[test]
fn what_stands_in_for_wasi() {
    let source = format!("{ROOT}/hooks/wasi/preview1.wat");
    let made = wat::parse_file(source).expect("valid WAT");
    check("hooks/wasi/preview1.wasm", &made);
}

/// Compares the bindings for a world with those in a folder of the examples, but for the files in `kept`, which are the author's from
/// then on.
fn check_bindings(mut generator: Box<dyn WorldGenerator>, folder: &str, kept: &[&str]) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(format!("{ROOT}/plugins-sdk/wit"))
        .expect("valid WIT");
    let world = resolve
        .select_world(&[package], Some("timeout-plugin"))
        .expect("the world is there");
    let mut files = Files::default();
    generator
        .generate(&mut resolve, world, &mut files)
        .expect("bindings");
    for (name, made) in files.iter().filter(|(name, _)| !kept.contains(name)) {
        check(&format!("examples/plugins/languages/{folder}/{name}"), made);
    }
}

#[test]
fn bindings_for_c() {
    check_bindings(wit_bindgen_c::Opts::default().build(), "c", &[]);
}

#[test]
fn bindings_for_go() {
    let options = wit_bindgen_go::Opts {
        // Otherwise it would depend on whether a `gofmt` is found.
        format: wit_bindgen_go::Format::False,
        ..Default::default()
    };
    check_bindings(options.build(), "go", &["go.mod"]);
}
