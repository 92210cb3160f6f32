//! The stored forms of a token, of its last use, and of somebody who is signed in.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Stored;
use super::forms::{instant, millis, opt_instant, role};
use super::records::stored;
use super::sealed::Form;
use crate::access::{Grant, Role, SignIn, Token, TokenUse};
use crate::time::Timestamp;

stored!(Token, TokenForm, "token");
stored!(TokenUse, TokenUseForm, "token's last use");
stored!(SignIn, SignInForm, "sign-in");

#[derive(Serialize, Deserialize)]
#[serde(remote = "Token")]
struct TokenForm {
    id: String,
    name: String,
    #[serde(with = "GrantForm")]
    grant: Grant,
    hash: String,
    #[serde(with = "instant", rename = "created_ms")]
    created_at: Timestamp,
    created_by: String,
    #[serde(
        with = "opt_instant",
        rename = "expires_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Grant")]
struct GrantForm {
    #[serde(with = "role")]
    role: Role,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prefixes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TokenUse")]
struct TokenUseForm {
    id: String,
    #[serde(with = "instant", rename = "at_ms")]
    at: Timestamp,
    from: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SignIn")]
struct SignInForm {
    id: String,
    csrf: String,
    subject: String,
    name: String,
    #[serde(with = "GrantForm")]
    grant: Grant,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(with = "instant", rename = "created_ms")]
    created_at: Timestamp,
    #[serde(with = "instant", rename = "used_ms")]
    used_at: Timestamp,
    #[serde(with = "instant", rename = "expires_ms")]
    expires_at: Timestamp,
    #[serde(with = "millis", rename = "idle_ms")]
    idle: Duration,
}
