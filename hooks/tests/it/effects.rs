//! Effects: a plugin has those that it imports, asks for and is granted, within bounds, and every other one fails with
//! the reason (S11).

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandclock_core::backend::memory::MemoryStore;
use sandclock_core::backend::{PluginKv, Swap};
use sandclock_core::ports::{Hooks, HttpAnswer, HttpAsk, HttpTargets};
use sandclock_core::run::RunState;
use sandclock_hooks::{
    Artifact, Effects, Grant, Grants, HooksConfig, InstallError, KnownSecrets, Manifest,
    PluginHost, PluginStatus,
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::fixture::{config, ended, run};
use crate::guests::{DATA, Effectful, Guest};

/// Targets that keep what they are asked.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) asked: Mutex<Vec<HttpAsk>>,
    /// Said by every target; a target without an answer never answers.
    answer: Option<Result<HttpAnswer, String>>,
}

#[async_trait]
impl HttpTargets for Scripted {
    async fn send(&self, ask: &HttpAsk) -> Result<HttpAnswer, String> {
        self.asked.lock().expect("free").push(ask.clone());
        match &self.answer {
            Some(answer) => answer.clone(),
            None => pending().await,
        }
    }
}

impl Scripted {
    pub(crate) fn answering(status: u16, body: &str) -> Self {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Self {
            answer: Some(Ok(HttpAnswer { status, body })),
            ..Self::default()
        }
    }
}

/// A host with effects.
pub(crate) struct Scene {
    pub(crate) host: PluginHost,
    kv: Arc<dyn PluginKv>,
    pub(crate) http: Arc<Scripted>,
    secrets: KnownSecrets,
}

pub(crate) fn granted(grants: &[(&str, bool, &[&str])]) -> Grants {
    let grant = |(plugin, kv, http): &(&str, bool, &[&str])| {
        let http: BTreeSet<String> = http.iter().map(|target| (*target).to_owned()).collect();
        ((*plugin).to_owned(), Grant { kv: *kv, http })
    };
    Grants::ByName(grants.iter().map(grant).collect::<BTreeMap<_, _>>())
}

impl Scene {
    pub(crate) fn with(
        grants: Grants,
        http: Scripted,
        change: impl FnOnce(&mut HooksConfig),
    ) -> Self {
        let secrets = KnownSecrets::new();
        let kv = MemoryStore::new().records().kv;
        let http = Arc::new(http);
        let mut config = config(&secrets);
        config.grants = grants;
        config.effects = Some(Effects {
            kv: Arc::clone(&kv),
            http: Arc::<Scripted>::clone(&http),
            runtime: Handle::current(),
        });
        change(&mut config);
        let host = PluginHost::new(config).expect("a host");
        Self {
            host,
            kv,
            http,
            secrets,
        }
    }

    /// With `p` and `q` granted what `p` asks for.
    fn new(http: Scripted) -> Self {
        let all: (bool, &[&str]) = (true, &["oncall"]);
        let grants = granted(&[("p", all.0, all.1), ("q", all.0, all.1)]);
        Self::with(grants, http, |_| {})
    }

    pub(crate) async fn install(&self, name: &str, guest: &Effectful) {
        let artifact = asking(
            name,
            &guest.build(),
            &json!({ "kv": true, "http": ["oncall"] }),
        );
        self.host.install(artifact).await.expect("installs");
    }

    /// What the plugin comes to after a failed run: nothing, or the text of its error.
    pub(crate) async fn outcome(&self, plugin: &str) -> String {
        let done = ended(&run(&[plugin]), RunState::Failed);
        let drafts = self.host.after_run(&done, &Bytes::new()).await;
        let body = drafts
            .first()
            .map(|draft| String::from_utf8_lossy(&draft.body).into_owned());
        let body = body.unwrap_or_default();
        let own = body.split_once("the scheduler's own: ");
        own.map_or("", |(_, own)| own.trim_end()).to_owned()
    }
}

