//! `sandclock plugin bind`, `unbind` and `bindings`: plugins for many jobs at once.

use clap::{ArgGroup, Args};
use reqwest::Method;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::reach::Refused;
use crate::cli::schedule;
use crate::cli::selection::label;
use crate::cli::table::{self, rows, text};
use crate::cli::{Output, Told};
use crate::document;

/// What to bind, and to which jobs.
#[derive(Debug, Args)]
#[command(override_usage = "sandclock plugin bind [OPTIONS] <--all|--prefix|--label> <PLUGIN>")]
#[command(group = ArgGroup::new("jobs").required(true).multiple(true).args(["all", "prefix", "label"]))]
pub(in crate::cli) struct BindArgs {
    /// The plugin
    plugin: String,
    /// To all jobs
    #[arg(long, conflicts_with_all = ["prefix", "label"])]
    all: bool,
    /// To jobs whose names begin with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// To jobs with this label; of several, jobs with all of them
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Its configuration for these jobs, a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    config: Option<Value>,
    /// Its place: bindings are asked from the lowest to the highest
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    order: i32,
    /// Keep it when a job names the plugin by itself
    #[arg(long)]
    required: bool,
    /// The binding's name [default: the plugin's]
    #[arg(long)]
    name: Option<String>,
    /// Replace the binding of that name
    #[arg(long)]
    replace: bool,
}

fn object(text: &str) -> Result<Value, String> {
    let value = document::parse_json(text.as_bytes()).map_err(|error| error.to_string())?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("an object is expected, such as {\"factor\": 3}".to_owned())
    }
}

impl BindArgs {
    fn document(&self) -> Value {
        let labels = self.label.iter().cloned();
        let labels: Map<String, Value> = labels.map(|(key, value)| (key, value.into())).collect();
        let selector = match self.all {
            true => json!({ "all": true }),
            false => json!({ "prefix": self.prefix, "labels": labels }),
        };
        json!({
            "selector": selector,
            "plugin": self.plugin,
            "config": self.config.clone().unwrap_or_else(|| json!({})),
            "order": self.order,
            "required": self.required,
        })
    }
}

/// `plugin bind`
pub(super) async fn bind(args: &BindArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let name = args.name.as_deref().unwrap_or(&args.plugin);
    let path = format!("/bindings/{}", segment(name));
    let saved = match args.replace {
        true => {
            client
                .call(Method::PUT, &path, Some(args.document()))
                .await?
        }
        false => {
            let put = client.put_over(&path, args.document(), None).await;
            put.map_err(|error| there_already(error, name))?
        }
    };
    let has = |job: &&Value| {
        let mut bound = job["bound"].as_array().into_iter().flatten();
        bound.any(|bound| bound["binding"] == name)
    };
    let jobs = client.all("/jobs").await?.iter().filter(has).count();
    table::either(output, &saved, |saved| {
        let plugin = text(saved, "plugin");
        table::say(&format!("bound {plugin} to {jobs} jobs as {name}"));
        schedule::warnings(saved);
    });
    Ok(())
}

fn there_already(error: anyhow::Error, name: &str) -> anyhow::Error {
    let refused = error.downcast_ref::<Refused>();
    match refused.is_some_and(|refused| refused.status == StatusCode::PRECONDITION_FAILED) {
        true => Told(format!(
            "there is a binding {name} already: --name gives this one another name, --replace replaces that one"
        ))
        .into(),
        false => error,
    }
}

/// `plugin unbind`
pub(super) async fn unbind(name: &str, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = format!("/bindings/{}", segment(name));
    client.call(Method::DELETE, &path, None).await?;
    let done = json!({ "binding": name, "outcome": "deleted" });
    table::either(output, &done, |_| table::say(&format!("unbound {name}")));
    Ok(())
}

/// `plugin bindings`
pub(super) async fn list(
    name: Option<&str>,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let bindings = match name {
        None => client.get("/bindings").await?,
        Some(name) => {
            let path = format!("/bindings/{}", segment(name));
            json!({ "items": [client.get(&path).await?], "next": null })
        }
    };
    table::either(output, &bindings, |bindings| {
        let row = |binding: &Value| {
            let required = binding["required"].as_bool() == Some(true);
            let what = match binding["broken"].as_str() {
                Some(why) => format!("broken: {why}"),
                None => in_words(&binding["selector"]),
            };
            vec![
                text(binding, "name"),
                text(binding, "plugin"),
                what,
                text(binding, "order"),
                if required { "yes" } else { "no" }.to_owned(),
                binding["config"].to_string(),
            ]
        };
        let header = ["BINDING", "PLUGIN", "JOBS", "ORDER", "REQUIRED", "CONFIG"];
        rows(bindings, &header, row);
        for binding in bindings["items"].as_array().into_iter().flatten() {
            schedule::warnings(binding);
        }
    });
    Ok(())
}

/// The jobs that a selector is for.
fn in_words(selector: &Value) -> String {
    let prefix = selector["prefix"]
        .as_str()
        .map(|prefix| format!("{prefix}*"));
    let labels = selector["labels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let conditions: Vec<_> = prefix.into_iter().chain(labels).collect();
    match conditions.is_empty() {
        true => "all".to_owned(),
        false => conditions.join(" "),
    }
}
