//! `sandclock token`: who may do what.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::table::{self, age, rows, text};
use super::transfer::{self, Stores};
use super::{Output, Target, Told};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token, and show it this once
    ///
    /// With --data or --config no server and no other token is needed: so the
    /// first one, or one in the place of a lost one, is made.
    #[command(verbatim_doc_comment)]
    Create {
        /// What people call it
        name: String,
        /// viewer, operator, editor or admin
        #[arg(long)]
        role: String,
        /// Only for jobs whose names begin so; may be given several times
        #[arg(long = "prefix", value_name = "PREFIX")]
        prefixes: Vec<String>,
        /// After how many days it is of no use [default: never]
        #[arg(long = "expires", value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3650))]
        expires_days: Option<u64>,
        #[command(flatten)]
        stores: Stores,
    },
    /// List tokens, without their secrets
    Ls {
        #[command(flatten)]
        stores: Stores,
    },
    /// Take a token away
    Revoke {
        /// The token's id: eight digits, as `token ls` shows them
        id: String,
        #[command(flatten)]
        stores: Stores,
    },
}

/// Runs a token command.
///
/// # Errors
/// If the server refuses or does not answer, or the stores cannot be used.
pub(super) async fn main(command: &TokenCommand, target: &Target) -> anyhow::Result<()> {
    let (TokenCommand::Create { stores, .. }
    | TokenCommand::Ls { stores }
    | TokenCommand::Revoke { stores, .. }) = command;
    transfer::on_api(stores, target, async |client| {
        act(command, client, target.output).await
    })
    .await
}

async fn act(command: &TokenCommand, client: &Client, output: Output) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create {
            name,
            role,
            prefixes,
            expires_days,
            ..
        } => {
            let asked = json!({
                "name": name,
                "role": role,
                "prefixes": prefixes,
                "expires_in_s": expires_days.map(|days| days * 86_400),
            });
            let made = client.call(Method::POST, "/tokens", Some(asked)).await?;
            table::either(output, &made, |made| {
                table::say(&text(made, "token"));
                table::aside(&format!(
                    "token {} of {}; it is shown this once",
                    text(made, "id"),
                    text(made, "name")
                ));
            });
        }
        TokenCommand::Ls { .. } => {
            let tokens = client.get("/tokens").await?;
            table::either(output, &tokens, |tokens| {
                let head = ["ID", "NAME", "ROLE", "JOBS", "EXPIRES", "USED"];
                rows(tokens, &head, row);
            });
        }
        TokenCommand::Revoke { id, .. } => {
            if id.starts_with("sandclock_") {
                let id = "the token's id is its eight digits behind sandclock_: give these, and nobody sees the rest";
                return Err(Told(id.to_owned()).into());
            }
            let route = format!("/tokens/{}", segment(id));
            client.call(Method::DELETE, &route, None).await?;
            let done = json!({ "token": id, "outcome": "revoked" });
            table::either(output, &done, |_| table::say(&format!("revoked {id}")));
        }
    }
    Ok(())
}

fn row(token: &Value) -> Vec<String> {
    let prefixes: Vec<_> = token["prefixes"].as_array().into_iter().flatten().collect();
    let prefixes = prefixes.iter().filter_map(|prefix| prefix.as_str());
    let jobs = match prefixes.collect::<Vec<_>>().join(" ") {
        all if all.is_empty() => "all".to_owned(),
        some => some,
    };
    let expires = match (token["broken"].is_string(), token["expired"].as_bool()) {
        (true, _) => "broken".to_owned(),
        (false, Some(true)) => "expired".to_owned(),
        _ => table::short_instant(token, "expires_at"),
    };
    vec![
        text(token, "id"),
        text(token, "name"),
        text(token, "role"),
        jobs,
        expires,
        age(token, "used_at"),
    ]
}