/// The module as an artifact whose manifest asks for these capabilities.
pub(crate) fn asking(name: &str, module: &[u8], capabilities: &Value) -> Artifact {
    let manifest = json!({
        "plugin": { "name": name, "version": "1.0.0" },
        "capabilities": capabilities,
    });
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    let bytes = manifest.embed(module).expect("embeds");
    Artifact::new(name, None, bytes)
}

/// Where the `nth` of some texts stands in a guest's data, and how long it is, as two numbers in WAT.
fn text(texts: &[&str], nth: usize) -> String {
    let before: usize = texts[..nth].iter().map(|text| text.len()).sum();
    let at = usize::try_from(DATA).expect("small") + before;
    format!("(i32.const {at}) (i32.const {})", texts[nth].len())
}

/// Gets a value, and tells it.
fn gets(key: &str) -> Effectful {
    let key_at = text(&[key], 0);
    let told = format!(
        "(call $kv_get {key_at} (i32.const 768))
         (call $told (i32.load (i32.const 776))
           (select (i32.load (i32.const 780)) (i32.const 0)
             (i32.and (i32.load8_u (i32.const 772)) (i32.eqz (i32.load8_u (i32.const 768))))))"
    );
    Effectful::keeping(&told, key.as_bytes())
}

/// Puts a value where there is none, and tells whether it failed.
fn puts(key: &str, value: &str) -> Effectful {
    let texts = [key, value];
    let (key_at, value_at) = (text(&texts, 0), text(&texts, 1));
    let put = format!(
        "(call $kv_swap {key_at} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) {value_at}
           (i32.const 0) (i32.const 0) (i32.const 768))
         (call $told (i32.const 0) (i32.const 0))"
    );
    Effectful::keeping(&put, texts.concat().as_bytes())
}

