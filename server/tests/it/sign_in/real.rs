//! People sign in at a real provider, in a real browser.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Method;
use sandclock_testkit::services::OidcProvider;
use serde_json::{Value, json};

use super::browser::Browser;
use super::{CLIENT, SECRET, product};
use crate::product::{Product, wait_for};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn issuer() -> &'static str {
    static PROVIDER: OnceLock<OidcProvider> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| OidcProvider::start(CLIENT, SECRET));
    &provider.issuer
}

/// Goes to the provider and says there to be this person; the browser is on its way back.
async fn sign_in_as(browser: &Browser, product: &Product, person: &str) {
    browser.go(&product.url).await;
    browser.click("#provider").await;
    browser.type_into("input[name=login]", person).await;
    browser.type_into("input[name=password]", "any").await;
    browser.click("form:has([value=login]) button").await;
    // It asks whether we may know.
    browser.click("form:has([value=consent]) button").await;
    let back = format!("{}/", product.url);
    wait_for("the browser comes back", PATIENCE, async || {
        browser.url().await.starts_with(&back)
    })
    .await;
}

async fn the_trail_says_who_it_was(product: &Product) {
    let trail = product.get("/audit").await;
    let entry = |action: &str| -> Value {
        let items = trail["items"].as_array().unwrap();
        let found = items.iter().find(|entry| entry["action"] == action);
        found.unwrap_or_else(|| panic!("{action}: {trail}")).clone()
    };
    for (action, subject) in [("session.create", "oidc:alice"), ("job.run", "data/a")] {
        let entry = entry(action);
        assert_eq!(entry["who"], "oidc:alice@example.org");
        assert_eq!(entry["from"], "127.0.0.1");
        assert_eq!(entry["subject"], subject);
        assert_eq!(entry["outcome"], "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_runs_a_job_and_signs_out() {
    let rules = ["group = \"ops\"\nrole = \"operator\"\nprefixes = [\"data/\"]"];
    let product = product(issuer(), &rules);
    for name in ["data%2Fa", "other"] {
        let job = json!({ "command": "echo printed" });
        product.put_job(name, &job).await;
    }
    let browser = Browser::open().await;
    sign_in_as(&browser, &product, "alice").await;
    let who = "oidc:alice@example.org (operator for data/)";
    browser.shows("#who", who).await;
    assert_eq!(browser.url().await, format!("{}/", product.url));
    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1, "that of the flow is gone: {cookies:?}");
    let cookie = &cookies[0];
    assert_eq!(cookie["name"], "sandclock-session");
    assert_eq!(
        (&cookie["httpOnly"], &cookie["sameSite"], &cookie["path"]),
        (&json!(true), &json!("Lax"), &json!("/"))
    );
    let seen = browser.run("return document.cookie").await;
    assert!(!seen.as_str().unwrap().contains("sandclock"), "{seen}");

    browser.shows("#jobs", "data/a").await;
    let shown = browser.text("#jobs").await.unwrap();
    assert!(!shown.contains("other"), "{shown}");
    browser.click("#jobs tr td:nth-child(2) button").await;
    wait_for("the run has ended", PATIENCE, async || {
        browser.click("#runs .again button").await;
        let runs = browser.text("#runs").await;
        runs.is_some_and(|runs| runs.contains("succeeded"))
    })
    .await;
    browser.click("#runs tr:nth-child(2) button").await;
    browser.shows("#output", "printed").await;

    the_trail_says_who_it_was(&product).await;

    // Another page has the word, too. One that has lost it says so, and somebody signs in again.
    let word = "return localStorage.getItem('sandclock-csrf')";
    let kept = browser.run(word).await;
    assert_eq!(kept.as_str().unwrap().len(), 64);
    browser.go(&format!("{}/#csrf=made-up", product.url)).await;
    browser.run("location.reload()").await;
    browser.shows("#who", who).await;
    assert_eq!(browser.run(word).await, kept);
    browser.run("localStorage.clear(); location.reload()").await;
    browser.shows("#no-word", "Sign in again").await;
    browser.click("#provider").await;
    let again = "the browser comes back with a word";
    wait_for(again, PATIENCE, async || {
        let consent = "form:has([value=consent]) button";
        if browser.text(consent).await.is_some() {
            browser.click(consent).await;
        }
        !browser.run(word).await.is_null()
    })
    .await;
    browser.shows("#who", who).await;
    assert_ne!(browser.run(word).await, kept);
    let cookies = browser.cookies().await;
    let secret = cookies[0]["value"].as_str().unwrap();
    browser.click("#sign-out").await;
    browser.shows("#signed-out", "Token").await;
    assert_eq!(browser.run(word).await, Value::Null);
    let asked = product.bare(Method::GET, "/api/v1/session");
    let asked = asked.header("cookie", format!("sandclock-session={secret}"));
    assert_eq!(asked.send().await.unwrap().status(), 401);
    assert_eq!(browser.cookies().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_whom_no_rule_fits_or_by_an_address_that_nobody_has_verified() {
    let rules = [
        "group = \"ops\"\nrole = \"operator\"",
        "email = \"alice@example.org\"\nrole = \"admin\"",
    ];
    let product = product(issuer(), &rules);
    for (person, name) in [("bob", "oidc:bob@example.org"), ("mallory", "oidc:mallory")] {
        let browser = Browser::open().await;
        sign_in_as(&browser, &product, person).await;
        browser
            .shows("#told", &format!("this is {name}, and no rule"))
            .await;
        assert_eq!(browser.cookies().await, Vec::<Value>::new());
    }
    let trail = product.get("/audit?action=session.create").await;
    assert_eq!(trail["items"], json!([]));
}
