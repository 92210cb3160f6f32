//! Cases on the plugin store: a release never changes, comes back as it was, and one of them serves at a time.

use bytes::Bytes;
use futures_util::future::join_all;
use sandclock_core::ErrorKind;
use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use sandclock_core::backend::{ModuleDigest, PluginMode, Release, StoredPlugin};

use super::RecordsEnv;
use super::scene::at;

const PLUGIN: &str = "redact-secrets";

/// A module that no other text is that of.
fn module(text: &str) -> Bytes {
    Bytes::from(format!("\0asm {text}"))
}

fn release(version: &str, module: &Bytes) -> Release {
    Release {
        plugin: PLUGIN.to_owned(),
        version: version.to_owned(),
        digest: ModuleDigest::of(module),
        bytes: module.len() as u64,
        pushed_by: "ann".to_owned(),
        pushed_at: at(60),
    }
}

/// Pushes a release whose module is its version.
async fn push(env: &RecordsEnv, version: &str) -> Release {
    let module = module(version);
    let release = release(version, &module);
    env.plugins.push(&release, &module).await.expect("push");
    release
}

async fn list(env: &RecordsEnv) -> Vec<StoredPlugin> {
    env.plugins.list().await.expect("list")
}

/// The only plugin there is.
async fn the_plugin(env: &RecordsEnv) -> StoredPlugin {
    let mut plugins = list(env).await;
    assert_eq!(plugins.len(), 1, "{plugins:?}");
    plugins.remove(0)
}

/// What serves, and what served before.
async fn served(env: &RecordsEnv) -> [Option<String>; 2] {
    let plugin = the_plugin(env).await;
    [plugin.serving, plugin.before]
}

fn some(version: &str) -> Option<String> {
    Some(version.to_owned())
}

async fn serve(env: &RecordsEnv, from: Option<&str>, to: Option<&str>) -> Result<(), ErrorKind> {
    let served = env.plugins.serve(PLUGIN, from, to).await;
    served.map_err(|error| error.kind)
}

/// A release comes back as it was pushed, and its module to the byte, small or as large as can be.
pub async fn a_pushed_module_comes_back(env: &RecordsEnv) {
    assert_eq!(list(env).await, []);
    let noise = (0..MAX_MODULE_BYTES / 8).flat_map(usize::to_le_bytes);
    for (version, module) in [
        ("0.1.0", Bytes::new()),
        ("0.2.0+ci.7", module("$small \"ä\"")),
        ("1.0.0", Bytes::from_iter(noise)),
    ] {
        let release = release(version, &module);
        env.plugins.push(&release, &module).await.expect("push");
        let plugin = the_plugin(env).await;
        assert_eq!(plugin.name, PLUGIN);
        assert_eq!(plugin.releases[0], release);
        assert_eq!((plugin.serving, plugin.before), (None, None));
        let back = env.plugins.module(&release.digest).await.expect("module");
        assert!(back == module, "the module of {version} is another");
    }
}

/// Releases are listed with the last pushed first, plugins by name.
pub async fn releases_are_listed_last_first(env: &RecordsEnv) {
    for version in ["1.10.0", "1.9.0", "2.0.0"] {
        push(env, version).await;
    }
    let module = module("other");
    let other = Release {
        plugin: "a-plugin".to_owned(),
        ..release("7", &module)
    };
    env.plugins.push(&other, &module).await.expect("push");
    let listed: Vec<_> = list(env).await;
    let names: Vec<_> = listed.iter().map(|plugin| &*plugin.name).collect();
    assert_eq!(names, ["a-plugin", PLUGIN]);
    let versions: Vec<_> = (listed[1].releases.iter())
        .map(|release| &*release.version)
        .collect();
    assert_eq!(versions, ["2.0.0", "1.9.0", "1.10.0"]);
}

/// A version is never given to another module; who repeats a push changes nothing.
pub async fn a_release_never_changes(env: &RecordsEnv) {
    let first = push(env, "1.0.0").await;
    let repeat = Release {
        pushed_by: "bob".to_owned(),
        pushed_at: at(120),
        ..first.clone()
    };
    let again = env.plugins.push(&repeat, &module("1.0.0")).await;
    again.expect("the same again");
    let other = module("other");
    let refused = env.plugins.push(&release("1.0.0", &other), &other).await;
    let refused = refused.expect_err("another module");
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(refused.to_string().contains("1.0.0"), "{refused}");
    assert_eq!(the_plugin(env).await.releases, [first]);
    let unknown = env.plugins.module(&ModuleDigest::of(&other)).await;
    assert_eq!(unknown.expect_err("not kept").kind, ErrorKind::NotFound);
}

