//! How a plugin is configured, as its schema says, for a person: a line for each member.

use serde_json::Value;

/// Each member's name, and what it may be, what it is by default and what for.
pub(super) fn rows(members: &Value) -> Vec<(String, String)> {
    let members = members.as_array().into_iter().flatten();
    members.map(row).collect()
}

fn row(member: &Value) -> (String, String) {
    let text = |name: &str| member[name].as_str().unwrap_or_default();
    let mut line = text("accepts").to_owned();
    match member["default"].as_str() {
        Some(default) => line += &format!("; {default} if absent"),
        None if member["required"] == true => line += "; required",
        None => {}
    }
    if let Some(description) = member["description"].as_str() {
        line += &format!(". {description}");
    }
    (text("name").to_owned(), line)
}
