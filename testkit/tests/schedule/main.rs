//! Schedules against oracles that share no code with them: cronsim and zoneinfo of Python, a
//! minute-by-minute clock, and tables written from crontab(5) and from what the Go fleet does.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what it did not expect and prints what it counted"
)]

mod clock_changes;
mod cronsim;
mod fuzz;
mod generate;
mod go_dialect;
