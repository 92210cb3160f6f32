//! Bodies with `{{placeholders}}`.
//!
//! There are no conditions, loops or filters: a template is text with holes, and every hole is filled with a value that is escaped
//! for the content type, so that no output of a job can change the shape of a message. A JSON body is a document whose
//! texts are templates; it is filled before it is written, and so needs no escaping at all.

use sandclock_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::settings::MAX_HEADER_BYTES;

/// What happened, seen from the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first failure after a success.
    Failure,
    /// One more.
    Repeat,
    /// The success after failures.
    Recovery,
}

impl Event {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Repeat => "repeat",
            Self::Recovery => "recovery",
        }
    }
}

/// All that a template can name.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) run: &'a RunInfo,
    pub(crate) end: &'a End,
    pub(crate) event: Event,
    pub(crate) tail_bytes: usize,
}

/// The placeholders, beside `label.NAME`.
const NAMES: [&str; 15] = [
    "summary",
    "event",
    "job",
    "job_id",
    "run_id",
    "attempt",
    "scheduled_at",
    "state",
    "cause",
    "exit_code",
    "signal",
    "duration",
    "failures",
    "previous_state",
    "tail",
];

impl Facts<'_> {
    /// The value of a placeholder; empty when this run has none.
    fn value(&self, name: &str) -> String {
        let Self { run, end, .. } = self;
        match name {
            "summary" => self.summary(),
            "event" => self.event.name().to_owned(),
            "job" => run.job_name.clone(),
            "job_id" => run.job_id.clone(),
            "run_id" => run.run_id.clone(),
            "attempt" => run.attempt.to_string(),
            "scheduled_at" => run.scheduled_at.clone(),
            "state" => end.state.clone(),
            "cause" => end.cause.clone(),
            "exit_code" => end
                .exit_code
                .map(|code| code.to_string())
                .unwrap_or_default(),
            "signal" => end.signal.clone().unwrap_or_default(),
            "duration" => seconds(end.duration_ms),
            "failures" => end.failures_in_a_row.to_string(),
            "previous_state" => end.previous_state.clone().unwrap_or_default(),
            "tail" => last(&end.output_tail, self.tail_bytes).to_owned(),
            _ => name
                .strip_prefix("label.")
                .and_then(|label| self.label(label))
                .unwrap_or_default()
                .to_owned(),
        }
    }

    fn label(&self, name: &str) -> Option<&str> {
        let found = self.run.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }

    fn summary(&self) -> String {
        let Self { run, end, .. } = self;
        let times = |n: u32| {
            if n == 1 {
                "1 failure".to_owned()
            } else {
                format!("{n} failures")
            }
        };
        match self.event {
            Event::Failure => format!("{} {}: {}", run.job_name, words(&end.state), end.cause),
            Event::Repeat => {
                let failures = times(end.failures_in_a_row);
                format!(
                    "{} {}, {failures} in a row: {}",
                    run.job_name,
                    words(&end.state),
                    end.cause
                )
            }
            Event::Recovery => format!(
                "{} recovered after {}",
                run.job_name,
                times(end.failures_in_a_row)
            ),
        }
    }
}

/// `timed_out` as people say it.
fn words(state: &str) -> String {
    state.replace('_', " ")
}

fn seconds(ms: u32) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// The last `bytes` of `text`, from the start of a character on.
fn last(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}

/// Text with holes.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Hole(String),
}

impl Template {
    pub(crate) fn parse(mut text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        while let Some((before, rest)) = text.split_once("{{") {
            let Some((name, after)) = rest.split_once("}}") else {
                return Err(format!("\"{{{{{rest}\" is not closed by }}}}").into());
            };
            let name = name.trim();
            if !NAMES.contains(&name) && !name.starts_with("label.") {
                return Err(format!(
                    "{{{{{name}}}}} is unknown: one of {}, label.NAME",
                    NAMES.join(", ")
                )
                .into());
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Hole(name.to_owned()));
            text = after;
        }
        parts.push(Part::Text(text.to_owned()));
        Ok(Self(parts))
    }

    fn render(&self, facts: &Facts<'_>, escape: fn(&str) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Hole(name) => escape(&facts.value(name)),
        });
        parts.collect()
    }

    /// For a header: one line of what headers may hold, and as much.
    pub(crate) fn render_line(&self, facts: &Facts<'_>) -> String {
        let mut line = self.render(facts, |value| {
            value
                .chars()
                .map(|c| if is_for_headers(c) { c } else { '?' })
                .collect()
        });
        // It is ASCII, so that no character is cut.
        line.truncate(MAX_HEADER_BYTES);
        line
    }
}

/// What a header may hold.
pub(crate) fn is_for_headers(c: char) -> bool {
    (' '..='~').contains(&c)
}

/// What is sent.
#[derive(Debug)]
pub(crate) enum Body {
    Text(Template),
    Json(Node),
}

/// A JSON document with templates for its texts.
#[derive(Debug)]
pub(crate) enum Node {
    Text(Template),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Fixed(Value),
}

impl Body {
    pub(crate) fn parse(body: &Value, content_type: &str) -> Result<Self> {
        match body {
            Value::String(text) => Ok(Self::Text(Template::parse(text)?)),
            Value::Object(_) | Value::Array(_) if is_json(content_type) => {
                Ok(Self::Json(Node::parse(body)?))
            }
            Value::Object(_) | Value::Array(_) => Err(format!(
                "a document needs a JSON content type, not {content_type}; give a text"
            )
            .into()),
            other => Err(format!("{other}: has to be a text, an object or a list").into()),
        }
    }

    pub(crate) fn render(&self, content_type: &str, facts: &Facts<'_>) -> Vec<u8> {
        match self {
            Self::Text(template) => template
                .render(facts, escape_for(content_type))
                .into_bytes(),
            Self::Json(node) => node.render(facts).to_string().into_bytes(),
        }
    }
}

impl Node {
    fn parse(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(items) => {
                Self::List(items.iter().map(Self::parse).collect::<Result<_>>()?)
            }
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), Self::parse(value)?)));
                Self::Map(fields.collect::<Result<_>>()?)
            }
            other => Self::Fixed(other.clone()),
        })
    }

    fn render(&self, facts: &Facts<'_>) -> Value {
        match self {
            Self::Text(template) => Value::String(template.render(facts, str::to_owned)),
            Self::List(items) => items.iter().map(|item| item.render(facts)).collect(),
            Self::Map(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, node)| (key.clone(), node.render(facts)));
                Value::Object(fields.collect())
            }
            Self::Fixed(value) => value.clone(),
        }
    }
}

fn essence(content_type: &str) -> String {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence == "application/json" || essence.ends_with("+json")
}

/// How a value is escaped within a text of this type: as part of a JSON text, of a form, or of HTML and XML; else not at all.
fn escape_for(content_type: &str) -> fn(&str) -> String {
    let essence = essence(content_type);
    if is_json(content_type) {
        json_text
    } else if essence == "application/x-www-form-urlencoded" {
        form
    } else if essence.ends_with("html") || essence.ends_with("xml") {
        markup
    } else {
        str::to_owned
    }
}

/// The inside of a JSON text, without its quotes.
fn json_text(value: &str) -> String {
    let quoted = Value::String(value.to_owned()).to_string();
    quoted
        .get(1..quoted.len() - 1)
        .unwrap_or_default()
        .to_owned()
}

fn form(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

fn markup(value: &str) -> String {
    let char = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        _ => c.to_string(),
    };
    value.chars().map(char).collect()
}
