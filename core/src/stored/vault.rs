//! The stored form of a sealed secret.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Stored;
use super::forms::instant;
use super::records::stored;
use super::sealed::Form;
use crate::time::Timestamp;
use crate::vault::SealedSecret;

stored!(SealedSecret, SealedSecretForm, "secret");

#[derive(Serialize, Deserialize)]
#[serde(remote = "SealedSecret")]
struct SealedSecretForm {
    name: String,
    key: String,
    sealed: String,
    #[serde(with = "instant", rename = "set_ms")]
    set_at: Timestamp,
    set_by: String,
}
