//! What leads from one answer to the next request: links (OpenAPI 3.1, section 4.8.20), by which programs that walk a
//! document find names and ids that exist.
//!
//! They follow from the paths alone. A list leads to whatever is asked of one of its items, and what makes an item leads
//! to whatever is asked of it. A list does not lead to what removes an item: its first one may be the caller's own token.

use utoipa::openapi::RefOr;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Operation, PathItem, Paths};

/// What one more operation needs that is asked of an item.
struct Step {
    /// The path of the list that the item is in.
    list: String,
    /// The parameter of the path that names it.
    parameter: String,
    /// The operation's id.
    operation: String,
    /// Whether it removes something.
    removes: bool,
}

/// Adds the links that the paths of `document` imply.
pub(super) fn add(paths: &mut Paths) {
    let steps = steps(paths);
    for (path, item) in &mut paths.paths {
        let PathItem { get, put, post, .. } = item;
        for step in &steps {
            let Step { parameter, .. } = step;
            let one = format!("{}/{{{parameter}}}", step.list);
            if *path == step.list {
                if !step.removes {
                    lead(get, step, &format!("$response.body#/items/0/{parameter}"));
                }
                lead(post, step, &format!("$response.body#/{parameter}"));
            } else if *path == one {
                lead(put, step, &format!("$request.path.{parameter}"));
            } else if path.ends_with("/jobs/{name}/run") && step.list.ends_with("/runs") {
                lead(post, step, "$response.body#/run");
            }
        }
    }
}

/// Every operation whose path goes on after a list's.
fn steps(paths: &mut Paths) -> Vec<Step> {
    let lists: Vec<_> = (paths.paths.iter())
        .filter(|(_, item)| item.get.is_some())
        .map(|(path, _)| path.clone())
        .collect();
    let mut steps = Vec::new();
    for (path, item) in &mut paths.paths {
        let Some((list, rest)) = path.split_once("/{") else {
            continue;
        };
        let Some((parameter, _)) = rest
            .split_once('}')
            .filter(|_| lists.iter().any(|l| l == list))
        else {
            continue;
        };
        let (list, parameter) = (list.to_owned(), parameter.to_owned());
        let removal = item.delete.as_ref().and_then(|it| it.operation_id.clone());
        for operation in super::of_path(item) {
            let Some(id) = operation.operation_id.clone() else {
                continue;
            };
            steps.push(Step {
                list: list.clone(),
                parameter: parameter.clone(),
                removes: removal.as_ref() == Some(&id),
                operation: id,
            });
        }
    }
    steps
}

/// Says in the good answers of `from` how to go on to `step` with the value that this expression names.
fn lead(from: &mut Option<Operation>, step: &Step, value: &str) {
    let Some(from) = from else {
        return;
    };
    // From an operation to itself leads nothing new.
    if from.operation_id.as_ref() == Some(&step.operation) {
        return;
    }
    for (status, answer) in &mut from.responses.responses {
        let (true, RefOr::T(answer)) = (status.starts_with('2'), answer) else {
            continue;
        };
        let link = LinkBuilder::new()
            .operation_id(step.operation.clone())
            .parameter(step.parameter.clone(), value)
            .build();
        answer.links.insert(step.operation.clone(), RefOr::T(link));
    }
}
