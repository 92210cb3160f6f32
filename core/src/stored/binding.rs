//! The stored form of a binding.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Stored;
use super::job::HookForm;
use super::records::stored;
use super::sealed::Form;
use crate::binding::{Binding, Selector};
use crate::job::HookBinding;

stored!(Binding, BindingForm, "binding");

#[derive(Serialize, Deserialize)]
#[serde(remote = "Binding")]
struct BindingForm {
    name: String,
    #[serde(with = "SelectorForm")]
    selector: Selector,
    #[serde(with = "HookForm")]
    hook: HookBinding,
    order: i32,
    required: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Selector")]
struct SelectorForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}
