//! What can be said of a compose file without an engine: that its services fit each other and the files beside it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What our services say; anything else is a slip of the pen, which engines pass over or refuse only when asked.
const KEYS: [&str; 13] = [
    "build",
    "command",
    "depends_on",
    "environment",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ports",
    "restart",
    "stop_grace_period",
    "user",
    "volumes",
];

/// What is wrong; `exists` answers for paths beside the file.
pub(super) fn findings(document: &Value, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let nothing = Map::new();
    let members = |name: &str| {
        let section = document.get(name).and_then(Value::as_object);
        section.unwrap_or(&nothing)
    };
    let (services, volumes) = (members("services"), members("volumes"));
    if services.is_empty() {
        found.push("there are no services".to_owned());
    }
    let mut used = BTreeSet::new();
    for (name, service) in services {
        let mut say = |what: String| found.push(format!("{name}: {what}"));
        for key in service.as_object().into_iter().flat_map(Map::keys) {
            if !KEYS.contains(&key.as_str()) {
                say(format!("{key} is no key that is known here"));
            }
        }
        let image = text(service, "image");
        if !image
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'))
        {
            say(format!("image {image:?} names no version"));
        }
        if let Some(file) = service.pointer("/build/dockerfile").and_then(Value::as_str) {
            let context = service.pointer("/build/context").and_then(Value::as_str);
            let path = format!("{}/{file}", context.unwrap_or("."));
            if !exists(&path) {
                say(format!("build: there is no {path}"));
            }
        }
        for (other, how) in depends_on(service) {
            match services.get(&other) {
                None => say(format!("depends_on: there is no service {other}")),
                Some(target) => {
                    if let Some(why) = never(target, &how) {
                        say(format!("depends_on {other}: {how}, but {why}"));
                    }
                }
            }
        }
        for mount in list(service, "volumes") {
            let source = mount.split(':').next().unwrap_or_default();
            if !mount.contains(":/") {
                say(format!("volumes: {mount:?} names no path in the container"));
            } else if !source.starts_with('.') {
                used.insert(source.to_owned());
                if !volumes.contains_key(source) {
                    say(format!("volumes: there is no volume {source}"));
                }
            } else if !exists(source) {
                say(format!("volumes: there is no {source}"));
            }
        }
        for port in list(service, "ports") {
            if !port.starts_with("127.0.0.1:") {
                say(format!("ports: {port} is open to other hosts"));
            }
        }
    }
    for volume in volumes.keys().filter(|volume| !used.contains(*volume)) {
        found.push(format!("volume {volume} is used by no service"));
    }
    found
}

/// Why a service will never be in the state that another one waits for.
fn never(target: &Value, how: &str) -> Option<&'static str> {
    let restart = text(target, "restart");
    let test = target
        .pointer("/healthcheck/test")
        .and_then(Value::as_array);
    match how {
        "service_started" => None,
        "service_healthy" => {
            let first = test.and_then(|test| test.first()).and_then(Value::as_str);
            let command = matches!(first, Some("CMD" | "CMD-SHELL"));
            let says = test.is_some_and(|test| test.len() > 1);
            (!command || !says).then_some("it has no health check")
        }
        "service_completed_successfully" => {
            let again = matches!(restart.as_str(), "always" | "unless-stopped");
            again.then_some("it is always started again")
        }
        _ => Some("there is no such condition"),
    }
}

/// Hosts of a configuration's stores that are no services.
pub(super) fn unknown_hosts(document: &Value, config: &toml::Table) -> Vec<String> {
    let endpoints = config
        .get("coordination")
        .and_then(|section| section.get("endpoints")?.as_array())
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str);
    let uri = config
        .get("run_log")
        .and_then(|section| section.get("uri")?.as_str())
        .unwrap_or_default();
    let hosts = uri.trim_start_matches("mongodb://").split('/').next();
    endpoints
        .chain(hosts.into_iter().flat_map(|hosts| hosts.split(',')))
        .map(|host| host.split(':').next().unwrap_or_default())
        .filter(|host| document.pointer(&format!("/services/{host}")).is_none())
        .map(str::to_owned)
        .collect()
}

