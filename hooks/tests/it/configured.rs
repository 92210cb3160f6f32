//! The schema of a plugin's configuration: configurations are held to it before the plugin is asked, and one that would cost the
//! host much, or make it fetch anything, is refused where it is read.

use sandclock_core::job::MAX_HOOK_CONFIG_BYTES;
use sandclock_hooks::{
    Artifact, BindingError, Hook, InstallError, KnownSecrets, Manifest, PluginHost,
};
use serde_json::{Value, json};

use crate::fixture::{artifact, host};
use crate::guests::Guest;

/// The plugin `p` with this schema.
fn with_schema(module: &[u8], schema: &Value) -> Vec<u8> {
    let manifest: Manifest = serde_json::from_value(json!({
        "plugin": { "name": "p", "version": "1.0.0" },
        "config": { "schema": schema },
    }))
    .expect("a manifest");
    manifest.embed(module).expect("embedded")
}

/// The same with a schema that the tools would refuse to embed.
fn smuggled(schema: &Value) -> Vec<u8> {
    let manifest = json!({
        "plugin": { "name": "p", "version": "1.0.0" },
        "config": { "schema": schema },
    });
    let mut bytes = Guest::harmless().build();
    wasm_section(
        &mut bytes,
        "sandclock:manifest",
        manifest.to_string().as_bytes(),
    );
    bytes
}

fn wasm_section(module: &mut Vec<u8>, name: &str, data: &[u8]) {
    let leb = |mut number: usize| {
        let mut bytes = Vec::new();
        loop {
            let byte = u8::try_from(number & 0x7f).expect("7 bits");
            number >>= 7;
            if number == 0 {
                bytes.push(byte);
                return bytes;
            }
            bytes.push(byte | 0x80);
        }
    };
    let name = [leb(name.len()), name.as_bytes().to_vec()].concat();
    module.push(0);
    module.extend(leb(name.len() + data.len()));
    module.extend(name);
    module.extend(data);
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "words": { "type": "array", "items": { "type": "string", "minLength": 4 } },
            "factor": { "type": "integer", "minimum": 1, "maximum": 100 },
        },
        "additionalProperties": false,
    })
}

