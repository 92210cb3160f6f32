//! What schemas and configurations are refused, and in which words.

use serde_json::json;

use super::*;

mod cost;

fn schema(written: Value) -> ConfigSchema {
    ConfigSchema::new(written).expect("accepted")
}

fn refused(written: Value) -> String {
    ConfigSchema::new(written).expect_err("refused")
}

fn ladder() -> ConfigSchema {
    schema(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "factor": { "type": "integer", "minimum": 1, "maximum": 100, "default": 3, "description": "Multiplies\nthe  p99" },
            "share": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
            "words": { "type": "array", "items": { "type": "string", "minLength": 4 }, "maxItems": 3, "uniqueItems": true },
            "level": { "enum": ["low", "high"] },
            "name": { "type": ["string", "null"], "pattern": "^[a-z]+$" },
            "inner": { "anyOf": [{ "$ref": "#/$defs/Inner" }, { "type": "null" }] },
            "a/b é": { "type": "boolean" },
        },
        "required": ["factor"],
        "additionalProperties": false,
        "$defs": { "Inner": {
            "type": "object",
            "properties": { "depth": { "type": "integer" } },
            "required": ["depth"],
        } },
    }))
}

/// What fits but for one member.
fn with(name: &str, value: Value) -> Value {
    let mut config = json!({ "factor": 2 });
    config[name] = value;
    config
}

#[test]
fn a_refusal_names_the_member_and_what_is_accepted() {
    let cases = [
        (
            json!({}),
            "config: lacks factor, which is an integer, 1 to 100",
        ),
        (
            with("factor", json!(0)),
            "config.factor: has to be an integer, 1 to 100",
        ),
        (
            with("factor", json!("x")),
            "config.factor: has to be an integer, 1 to 100",
        ),
        (
            with("factor", json!(1.5)),
            "config.factor: has to be an integer, 1 to 100",
        ),
        (
            with("share", json!(0)),
            "config.share: has to be a number, more than 0 and at most 1",
        ),
        (
            with("words", json!(["long", "abc"])),
            "config.words[1]: has to be a text of at least 4 characters",
        ),
        (
            with("words", json!("long")),
            "config.words: has to be a list of at most 3 items, each a text of at least 4 characters",
        ),
        (
            with("words", json!(["long", "long"])),
            "config.words[1]: the same as [0], has to be there once",
        ),
        (
            with("level", json!("mid")),
            "config.level: has to be one of \"low\", \"high\"",
        ),
        (
            with("name", json!("A")),
            "config.name: has to be a text that matches ^[a-z]+$ or null",
        ),
        (
            with("inner", json!({ "depth": "x" })),
            "config.inner.depth: has to be an integer",
        ),
        (
            with("inner", json!({})),
            "config.inner: lacks depth, which is an integer",
        ),
        (
            with("inner", json!(7)),
            "config.inner: has to be an object or null",
        ),
        (
            with("a/b é", json!(1)),
            "config.a/b é: has to be true or false",
        ),
        (
            with("fator", json!(1)),
            "config.fator: unknown, has to be one of factor, share, words, level, name, inner, a/b é",
        ),
    ];
    let ladder = ladder();
    for (config, expected) in cases {
        assert_eq!(
            ladder.check(&config, &KnownSecrets::new()),
            Err(expected.to_owned()),
            "{config}"
        );
    }
}

#[test]
fn what_fits_is_accepted() {
    let good = json!({ "factor": 2, "words": ["long", "also"], "name": null, "inner": { "depth": 1 }, "share": 1 });
    assert_eq!(ladder().check(&good, &KnownSecrets::new()), Ok(()));
}

