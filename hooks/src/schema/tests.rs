//! What schemas and configurations are refused, in which words, and that neither costs much.

use serde_json::json;

use super::*;

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
fn no_schema_costs_much() {
    // Each definition has the next one three times: three to the power of ten parts.
    let chain = |last: Value| {
        let mut defs = serde_json::Map::new();
        for at in 0..10 {
            let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
            defs.insert(format!("d{at}"), json!({ "allOf": [next, next, next] }));
        }
        defs.insert("d10".to_owned(), last);
        json!({ "$defs": defs, "$ref": "#/$defs/d0" })
    };
    assert!(refused(chain(json!({}))).contains("at most 1000 parts, with references followed"));
    assert!(refused(chain(json!({ "$ref": "#/$defs/d0" }))).contains("leads back to itself"));
    let own = json!({ "$defs": { "a": { "items": { "$ref": "#/$defs/a" } } } });
    assert!(refused(own).contains("$defs.a.items.$ref: \"#/$defs/a\" leads back to itself"));
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({ "not": deep });
    }
    assert!(refused(deep).contains("at most 24 schemas deep"));
    let large = json!({ "description": "x".repeat(MAX_SCHEMA_BYTES) });
    assert!(refused(large).contains("at most 16384 are accepted"));
    for pattern in [
        "(((a{100}){100}){100}){100}",
        "\\pL{1000}",
        "(a?){9000}a{9000}",
    ] {
        assert!(
            refused(json!({ "pattern": pattern })).contains("large counts"),
            "{pattern}"
        );
    }
    let many: Vec<_> = (0..70).map(|_| json!({ "pattern": "^a$" })).collect();
    assert!(refused(json!({ "allOf": many })).contains("all patterns together"));
}

#[test]
fn no_configuration_costs_much() {
    let parts: Vec<_> = (0..900).map(|_| json!({ "type": "string" })).collect();
    let wide = schema(json!({ "properties": { "a": { "items": { "allOf": parts } } } }));
    let config = json!({ "a": vec![1; 30_000] });
    let told = wide
        .check(&config, &KnownSecrets::new())
        .expect_err("refused");
    assert!(
        told.starts_with("config: 30002 values, has to be at most 580"),
        "{told}"
    );
    // Every name that is missing is collected for every object that lacks it.
    let names: Vec<_> = (0..900).map(|at| format!("n{at}")).collect();
    let all = json!({ "$ref": "#/$defs/All" });
    let strict = |required: Value| {
        let all = vec![all.clone(); 10];
        json!({ "items": { "allOf": all }, "$defs": { "All": required } })
    };
    let of_all = strict(json!({ "required": names }));
    assert!(refused(of_all).contains("required: a schema has to have at most 1000 parts"));
    let of_some = strict(json!({ "dependentRequired": { "a": names } }));
    assert!(
        refused(of_some).contains("dependentRequired: a schema has to have at most 1000 parts")
    );
    let one = schema(json!({ "properties": { "a": { "items": { "required": names } } } }));
    let config = json!({ "a": vec![json!({}); 20_000] });
    let told = one
        .check(&config, &KnownSecrets::new())
        .expect_err("refused");
    assert!(
        told.starts_with("config: 20002 values, has to be at most 5"),
        "{told}"
    );
    // What blows up where patterns backtrack.
    let nested = schema(json!({ "properties": { "a": { "pattern": "^(a+)+$" } } }));
    let config = json!({ "a": format!("{}!", "a".repeat(60_000)) });
    let told = nested
        .check(&config, &KnownSecrets::new())
        .expect_err("refused");
    assert!(told.starts_with("config.a: has to be "), "{told}");
    let large = schema(json!({ "properties": { "a": { "pattern": "^([a-z]{500})+$" } } }));
    let told = large
        .check(&config, &KnownSecrets::new())
        .expect_err("refused");
    assert!(
        told.starts_with("config: 60009 bytes, has to be at most"),
        "{told}"
    );
}

#[test]
fn a_pattern_is_measured_as_it_runs() {
    // All letters of all scripts, 32 times, would be more than a pattern may have.
    for (pattern, right, wrong) in [
        ("^[\\w-]{1,32}$", "a_b-9", "é"),
        ("^\\w{1,32}$", "a_b", "ж"),
        ("^\\d{1,64}$", "12", "٣"),
        ("^[^\\W\\d]{1,32}\\s$", "ab\u{a0}", "ab"),
        ("^\\\\d{1,3}$", "\\ddd", "1"),
    ] {
        let schema = schema(json!({ "properties": { "a": { "pattern": pattern } } }));
        let check = |text: &str| schema.check(&json!({ "a": text }), &KnownSecrets::new());
        assert_eq!(check(right), Ok(()), "{pattern}");
        assert!(check(wrong).is_err(), "{pattern}");
    }
    let named = schema(json!({ "patternProperties": { "^[\\w.]{1,32}$": { "type": "integer" } } }));
    let told = named.check(&json!({ "a.b": "x" }), &KnownSecrets::new());
    assert_eq!(told, Err("config.a.b: has to be an integer".to_owned()));
    assert!(refused(json!({ "pattern": "^\\w{9000}$" })).contains("large counts"));
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
