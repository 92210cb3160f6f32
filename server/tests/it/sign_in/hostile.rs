//! A provider, or somebody on the way, that lies: nobody gets in; and a provider that is away: nothing hangs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::{Value, json};
use sha2::Sha256;

use super::by_hand::cookie;
use super::fake::{Fake, Told, signed, signed_by, unsigned};
use super::{CLIENT, SECRET, config, unix_s};
use crate::alerts::scene::Config;
use crate::product::Product;

const SESSION: &str = "__Host-sandclock-session";
const FLOW: &str = "__Host-sandclock-flow";

/// A product behind a proxy, so that each try can come from an address of its own.
struct Scene {
    fake: Fake,
    product: Product,
    _config: Config,
    http: Client,
    tries: AtomicU32,
}

/// A browser on its way to the provider.
struct Flow {
    from: String,
    cookie: String,
    set: String,
    asked: BTreeMap<String, String>,
}

const PROXIED: &str = "public_url = \"https://cron.example.org\"\ntimeout_s = 2\n";

impl Scene {
    async fn new(rules: &[&str]) -> Self {
        Self::at(Fake::start().await, rules)
    }

    /// Another product at the same provider.
    fn at(fake: Fake, rules: &[&str]) -> Self {
        let section = config(&fake.issuer, PROXIED, rules);
        let text = std::fs::read_to_string(section.path()).unwrap();
        let config = Config::new(&format!("behind_proxy = true\n{text}"));
        let product = config.dev();
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        Self {
            fake,
            product,
            _config: config,
            http,
            tries: AtomicU32::new(0),
        }
    }

    async fn get(&self, path: &str, from: &str, cookie: &str) -> Response {
        let asked = self.http.get(format!("{}{path}", self.product.url));
        let asked = asked.header("x-forwarded-for", from);
        asked.header("cookie", cookie).send().await.unwrap()
    }

    /// A browser with an address of its own goes to the provider.
    async fn begin(&self, back: &str) -> Flow {
        let number = self.tries.fetch_add(1, Ordering::Relaxed);
        let from = format!("10.0.{}.{}", number / 250, number % 250 + 1);
        let path = format!("/auth/login?back={back}");
        let answer = self.get(&path, &from, "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let (cookie, set) = cookie(&answer, FLOW).unwrap();
        let to = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        assert!(
            to.as_str()
                .starts_with(&format!("{}/authorize?", self.fake.issuer))
        );
        let asked = to.query_pairs().into_owned().collect();
        self.fake.begin(&asked);
        Flow {
            from,
            cookie,
            set,
            asked,
        }
    }

    /// It comes back.
    async fn back(&self, flow: &Flow, query: &str) -> Response {
        let path = format!("/auth/callback?{query}");
        self.get(&path, &flow.from, &flow.cookie).await
    }

    /// Comes back as it should, to a provider that does as it is told.
    async fn told(&self, told: Told) -> Response {
        self.fake.tell(told);
        let flow = self.begin("").await;
        let query = format!("code=good&state={}", flow.asked["state"]);
        self.back(&flow, &query).await
    }
}

/// Where a browser is sent that is signed in: the CSRF token, and what else stands in the fragment.
fn landing(answer: &Response) -> (String, String) {
    let location = answer.headers()["location"].to_str().unwrap();
    let fragment = location.strip_prefix("/#csrf=").unwrap();
    let (word, rest) = fragment.split_at(64);
    assert!(word.bytes().all(|byte| byte.is_ascii_hexdigit()), "{word}");
    (word.to_owned(), rest.to_owned())
}

/// Nobody is signed in; what the page says.
async fn refused(answer: Response, status: StatusCode, what: &str) -> String {
    assert_eq!(answer.status(), status, "{what}");
    assert!(cookie(&answer, SESSION).is_none(), "{what}");
    let policy = answer.headers()["content-security-policy"].to_str();
    assert!(policy.unwrap().contains("default-src 'none'"));
    answer.text().await.unwrap()
}

fn claims(claims: Value) -> Told {
    Told {
        claims,
        ..Told::default()
    }
}

fn making(making: fn(&Told, Value) -> String) -> Told {
    Told {
        making,
        ..Told::default()
    }
}

/// With what whoever knows the client's secret, or the provider's public key, can sign.
fn by_hmac(_: &Told, claims: Value) -> String {
    let text = unsigned(&json!({ "alg": "HS256", "typ": "JWT" }), &claims);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = mac.finalize().into_bytes();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn by_nobody(_: &Told, claims: Value) -> String {
    format!("{}.", unsigned(&json!({ "alg": "none" }), &claims))
}

fn changed_afterwards(told: &Told, mut claims: Value) -> String {
    let token = signed(told, claims.clone());
    claims["sub"] = "root".into();
    let signature = token.rsplit('.').next().unwrap();
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "key-1" });
    format!("{}.{signature}", unsigned(&header, &claims))
}

