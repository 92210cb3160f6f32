//! Neither a schema nor a configuration costs much, and what a pattern costs is what it costs when it runs.

use super::*;

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
