//! Tables: what is done for a plugin, by what the document has and what is there.

use super::*;

/// A plugin with releases of which each is a version and the digest's first letter.
fn plugin(releases: &[&str], [serving, before, shadow]: [&str; 3]) -> PluginDoc {
    let named = |version: &str| (!version.is_empty()).then(|| version.to_owned());
    let release = |text: &&str| {
        let (version, sha256) = text.split_at(1);
        ReleaseDoc {
            version: version.to_owned(),
            sha256: sha256.to_owned(),
        }
    };
    PluginDoc {
        name: "p".to_owned(),
        serving: named(serving),
        before: named(before),
        shadow: named(shadow),
        mode: ModeDoc::default(),
        releases: releases.iter().map(release).collect(),
    }
}

/// What is done, in a word each, and whether that replaces something.
fn planned(new: PluginDoc, there: Option<PluginDoc>) -> (Vec<String>, bool) {
    let there: Vec<_> = there.into_iter().collect();
    let plan = Plan::of(new, &there).unwrap();
    let pushed = plan.missing.iter().map(|it| format!("push {}", it.version));
    let served = plan.serve.iter().map(|it| format!("serve {it}"));
    let shadow = plan.shadow.iter();
    let shadow = shadow.map(|it| format!("shadow {}", it.as_deref().unwrap_or("none")));
    let mode = plan
        .mode
        .iter()
        .map(|ModeDoc(mode)| mode.as_str().to_owned());
    let done = pushed.chain(mode).chain(served).chain(shadow);
    (done.collect(), plan.replaces)
}

#[test]
fn what_is_done_follows_from_what_is_there() {
    let new = || plugin(&["3c", "2b", "1a"], ["2", "1", "3"]);
    let all = [
        "push 1", "push 2", "push 3", "serve 1", "serve 2", "shadow 3",
    ];
    let cases = [
        (None, &all[..], false),
        (Some(new()), &[], false),
        (Some(plugin(&["1a"], ["", "", ""])), &all[1..], false),
        (
            Some(plugin(&["1a"], ["1", "", ""])),
            &["push 2", "push 3", "serve 2", "shadow 3"],
            true,
        ),
        // What served before is this store's own.
        (
            Some(plugin(&["3c", "2b", "1a"], ["2", "3", "3"])),
            &[],
            false,
        ),
        (
            Some(plugin(&["3c", "2b", "1a"], ["1", "", "2"])),
            &["serve 2", "shadow 3"],
            true,
        ),
        (
            Some(plugin(&["4d", "3c", "2b", "1a"], ["2", "", "4"])),
            &["shadow 3"],
            true,
        ),
        (
            Some(plugin(&["4d", "3c", "2b", "1a"], ["2", "", ""])),
            &["shadow 3"],
            false,
        ),
    ];
    for (there, expected, replaces) in cases {
        let told = format!("{there:?}");
        let (done, replaced) = planned(new(), there);
        assert_eq!(done, expected, "{told}");
        assert_eq!(replaced, replaces, "{told}");
    }
}

#[test]
fn a_mode_is_there_before_anything_serves() {
    let monitored = || PluginDoc {
        mode: ModeDoc(PluginMode::Monitor),
        ..plugin(&["1a"], ["1", "", ""])
    };
    let done = ["push 1", "monitor", "serve 1"].map(str::to_owned);
    assert_eq!(planned(monitored(), None), (done.to_vec(), false));
    let enforced = plugin(&["1a"], ["1", "", ""]);
    let there = Some(enforced.clone());
    assert_eq!(
        planned(monitored(), there),
        (vec!["monitor".to_owned()], true)
    );
    let there = Some(monitored());
    assert_eq!(planned(enforced, there), (vec!["enforce".to_owned()], true));
    assert_eq!(planned(monitored(), Some(monitored())), (vec![], false));
    // An import that broke off before anything served.
    let there = Some(plugin(&["1a"], ["", "", ""]));
    let done = ["monitor", "serve 1"].map(str::to_owned);
    assert_eq!(planned(monitored(), there), (done.to_vec(), false));
}

#[test]
fn what_serves_is_never_taken_away() {
    let kept = plugin(&["1a"], ["", "", ""]);
    let there = plugin(&["2b", "1a"], ["2", "1", ""]);
    assert_eq!(planned(kept, Some(there.clone())), (vec![], false));
    // A document's shadow may be what serves here.
    let shadow = plugin(&["2b"], ["", "", "2"]);
    assert_eq!(planned(shadow, Some(there)), (vec![], false));
}

#[test]
fn a_release_with_another_module_is_refused_with_the_remedy() {
    let new = plugin(&["2b", "1x"], ["2", "", ""]);
    let there = [plugin(&["1a"], ["1", "", ""])];
    let refused = Plan::of(new, &there).unwrap_err().to_string();
    assert!(refused.starts_with("releases[1].sha256: x "), "{refused}");
    assert!(refused.contains("plugin rm p --version 1"), "{refused}");
}