fn depends_on(service: &Value) -> Vec<(String, String)> {
    let members = service.get("depends_on").and_then(Value::as_object);
    let each = |(name, how): (&String, &Value)| (name.clone(), text(how, "condition"));
    members.into_iter().flatten().map(each).collect()
}

fn list(service: &Value, key: &str) -> Vec<String> {
    let items = service.get(key).and_then(Value::as_array);
    let each = |item: &Value| item.as_str().map(str::to_owned);
    items.into_iter().flatten().filter_map(each).collect()
}

fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn right() -> Value {
        json!({
            "services": {
                "store": {
                    "image": "registry.example.org/store:1.2",
                    "restart": "unless-stopped",
                    "healthcheck": { "test": ["CMD", "ask"] },
                    "volumes": ["data:/data"],
                },
                "setup": {
                    "image": "setup:1",
                    "restart": "on-failure",
                    "depends_on": { "store": { "condition": "service_healthy" } },
                    "volumes": ["./setup.js:/setup.js:ro"],
                },
                "server": {
                    "image": "own:local",
                    "build": { "context": "..", "dockerfile": "deploy/Containerfile" },
                    "ports": ["127.0.0.1:8070:8070"],
                    "depends_on": { "setup": { "condition": "service_completed_successfully" } },
                },
            },
            "volumes": { "data": null },
        })
    }

    fn beside(path: &str) -> bool {
        ["./setup.js", "../deploy/Containerfile"].contains(&path)
    }

    #[test]
    fn what_fits_is_not_complained_of() {
        assert_eq!(findings(&right(), beside), Vec::<String>::new());
    }

    #[test]
    fn whatever_does_not_fit_is_found() {
        let cases = [
            ("/services", json!({}), "no services"),
            (
                "/services/store/image",
                json!("a.example:5000/store"),
                "no version",
            ),
            (
                "/services/store/volumes/0",
                json!("date:/data"),
                "no volume date",
            ),
            ("/services/store/volumes/0", json!("data"), "no path"),
            (
                "/services/store/healthcheck",
                json!({ "test": ["NONE"] }),
                "no health check",
            ),
            ("/services/setup/restart", json!("always"), "started again"),
            (
                "/services/setup/volumes/0",
                json!("./set.js:/setup.js"),
                "no ./set.js",
            ),
            (
                "/services/setup/depends_on",
                json!({ "shop": {} }),
                "no service shop",
            ),
            (
                "/services/setup/depends_on/store/condition",
                json!("healthy"),
                "no such condition",
            ),
            (
                "/services/server/build/context",
                json!("."),
                "no ./deploy/Containerfile",
            ),
            (
                "/services/server/ports/0",
                json!("8070:8070"),
                "open to other hosts",
            ),
            (
                "/volumes",
                json!({ "data": null, "more": null }),
                "used by no service",
            ),
        ];
        for (path, value, expected) in cases {
            let mut document = right();
            *document.pointer_mut(path).unwrap() = value;
            let found = findings(&document, beside).join("\n");
            assert!(found.contains(expected), "{path}: {found}");
        }
        let mut document = right();
        document["services"]["server"]["depend_on"] = json!(["store"]);
        assert!(
            findings(&document, beside)
                .join("")
                .contains("depend_on is no key")
        );
    }

    #[test]
    fn stores_of_a_configuration_are_services() {
        let config = |text: &str| text.parse::<toml::Table>().unwrap();
        let right_one = config(
            "[coordination]\nendpoints = [\"store:2379\"]\n[run_log]\nuri = \"mongodb://server,setup:1/?a=b\"",
        );
        assert_eq!(unknown_hosts(&right(), &right_one), Vec::<String>::new());
        let wrong = config(
            "[coordination]\nendpoints = [\"stone:2379\"]\n[run_log]\nuri = \"mongodb://served/?a=b\"",
        );
        assert_eq!(unknown_hosts(&right(), &wrong), ["stone", "served"]);
    }
}
