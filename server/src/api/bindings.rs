//! Bindings: plugins for many jobs at once.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sandclock_core::backend::{DocKind, Precondition};
use sandclock_core::binding::{self, Binding, StoredBinding, bound_to};
use sandclock_core::job::{HookBinding, Job};
use sandclock_core::{BackendError, ErrorKind};
use serde::{Deserialize, Serialize};

use super::Api;
use super::dto::binding::BindingDto;
use super::dto::run::ListDto;
use super::hooks::{self, ValidateQuery};
use super::input::{Body, Conditions, Expected, Id, Query, Unmet, etag};
use super::problem::Problem;
use crate::document::{self, FieldError};
use crate::request;

/// A binding as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BindingView {
    /// The document, as `PUT` takes it; of one that cannot be read only the name.
    #[serde(flatten)]
    pub binding: BindingDto,
    /// Its version, as the ETag shows it.
    pub version: u64,
    /// Why it cannot be read; the last readable one holds where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// What it names that is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl BindingView {
    /// Leaves the document of what may be a view.
    pub(crate) fn leave_document(view: &mut serde_json::Value) {
        if let Some(members) = view.as_object_mut() {
            for filled_in in ["version", "broken", "warnings"] {
                members.remove(filled_in);
            }
        }
    }

    fn of(api: &Api, stored: &StoredBinding) -> Self {
        let (binding, broken) = match &stored.binding {
            Ok(binding) => (BindingDto::from_core(binding), None),
            Err(error) => (BindingDto::named(&stored.name), Some(error.reason())),
        };
        let hook = stored.binding.as_ref().ok().map(|binding| &binding.hook);
        Self {
            binding,
            version: stored.version.0,
            broken,
            warnings: hook.map_or_else(Vec::new, |hook| warnings(api, &stored.name, hook)),
        }
    }
}

fn warnings(api: &Api, name: &str, hook: &HookBinding) -> Vec<String> {
    let absent = !api.plugins.has(&hook.plugin);
    let absent = absent.then(|| {
        format!(
            "binding {name}: plugin {} is not in service here, so that all output of these jobs is withheld",
            hook.plugin
        )
    });
    let target = hooks::warning(api, hook, &format!("binding {name}: "));
    absent.into_iter().chain(target).collect()
}

/// A plugin that a job has by a binding.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BoundPlugin)]
pub struct BoundDto {
    /// The binding.
    pub binding: String,
    /// The plugin.
    pub plugin: String,
}

/// The plugins that bindings give a job, in the order in which they are asked.
pub fn of(api: &Api, job: &Job) -> Vec<BoundDto> {
    let bindings = api.plugins.bindings();
    let bound = bound_to(job, &bindings);
    bound
        .map(|binding| BoundDto {
            binding: binding.name.clone(),
            plugin: binding.hook.plugin.clone(),
        })
        .collect()
}

/// The bindings, in the order in which they are asked.
#[utoipa::path(
    get,
    path = "/bindings",
    operation_id = "binding.list",
    tag = "bindings",
    responses((status = 200, description = "The bindings", body = ListDto<BindingView>)),
)]
pub async fn list(State(api): State<Api>) -> Result<Json<ListDto<BindingView>>, Problem> {
    let stored = binding::list(&*api.coordination.docs).await?;
    let items = stored.iter();
    let items = items.map(|stored| BindingView::of(&api, stored)).collect();
    Ok(Json(ListDto::new(items, None)))
}

/// One binding.
#[utoipa::path(
    get,
    path = "/bindings/{name}",
    operation_id = "binding.get",
    tag = "bindings",
    params(("name" = String, Path, description = "The binding")),
    responses((status = 200, description = "The binding", body = BindingView, headers(("ETag" = String, description = "Its version, for If-Match")))),
)]
pub async fn get(State(api): State<Api>, Id(name): Id) -> Result<Response, Problem> {
    let stored = find(&api, &name).await?.ok_or_else(|| no_binding(&name))?;
    Ok(shown(&api, StatusCode::OK, &stored))
}

