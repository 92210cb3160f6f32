//! Plugins that bindings attach to jobs: asked in order, before a job's own, and those that are required whatever the job
//! says.

use std::time::Duration;

use sandclock_core::binding::{Binding, Selector};
use sandclock_core::job::HookBinding;
use sandclock_hooks::{KnownSecrets, PluginHost};
use serde_json::json;

use crate::fixture::{host, install, limits, redacted, run, run_with};
use crate::guests::{DATA, Guest, decision};

fn deciding(limit_ms: u32) -> Guest {
    Guest {
        decide: format!("(i32.const {DATA})"),
        data: decision(limit_ms, b"why"),
        ..Guest::harmless()
    }
}

/// A binding of this plugin to every job.
fn binding(plugin: &str, required: bool) -> Binding {
    Binding {
        name: format!("all-{plugin}"),
        selector: Selector::default(),
        hook: HookBinding {
            plugin: plugin.to_owned(),
            config: json!({}),
        },
        order: 0,
        required,
    }
}

async fn asked(host: &PluginHost, own: &[&str]) -> Vec<String> {
    let policy = limits(host, &run(own)).await;
    let notes = policy.notes.into_iter();
    notes.map(|note| note.plugin).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bound_plugins_are_asked_before_the_jobs_own() {
    let host = host(&KnownSecrets::new());
    for (name, limit_ms) in [("five", 5_000), ("nine", 9_000)] {
        install(&host, name, &deciding(limit_ms)).await;
    }
    host.bind(vec![binding("five", false)]);
    let policy = limits(&host, &run(&["nine"])).await;
    assert_eq!(policy.limit, Some(Duration::from_secs(9)));
    assert_eq!(asked(&host, &["nine"]).await, ["five", "nine"]);
    assert_eq!(asked(&host, &[]).await, ["five"]);
    // The job's own entry replaces a binding, but none that is required.
    assert_eq!(asked(&host, &["five"]).await, ["five"]);
    host.bind(vec![binding("five", true)]);
    assert_eq!(asked(&host, &["five"]).await, ["five", "five"]);
    host.bind(Vec::new());
    assert_eq!(asked(&host, &["nine"]).await, ["nine"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_redactor_that_is_not_there_withholds() {
    let host = host(&KnownSecrets::new());
    host.bind(vec![binding("gone", true)]);
    let run = run_with(&[]);
    assert!(host.lacks_plugin_of(&run.job));
    let (text, notes) = redacted(&host, &run, [&b"a word\n"[..]]).await;
    assert!(
        !text.contains("word") && text.contains("withheld"),
        "{text}"
    );
    assert_eq!(notes.len(), 1);
}
