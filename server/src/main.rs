//! Entry point of the `sandclock` binary.
fn main() {}
