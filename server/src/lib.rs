//! The `sandclock` binary as a library, so that tests reach its parts.

pub mod exec;