/// Creates or replaces a binding. Takes what `GET` shows, too.
#[utoipa::path(
    put,
    path = "/bindings/{name}",
    operation_id = "binding.put",
    tag = "bindings",
    params(("name" = String, Path, description = "The binding"), Conditions),
    request_body = BindingDto,
    responses((status = 200, description = "It was replaced", body = BindingView, headers(("ETag" = String, description = "Its version, for If-Match"))),
        (status = 201, description = "It was created", body = BindingView, headers(("ETag" = String, description = "Its version, for If-Match")))),
)]
pub async fn put(
    State(api): State<Api>,
    Id(name): Id,
    Conditions(expected): Conditions,
    Body(body): Body,
) -> Result<Response, Problem> {
    let binding = checked(&api, Some(&name), &body, &ValidateQuery::default()).await?;
    let old = find(&api, &name).await?;
    let pre = precondition(&name, expected, old.as_ref())?;
    let put = binding::put(&*api.coordination.docs, &binding, pre).await;
    let put = put.map_err(|error| refusal(&name, error))?;
    request::in_time(api.rollout.follow()).await;
    let status = match old {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let stored = StoredBinding {
        name,
        version: put.version,
        binding: Ok(binding),
    };
    Ok(shown(&api, status, &stored))
}

/// Whether a PUT of this document would be accepted now.
///
/// Answers the document with every default written out, and writes nothing.
#[utoipa::path(
    post,
    path = "/bindings:validate",
    operation_id = "binding.validate",
    tag = "bindings",
    params(ValidateQuery),
    request_body = BindingDto,
    responses((status = 200, description = "It would be accepted", body = BindingDto)),
)]
pub async fn validate(
    State(api): State<Api>,
    Query(query): Query<ValidateQuery>,
    Body(body): Body,
) -> Result<Json<BindingDto>, Problem> {
    let binding = checked(&api, None, &body, &query).await?;
    Ok(Json(BindingDto::from_core(&binding)))
}

/// The binding of a document, which may be one that `GET` has shown. `name` is the route's.
async fn checked(
    api: &Api,
    name: Option<&str>,
    body: &[u8],
    but: &ValidateQuery,
) -> Result<Binding, Problem> {
    let mut document = document::parse_json(body)?;
    BindingView::leave_document(&mut document);
    let dto: BindingDto = document::read(&document)?;
    let name = name.or(dto.name.as_deref());
    let name = name.ok_or_else(|| FieldError::new("name", "nothing", "the binding's name"))?;
    let binding = dto.to_core(name)?;
    hooks::check_one(api, &binding.hook, "", but).await?;
    Ok(binding)
}

/// Deletes a binding.
#[utoipa::path(
    delete,
    path = "/bindings/{name}",
    operation_id = "binding.delete",
    tag = "bindings",
    params(("name" = String, Path, description = "The binding"), Conditions),
    responses((status = 204, description = "It is gone")),
)]
pub async fn delete(
    State(api): State<Api>,
    Id(name): Id,
    Conditions(expected): Conditions,
) -> Result<StatusCode, Problem> {
    let old = find(&api, &name).await?;
    let pre = precondition(&name, expected, old.as_ref())?;
    if old.is_none() {
        return Err(no_binding(&name));
    }
    let deleted = (api.coordination.docs)
        .delete(DocKind::Binding, &name, pre)
        .await;
    deleted.map_err(|error| refusal(&name, error))?;
    request::in_time(api.rollout.follow()).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(api: &Api, name: &str) -> Result<Option<StoredBinding>, Problem> {
    let stored = binding::list(&*api.coordination.docs).await?;
    Ok(stored.into_iter().find(|stored| stored.name == name))
}

/// What a write asks of the store, so that it replaces nothing that its sender has not heard of.
fn precondition(
    name: &str,
    expected: Expected,
    old: Option<&StoredBinding>,
) -> Result<Precondition, Problem> {
    let unmet = |unmet| {
        Problem::precondition(match unmet {
            Unmet::There(at) => format!("binding {name} is at version {} now", at.0),
            Unmet::Gone => format!("there is no binding {name}, and If-Match asks for one"),
        })
    };
    expected.over(old.map(|old| old.version)).map_err(unmet)
}

fn refusal(name: &str, error: BackendError) -> Problem {
    match error.kind {
        ErrorKind::Conflict => Problem::precondition(format!(
            "binding {name} was changed by somebody else meanwhile; read it again"
        )),
        ErrorKind::NotFound => no_binding(name),
        _ => error.into(),
    }
}

fn no_binding(name: &str) -> Problem {
    Problem::not_found(format!("there is no binding {name}"))
}

fn shown(api: &Api, status: StatusCode, stored: &StoredBinding) -> Response {
    let view = BindingView::of(api, stored);
    (status, [(header::ETAG, etag(stored.version))], Json(view)).into_response()
}
