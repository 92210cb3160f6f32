//! What jobs are called and what they print is text on the page, whatever it looks like; and what the headers forbid.

use std::time::Duration;

use reqwest::Method;
use sandclock_backend_embedded::{Embedded, EmbeddedConfig};
use sandclock_core::backend::Precondition;
use sandclock_core::job::{Job, JobName};

use super::browser::Browser;
use super::by_hand::Session;
use crate::alerts::scene::Config;
use crate::product::{Product, wait_for};

const ARGS: &[&str] = &["--no-examples"];

/// Markup that would leave a mark if it were taken for that.
const MARKUP: &str =
    "<img src=x onerror=\"window.marked=1\"><script>window.marked=1</script><b class=made>";

/// Saves a job whose name the API takes from nobody: other programs that share a store may have left it there.
async fn leave_behind(product: &Product, name: &str) {
    let path = product.data().join("sandclock.db");
    let store = Embedded::open(EmbeddedConfig { path }).unwrap();
    let mut job = Job::shell(JobName::existing(name), format!("printf %s '{MARKUP}'"));
    job.description = MARKUP.to_owned();
    let jobs = store.coordination().jobs;
    jobs.put(&job, Precondition::Absent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_output_of_jobs_are_shown_as_text() {
    let mut product = Product::start(ARGS);
    assert!(product.stop().await.success());
    leave_behind(&product, MARKUP).await;
    let product = product.restart_after_kill(ARGS);
    let browser = Browser::open().await;
    browser.go(&product.url).await;
    browser.type_into("#token", &product.token).await;
    browser.click("#by-token button").await;
    browser.shows("#who", "admin").await;
    browser.shows("#jobs", MARKUP).await;
    browser.click("#jobs tr td:nth-child(2) button").await;
    browser.shows("#runs-of", MARKUP).await;
    wait_for("the run has ended", Duration::from_secs(60), async || {
        browser.click("#runs .again button").await;
        let runs = browser.text("#runs").await;
        runs.is_some_and(|runs| runs.contains("succeeded"))
    })
    .await;
    browser.click("#runs tr:nth-child(2) button").await;
    browser.shows("#output", MARKUP).await;
    let made = "return document.querySelectorAll('img, .made, script:not([src])').length";
    assert_eq!(browser.run(made).await, 0);
    assert_eq!(
        browser.run("return window.marked ?? null").await,
        serde_json::Value::Null
    );

    // And if it came to markup, no script of it would run.
    let smuggle = format!(
        "document.body.insertAdjacentHTML('beforeend', {MARKUP:?}); \
                           const s = document.createElement('script'); s.textContent = 'window.marked = 1'; \
                           document.body.append(s);"
    );
    browser.run(&smuggle).await;
    browser.shows("body", "sandclock").await;
    assert_eq!(browser.run(made).await, 4);
    assert_eq!(
        browser.run("return window.marked ?? null").await,
        serde_json::Value::Null
    );
}

#[tokio::test]
async fn pages_run_no_script_but_their_own_and_stand_in_no_frame() {
    let product = Product::start(ARGS);
    let header = async |path: &str, name: &str| {
        let answer = product.bare(Method::GET, path).send().await.unwrap();
        let value = answer.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    for path in [
        "/",
        "/auth/login",
        "/api/docs",
        "/console.js",
        "/api/v1/jobs",
        "/healthz",
    ] {
        let options = header(path, "x-content-type-options").await;
        assert_eq!(options.as_deref(), Some("nosniff"), "{path}");
    }
    for path in ["/", "/auth/login", "/api/docs"] {
        let policy = header(path, "content-security-policy").await.unwrap();
        let directives: Vec<_> = policy.split("; ").map(str::trim).collect();
        assert!(
            directives.contains(&"default-src 'none'"),
            "{path}: {policy}"
        );
        assert!(
            directives.contains(&"frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        let may_script = directives.contains(&"script-src 'self'");
        assert_eq!(may_script, path == "/", "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
    let script = header("/console.js", "content-type").await.unwrap();
    assert!(script.starts_with("text/javascript"), "{script}");
}

/// The configuration that the operators' guide shows is one.
#[tokio::test]
async fn the_guides_configuration_is_accepted() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once("```toml\n[oidc]\n").unwrap();
    let (section, _) = rest.split_once("```").unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret\n").unwrap();
    let path = secret.path().display().to_string();
    let section = section.replace("/etc/sandclock/oidc-secret", &path);
    let product = Config::new(&format!("[oidc]\n{section}")).dev();
    let page = product.bare(Method::GET, "/").send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("href=\"/auth/login\""), "{page}");
    // Browsers come by TLS there.
    let session = Session::begin(&product, &product.token).await;
    assert!(session.set.ends_with("; Secure"), "{}", session.set);
}
