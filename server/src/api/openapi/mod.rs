//! The API's own document (OpenAPI 3.1), made of the routes and types that answer.
//!
//! A route is listed once, with its handler; the handler's comment and attribute say the rest. What all routes have in
//! common is said here: the role that each needs, how it is asked for, and what a refusal looks like.

mod links;
mod page;

use std::sync::Arc;

use axum::Extension;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::ToSchema as _;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AdditionalProperties, AllOf, Components, OneOf, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Content, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response as Answer,
};
use utoipa_axum::router::OpenApiRouter;

pub use self::page::page;
use super::Api;
use super::auth::Needs;
use super::problem::{Document as ProblemDocument, Fault};
use super::stream::{CutEvent, OutputEvent};
use crate::events::ChangeDto;

/// Where an operation says which role it needs.
const ROLE: &str = "x-role";

/// Where an operation says what it is about.
const SCOPE: &str = "x-scope";

/// The name of the scheme of bearer tokens.
const TOKEN: &str = "token";

/// The tags of operations, in the order of the page, with what each is about.
const TAGS: [(&str, &str); 13] = [
    ("jobs", "Definitions of jobs, and what is done with one."),
    ("runs", "What ran, how it ended, and what it printed."),
    ("schedule", "When schedules fire."),
    ("workers", "The fleet."),
    ("plugins", "What decides on timeouts, redaction and alerts."),
    ("bindings", "Plugins for many jobs at once."),
    ("alerts", "What was raised, and where it went."),
    ("events", "What changes, as it changes."),
    ("tokens", "Who may do what."),
    ("session", "Who is signed in, in a browser."),
    ("secrets", "Values that jobs name, sealed."),
    ("audit", "Who changed what."),
    ("api", "The API itself."),
];

/// The document, as it is served.
#[derive(Debug)]
pub struct Served {
    json: Bytes,
    page: Bytes,
}

impl Served {
    /// The page that shows it to people.
    pub fn page(&self) -> Bytes {
        self.page.clone()
    }
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "api.document",
    tag = "api",
    responses((status = 200, description = "The document", body = Object)),
)]
pub async fn document(Extension(served): Extension<Arc<Served>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, served.json.clone()).into_response()
}

/// A router without routes, whose document says what the API is.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}

/// Says of each route what its caller needs.
pub fn with_needs(needs: Needs, mut routes: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    for operation in operations(routes.get_openapi_mut()) {
        let said = Extensions::builder()
            .add(ROLE, needs.role.as_str())
            .add(SCOPE, needs.scope.as_str())
            .build();
        operation.extensions.get_or_insert_default().merge(said);
    }
    routes
}

/// The whole document, ready to be served.
pub fn finish(mut document: OpenApi) -> Arc<Served> {
    for operation in operations(&mut document) {
        let refusal = RefOr::Ref(Ref::from_response_name("Problem"));
        let answers = &mut operation.responses.responses;
        answers.insert("default".to_owned(), refusal);
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            body.content.values_mut().for_each(leave_out_null);
        }
    }
    links::add(&mut document.paths);
    let about = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Sandclock")
                .version(crate::VERSION)
                .description(Some(include_str!("about.md")))
                .build(),
        )
        .tags(Some(TAGS.map(|(name, about)| {
            TagBuilder::new()
                .name(name)
                .description(Some(about))
                .build()
        })))
        .security(Some([SecurityRequirement::new::<_, _, String>(TOKEN, [])]))
        .components(Some(components(document.components.take())))
        .paths(document.paths)
        .build();
    let json = about.to_json().unwrap_or_default();
    Arc::new(Served {
        page: page(&about).into(),
        json: json.into(),
    })
}

/// The types of all routes, and what all routes have in common.
fn components(of_routes: Option<Components>) -> Components {
    let mut all = of_routes.unwrap_or_default();
    let mut more = Vec::new();
    for (name, schema) in [
        (
            ProblemDocument::name(),
            <ProblemDocument as utoipa::PartialSchema>::schema(),
        ),
        (Fault::name(), <Fault as utoipa::PartialSchema>::schema()),
        (
            OutputEvent::name(),
            <OutputEvent as utoipa::PartialSchema>::schema(),
        ),
        (
            CutEvent::name(),
            <CutEvent as utoipa::PartialSchema>::schema(),
        ),
        (
            ChangeDto::name(),
            <ChangeDto as utoipa::PartialSchema>::schema(),
        ),
    ] {
        more.push((name.into_owned(), schema));
    }
    all.schemas.extend(more);
    open_what_is_extended(&mut all);
    let problem = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ProblemDocument::name())))
        .build();
    let refusal: Answer = ResponseBuilder::new()
        .description("Why the request is refused, or failed (RFC 9457)")
        .content("application/problem+json", problem)
        .build();
    all.responses.insert("Problem".to_owned(), refusal.into());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token, as `sandclock dev` prints it at its first start",
        ))
        .build();
    all.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
    all
}

/// A document refuses members that it does not know; a view of it has more of them, so that the schema of a document that is
/// part of a view cannot forbid any.
fn open_what_is_extended(components: &mut Components) {
    let extended: Vec<_> = (components.schemas.values())
        .filter_map(|schema| match schema {
            RefOr::T(Schema::AllOf(AllOf { items, .. })) => Some(items),
            _ => None,
        })
        .flatten()
        .filter_map(|item| match item {
            RefOr::Ref(to) => Some(to.ref_location.rsplit('/').next()?.to_owned()),
            RefOr::T(_) => None,
        })
        .collect();
    for name in extended {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(&name) {
            object
                .additional_properties
                .take_if(|other| matches!(**other, AdditionalProperties::FreeForm(false)));
        }
    }
}

/// A body that may be left out is not `null`.
fn leave_out_null(content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else {
        return;
    };
    let Some(RefOr::T(Schema::OneOf(OneOf { items, .. }))) = &mut content.schema else {
        return;
    };
    items.retain(|item| matches!(item, RefOr::Ref(_)));
    if let [_] = items.as_slice() {
        content.schema = items.pop();
    }
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(of_path)
}

fn of_path(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        patch,
        delete,
        ..
    } = path;
    [get, put, post, patch, delete].into_iter().flatten()
}
