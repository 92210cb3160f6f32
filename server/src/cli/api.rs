//! `sandclock api`: any route of the API, for what has no command of its own and for scripts.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;

use super::client::Client;
use super::file::Written;
use super::{Output, Told, out, table};

/// What to ask for.
#[derive(Debug, Args)]
pub(super) struct ApiArgs {
    /// Below /api/v1, with its query, such as /runs?state=failed
    path: String,
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(short = 'X', long, value_name = "NAME", default_value = "GET")]
    method: String,
    /// A file with the body: TOML or YAML by its ending, else JSON; - is JSON
    /// on standard input
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    body: Option<PathBuf>,
}

/// Asks, and prints the answer as it came.
///
/// # Errors
/// If the server refuses or does not answer.
pub(super) async fn main(args: ApiArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = args.path.strip_prefix("/api/v1").unwrap_or(&args.path);
    if !path.starts_with('/') {
        let told = format!("{path:?} is no path: it begins with a slash, such as /jobs");
        return Err(Told(told).into());
    }
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let method = args.method.to_ascii_uppercase();
    let mut known = known.into_iter();
    let method = known.find(|one| one.as_str() == method).ok_or_else(|| {
        Told(format!(
            "--method {:?} is not accepted: GET, POST, PUT, PATCH or DELETE",
            args.method
        ))
    })?;
    let body = args.body.as_deref().map(Written::read).transpose()?;
    if method == Method::GET && body.is_none() {
        out::write(&client.bytes(path).await?);
        return Ok(());
    }
    let answer = client.call(method, path, body.map(Written::into_tree));
    let answer = answer.await?;
    if !answer.is_null() {
        table::document(output, &answer);
    }
    Ok(())
}