/// Asks a target and tells the body of its answer.
pub(crate) fn asks(target: &str, path: &str) -> Effectful {
    let texts = [target, path];
    let (target, path) = (text(&texts, 0), text(&texts, 1));
    let ask = format!(
        "(call $http_get {target} {path} (i32.const 0) (i32.const 0) (i32.const 768))
         (call $told (i32.load (i32.const 776)) (i32.load (i32.const 780)))"
    );
    Effectful {
        kv: false,
        ..Effectful::doing(&ask, texts.concat().as_bytes())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_outlives_its_call_and_no_other_plugin_sees_it() {
    let scene = Scene::new(Scripted::default());
    scene.install("p", &puts("streak", "three")).await;
    assert_eq!(scene.outcome("p").await, "");
    let kept = scene.kv.get("p", "streak").await.expect("get");
    assert_eq!(kept.as_deref(), Some(&b"three"[..]));
    scene.install("p", &gets("streak")).await;
    assert_eq!(scene.outcome("p").await, "plugin_error: three");
    // The same key under another name is another value, and names are no paths.
    for key in ["streak", "../p/streak", "p/streak", "p\0streak"] {
        scene.install("q", &gets(key)).await;
        assert_eq!(scene.outcome("q").await, "", "{key:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_of_the_store_is_told() {
    let scene = Scene::new(Scripted::default());
    scene.install("p", &gets("")).await;
    let told = scene.outcome("p").await;
    assert_eq!(
        told,
        "plugin_error: limit: the key has 0 bytes: 1 to 256 are accepted"
    );
    let swap = |n: u8| Swap {
        key: format!("{n}"),
        expect: None,
        value: Some(Bytes::from(vec![0; 65_000])),
        ttl: None,
    };
    for n in 0..16 {
        assert!(scene.kv.swap("p", &swap(n)).await.expect("room"));
    }
    let large = "x".repeat(60_000);
    scene.install("p", &puts("more", &large)).await;
    let told = scene.outcome("p").await;
    assert!(
        told.starts_with("plugin_error: limit: the values of the plugin would take"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_back_without_known_secrets() {
    let scene = Scene::new(Scripted::answering(200, "ann, not hunter2hunter2"));
    scene
        .secrets
        .learn("TOKEN", b"hunter2hunter2")
        .expect("a secret");
    scene.install("p", &asks("oncall", "/who")).await;
    let told = scene.outcome("p").await;
    assert!(told.starts_with("plugin_error: ann, not "), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let asked = scene.http.asked.lock().expect("free");
    assert_eq!((&*asked[0].target, &*asked[0].path), ("oncall", "/who"));
    assert_eq!(asked[0].max_answer, 65_536);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_is_what_may_be() {
    let scene = Scene::new(Scripted::answering(200, "asked"));
    for (target, path, told) in [
        (
            "pager",
            "",
            "denied: the plugin's manifest does not ask for the target \"pager\"",
        ),
        (
            "https://evil.example",
            "",
            "denied: the plugin's manifest does not ask for the target",
        ),
        (
            "oncall",
            "@evil.example",
            "denied: the path is not one line",
        ),
        (
            "oncall",
            "/a\nHost: evil",
            "denied: the path is not one line",
        ),
    ] {
        scene.install("p", &asks(target, path)).await;
        let found = scene.outcome("p").await;
        assert!(
            found.starts_with(&format!("plugin_error: {told}")),
            "{target} {path}: {found}"
        );
    }
    assert_eq!(*scene.http.asked.lock().expect("free"), []);
}

/// Credentials are the target's: a request that brings its own, or half of another request, is not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_cannot_stand_in_for_the_operators() {
    let scene = Scene::new(Scripted::answering(200, "asked"));
    for (name, value, told) in [
        (
            "Authorization",
            "Bearer mine",
            "denied: the request sets Authorization, which belongs to the target",
        ),
        (
            "Host",
            "evil.example",
            "denied: the request sets Host, which belongs to the target",
        ),
        (
            "x-a",
            "b\r\nauthorization: c",
            "denied: the request has a header that is not one",
        ),
        (
            "x a",
            "b",
            "denied: the request has a header that is not one",
        ),
    ] {
        let texts = ["oncall", name, value];
        // The list of headers: one pair of texts, behind the data.
        let pair = format!(
            "(i32.store (i32.const 800) {}) (i32.store (i32.const 804) {})
             (i32.store (i32.const 808) {}) (i32.store (i32.const 812) {})",
            at(&texts, 1),
            len(&texts, 1),
            at(&texts, 2),
            len(&texts, 2)
        );
        let ask = format!(
            "{pair} (call $http_post {} (i32.const 0) (i32.const 0) (i32.const 800) (i32.const 1)
               (i32.const 0) (i32.const 0) (i32.const 768))
             (call $told (i32.load (i32.const 776)) (i32.load (i32.const 780)))",
            text(&texts, 0)
        );
        let guest = Effectful {
            kv: false,
            ..Effectful::doing(&ask, texts.concat().as_bytes())
        };
        scene.install("p", &guest).await;
        assert_eq!(scene.outcome("p").await, format!("plugin_error: {told}"));
    }
    assert_eq!(*scene.http.asked.lock().expect("free"), []);
}

fn at(texts: &[&str], nth: usize) -> String {
    let both = text(texts, nth);
    both.split_inclusive(')')
        .next()
        .expect("an address")
        .to_owned()
}

fn len(texts: &[&str], nth: usize) -> String {
    let both = text(texts, nth);
    both.split_inclusive(')')
        .nth(1)
        .expect("a length")
        .to_owned()
}

/// Repeats a call of the host for as long as it succeeds, and tells its first error.
fn until_refused(mut guest: Effectful) -> Effectful {
    let call = guest
        .on_end
        .split("(call $told")
        .next()
        .unwrap_or_default()
        .to_owned();
    guest.on_end = format!(
        "(loop $on {call} (br_if $on (i32.eqz (i32.load8_u (i32.const 768)))))
         (call $told (i32.const 0) (i32.const 0))"
    );
    guest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted() {
    let scene = Scene::new(Scripted::answering(200, "asked"));
    scene.install("p", &until_refused(gets("key"))).await;
    let told = scene.outcome("p").await;
    assert_eq!(
        told,
        "plugin_error: limit: a call may get and swap 100 times"
    );
    scene.install("p", &until_refused(asks("oncall", ""))).await;
    let told = scene.outcome("p").await;
    assert_eq!(told, "plugin_error: limit: a call may send 5 requests");
    // A failed call is tried three times.
    assert_eq!(scene.http.asked.lock().expect("free").len(), 15);
}

/// Whoever calls the host for ever, with as much as a call may hand over, spends its own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_burnt_in_the_host_is_the_guests() {
    let scene = Scene::new(Scripted::default());
    let hog = "(drop (memory.grow (i32.const 32)))
        (loop $on (call $kv_get (i32.const 1300000) (i32.const 1000000) (i32.const 768)) (br $on)) (unreachable)";
    scene.install("p", &Effectful::keeping(hog, b"")).await;
    let told = scene.outcome("p").await;
    assert_eq!(
        told,
        "deadline: it used more processor time than its hook allows"
    );
    // More than a call may hand over is not even taken.
    let more = "(drop (memory.grow (i32.const 64)))
        (call $kv_get (i32.const 131072) (i32.const 3000000) (i32.const 768)) (unreachable)";
    scene.install("p", &Effectful::keeping(more, b"")).await;
    let told = scene.outcome("p").await;
    assert!(told.starts_with("invalid_output: "), "{told}");
    let kept = scene.kv.get("p", "key").await.expect("the store answers");
    assert_eq!(kept, None);
}

/// A target that says nothing holds up its own call, until that has had its time, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_says_nothing_ends_with_the_call() {
    let grants = granted(&[("p", true, &["oncall"])]);
    let scene = Scene::with(grants, Scripted::default(), |config| {
        config.limits.run_end.wall = Duration::from_millis(300);
        config.threads = 2;
    });
    scene.install("p", &asks("oncall", "/who")).await;
    let told = scene.outcome("p").await;
    let by_the_host = told == "wall_deadline: no answer within 300 ms";
    let by_the_plugin = told.starts_with("plugin_error: unavailable: no answer within ")
        && told.ends_with("; whether it was done is unknown");
    assert!(by_the_host || by_the_plugin, "{told}");
    scene.install("p", &puts("key", "value")).await;
    assert_eq!(scene.outcome("p").await, "");
}

/// Nothing is real where there is no run: while a plugin is tried, and when it checks a configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_effects_without_a_run() {
    let scene = Scene::new(Scripted::default());
    let guest = Effectful {
        validates: true,
        ..puts("key", "value")
    };
    scene.install("p", &guest).await;
    let refused = scene
        .host
        .check_binding("p", &json!({}))
        .await
        .expect_err("refused");
    let said = refused.to_string();
    assert!(
        said.contains("denied: there are no effects without a run"),
        "{said}"
    );
    assert_eq!(scene.kv.get("p", "key").await.expect("get"), None);
}

async fn refused(grants: Grants, artifact: Artifact) -> String {
    let scene = Scene::with(grants, Scripted::default(), |_| {});
    let checked = scene
        .host
        .check(artifact.clone())
        .await
        .expect_err("at the push");
    let loaded = scene.host.install(artifact).await.expect_err("at the load");
    assert_eq!(checked, loaded);
    assert!(
        matches!(loaded, InstallError::Capability { .. }),
        "{loaded:?}"
    );
    loaded.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_imports_than_requested_are_refused() {
    let all = || granted(&[("p", true, &["oncall"])]);
    for (guest, capabilities, said) in [
        (
            puts("k", "v"),
            json!({}),
            "it imports kv, which its manifest does not ask for: write kv = true below [capabilities]",
        ),
        (
            puts("k", "v"),
            json!({ "http": ["oncall"] }),
            "it imports kv, which its manifest does not ask for",
        ),
        (
            puts("k", "v"),
            json!({ "optional": true }),
            "it imports kv, which its manifest does not ask for",
        ),
        (
            asks("oncall", ""),
            json!({ "kv": true }),
            "it imports http, which its manifest does not ask for: write http = [",
        ),
    ] {
        let told = refused(all(), asking("p", &guest.build(), &capabilities)).await;
        assert!(told.contains(said), "{told}");
    }
    // Without a manifest nothing is asked for.
    let bare = Artifact::new("p", None, puts("k", "v").build());
    let told = refused(all(), bare).await;
    assert!(
        told.contains("it imports kv, which its manifest does not ask for"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_granted_is_refused_with_the_remedy() {
    let keeps = asking("p", &puts("k", "v").build(), &json!({ "kv": true }));
    let told = refused(granted(&[("q", true, &[])]), keeps).await;
    assert!(
        told.contains("write kv = true below [plugins.grants.\"p\"]"),
        "{told}"
    );
    assert!(
        told.contains("every server and worker") && told.contains("optional = true"),
        "{told}"
    );
    let tells = asking(
        "p",
        &asks("oncall", "").build(),
        &json!({ "http": ["oncall", "pager"] }),
    );
    let told = refused(granted(&[("p", true, &["oncall"])]), tells).await;
    assert!(told.contains("write http = [\"pager\"] below"), "{told}");
}

/// The version before serves when the next one wants more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_before_serves_when_the_next_wants_more() {
    let scene = Scene::with(granted(&[]), Scripted::default(), |_| {});
    let modest = Artifact::new("p", None, Guest::harmless().build());
    scene.host.install(modest).await.expect("installs");
    let more = asking("p", &puts("k", "v").build(), &json!({ "kv": true }));
    scene.host.install(more).await.expect_err("refused");
    let listed = scene.host.list();
    let PluginStatus::Outdated(why) = &listed[0].status else {
        panic!("{:?}", listed[0].status);
    };
    assert!(why.contains("not granted"), "{why}");
    assert_eq!(scene.outcome("p").await, "");
}

/// One that can do without is told at each call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_optional_is_denied_when_it_is_tried() {
    let scene = Scene::with(
        granted(&[("q", true, &["pager"])]),
        Scripted::default(),
        |_| {},
    );
    let wish = json!({ "kv": true, "http": ["oncall", "pager"], "optional": true });
    for (name, guest, told) in [
        (
            "p",
            puts("k", "v"),
            "denied: the operator does not grant kv",
        ),
        (
            "p",
            asks("oncall", ""),
            "denied: the operator does not grant the target \"oncall\"",
        ),
        (
            "q",
            asks("oncall", ""),
            "denied: the operator does not grant the target \"oncall\"",
        ),
    ] {
        let artifact = asking(name, &guest.build(), &wish);
        scene
            .host
            .install(artifact)
            .await
            .expect("it can do without");
        assert_eq!(scene.outcome(name).await, format!("plugin_error: {told}"));
    }
    let listed = scene.host.list();
    assert_eq!(listed[0].capabilities, [] as [&str; 0]);
    assert_eq!(listed[1].capabilities, ["http:pager"]);
    assert_eq!(scene.kv.get("p", "k").await.expect("get"), None);
    assert_eq!(*scene.http.asked.lock().expect("free"), []);
}

/// A redactor sees all output and a limit is decided again when it is replayed: neither has effects, whatever is granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_alert_plugins_have_effects() {
    let wit = include_str!("../../../plugins-sdk/wit/plugin.wit");
    let world = "world leaky { include all-hooks; import kv; }";
    let leaky = Guest {
        functions: "(func $leak (call $kv_get (i32.const 0) (i32.const 1) (i32.const 768)))"
            .to_owned(),
        imports: r#"(import "sandclock:plugin/kv@0.1.0" "get" (func $kv_get (param i32 i32 i32)))"#
            .to_owned(),
        ..Guest::harmless()
    };
    let module = leaky.build_as(&format!("{wit}\n{world}"), "leaky");
    let artifact = asking("p", &module, &json!({ "kv": true }));
    let told = refused(granted(&[("p", true, &[])]), artifact).await;
    assert!(
        told.contains("it imports kv and has the hook timeout-policy"),
        "{told}"
    );
    assert!(told.contains("make two plugins of it"), "{told}");
}
