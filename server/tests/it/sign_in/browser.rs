//! Chromium, as far as a person uses it: W3C's WebDriver protocol, of which a test needs ten commands.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Method;
use sandclock_testkit::services::Chromedriver;
use serde_json::{Value, json};

use crate::product::{client, wait_for};

/// How long anything on a page may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The member by which an element is named (WebDriver, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window of its own browser. Dropping it ends the browser.
#[derive(Debug)]
pub(super) struct Browser {
    driver: &'static Chromedriver,
    /// Below the driver.
    session: String,
    http: reqwest::Client,
}

impl Browser {
    pub(super) async fn open() -> Self {
        static DRIVER: OnceLock<Chromedriver> = OnceLock::new();
        sandclock_server::tls();
        let driver = DRIVER.get_or_init(Chromedriver::start);
        let http = client();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
        ];
        let options = json!({ "binary": driver.browser, "args": arguments });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let asked = json!({ "capabilities": { "alwaysMatch": wanted } });
        let asked = http.post(format!("{}/session", driver.url)).json(&asked);
        let said: Value = asked.send().await.unwrap().json().await.unwrap();
        let id = said["value"]["sessionId"].as_str();
        let id = id.unwrap_or_else(|| panic!("no browser: {said}"));
        let session = format!("/session/{id}");
        Self {
            driver,
            session,
            http,
        }
    }

    /// Asks the driver; what it says, or its error.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value, Value> {
        let url = format!("{}{}{path}", self.driver.url, self.session);
        let mut request = self.http.request(method.clone(), url);
        if method == Method::POST {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let is_done = answer.status().is_success();
        let mut said: Value = answer.json().await.unwrap();
        let said = said["value"].take();
        if is_done { Ok(said) } else { Err(said) }
    }

    pub(super) async fn go(&self, url: &str) {
        let asked = json!({ "url": url });
        self.ask(Method::POST, "/url", asked).await.unwrap();
    }

    /// Where it is.
    pub(super) async fn url(&self) -> String {
        let said = self.ask(Method::GET, "/url", Value::Null).await.unwrap();
        said.as_str().unwrap().to_owned()
    }

    /// What a function with this body answers on the page.
    pub(super) async fn run(&self, body: &str) -> Value {
        let asked = json!({ "script": body, "args": [] });
        self.ask(Method::POST, "/execute/sync", asked)
            .await
            .unwrap()
    }

    /// The first element that this CSS selector finds and a person can see.
    async fn find(&self, selector: &str) -> Option<String> {
        let asked = json!({ "using": "css selector", "value": selector });
        let found = self.ask(Method::POST, "/element", asked).await.ok()?;
        let id = found[ELEMENT].as_str()?.to_owned();
        let shown = format!("/element/{id}/displayed");
        let shown = self.ask(Method::GET, &shown, Value::Null).await.ok()?;
        (shown == true).then_some(id)
    }

    /// Does this to an element, once it can be done: a page may not be there yet, or be another one by then.
    async fn act(&self, selector: &str, act: &str, body: Value) {
        let what = format!("{act} of {selector}");
        wait_for(&what, PATIENCE, async || {
            let Some(id) = self.find(selector).await else {
                return false;
            };
            let path = format!("/element/{id}/{act}");
            self.ask(Method::POST, &path, body.clone()).await.is_ok()
        })
        .await;
    }

    pub(super) async fn click(&self, selector: &str) {
        self.act(selector, "click", json!({})).await;
    }

    pub(super) async fn type_into(&self, selector: &str, text: &str) {
        self.act(selector, "value", json!({ "text": text })).await;
    }

    /// What an element shows; `None` if it cannot be seen.
    pub(super) async fn text(&self, selector: &str) -> Option<String> {
        let id = self.find(selector).await?;
        let path = format!("/element/{id}/text");
        let said = self.ask(Method::GET, &path, Value::Null).await.ok()?;
        said.as_str().map(str::to_owned)
    }

    /// Waits until an element shows this, among other text.
    pub(super) async fn shows(&self, selector: &str, text: &str) {
        let what = format!("{selector} shows {text:?}");
        wait_for(&what, PATIENCE, async || {
            let shown = self.text(selector).await;
            shown.is_some_and(|shown| shown.contains(text))
        })
        .await;
    }

    /// Our cookies, those of no script included; the provider's, of the same host, are not shown.
    pub(super) async fn cookies(&self) -> Vec<Value> {
        let said = self.ask(Method::GET, "/cookie", Value::Null).await.unwrap();
        let all: Vec<Value> = serde_json::from_value(said).unwrap();
        let is_ours = |cookie: &Value| cookie["name"].as_str().unwrap().contains("sandclock-");
        all.into_iter().filter(is_ours).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let address = self.driver.url.trim_start_matches("http://");
        let asked = format!(
            "DELETE {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n",
            self.session
        );
        if let Ok(mut driver) = TcpStream::connect(address) {
            let _ = driver.set_read_timeout(Some(PATIENCE));
            let _ = driver.write_all(asked.as_bytes());
            // It keeps the connection, whatever it is told: the beginning of its answer says that it is done.
            let _ = driver.read(&mut [0; 64]);
        }
    }
}