#[tokio::test]
async fn an_id_token_that_is_not_of_this_provider_for_us_and_now_lets_nobody_in() {
    let scene = Scene::new(&["group = \"ops\"\nrole = \"operator\""]).await;
    let good = scene.told(Told::default()).await;
    assert_eq!(good.status(), StatusCode::SEE_OTHER);
    assert_eq!(landing(&good).1, "");
    assert!(cookie(&good, SESSION).unwrap().1.ends_with("; Secure"));
    let now = unix_s();
    for (what, told) in [
        ("another nonce", claims(json!({ "nonce": "x" }))),
        ("no nonce", claims(json!({ "nonce": null }))),
        ("another audience", claims(json!({ "aud": "other" }))),
        (
            "audiences that we do not know",
            claims(json!({ "aud": [CLIENT, "other"] })),
        ),
        (
            "another issuer",
            claims(json!({ "iss": "https://evil.example" })),
        ),
        (
            "expired",
            claims(json!({ "exp": now - 120, "iat": now - 600 })),
        ),
        (
            "of the future",
            claims(json!({ "iat": now + 600, "exp": now + 900 })),
        ),
        ("no end", claims(json!({ "exp": null }))),
        ("nobody", claims(json!({ "sub": null }))),
        ("no signature", making(by_nobody)),
        ("signed with the client's secret", making(by_hmac)),
        ("changed afterwards", making(changed_afterwards)),
        (
            "signed with another key",
            making(|_, claims| signed_by(9, 1, &claims)),
        ),
        (
            "signed with an unknown key",
            making(|_, claims| signed_by(9, 9, &claims)),
        ),
        ("no ID token", making(|_, _| String::new())),
        ("no token at all", making(|_, _| "a.b".to_owned())),
    ] {
        let answer = scene.told(told).await;
        let status = answer.status();
        assert!(
            status == StatusCode::FORBIDDEN || status == StatusCode::BAD_GATEWAY,
            "{what}: {status}"
        );
        refused(answer, status, what).await;
    }
    let trail = scene.product.get("/audit?action=session.create").await;
    assert_eq!(trail["items"].as_array().unwrap().len(), 1, "{trail}");
}