async fn refusal(host: &PluginHost, config: &Value) -> String {
    match host.check_binding("p", config).await {
        Err(BindingError::Refused { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

/// How often the plugin was asked for its opinion.
fn asked(host: &PluginHost) -> u64 {
    let counters = host.counters();
    let calls = counters.iter().flat_map(|plugin| &plugin.calls);
    let of_lifecycle = calls.filter(|call| call.hook == Hook::Lifecycle);
    of_lifecycle.map(|call| call.count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_held_to_the_schema_before_the_plugin_is_asked() {
    let host = host(&KnownSecrets::new());
    let bytes = with_schema(&Guest::harmless().build(), &schema());
    let info = host.install(artifact("p", bytes)).await.expect("installs");
    let told = info.schema.expect("there").written().clone();
    assert_eq!(told, schema());
    let cases = [
        (
            json!({ "words": ["long", "a"] }),
            "config.words[1]: has to be a text of at least 4 characters",
        ),
        (
            json!({ "factor": 0 }),
            "config.factor: has to be an integer, 1 to 100",
        ),
        (
            json!({ "fator": 1 }),
            "config.fator: unknown, has to be one of words, factor",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(refusal(&host, &config).await, expected);
    }
    assert_eq!(asked(&host), 0);
    let good = json!({ "factor": 2 });
    assert_eq!(host.check_binding("p", &good).await, Ok(()));
    assert_eq!(asked(&host), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_checks_nothing_is_protected_by_its_schema() {
    let wit = include_str!("../../../plugins-sdk/wit/plugin.wit");
    let world =
        "world silent { include timeout-plugin; include redaction-plugin; include alert-plugin; }";
    let module = Guest::harmless().build_as(&format!("{wit}\n{world}\n"), "silent");
    let host = host(&KnownSecrets::new());
    let bytes = with_schema(&module, &schema());
    let info = host.install(artifact("p", bytes)).await.expect("installs");
    assert!(!info.hooks.contains(&Hook::Lifecycle));
    let told = refusal(&host, &json!({ "factor": "x" })).await;
    assert_eq!(told, "config.factor: has to be an integer, 1 to 100");
    assert_eq!(host.check_binding("p", &Value::Null).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_secret_is_not_repeated_in_a_refusal() {
    let secrets = KnownSecrets::new();
    secrets
        .learn("hunter", b"hunter22-hunter22")
        .expect("learned");
    let host = host(&secrets);
    let bytes = with_schema(&Guest::harmless().build(), &schema());
    host.install(artifact("p", bytes)).await.expect("installs");
    let told = refusal(&host, &json!({ "factor": "hunter22-hunter22" })).await;
    assert!(!told.contains("hunter22"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_configuration_is_too_large_whoever_asks() {
    let host = host(&KnownSecrets::new());
    let bytes = with_schema(&Guest::harmless().build(), &json!({ "type": "object" }));
    let plugin = artifact("p", bytes);
    host.install(plugin.clone()).await.expect("installs");
    let most = json!({ "a": "x".repeat(MAX_HOOK_CONFIG_BYTES - 8) });
    assert_eq!(host.check_binding("p", &most).await, Ok(()));
    let large = json!({ "a": "x".repeat(MAX_HOOK_CONFIG_BYTES - 7) });
    let expected = "config: 65537 bytes, has to be at most 65536 bytes of JSON";
    assert_eq!(refusal(&host, &large).await, expected);
    let configs = [most, large];
    let checked = host.check_with(plugin, configs.iter()).await;
    let (_, refused) = checked.expect("fits");
    assert!(
        matches!(&refused, Some((1, BindingError::Refused { why, .. })) if why == expected),
        "{refused:?}"
    );
    assert_eq!(asked(&host), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_schema_is_refused() {
    let mut twice = serde_json::Map::new();
    for at in 0..10 {
        let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
        twice.insert(format!("d{at}"), json!({ "allOf": [next, next, next] }));
    }
    twice.insert("d10".to_owned(), json!({}));
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({ "not": deep });
    }
    let recursive = json!({ "items": { "$ref": "#/$defs/a" } });
    let cases = [
        (
            json!({ "$ref": "https://attacker.example/s.json" }),
            "nothing is fetched",
        ),
        (
            json!({ "$ref": "file:///etc/passwd" }),
            "nothing is fetched",
        ),
        (
            json!({ "$schema": "http://attacker.example/" }),
            "has to be https://json-schema.org/draft/2020-12/schema",
        ),
        (
            json!({ "description": "x".repeat(20_000) }),
            "at most 16384 are accepted",
        ),
        (
            json!({ "pattern": "(((a{100}){100}){100}){100}" }),
            "look-around, back-references and large counts",
        ),
        (
            json!({ "$defs": { "a": recursive } }),
            "leads back to itself",
        ),
        (
            json!({ "$defs": twice, "$ref": "#/$defs/d0" }),
            "at most 1000 parts",
        ),
        (deep, "at most 24 schemas deep"),
    ];
    let host = host(&KnownSecrets::new());
    for (schema, expected) in cases {
        let refused = host.install(artifact("p", smuggled(&schema))).await;
        let error = refused.expect_err("refused");
        assert!(matches!(error, InstallError::Manifest { .. }), "{error}");
        let told = error.to_string();
        assert!(told.contains(expected), "{told}");
        assert!(told.contains("config.schema: "), "{told}");
        assert!(told.len() < 1500, "{told}");
        let checked = host
            .check(Artifact::new("p", None, smuggled(&schema)))
            .await;
        assert!(checked.is_err());
    }
    assert_eq!(host.list(), []);
}