/// What cannot be a release is refused, and nothing of it is kept.
pub async fn a_bad_push_is_refused(env: &RecordsEnv) {
    let module = module("1.0.0");
    let right = release("1.0.0", &module);
    let large = Bytes::from(vec![0; MAX_MODULE_BYTES + 1]);
    let cases = [
        (release("1/0", &module), &module),
        (release("2.0.0", &large), &large),
        (
            Release {
                plugin: "a b".to_owned(),
                ..right.clone()
            },
            &module,
        ),
        (
            Release {
                digest: ModuleDigest::of(b"other"),
                ..right.clone()
            },
            &module,
        ),
        (Release { bytes: 1, ..right }, &module),
    ];
    for (release, module) in cases {
        let refused = env.plugins.push(&release, module).await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.kind, ErrorKind::InvalidConfig, "{refused}");
    }
    assert_eq!(list(env).await, []);
}

/// Of many who push one version at once, one decides what it is.
pub async fn one_of_many_pushes_is_the_release(env: &RecordsEnv) {
    let modules: Vec<_> = (0..8).map(|number| module(&number.to_string())).collect();
    let pushes = modules.iter().map(|module| async {
        let release = release("1.0.0", module);
        (env.plugins.push(&release, module).await, release)
    });
    let mut won = Vec::new();
    for (pushed, release) in join_all(pushes).await {
        match pushed {
            Ok(()) => won.push(release),
            Err(refused) => assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}"),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(the_plugin(env).await.releases, won);
    let kept = env.plugins.module(&won[0].digest).await.expect("module");
    assert_eq!(ModuleDigest::of(&kept), won[0].digest);
}

/// A release serves only if what its caller saw serves; a repeat changes nothing.
pub async fn a_serve_needs_what_serves(env: &RecordsEnv) {
    for (from, to) in [(None, Some("1")), (None, None), (Some("1"), None)] {
        let served = serve(env, from, to).await;
        assert_eq!(served, Err(ErrorKind::NotFound), "no plugin: {to:?}");
    }
    push(env, "1").await;
    push(env, "2").await;
    assert_eq!(served(env).await, [None, None]);
    assert_eq!(
        serve(env, None, Some("3")).await,
        Err(ErrorKind::NotFound),
        "no release"
    );
    for _ in 0..2 {
        assert_eq!(serve(env, None, Some("1")).await, Ok(()));
        assert_eq!(served(env).await, [some("1"), None]);
    }
    assert_eq!(
        serve(env, None, Some("2")).await,
        Err(ErrorKind::Conflict),
        "1 serves"
    );
    for _ in 0..2 {
        assert_eq!(serve(env, Some("1"), Some("2")).await, Ok(()));
        assert_eq!(served(env).await, [some("2"), some("1")]);
    }
    assert_eq!(
        serve(env, Some("2"), Some("2")).await,
        Ok(()),
        "nothing to do"
    );
    assert_eq!(served(env).await, [some("2"), some("1")]);
    assert_eq!(serve(env, Some("2"), Some("1")).await, Ok(()), "back");
    assert_eq!(served(env).await, [some("1"), some("2")]);
    assert_eq!(serve(env, Some("1"), None).await, Ok(()), "out of service");
    assert_eq!(served(env).await, [None, some("1")]);
    assert_eq!(serve(env, Some("1"), None).await, Ok(()), "a repeat");
    assert_eq!(served(env).await, [None, some("1")]);
}

/// Of many who change at once what serves, one does.
pub async fn one_of_many_serves(env: &RecordsEnv) {
    let versions: Vec<_> = (0..8).map(|number| number.to_string()).collect();
    for version in &versions {
        push(env, version).await;
    }
    let serves = versions.iter().map(|to| serve(env, None, Some(to)));
    let answers = join_all(serves).await;
    let won: Vec<_> = (versions.iter().zip(&answers))
        .filter(|(_, answer)| answer.is_ok())
        .map(|(version, _)| version)
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert_eq!(served(env).await, [Some(won[0].clone()), None]);
}

/// What serves is not withdrawn. What is withdrawn is gone with its module, unless another release has it.
pub async fn a_withdrawn_release_is_gone(env: &RecordsEnv) {
    let first = push(env, "1").await;
    let twin = Release {
        version: "1-again".to_owned(),
        ..first.clone()
    };
    let pushed = env.plugins.push(&twin, &module("1")).await;
    pushed.expect("two releases of one module");
    push(env, "2").await;
    serve(env, None, Some("1")).await.expect("serve");
    let serving = env.plugins.withdraw(PLUGIN, "1").await;
    assert_eq!(serving.expect_err("it serves").kind, ErrorKind::Conflict);
    serve(env, Some("1"), Some("2")).await.expect("serve");
    for _ in 0..2 {
        let withdrawn = env.plugins.withdraw(PLUGIN, "1").await;
        withdrawn.expect("withdrawn");
    }
    assert_eq!(served(env).await, [some("2"), None], "no way back to it");
    let shared = env.plugins.module(&first.digest).await.expect("the twin's");
    assert_eq!(shared, module("1"));
    let withdrawn = env.plugins.withdraw(PLUGIN, "1-again").await;
    withdrawn.expect("withdrawn");
    let gone = env.plugins.module(&first.digest).await;
    assert_eq!(gone.expect_err("gone").kind, ErrorKind::NotFound);
    assert_eq!(
        serve(env, Some("2"), Some("1")).await,
        Err(ErrorKind::NotFound)
    );
    serve(env, Some("2"), None).await.expect("out of service");
    let last = env.plugins.withdraw(PLUGIN, "2").await;
    last.expect("the last one");
    assert_eq!(list(env).await, []);
    assert_eq!(serve(env, None, None).await, Err(ErrorKind::NotFound));
    let other = module("other");
    let again = env.plugins.push(&release("1", &other), &other).await;
    again.expect("a new life, with another module");
    assert_eq!(served(env).await, [None, None]);
    assert_eq!(list(env).await[0].releases, [release("1", &other)]);
}

/// What is only asked is a release that is there and does not serve; it ends when it serves, or is withdrawn.
pub async fn a_shadow_is_a_release_that_does_not_serve(env: &RecordsEnv) {
    let shadow = async |version: Option<&str>| {
        let set = env.plugins.shadow(PLUGIN, version).await;
        set.map_err(|error| error.kind)
    };
    assert_eq!(shadow(None).await, Err(ErrorKind::NotFound));
    for version in ["1.0.0", "1.1.0"] {
        push(env, version).await;
    }
    assert_eq!(the_plugin(env).await.shadow, None);
    assert_eq!(shadow(Some("2.0.0")).await, Err(ErrorKind::NotFound));
    assert_eq!(serve(env, None, Some("1.0.0")).await, Ok(()));
    assert_eq!(shadow(Some("1.0.0")).await, Err(ErrorKind::Conflict));
    for _ in 0..2 {
        assert_eq!(shadow(Some("1.1.0")).await, Ok(()));
        assert_eq!(the_plugin(env).await.shadow, some("1.1.0"));
    }
    assert_eq!(served(env).await, [some("1.0.0"), None]);
    push(env, "1.2.0").await;
    assert_eq!(the_plugin(env).await.shadow, some("1.1.0"));
    assert_eq!(serve(env, Some("1.0.0"), Some("1.2.0")).await, Ok(()));
    assert_eq!(
        the_plugin(env).await.shadow,
        some("1.1.0"),
        "another serves"
    );
    assert_eq!(serve(env, Some("1.2.0"), Some("1.1.0")).await, Ok(()));
    assert_eq!(the_plugin(env).await.shadow, None, "it serves");
    assert_eq!(shadow(Some("1.0.0")).await, Ok(()));
    env.plugins
        .withdraw(PLUGIN, "1.0.0")
        .await
        .expect("withdraw");
    assert_eq!(the_plugin(env).await.shadow, None, "it is gone");
    assert_eq!(shadow(Some("1.2.0")).await, Ok(()));
    assert_eq!(shadow(None).await, Ok(()));
    assert_eq!(the_plugin(env).await.shadow, None, "nobody asks it");
}

/// What becomes of a plugin's answers is said of the plugin: it holds for every release, and is forgotten with the last.
pub async fn a_mode_is_of_the_plugin(env: &RecordsEnv) {
    let set = async |mode| {
        let set = env.plugins.set_mode(PLUGIN, mode).await;
        set.map_err(|error| error.kind)
    };
    let mode = async || the_plugin(env).await.mode;
    assert_eq!(set(PluginMode::Monitor).await, Err(ErrorKind::NotFound));
    push(env, "1.0.0").await;
    assert_eq!(mode().await, PluginMode::Enforce, "unless somebody says so");
    for _ in 0..2 {
        assert_eq!(set(PluginMode::Monitor).await, Ok(()));
        assert_eq!(mode().await, PluginMode::Monitor);
    }
    assert_eq!(serve(env, None, Some("1.0.0")).await, Ok(()));
    push(env, "1.1.0").await;
    assert_eq!(serve(env, Some("1.0.0"), Some("1.1.0")).await, Ok(()));
    let withdrawn = env.plugins.withdraw(PLUGIN, "1.0.0").await;
    withdrawn.expect("withdraw");
    assert_eq!(mode().await, PluginMode::Monitor, "of every release");
    assert_eq!(set(PluginMode::Enforce).await, Ok(()));
    assert_eq!(mode().await, PluginMode::Enforce);
    assert_eq!(set(PluginMode::Monitor).await, Ok(()));
    assert_eq!(serve(env, Some("1.1.0"), None).await, Ok(()));
    let withdrawn = env.plugins.withdraw(PLUGIN, "1.1.0").await;
    withdrawn.expect("the last one");
    assert_eq!(set(PluginMode::Monitor).await, Err(ErrorKind::NotFound));
    push(env, "1.2.0").await;
    assert_eq!(mode().await, PluginMode::Enforce, "a new life");
}