#[tokio::test]
async fn clocks_may_differ_and_keys_may_change() {
    let scene = Scene::new(&["group = \"ops\"\nrole = \"operator\""]).await;
    let now = unix_s();
    for told in [
        claims(json!({ "exp": now - 20, "iat": now - 300 })),
        claims(json!({ "iat": now + 30 })),
        Told {
            key: 2,
            ..Told::default()
        },
        Told {
            key: 3,
            ..Told::default()
        },
    ] {
        let answer = scene.told(told).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn an_answer_counts_once_for_the_browser_that_asked() {
    let scene = Scene::new(&["group = \"ops\"\nrole = \"operator\""]).await;
    let flow = scene.begin("").await;
    assert_eq!(flow.asked["code_challenge_method"], "S256");
    assert_eq!(
        flow.asked["redirect_uri"],
        "https://cron.example.org/auth/callback"
    );
    let flags = "; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure";
    assert_eq!(flow.set, format!("{}{flags}", flow.cookie));
    let state = &flow.asked["state"];
    let query = format!("code=good&state={state}");
    let other = scene.begin("").await;
    let with_cookie = |cookie: &str| Flow {
        from: "10.9.9.9".to_owned(),
        cookie: cookie.to_owned(),
        set: String::new(),
        asked: BTreeMap::new(),
    };
    for (what, flow, query) in [
        ("another browser", &other, &*query),
        ("no browser that asked", &with_cookie(""), &*query),
        (
            "a cookie that is none",
            &with_cookie(&format!("{FLOW}=x.y")),
            &*query,
        ),
        ("no state", &flow, "code=good"),
        (
            "another state",
            &flow,
            &format!("code=good&state={}", other.asked["state"]),
        ),
        (
            "another provider",
            &flow,
            &format!("{query}&iss=https://evil.example"),
        ),
        ("no code", &flow, &format!("state={state}")),
        ("a refusal", &flow, &format!("{query}&error=access_denied")),
    ] {
        let answer = scene.back(flow, query).await;
        refused(answer, StatusCode::FORBIDDEN, what).await;
    }
    assert_eq!(
        scene.fake.exchanged(),
        0,
        "no code has gone to the provider"
    );
    let flow = scene.begin("").await;
    let query = format!("code=other&state={}", flow.asked["state"]);
    let answer = scene.back(&flow, &query).await;
    refused(answer, StatusCode::FORBIDDEN, "a code of nobody").await;
    let flow = scene.begin("").await;
    let query = format!(
        "code=good&state={}&iss={}",
        flow.asked["state"], scene.fake.issuer
    );
    let answer = scene.back(&flow, &query).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let taken = cookie(&answer, FLOW).unwrap().1;
    assert!(taken.contains("Max-Age=0"), "{taken}");
}

#[tokio::test]
async fn the_way_back_leads_nowhere_else() {
    let scene = Scene::new(&["group = \"ops\"\nrole = \"operator\""]).await;
    for (asked, back) in [
        ("%2Fjobs%3Fx%3D1%23y", "&back=%2Fjobs%3Fx%3D1%23y"),
        ("%2F%2Fevil.example", ""),
        ("https%3A%2F%2Fevil.example", ""),
        ("%2F%5Cevil.example", ""),
        ("%2F%09%2Fevil.example", ""),
        ("javascript%3Aalert(1)", ""),
    ] {
        let flow = scene.begin(asked).await;
        let query = format!("code=good&state={}", flow.asked["state"]);
        let answer = scene.back(&flow, &query).await;
        assert_eq!(landing(&answer).1, back, "{asked}");
    }
    // Nor does a cookie that somebody has changed.
    let mut flow = scene.begin("").await;
    let (secret, _) = flow.cookie.split_once('.').unwrap();
    flow.cookie = format!("{secret}.%2F%2Fevil%2Eexample");
    let query = format!("code=good&state={}", flow.asked["state"]);
    let answer = scene.back(&flow, &query).await;
    assert_eq!(landing(&answer).1, "");
}

#[tokio::test]
async fn what_is_not_verified_or_not_said_gives_no_role() {
    let rules = [
        "subject = \"8\"\nrole = \"admin\"",
        "email = \"ann@example.org\"\nrole = \"editor\"",
    ];
    let scene = Scene::new(&rules).await;
    for (claims, may) in [
        (json!({}), true),
        (json!({ "email_verified": false }), false),
        (json!({ "email_verified": null }), false),
        (json!({ "email": "eve@example.org" }), false),
        (json!({ "email": "eve@example.org", "sub": "8" }), true),
    ] {
        let told = Told {
            claims: claims.clone(),
            ..Told::default()
        };
        let answer = scene.told(told).await;
        if may {
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{claims}");
        } else {
            refused(answer, StatusCode::FORBIDDEN, &claims.to_string()).await;
        }
    }
}

#[tokio::test]
async fn a_name_of_markup_is_text_on_the_page() {
    let scene = Scene::new(&["group = \"none\"\nrole = \"viewer\""]).await;
    let name = "<script>alert(1)</script>";
    let answer = scene
        .told(claims(json!({ "email": null, "sub": name })))
        .await;
    let page = refused(answer, StatusCode::FORBIDDEN, name).await;
    assert!(
        !page.contains("<script") && page.contains("&lt;script&gt;"),
        "{page}"
    );
}

/// What another person is said to be is no word about this one.
#[tokio::test]
async fn the_provider_is_asked_for_what_its_token_does_not_say() {
    let fake = Fake::start().await;
    let thin = json!({ "email": null, "email_verified": null, "groups": null });
    for (subject, may) in [("7", true), ("8", false)] {
        let more = json!({ "sub": subject, "groups": ["ops"] });
        let told = Told {
            claims: thin.clone(),
            more,
            ..Told::default()
        };
        // What it says of itself is kept for a while.
        let scene = Scene::at(fake.clone(), &["group = \"ops\"\nrole = \"operator\""]);
        let answer = scene.told(told).await;
        assert_eq!(answer.status() == StatusCode::SEE_OTHER, may, "{subject}");
    }
}

#[tokio::test]
async fn a_provider_that_is_away_or_silent_is_said_and_nothing_waits_for_it() {
    let scene = Scene::new(&["group = \"ops\"\nrole = \"operator\""]).await;
    scene.fake.tell(Told {
        hangs: true,
        ..Told::default()
    });
    let silent = scene.get("/auth/login", "10.1.1.1", "").await;
    let page = refused(silent, StatusCode::BAD_GATEWAY, "silent").await;
    assert!(page.contains("does not answer"), "{page}");
    scene.product.get("/jobs").await;
    scene.fake.tell(Told::default());
    let answers = scene.told(Told::default()).await;
    assert_eq!(answers.status(), StatusCode::SEE_OTHER);
    // A port that nobody listens at.
    let config = config(
        "http://127.0.0.1:9",
        "",
        &["group = \"ops\"\nrole = \"viewer\""],
    );
    let product = config.dev();
    let asked = scene.http.get(format!("{}/auth/login", product.url));
    let away = asked.send().await.unwrap();
    refused(away, StatusCode::BAD_GATEWAY, "away").await;
}

#[tokio::test]
async fn who_fails_again_and_again_is_not_heard_for_a_while() {
    let scene = Scene::new(&["group = \"ops\"\nrole = \"operator\""]).await;
    scene.fake.tell(making(by_nobody));
    let mut flows = Vec::new();
    for _ in 0..12 {
        let flow = Flow {
            from: "10.2.2.2".to_owned(),
            ..scene.begin("").await
        };
        flows.push(flow);
    }
    let last = flows.pop().unwrap();
    let query = |flow: &Flow| format!("code=good&state={}", flow.asked["state"]);
    for flow in &flows {
        let answer = scene.back(flow, &query(flow)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    let answer = scene.back(&last, &query(&last)).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let answer = scene.get("/auth/login", "10.2.2.2", "").await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let other = scene.told(Told::default()).await;
    assert_eq!(other.status(), StatusCode::SEE_OTHER);
}

/// Any page can send its readers there, from the address of a whole office.
#[tokio::test]
async fn who_comes_back_without_having_begun_keeps_nobody_from_signing_in() {
    let scene = Scene::new(&["group = \"ops\"\nrole = \"operator\""]).await;
    for _ in 0..20 {
        let path = "/auth/callback?code=x&state=y";
        let answer = scene.get(path, "10.2.2.3", "").await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    let login = scene.get("/auth/login", "10.2.2.3", "").await;
    assert_eq!(login.status(), StatusCode::SEE_OTHER);
}
