//! The plugin host from outside: hostile guests, masking of known secrets, redaction of streams,
//! alerts, installation; and for each promise of secrecy a mutant that the suite notices.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod alerts;
mod bindings;
mod breakers;
mod cache;
mod configured;
mod contract;
mod effects;
mod encodings;
mod fixture;
mod frozen;
mod generated;
mod guests;
mod hostile;
mod install;
mod languages;
mod logs;
mod manifest;
mod masking;
mod monitored;
mod recording;
mod redaction;
mod reference;
mod signature;
mod standard;
mod timeouts;
mod told_again;
mod wasi;
mod workbench;
