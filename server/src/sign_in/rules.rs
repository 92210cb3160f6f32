//! What a provider says of a person, and what the rules of the configuration make of it.

use sandclock_core::access::{Grant, MAX_NAME_BYTES};
use serde_json::{Map, Value};

use crate::config::{RuleSection, Whom};

/// What a provider says of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// What it calls them. It never means another person.
    pub subject: String,
    /// Their address, if the provider has found it to be theirs.
    pub email: Option<String>,
    /// Their groups.
    pub groups: Vec<String>,
}

impl Claims {
    /// As records name the person: by the address, else as the provider does.
    pub fn name(&self) -> String {
        let name = self.email.as_ref().unwrap_or(&self.subject);
        let name = format!("oidc:{name}").replace(char::is_control, "\u{fffd}");
        let end = name.floor_char_boundary(MAX_NAME_BYTES);
        name.get(..end).unwrap_or_default().to_owned()
    }

    /// What the first rule that fits allows; `None` if none fits.
    pub fn grant(&self, rules: &[RuleSection]) -> Option<Grant> {
        let fits = |rule: &&RuleSection| match rule.whom() {
            Some(Whom::Group(group)) => self.groups.iter().any(|own| own == group),
            Some(Whom::Email(email)) => {
                let own = self.email.as_ref();
                own.is_some_and(|own| own.eq_ignore_ascii_case(email))
            }
            Some(Whom::Subject(subject)) => self.subject == subject,
            None => false,
        };
        rules.iter().find(fits).map(RuleSection::grant)
    }

    /// Adds the groups that a claim lists; a claim that is one text is one group.
    pub fn add_groups(&mut self, claims: &Map<String, Value>, claim: &str) {
        let found = match claims.get(claim) {
            Some(Value::String(group)) => vec![group.clone()],
            Some(Value::Array(groups)) => {
                let texts = groups.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        self.groups.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use sandclock_core::access::Role;
    use serde_json::json;

    use super::*;

    fn rules() -> Vec<RuleSection> {
        let rules = json!([
            { "subject": "7", "role": "admin" },
            { "email": "Ann@example.org", "role": "editor", "prefixes": ["data/"] },
            { "group": "ops", "role": "operator" },
            { "group": "all", "role": "viewer" },
        ]);
        serde_json::from_value(rules).unwrap()
    }

    fn claims(subject: &str, email: Option<&str>, groups: &[&str]) -> Claims {
        Claims {
            subject: subject.to_owned(),
            email: email.map(str::to_owned),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_without_one_nobody_gets_in() {
        let role = |claims: Claims| claims.grant(&rules()).map(|grant| grant.role);
        let groups = ["all", "ops"];
        assert_eq!(role(claims("7", None, &groups)), Some(Role::Admin));
        let ann = Some("ann@EXAMPLE.org");
        assert_eq!(role(claims("8", ann, &groups)), Some(Role::Editor));
        assert_eq!(role(claims("8", None, &groups)), Some(Role::Operator));
        assert_eq!(role(claims("8", None, &["all"])), Some(Role::Viewer));
        let other = Some("ann@example.org.evil.example");
        assert_eq!(role(claims("77", other, &["op", "OPS", ""])), None);
        assert_eq!(claims("7", None, &[]).grant(&[]), None);
    }

    #[test]
    fn a_name_is_one_line_that_can_be_kept() {
        let named = |subject: &str, email| claims(subject, email, &[]).name();
        assert_eq!(named("7", Some("ann@example.org")), "oidc:ann@example.org");
        assert_eq!(named("a\nb", None), "oidc:a\u{fffd}b");
        let long = named(&"ä".repeat(200), None);
        assert!(long.len() <= MAX_NAME_BYTES && long.len() >= MAX_NAME_BYTES - 1);
    }

    #[test]
    fn groups_are_a_list_or_one_text() {
        let groups = |said: Value| {
            let mut claims = Claims::default();
            claims.add_groups(json!({ "g": said }).as_object().unwrap(), "g");
            claims.groups
        };
        assert_eq!(groups(json!(["a", 1, "b", null])), ["a", "b"]);
        assert_eq!(groups(json!("a b")), ["a b"]);
        assert_eq!(groups(json!({ "a": true })), [""; 0]);
    }
}
