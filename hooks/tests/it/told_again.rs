//! Calls with effects, asked again: what was told then is told again, and nothing is done.

use std::sync::Arc;

use sandclock_hooks::workbench::Workbench;
use serde_json::json;

use crate::effects::{Scene, Scripted, asking, asks, granted};
use crate::recording::{Told, once};

/// What a call was told is recorded, of its last try, and told again to whoever is asked the same: nobody is asked for real.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_is_told_again() {
    let told = Arc::new(Told::default());
    let grants = granted(&[("p", true, &["oncall"])]);
    let scene = Scene::with(grants, Scripted::answering(200, "ann"), |config| {
        config.recorder = Some(Arc::clone(&told) as _);
    });
    let guest = asks("oncall", "/who");
    scene.install("p", &guest).await;
    let capabilities = json!({ "kv": true, "http": ["oncall"] });
    let artifact = asking("p", &guest.build(), &capabilities);
    scene.host.shadow(artifact.clone()).await.expect("a shadow");
    assert_eq!(scene.outcome("p").await, "plugin_error: ann");
    let call = once(&scene.host, &told, 1).await.remove(0);
    let asked = json!({ "target": "oncall", "method": "get", "path": "/who", "headers": [] });
    let effect = json!({ "asked": asked, "told": { "status": 200, "body": "ann" } });
    let effects = serde_json::to_value(&call.effects).expect("JSON");
    assert_eq!(effects, json!([effect]), "of three tries the last");
    assert_eq!(call.shadow.as_ref().expect("a shadow").answer, call.answer);
    let bench = Workbench::for_replay(artifact).await.expect("opens");
    let (_, differences) = bench.replay(&call).await;
    assert_eq!(differences, []);
    let tries = scene.http.asked.lock().expect("free").len();
    assert_eq!(tries, 3, "neither the shadow nor the replay asked");
}
