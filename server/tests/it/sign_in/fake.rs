//! A provider that says what it is told to: for answers that a real one never gives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{CLIENT, unix_s};
use crate::progress::serve;

/// How a token is made of its claims.
type Making = fn(&Told, Value) -> String;

/// What the provider is told to do.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The number of the key that it shows and signs with.
    pub(super) key: u8,
    /// What is in the next ID token beside what has to be: `null` takes a claim away.
    pub(super) claims: Value,
    /// How it is made.
    pub(super) making: Making,
    /// What it says of people to who asks; `null` for nothing.
    pub(super) more: Value,
    /// Whether it answers at all.
    pub(super) hangs: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            key: 1,
            claims: json!({}),
            making: signed,
            more: Value::Null,
            hangs: false,
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    told: Told,
    issuer: String,
    /// The nonce of the flow, and the challenge.
    nonce: String,
    challenge: String,
    /// How often a code was exchanged.
    exchanged: u32,
}

/// A provider.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    known: Arc<Mutex<Known>>,
    pub(super) issuer: String,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let known: Arc<Mutex<Known>> = Arc::default();
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/people", get(people))
            .with_state(Arc::clone(&known));
        let issuer = serve(routes).await;
        known.lock().unwrap().issuer.clone_from(&issuer);
        Self { known, issuer }
    }

    /// Tells it what to do from now on.
    pub(super) fn tell(&self, told: Told) {
        self.known.lock().unwrap().told = told;
    }

    /// Begins a flow, as its own page would with what it was asked.
    pub(super) fn begin(&self, asked: &BTreeMap<String, String>) {
        let mut known = self.known.lock().unwrap();
        known.nonce.clone_from(&asked["nonce"]);
        known.challenge.clone_from(&asked["code_challenge"]);
    }

    pub(super) fn exchanged(&self) -> u32 {
        self.known.lock().unwrap().exchanged
    }
}

type Kept = State<Arc<Mutex<Known>>>;

async fn document(State(known): Kept) -> Response {
    let (issuer, told) = {
        let known = known.lock().unwrap();
        (known.issuer.clone(), known.told.clone())
    };
    if told.hangs {
        std::future::pending::<()>().await;
    }
    let mut said = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
    });
    if !told.more.is_null() {
        said["userinfo_endpoint"] = format!("{issuer}/people").into();
    }
    Json(said).into_response()
}

async fn keys(State(known): Kept) -> Json<Value> {
    let number = known.lock().unwrap().told.key;
    let key = serde_json::to_value(key(number).as_verification_key()).unwrap();
    Json(json!({ "keys": [key] }))
}

async fn people(State(known): Kept) -> Json<Value> {
    Json(known.lock().unwrap().told.more.clone())
}

async fn token(State(known): Kept, body: String) -> Response {
    let form = reqwest::Url::parse(&format!("http://form/?{body}")).unwrap();
    let asked: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
    let mut known = known.lock().unwrap();
    known.exchanged += 1;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&asked["code_verifier"]));
    if challenge != known.challenge || asked["code"] != "good" {
        let refusal = json!({ "error": "invalid_grant" });
        return (StatusCode::BAD_REQUEST, Json(refusal)).into_response();
    }
    let now = unix_s();
    let mut claims = json!({
        "iss": known.issuer,
        "aud": CLIENT,
        "sub": "7",
        "iat": now,
        "exp": now + 300,
        "nonce": known.nonce,
        "email": "ann@example.org",
        "email_verified": true,
        "groups": ["ops"],
    });
    for (claim, value) in known.told.claims.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            value => claims[claim] = value.clone(),
        }
    }
    let token = (known.told.making)(&known.told, claims);
    let mut said = json!({ "access_token": "access", "token_type": "Bearer" });
    if !token.is_empty() {
        said["id_token"] = token.into();
    }
    Json(said).into_response()
}

/// The key of this number; all have the same name.
fn key(number: u8) -> CoreEdDsaPrivateSigningKey {
    // RFC 8410, section 7, around the seed.
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend([number; 32]);
    let text = BASE64_STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let name = JsonWebKeyId::new(format!("key-{number}"));
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(name)).unwrap()
}

/// The header and the claims, as they are signed.
pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// With the key of this number, under the name of that one.
pub(super) fn signed_by(number: u8, name: u8, claims: &Value) -> String {
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": format!("key-{name}") });
    let text = unsigned(&header, claims);
    let algorithm = CoreJwsSigningAlgorithm::EdDsa;
    let signature = key(number).sign(&algorithm, text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// As it should be.
pub(super) fn signed(told: &Told, claims: Value) -> String {
    signed_by(told.key, told.key, &claims)
}