#[test]
fn members_are_told_on_a_line_each() {
    let members = ladder().members();
    let lines: Vec<_> = members
        .iter()
        .map(|member| format!("{} {}: {}", member.name, member.required, member.accepts))
        .collect();
    assert_eq!(lines[0], "factor true: an integer, 1 to 100");
    assert_eq!(lines[5], "inner false: an object or null");
    assert_eq!(members[0].default.as_deref(), Some("3"));
    assert_eq!(
        members[0].description.as_deref(),
        Some("Multiplies the p99")
    );
    let odd = schema(json!({ "properties": { "a\u{1b}[2J": { "description": "b\u{202e}c" } } }));
    let members = odd.members();
    assert_eq!(members[0].name, "a\u{fffd}[2J");
    assert_eq!(members[0].description.as_deref(), Some("b\u{fffd}c"));
}

#[test]
fn what_is_no_schema_of_ours_is_refused() {
    let cases = [
        (json!(true), "true, has to be an object"),
        (
            json!({ "$ref": "https://example.org/s" }),
            "$ref: \"https://example.org/s\", has to be a definition of this schema",
        ),
        (
            json!({ "properties": { "a": { "$ref": "file:///etc/passwd" } } }),
            "properties.a.$ref: \"file:///etc/passwd\", has to be a definition",
        ),
        (json!({ "$ref": "#/$defs/a" }), "which $defs does not have"),
        (
            json!({ "$ref": "#" }),
            "has to be a definition of this schema",
        ),
        (
            json!({ "$id": "https://example.org/s" }),
            "$id: unknown keyword, has to be one of $comment, $defs",
        ),
        (
            json!({ "$schema": "http://example.org/draft" }),
            "$schema: \"http://example.org/draft\", has to be https://json-schema.org/draft/2020-12/schema",
        ),
        (
            json!({ "unevaluatedProperties": false }),
            "unevaluatedProperties: unknown keyword",
        ),
        (
            json!({ "$dynamicRef": "#a" }),
            "$dynamicRef: unknown keyword",
        ),
        (json!({ "type": "text" }), "type: \"text\", "),
        (
            json!({ "properties": { "a": { "minimum": "1" } } }),
            "properties.a.minimum: \"1\", want number, but got string",
        ),
        (
            json!({ "properties": { "a": 7 } }),
            "properties.a: 7, has to be a schema",
        ),
        (
            json!({ "pattern": "(" }),
            "pattern: \"(\", has to be a pattern without look-around",
        ),
        (
            json!({ "pattern": "(?=a)" }),
            "look-around, including look-ahead and look-behind, is not supported",
        ),
        (
            json!({ "patternProperties": { "(a)\\1": {} } }),
            "has to be a pattern without look-around",
        ),
    ];
    for (written, expected) in cases {
        let told = refused(written.clone());
        assert!(told.contains(expected), "{written}: {told}");
    }
}

#[test]
fn a_refusal_repeats_no_secret_and_nothing_that_acts() {
    let secrets = KnownSecrets::new();
    let secret = "0123456789".repeat(40);
    secrets.learn("hunter", secret.as_bytes()).expect("learned");
    let ladder = ladder();
    let open = schema(json!({ "additionalProperties": { "type": "integer" } }));
    let short = schema(json!({ "propertyNames": { "maxLength": 3 } }));
    let not = schema(json!({ "properties": { "a": { "not": { "type": "string" } } } }));
    for (schema, config) in [
        (&ladder, with("name", json!(secret))),
        (&ladder, with(&secret, json!(1))),
        (&open, json!({ &secret: "x" })),
        (&short, json!({ &secret: 1 })),
        (&not, json!({ "a": secret })),
    ] {
        let told = schema.check(&config, &secrets).expect_err("refused");
        assert!(!told.contains("0123456789"), "{told}");
    }
    let acting = "a\u{1b}[2J\u{202e}";
    for (schema, config) in [
        (&ladder, with(acting, json!(1))),
        (&open, json!({ acting: "x" })),
        (&short, json!({ acting: 1 })),
    ] {
        let told = schema.check(&config, &secrets).expect_err("refused");
        assert!(
            told.starts_with("config.a\u{fffd}[2J\u{fffd}: "),
            "{told:?}"
        );
    }
}
