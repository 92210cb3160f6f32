//! What is served without being in the API's document: exactly what stands here. Everything else is added with its
//! handler's description, so that neither can be without the other.

use super::tree::{Finding, Tree};

/// The paths, each in the file that adds it: health, metrics, the console's files, the way to the provider and back, the job without a name, and the routes of
/// a Go fleet's master.
const BESIDE: &[(&str, &[&str])] = &[
    (
        "server/src/api/mod.rs",
        &["\"/metrics\"", "\"/healthz\"", "\"/readyz\"", "NAMELESS"],
    ),
    (
        "server/src/console.rs",
        &[
            "\"/\"",
            "\"/console.css\"",
            "\"/console.js\"",
            "\"/api/docs\"",
        ],
    ),
    (
        "server/src/api/sign_in/mod.rs",
        &["\"/auth/login\"", "\"/auth/callback\""],
    ),
    (
        "server/src/api/go/mod.rs",
        &[
            "\"/job/list\"",
            "\"/job/log\"",
            "\"/worker/list\"",
            "\"/job/kill\"",
            "\"/job/save\"",
            "\"/job/delete\"",
        ],
    ),
];

/// How a router is given what is in no document.
const ADDS: &[&str] = &[
    ".route(",
    ".route_service(",
    ".nest_service(",
    ".fallback_service(",
];

/// Routes that are neither documented nor listed here.
pub(super) fn documented(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let served = |path: &str| path.starts_with("server/src/");
    for file in tree.rust().filter(|file| served(&file.path)) {
        let listed = BESIDE.iter().find(|(path, _)| *path == file.path);
        let listed = listed.map_or(&[][..], |(_, paths)| paths);
        for (at, line) in file.product().lines().enumerate() {
            let adds = ADDS.iter().find_map(|adds| line.split_once(adds));
            let Some((_, rest)) = adds else { continue };
            let path = rest.split(',').next().unwrap_or_default();
            if !listed.contains(&path) {
                let text = format!(
                    "{path} is in no document: add its handler with routes!, or list it in {}",
                    file!()
                );
                found.push(Finding::new(&file.path, at + 1, text));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_documented_or_listed() {
        let of = |path, text: &str| documented(&Tree::of(&[(path, text)])).len();
        let hidden = "    .route(\"/hidden\", get(secret))\n";
        let listed = "    .route(\"/healthz\", get(live))\n";
        assert_eq!(of("server/src/api/mod.rs", hidden), 1);
        assert_eq!(of("server/src/api/mod.rs", listed), 0);
        assert_eq!(of("server/src/api/jobs/mod.rs", listed), 1);
        assert_eq!(
            of("server/src/api/mod.rs", "    .routes(routes!(a::b))\n"),
            0
        );
    }
}
