//! `sandclock crontab import`: what it reads, what it makes of it, and that the jobs do what cron's lines did.

mod corpus;
mod import;
mod runs;

use std::path::PathBuf;

use crate::product::Product;

/// Writes a crontab beside the product's data.
fn written(product: &Product, name: &str, text: &str) -> PathBuf {
    let path = product.home().join(name);
    std::fs::write(&path, text).unwrap();
    path
}
