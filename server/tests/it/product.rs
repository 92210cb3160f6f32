//! The product as a user has it: the binary, started on throwaway folders, reached over HTTP.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// The product's binary.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sandclock");

/// A client that lets go of an idle connection before a server does, which is after 10 s. A test that starts a process
/// blocks its runtime, which then does not hear that the server has closed one.
pub(crate) fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(5));
    client.build().unwrap()
}

/// All that a command has printed.
pub(crate) fn told(output: &std::process::Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(&[out.as_slice(), err].concat()).into_owned()
}

/// A running `sandclock dev` or `sandclock server`. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Product {
    process: Child,
    home: TempDir,
    pub(crate) url: String,
    pub(crate) token: String,
    http: reqwest::Client,
}

impl Product {
    /// Starts `sandclock dev` on empty folders.
    pub(crate) fn start(args: &[&str]) -> Self {
        let home = TempDir::new().unwrap();
        let arguments = Self::dev_arguments(&home, args);
        Self::launch(home, String::new(), &arguments)
    }

    /// Starts `sandclock dev` with these limits of open files, soft and hard.
    pub(crate) fn start_limited(soft: u32, hard: u32) -> Self {
        let home = TempDir::new().unwrap();
        let limited = format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$0\" \"$@\"");
        let shell = ["/bin/sh", "-c", &limited, PROGRAM].map(OsString::from);
        let dev = Self::dev_arguments(&home, &["--no-examples"]);
        let line: Vec<_> = shell.into_iter().chain(dev).collect();
        Self::launch_line(home, String::new(), &line)
    }

    /// Starts `sandclock dev` as a user who may have so many processes, threads among them: root, whom no such limit
    /// binds, becomes somebody else; of others, those in a namespace of its own are counted.
    pub(crate) fn start_crowded(processes: u32) -> Self {
        let home = TempDir::new().unwrap();
        let program = home.path().join("sandclock");
        std::fs::copy(PROGRAM, &program).unwrap();
        let as_user = if nix::unistd::geteuid().is_root() {
            nix::unistd::chown(home.path(), Some(64_123.into()), None).unwrap();
            "setpriv --reuid=64123 --clear-groups"
        } else {
            "unshare --user"
        };
        let line = format!("{as_user} prlimit --nproc={processes}");
        let line = line.split(' ').map(OsString::from).chain([program.into()]);
        let dev = Self::dev_arguments(&home, &["--no-examples"]);
        let line: Vec<_> = line.chain(dev).collect();
        Self::launch_line(home, String::new(), &line)
    }

    /// Starts `sandclock server` on empty folders, over the stores that this configuration names.
    pub(crate) fn server(stores: &str) -> Self {
        Self::server_with(stores, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn server_with(stores: &str, variables: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        let config = Self::configure(&home, stores);
        let mut line = vec![OsString::from("/usr/bin/env")];
        let variables = variables.iter();
        line.extend(variables.map(|(name, value)| format!("{name}={value}").into()));
        line.extend([PROGRAM, "server", "--config"].map(OsString::from));
        line.push(config.into());
        Self::launch_line(home, String::new(), &line)
    }

    /// Writes a server's configuration.
    fn configure(home: &TempDir, stores: &str) -> PathBuf {
        let config = home.path().join("sandclock.toml");
        let data = home.path().join("data");
        let own = format!("listen = \"127.0.0.1:0\"\ndata = {data:?}\n");
        std::fs::write(&config, own + stores).unwrap();
        config
    }

    /// Starts `sandclock server` as a Go fleet's master is started, with its file in the folder where it starts,
    /// these arguments, and these settings in the environment.
    pub(crate) fn in_place_of_a_master(
        file: &Value,
        args: &[&str],
        settings: &[(String, String)],
    ) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::write(home.path().join("master.json"), file.to_string()).unwrap();
        let there = format!("--chdir={}", home.path().display());
        let data = format!("SANDCLOCK__DATA={}", home.path().join("data").display());
        let settings = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let env = ["/usr/bin/env".to_owned(), there, data].into_iter();
        let program = [PROGRAM, "server"].into_iter().chain(args.iter().copied());
        let line = env.chain(settings).chain(program.map(str::to_owned));
        let line: Vec<_> = line.map(OsString::from).collect();
        Self::launch_line(home, String::new(), &line)
    }

    fn dev_arguments(home: &TempDir, args: &[&str]) -> Vec<OsString> {
        let dev = ["dev", "--listen", "127.0.0.1:0", "--data"];
        let data = home.path().join("data");
        let before = dev.iter().map(OsString::from).chain([data.into()]);
        before.chain(args.iter().map(OsString::from)).collect()
    }

    fn launch(home: TempDir, known_token: String, arguments: &[OsString]) -> Self {
        let line: Vec<_> = [PROGRAM.into()]
            .into_iter()
            .chain(arguments.to_vec())
            .collect();
        Self::launch_line(home, known_token, &line)
    }

    fn launch_line(home: TempDir, known_token: String, line: &[OsString]) -> Self {
        sandclock_server::tls();
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.path().join("log"))
            .unwrap();
        let mut process = Command::new(&line[0])
            .args(&line[1..])
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path().join("config"))
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut token = known_token;
        let mut url = None;
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some((_, rest)) = line.split_once(" is ready: ") {
                url = Some(rest.trim().to_owned());
            } else if let Some(rest) = line.trim().strip_prefix("token  ") {
                if rest.starts_with("sandclock_") {
                    rest.split_whitespace()
                        .next()
                        .unwrap()
                        .clone_into(&mut token);
                }
                break;
            }
        }
        let url = url.unwrap_or_else(|| {
            panic!(
                "it did not start: {}",
                std::fs::read_to_string(home.path().join("log")).unwrap()
            )
        });
        if token.is_empty() {
            token = made_beside(line);
        }
        Self {
            process,
            home,
            url,
            token,
            http: client(),
        }
    }

    /// Ends it with SIGKILL and starts it again on the same folders.
    pub(crate) fn restart_after_kill(mut self, args: &[&str]) -> Self {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let home = std::mem::replace(&mut self.home, TempDir::new().unwrap());
        let arguments = Self::dev_arguments(&home, args);
        Self::launch(home, self.token.clone(), &arguments)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Gives a server another configuration and has it read.
    pub(crate) fn reconfigure(&self, stores: &str) {
        Self::configure(&self.home, stores);
        self.signal(Signal::SIGHUP);
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(&mut self) -> std::process::ExitStatus {
        self.signal(Signal::SIGTERM);
        let mut status = None;
        wait_for("the process ends", Duration::from_secs(120), async || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The process's own log.
    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.home.path().join("log")).unwrap()
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request with the token, below `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, &format!("/api/v1{path}"))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "GET {path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "GET {path}");
        String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned()
    }

    /// All runs that this query asks for, page by page, the newest first.
    pub(crate) async fn runs(&self, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/runs?limit=500&{query}{cursor}");
            let mut page = self.get(&path).await;
            all.append(page["items"].as_array_mut().unwrap());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Response {
        self.request(method, path).json(body).send().await.unwrap()
    }

    /// Creates or replaces a job.
    pub(crate) async fn put_job(&self, name: &str, job: &Value) -> Value {
        let response = self.send(Method::PUT, &format!("/jobs/{name}"), job).await;
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert!(status.is_success(), "PUT {name}: {answer}");
        answer
    }

    /// Runs a job now; answers the run's id.
    pub(crate) async fn start_run(&self, name: &str) -> String {
        let path = format!("/jobs/{name}/run");
        let answer = self.request(Method::POST, &path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let started: Value = answer.json().await.unwrap();
        started["run"].as_str().unwrap().to_owned()
    }

    /// Runs a job now and waits for its end.
    pub(crate) async fn run_job(&self, name: &str) -> Value {
        self.ended(&self.start_run(name).await).await
    }

    /// Waits for a run's end.
    pub(crate) async fn ended(&self, run: &str) -> Value {
        let mut end = Value::Null;
        wait_for("the run ends", Duration::from_secs(60), async || {
            let path = format!("/runs/{run}");
            let response = self.request(Method::GET, &path).send().await.unwrap();
            if response.status() == StatusCode::OK {
                end = response.json().await.unwrap();
            }
            !matches!(end["state"].as_str(), None | Some("queued" | "running"))
        })
        .await;
        end
    }

    /// The client commands against this server.
    pub(crate) fn cli(&self, args: &[&str]) -> std::process::Output {
        self.cli_told(args, "")
    }

    /// The same with this as their standard input.
    pub(crate) fn cli_told(&self, args: &[&str], input: &str) -> std::process::Output {
        let mut process = Command::new(PROGRAM)
            .args(args)
            .env("SANDCLOCK_URL", &self.url)
            .env("SANDCLOCK_TOKEN", &self.token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Most commands end without having read it.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        process.wait_with_output().unwrap()
    }
}

impl Product {
    /// A client command with a terminal as its output: what the terminal got.
    pub(crate) fn on_a_terminal(&self, args: &[&str]) -> String {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sandclock"))
            .args(args)
            .env("SANDCLOCK_URL", &self.url)
            .env("SANDCLOCK_TOKEN", &self.token)
            .stdout(Stdio::from(pty.slave))
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        // When nobody has the other end any more, reading fails.
        let _ = File::from(pty.master).read_to_end(&mut said);
        assert!(process.wait().unwrap().success());
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until `is_so`, at most for `deadline`.
pub(crate) async fn wait_for(what: &str, deadline: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !is_so().await {
        assert!(
            Instant::now() < end,
            "waited {deadline:?} in vain until {what}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// A token for the server that this line has started, where another one has shown the fleet's first.
fn made_beside(line: &[OsString]) -> String {
    let server = line.iter().position(|part| part == "server").unwrap();
    let mut file = line
        .iter()
        .skip_while(|part| !part.to_string_lossy().ends_with("-config"));
    let mut command = Command::new(&line[0]);
    command.args(&line[1..server]);
    command.args(["token", "create", "tests", "--role", "admin", "--config"]);
    let made = command.arg(file.nth(1).unwrap()).output().unwrap();
    assert!(made.status.success(), "{}", told(&made));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
