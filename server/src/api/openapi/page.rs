//! The document for people: one page, without script and without anything from elsewhere, so that it works where a strict
//! policy forbids both. It holds what the document says, and no data.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for a member that it does not have"
)]

use std::fmt::Write as _;

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use super::{ROLE, SCOPE};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// The page.
pub fn page(document: &OpenApi) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    let mut page = Page::default();
    let version = text(&document["info"], "version");
    page.add("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    page.add("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    page.add("<title>Sandclock API</title><link rel=\"stylesheet\" href=\"/console.css\"><main>");
    page.add(&format!(
        "<h1>Sandclock API <small>{}</small></h1>",
        escaped(version)
    ));
    page.prose(text(&document["info"], "description"));
    page.add("<p>The same for programs: <code>/api/v1/openapi.json</code>, with a token.</p>");
    let operations = operations(&document);
    let tags = document["tags"].as_array().cloned().unwrap_or_default();
    page.contents(&tags);
    for tag in &tags {
        page.group(tag, &operations);
    }
    page.add("<h2 id=\"types\">Types</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        page.named(name, schema);
    }
    page.add("</main></html>");
    page.html
}

/// An operation with its method and path.
struct Placed<'a> {
    method: &'static str,
    path: &'a str,
    operation: &'a Value,
}

fn operations(document: &Value) -> Vec<Placed<'_>> {
    let paths = members(&document["paths"]);
    let all = paths.flat_map(|(path, item)| {
        METHODS.into_iter().filter_map(move |method| {
            let operation = item.get(method)?;
            Some(Placed {
                method,
                path,
                operation,
            })
        })
    });
    all.collect()
}

#[derive(Debug, Default)]
struct Page {
    html: String,
}

impl Page {
    fn add(&mut self, html: &str) {
        self.html.push_str(html);
        self.html.push('\n');
    }

    /// Paragraphs and lists, with code between backticks.
    fn prose(&mut self, text: &str) {
        for paragraph in text.split("\n\n").filter(|text| !text.trim().is_empty()) {
            self.add(&format!("<p>{}</p>", with_code(paragraph)));
        }
    }

    fn contents(&mut self, tags: &[Value]) {
        let link = |tag: &Value| {
            let name = escaped(text(tag, "name"));
            format!("<a href=\"#{name}\">{name}</a>")
        };
        let links: Vec<_> = tags.iter().map(link).collect();
        self.add(&format!(
            "<nav>{} <a href=\"#types\">types</a></nav>",
            links.join(" ")
        ));
    }

    fn group(&mut self, tag: &Value, operations: &[Placed<'_>]) {
        let name = text(tag, "name");
        self.add(&format!("<h2 id=\"{0}\">{0}</h2>", escaped(name)));
        self.prose(text(tag, "description"));
        let of_tag = |placed: &&Placed<'_>| list(placed.operation, "tags").any(|tag| tag == name);
        for placed in operations.iter().filter(of_tag) {
            self.operation(placed);
        }
    }

    fn operation(&mut self, placed: &Placed<'_>) {
        let Placed {
            method,
            path,
            operation,
        } = placed;
        let id = escaped(text(operation, "operationId"));
        let (method, path) = (method.to_uppercase(), escaped(path));
        self.add(&format!(
            "<h3 id=\"{id}\"><code>{method} {path}</code> <small>{}, {}</small></h3>",
            escaped(text(operation, ROLE)),
            escaped(text(operation, SCOPE))
        ));
        self.prose(text(operation, "summary"));
        self.prose(text(operation, "description"));
        self.add("<table>");
        for parameter in list(operation, "parameters") {
            let required = match parameter["required"].as_bool() {
                Some(true) => "",
                _ => ", optional",
            };
            let place = format!("{}{required}", text(parameter, "in"));
            let kind = kind(&parameter["schema"]);
            self.row(&[
                &code(text(parameter, "name")),
                &kind,
                &escaped(&place),
                &with_code(text(parameter, "description")),
            ]);
        }
        for (kind_of, content) in members(&operation["requestBody"]["content"]) {
            self.row(&["body", &kind(&content["schema"]), &escaped(kind_of), ""]);
        }
        for (status, answer) in members(&operation["responses"]) {
            let content = members(&answer["content"]).next();
            let schema = content.map(|(_, content)| kind(&content["schema"]));
            let schema = schema.unwrap_or_else(|| kind(answer));
            let media = content.map_or("", |(media, _)| media);
            let about = with_code(text(answer, "description"));
            self.row(&[&escaped(status), &schema, &escaped(media), &about]);
        }
        self.add("</table>");
    }

    fn named(&mut self, name: &str, schema: &Value) {
        self.add(&format!(
            "<h3 id=\"type-{0}\"><code>{0}</code></h3>",
            escaped(name)
        ));
        self.prose(text(schema, "description"));
        let parts: Vec<_> = list(schema, "allOf").chain([schema]).collect();
        if list(schema, "allOf").next().is_none() && schema["properties"].is_null() {
            self.add(&format!("<p>{}</p>", kind(schema)));
            return;
        }
        self.add("<table>");
        for part in parts {
            if part.get("$ref").is_some() {
                self.row(&["all of", &kind(part), ""]);
            }
            for (member, schema) in members(&part["properties"]) {
                let about = with_code(text(schema, "description"));
                self.row(&[&code(member), &kind(schema), &about]);
            }
        }
        self.add("</table>");
    }

    fn row(&mut self, cells: &[&str]) {
        let cells: String = cells.iter().fold(String::new(), |mut row, cell| {
            let _ = write!(row, "<td>{cell}</td>");
            row
        });
        self.add(&format!("<tr>{cells}</tr>"));
    }
}

/// What a value may be, in a few words, with links to named types.
fn kind(schema: &Value) -> String {
    if let Some(to) = schema["$ref"].as_str() {
        let name = escaped(to.rsplit('/').next().unwrap_or(to));
        return format!("<a href=\"#type-{name}\">{name}</a>");
    }
    let several = ["oneOf", "anyOf", "allOf"].into_iter();
    if let Some(choice) = several.filter_map(|by| schema[by].as_array()).next() {
        return choice.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(names) = schema["enum"].as_array() {
        let names = names.iter().filter_map(Value::as_str).map(code);
        return names.collect::<Vec<_>>().join(", ");
    }
    let types = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(all) => {
            let all = all.iter().filter_map(Value::as_str);
            all.collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    };
    match &schema["items"] {
        Value::Null => escaped(&types),
        items => format!("{} of {}", escaped(&types), kind(items)),
    }
}

fn text<'a>(of: &'a Value, member: &str) -> &'a str {
    of[member].as_str().unwrap_or_default()
}

fn list<'a>(of: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    of[member].as_array().into_iter().flatten()
}

fn members(of: &Value) -> impl Iterator<Item = (&String, &Value)> {
    of.as_object().into_iter().flat_map(Map::iter)
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// Text in which every second part between backticks is code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => escaped(part),
        _ => code(part),
    });
    parts.collect()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
