//! Tests of the server crate on real processes, files and sockets.

// Helpers beside the test functions are test code too: the lints on panics and printing look for
// this.
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod api;
#[cfg(test)]
mod applied;
#[cfg(test)]
mod apply;
#[cfg(test)]
mod audited;
#[cfg(test)]
mod author;
#[cfg(test)]
mod author_languages;
#[cfg(test)]
mod away;
#[cfg(test)]
mod backfill;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod bindings;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod client;
#[cfg(test)]
mod config;
#[cfg(test)]
mod configured;
#[cfg(test)]
mod crontab;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod dev;
#[cfg(test)]
mod dev_loop;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod door;
#[cfg(test)]
mod drop_in;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod events;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod explained;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod fragile;
#[cfg(test)]
mod go_master;
#[cfg(test)]
mod granted;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod leader;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod monitored;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod packaged;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod partial;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod plugin_docs;
#[cfg(test)]
mod printed;
#[cfg(test)]
mod product;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod races;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod run_log_away;
#[cfg(test)]
mod run_log_late;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod secured;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod spool;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod swaps;
#[cfg(test)]
mod timeline;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod traced;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod transfer_plugins;
#[cfg(test)]
mod used;
#[cfg(test)]
mod version;
#[cfg(test)]
mod watched;
#[cfg(test)]
mod watching;
#[cfg(test)]
mod weaknesses;
#[cfg(test)]
mod worker;
#[cfg(test)]
mod workers;
#[cfg(test)]
mod yaml;
