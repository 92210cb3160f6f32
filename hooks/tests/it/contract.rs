//! The contract over its versions: what was released keeps its shape, so that plugins built for it go on to work.

use wit_component::semver_check;
use wit_parser::{PackageId, Resolve};

/// Version 0.1.0, as it was released. It never changes.
const RELEASED: &str = include_str!("golden/0.1.0/plugin.wit");

/// The contract as it is.
const TODAY: &str = include_str!("../../../plugins-sdk/wit/plugin.wit");

/// A version that there is not, with one import more: that of the host in `tests/later`.
const LATER: &str = include_str!("../later/wit/plugin.wit");

/// Whether plugins for 0.1.0 work with this text of the contract.
///
/// # Errors
/// Says for which world they do not, and why.
fn fits(text: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let released = package(&mut resolve, RELEASED);
    // Two packages of one name and version cannot be told apart.
    let (name, _) = text
        .split_once("package sandclock:plugin@")
        .expect("a package");
    let later = text.replacen("@0.1.", "@0.1.1000", 1);
    assert_ne!(later, text, "the track is still 0.1: {name}");
    let later = package(&mut resolve, &later);
    let worlds = resolve.packages[released].worlds.clone();
    assert!(worlds.len() > 5, "{worlds:?}");
    for (name, world) in worlds {
        let now = resolve.packages[later].worlds.get(&name);
        let now = *now.ok_or_else(|| format!("the world {name} is gone"))?;
        semver_check(resolve.clone(), world, now).map_err(|error| format!("{name}: {error:#}"))?;
    }
    Ok(())
}

fn package(resolve: &mut Resolve, text: &str) -> PackageId {
    resolve.push_str("plugin.wit", text).expect("a contract")
}

#[test]
fn what_was_released_keeps_its_shape() {
    assert_eq!(fits(TODAY), Ok(()));
}

/// The later contract is today's and the import, and nothing else: what `tests/later` shows holds for today's.
#[test]
fn the_later_contract_is_todays_with_one_import_more() {
    let more =
        "    now-ms: func() -> f64;\n    /// Of the calendar, in UTC.\n    year: func() -> u32;\n";
    let grown = TODAY
        .replace(
            "package sandclock:plugin@0.1.0;",
            "package sandclock:plugin@0.1.1;",
        )
        .replace("    now-ms: func() -> f64;\n", more);
    assert_eq!(LATER, grown);
    assert_eq!(fits(LATER), Ok(()));
}

/// The check is one: it finds what would break plugins, and lets pass what would not.
#[test]
fn only_what_adds_passes() {
    let changed = |from: &str, to: &str| {
        assert_eq!(TODAY.matches(from).count(), 1, "{from}");
        fits(&TODAY.replace(from, to))
    };
    let more = "now-ms: func() -> f64;\n    year: func() -> u32;";
    assert_eq!(changed("now-ms: func() -> f64;", more), Ok(()));
    for (from, to) in [
        ("failures-in-a-row: u32,", "failures-in-a-row: u64,"),
        (
            "failures-in-a-row: u32,",
            "failures-in-a-row: u32, more: u32,",
        ),
        (
            "enum channel { combined, stdout, stderr }",
            "enum channel { combined, stdout, stderr, tty }",
        ),
        ("now-ms: func() -> f64;", ""),
        (
            "validate-config: func()",
            "validate-config: func(more: bool)",
        ),
        ("world all-hooks", "world every-hook"),
    ] {
        assert!(changed(from, to).is_err(), "{to}");
    }
}
