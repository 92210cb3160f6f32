//! People sign in: by a token or at a provider, in a browser and by hand; what a session may do, how it ends, and what a
//! provider that lies achieves.

mod browser;
mod by_hand;
mod csrf;
mod ends;
mod fake;
mod hostile;
mod pages;
mod real;

use sandclock_core::Timestamp;
use sandclock_core::time::Clock as _;
use sandclock_server::clock::SystemClock;

use crate::alerts::scene::Config;
use crate::product::Product;

/// As whom the product is known at every provider.
const CLIENT: &str = "sandclock";

/// What it shows there.
const SECRET: &str = "of the client & more";

/// A configuration with this provider, and these further lines before its rules.
fn config(issuer: &str, more: &str, rules: &[&str]) -> Config {
    let rules: String = rules
        .iter()
        .map(|rule| format!("[[oidc.rules]]\n{rule}\n"))
        .collect();
    let section = format!(
        "[oidc]\nissuer = {issuer:?}\nclient_id = {CLIENT:?}\nclient_secret = {SECRET:?}\n{more}\n{rules}"
    );
    Config::new(&section)
}

/// `sandclock dev` with this provider.
fn product(issuer: &str, rules: &[&str]) -> Product {
    config(issuer, "", rules).dev()
}

/// The wall time, which the product has, too.
fn now() -> Timestamp {
    SystemClock.now()
}

/// The same in Unix seconds.
fn unix_s() -> i64 {
    now().as_millis().div_euclid(1_000)
}
