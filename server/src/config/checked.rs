//! Values that are checked where they are read, so that a refusal shows field and line.

use std::fmt::Display;
use std::net::SocketAddr;

use lettre::message::Mailbox;
use sandclock_core::access::Role;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::clock::one_name;

/// An address to listen on.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let accepted = "an address and a port, such as 127.0.0.1:8070";
    text.parse().map_err(|_| D::Error::custom(accepted))
}

/// The same, where there may be none.
pub(super) fn address_if_any<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    address(deserializer).map(Some)
}

/// A time zone that exists, by its name: hosts that spell it differently mean the same.
pub(super) fn zone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    let zone = name.map(|name| one_name(&name).map_err(D::Error::custom));
    zone.transpose()
}

/// An address that a webhook can be sent to.
pub(super) fn webhook_url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let url = reqwest::Url::parse(&text);
    let why = match &url {
        Err(error) => error.to_string(),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            format!("its scheme is {}", url.scheme())
        }
        Ok(url) if !url.has_host() => "it names no host".to_owned(),
        Ok(_) => return Ok(text),
    };
    Err(D::Error::custom(format!(
        "{why}; give an http or https address with a host, such as https://hooks.example.org/alerts"
    )))
}

/// A role.
pub(super) fn role<'de, D: Deserializer<'de>>(from: D) -> Result<Role, D::Error> {
    let text = String::deserialize(from)?;
    let accepted = "viewer, operator, editor or admin";
    Role::parse(&text).ok_or_else(|| D::Error::custom(accepted))
}

/// The role as it is written.
pub(super) fn role_as_text<S: Serializer>(role: &Role, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(role.as_str())
}

/// The address of a mail's sender.
pub(super) fn mailbox<'de, D: Deserializer<'de>>(from: D) -> Result<Mailbox, D::Error> {
    let text = String::deserialize(from)?;
    let accepted = "an address such as ops@example.org, or Operations <ops@example.org>";
    text.parse().map_err(|_| D::Error::custom(accepted))
}

/// The addresses of a mail's recipients.
pub(super) fn mailboxes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Mailbox>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let accepted = "at least one address such as [\"ops@example.org\"]";
    let all: Result<Vec<Mailbox>, _> = texts.iter().map(|text| text.parse()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(D::Error::custom(accepted)),
    }
}

/// What has one form for people, in that form.
pub(super) fn as_text<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// A list of such.
pub(super) fn as_texts<T: Display, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(T::to_string))
}

/// A subject of NATS that can be published to.
pub(super) fn subject<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let token = |token: &str| {
        !token.is_empty()
            && token
                .chars()
                .all(|c| c.is_ascii_graphic() && !"*>".contains(c))
    };
    match text.split('.').all(token) {
        true => Ok(text),
        false => Err(D::Error::custom(
            "words separated by dots, without spaces and wildcards, such as alerts.sandclock",
        )),
    }
}
