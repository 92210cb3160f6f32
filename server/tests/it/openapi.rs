//! The API's document against what is served: every route of it asks for a token, and nothing else is there.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::product::{Product, wait_for};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// What is served beside the document, in full: health, metrics, the console's files, the way to the provider and
/// back, and the job without a name.
const BESIDE: [(&str, &str); 11] = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/"),
    ("GET", "/console.css"),
    ("GET", "/console.js"),
    ("GET", "/auth/login"),
    ("GET", "/auth/callback"),
    ("GET", "/api/docs"),
    ("GET", "/api/v1/jobs/"),
    ("DELETE", "/api/v1/jobs/"),
];

/// Those of them that need no token.
const OPEN: [&str; 6] = [
    "/healthz",
    "/readyz",
    "/",
    "/console.css",
    "/console.js",
    "/api/docs",
];

/// And those by which people get one, where the configuration says how.
const WAYS_IN: [&str; 2] = ["/auth/login", "/auth/callback"];

/// A route of the document.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// As the document has it.
    pub(crate) path: String,
    pub(crate) said: Value,
}

impl Operation {
    /// The path with something in each place that asks for it.
    pub(crate) fn url(&self) -> String {
        self.path
            .replace("/runs/{id}", "/runs/00000000000000000000000000000000")
            .replace("{sha256}", &"0".repeat(64))
            .replace("{name}", "x")
            .replace("{id}", "x")
    }
}

pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(said) = item.get(method) {
                all.push(Operation {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    said: said.clone(),
                });
            }
        }
    }
    assert!(all.len() > 40, "{} operations", all.len());
    all
}

#[tokio::test]
async fn without_a_known_token_every_route_is_refused_but_what_is_open() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    let documented = operations(&document).into_iter();
    let documented = documented.map(|operation| (operation.method.clone(), operation.url()));
    let open = [&OPEN[..], &WAYS_IN].concat();
    let beside = BESIDE.iter().filter(|(_, path)| !open.contains(path));
    let beside = beside.map(|(method, path)| (method.parse().unwrap(), (*path).to_owned()));
    let no_route = (Method::GET, "/no/such/route".to_owned());
    for (method, path) in documented.chain(beside).chain([no_route]) {
        for token in [None, Some("sandclock_0000"), Some("")] {
            let mut request = product.bare(method.clone(), &path);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.unwrap();
            let status = response.status();
            assert_eq!(
                status,
                StatusCode::UNAUTHORIZED,
                "{method} {path} {token:?}"
            );
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["type"], "/problems/unauthorized");
        }
    }
    for path in WAYS_IN {
        let answer = product.bare(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().await.unwrap().contains("no provider"));
    }
    for path in OPEN {
        // It is not ready before it has read the store.
        wait_for(path, Duration::from_secs(60), async || {
            let response = product.bare(Method::GET, path).send().await.unwrap();
            response.status() == StatusCode::OK
        })
        .await;
    }
}

#[tokio::test]
async fn a_path_has_the_methods_that_the_document_names_and_no_others() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    let all = operations(&document);
    for operation in &all {
        for method in METHODS {
            let method: Method = method.to_uppercase().parse().unwrap();
            let request = product.bare(method.clone(), &operation.url());
            let answer = request.bearer_auth(&product.token).send().await.unwrap();
            let same = |other: &&Operation| other.path == operation.path && other.method == method;
            let named = all.iter().find(same).is_some();
            let refused = answer.status() == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(named, !refused, "{method} {}", operation.path);
            if !refused && answer.status() == StatusCode::NOT_FOUND {
                let problem: Value = answer.json().await.unwrap();
                assert_eq!(
                    problem["type"], "/problems/not-found",
                    "{method} {}",
                    operation.path
                );
            }
        }
    }
}

#[tokio::test]
async fn every_operation_says_who_may_do_it_and_what_it_answers() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let tags = document["tags"].as_array().unwrap();
    let tags: BTreeSet<_> = tags
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut names = BTreeSet::new();
    for Operation { method, path, said } in &operations(&document) {
        let role = said["x-role"].as_str().unwrap();
        assert!(
            ["viewer", "operator", "editor", "admin"].contains(&role),
            "{method} {path}"
        );
        let name = said["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} twice");
        assert!(
            tags.contains(said["tags"][0].as_str().unwrap()),
            "{method} {path}"
        );
        assert!(
            !said["summary"].as_str().unwrap().is_empty(),
            "{method} {path}"
        );
        let refusal = &said["responses"]["default"]["$ref"];
        assert_eq!(refusal, "#/components/responses/Problem", "{method} {path}");
        // Each place of the path is a parameter.
        let places = path
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap());
        let parameters = said["parameters"].as_array().into_iter().flatten();
        let of_path = parameters.filter(|parameter| parameter["in"] == "path");
        let of_path: Vec<_> = of_path.map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(places.collect::<Vec<_>>(), of_path, "{method} {path}");
    }
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} is nowhere"
        );
    }
}

fn collect_references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref", Value::String(to)) => drop(into.insert(to.clone())),
                    (_, member) => collect_references(member, into),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_page_shows_every_operation_and_needs_neither_script_nor_token() {
    let product = Product::start(&["--no-examples"]);
    let document = product.get("/openapi.json").await;
    let answer = product.bare(Method::GET, "/api/docs").send().await.unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let page = answer.text().await.unwrap();
    for operation in operations(&document) {
        let id = format!("id=\"{}\"", operation.said["operationId"].as_str().unwrap());
        assert!(page.contains(&id), "{id}");
        assert!(page.contains(&operation.path), "{}", operation.path);
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(page.contains(&format!("id=\"type-{name}\"")), "{name}");
    }
    // Each link leads somewhere on the page.
    for link in page.split("href=\"#").skip(1) {
        let target = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
    }
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
}
