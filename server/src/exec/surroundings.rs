//! The environment that a command sees: what is named here, and nothing else of the worker's.
//!
//! Later lines win: PATH, HOME, USER, LOGNAME, SHELL and LANG; the variables that the operator
//! passes on; the job's own; its secrets; and `SANDCLOCK_*` about the run, which nothing may fake.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::{User, geteuid};
use sandclock_core::job::SecretSource;
use sandclock_core::run::RunContext;
use sandclock_hooks::KnownSecrets;
use sandclock_hooks::secrets::MAX_SECRET_BYTES;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::config::Environment;
use crate::telemetry::{RunTrace, TraceParent};
use crate::vault::Vault;

/// `PATH` where the worker has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// In `worker.pass_env`: every variable but those that configure Sandclock, which may hold passwords.
const ALL: &str = "*";

/// How long a file system may take to hand out a secret; one that hangs must not hold a run for ever.
const FILE_PATIENCE: Duration = Duration::from_secs(10);

/// Why a secret has no value that a command may have. Never tells a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Its source gives none.
    #[error("secret {name:?}: {reason}")]
    Source {
        /// The variable that should have carried it.
        name: String,
        /// What was wrong with its source.
        reason: String,
    },
    /// Nobody could keep it out of the output.
    #[error(transparent)]
    Unmaskable(#[from] sandclock_hooks::secrets::SecretError),
}

/// What the worker's process gives to the commands it starts.
#[derive(Clone)]
pub struct Surroundings {
    /// The worker's own environment, the source of passed variables and of secrets.
    worker: BTreeMap<String, String>,
    base: BTreeMap<String, String>,
    /// Where a command starts that names no folder; `None` is its user's home.
    workdir: Option<String>,
    /// What a secret that is given by name is asked of.
    vault: Option<Arc<Vault>>,
    /// Whether spans of commands are told of.
    traced: bool,
    /// What is masked everywhere: a value is known here before a command can print it (S14).
    known: KnownSecrets,
}

/// The worker's environment may hold secrets, so only names are shown.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("base", &self.base.keys())
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// From the worker's environment and the names that the operator passes on (`worker.pass_env`).
    ///
    /// Reads the user database once.
    pub fn new(
        worker: BTreeMap<String, String>,
        pass_env: &[String],
        known: KnownSecrets,
    ) -> Surroundings {
        let or = |name: &str, other: String| {
            (name.to_owned(), worker.get(name).cloned().unwrap_or(other))
        };
        let user = User::from_uid(geteuid()).ok().flatten();
        let name = user
            .as_ref()
            .map_or_else(|| geteuid().to_string(), |user| user.name.clone());
        let home = user
            .as_ref()
            .map_or_else(|| "/".to_owned(), |user| user.dir.display().to_string());
        let shell = user.map_or_else(
            || "/bin/sh".to_owned(),
            |user| user.shell.display().to_string(),
        );
        let mut base = BTreeMap::from([
            or("PATH", DEFAULT_PATH.to_owned()),
            or("LANG", "C.UTF-8".to_owned()),
            ("HOME".to_owned(), home),
            ("USER".to_owned(), name.clone()),
            ("LOGNAME".to_owned(), name),
            ("SHELL".to_owned(), shell),
        ]);
        let all = pass_env.iter().any(|name| name == ALL);
        let is_passed = |name: &String| match all {
            true => !name.starts_with(Environment::PREFIX),
            false => pass_env.contains(name),
        };
        let passed = worker.iter().filter(|(name, _)| is_passed(name));
        base.extend(passed.map(|(name, value)| (name.clone(), value.clone())));
        Surroundings {
            worker,
            base,
            workdir: None,
            vault: None,
            traced: false,
            known,
        }
    }

    /// The same where secrets have names.
    #[must_use]
    pub fn with_names(self, vault: Arc<Vault>) -> Surroundings {
        let vault = Some(vault);
        Surroundings { vault, ..self }
    }

    /// The same where commands that name no folder start in this one (`worker.workdir`).
    #[must_use]
    pub fn starting_in(self, workdir: Option<String>) -> Surroundings {
        Surroundings { workdir, ..self }
    }

    /// Where a command starts that names no folder; `None` is its user's home.
    pub fn workdir(&self) -> Option<&str> {
        self.workdir.as_deref()
    }

    /// The same where spans of commands are told of.
    #[must_use]
    pub fn traced(self, traced: bool) -> Surroundings {
        Surroundings { traced, ..self }
    }

    /// Where the command's own spans belong: below the span of its attempt, if there is one, else below what asked for the
    /// run.
    fn place(&self, run: &RunContext) -> Option<TraceParent> {
        let trace = RunTrace::of(&run.id, &run.key);
        match self.traced {
            true => Some(trace.attempt(&run.id, run.attempt)),
            false => trace.asked,
        }
    }

    /// The value of a secret: the content of a regular file without one newline at its end, a
    /// variable of the worker, or what is known by a name.
    ///
    /// # Errors
    /// If the file cannot be read as UTF-8 within 10 s, the variable is not set, nobody knows the name, or the value
    /// cannot be masked, such as an empty one.
    pub async fn secret(&self, name: &str, source: &SecretSource) -> Result<String, SecretError> {
        let value = self.value(source).await;
        let value = value.map_err(|reason| SecretError::Source {
            name: name.to_owned(),
            reason,
        })?;
        if !self.lets_secrets_out() {
            self.known.learn(name, value.as_bytes())?;
        }
        Ok(value)
    }

    /// The fault that a search for secrets must see. Builds without debug assertions do not have it.
    fn lets_secrets_out(&self) -> bool {
        cfg!(debug_assertions) && self.worker.contains_key("SANDCLOCK_TEST_UNMASKED")
    }

    /// What a source gives, or why it gives nothing.
    async fn value(&self, source: &SecretSource) -> Result<String, String> {
        let known = match source {
            SecretSource::Name(name) => {
                let vault = self.vault.as_ref();
                let vault = vault.ok_or_else(|| format!("{name:?} is known by no name here"))?;
                match vault.own(name) {
                    Some(own) => own,
                    None => return vault.value(name).await,
                }
            }
            given => given,
        };
        match known {
            SecretSource::File(path) => {
                let late = |_| Err(io::ErrorKind::TimedOut.into());
                let text = timeout(FILE_PATIENCE, read_secret(path)).await;
                let mut text = text
                    .unwrap_or_else(late)
                    .map_err(|error| format!("file {path:?}: {error}"))?;
                if text.ends_with('\n') {
                    text.pop();
                }
                Ok(text)
            }
            SecretSource::Env(variable) => self.worker.get(variable).cloned().ok_or_else(|| {
                format!("variable {variable} is not set in the worker's environment")
            }),
            // What a worker is configured with is a file or a variable.
            SecretSource::Name(name) => Err(format!("{name:?} stands for another name")),
        }
    }

    /// A text that is about to leave the worker, known secrets masked.
    pub fn mask(&self, text: &str) -> String {
        self.known.mask_text(text).into_owned()
    }

    /// The whole environment of a run's command.
    ///
    /// # Errors
    /// If a secret has no value.
    pub async fn of_run(&self, run: &RunContext) -> Result<Vec<(String, String)>, SecretError> {
        let command = &run.job.command;
        let mut env = self.base.clone();
        if command.user.is_some() {
            // These follow from that user, in the run's own process.
            for name in ["HOME", "USER", "LOGNAME", "SHELL"] {
                env.remove(name);
            }
        }
        env.extend(command.env.clone());
        for (name, source) in &command.secrets {
            env.insert(name.clone(), self.secret(name, source).await?);
        }
        let fire_time = run
            .key
            .scheduled_for()
            .map(|at| at.to_string())
            .unwrap_or_default();
        let about = [
            ("SANDCLOCK_JOB", run.job.name.as_str().to_owned()),
            ("SANDCLOCK_RUN_ID", run.id.to_string()),
            ("SANDCLOCK_FIRE_TIME", fire_time),
            ("SANDCLOCK_ATTEMPT", run.attempt.to_string()),
            ("SANDCLOCK_WORKER", run.worker.clone()),
            ("SANDCLOCK_FENCE", run.fence.to_string()),
        ];
        env.extend(about.map(|(name, value)| (name.to_owned(), value)));
        if let Some(place) = self.place(run) {
            env.insert("TRACEPARENT".to_owned(), place.to_string());
        }
        Ok(env.into_iter().collect())
    }
}

/// Reads a regular file, and no more of it than a secret may have.
async fn read_secret(path: &str) -> io::Result<String> {
    let mut options = File::options();
    // Opening a FIFO would wait for somebody who writes.
    let options = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let file = options.open(path).await?;
    if !file.metadata().await?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // A newline and one byte more, which shows that it is too long.
    let limit = MAX_SECRET_BYTES as u64 + 2;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 == limit {
        let why = format!("it has more than {MAX_SECRET_BYTES} bytes, which is what can be masked");
        return Err(io::Error::other(why));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sandclock_core::job::{Job, JobName};
    use sandclock_core::run::{RunId, RunKey};
    use sandclock_core::time::Timestamp;

    use super::*;

    fn worker() -> BTreeMap<String, String> {
        let of = [
            ("PATH", "/opt/bin"),
            ("TZ", "UTC"),
            ("TOKEN", "hush"),
            ("SANDCLOCK_RUN_ID", "outer"),
        ];
        of.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn run(change: impl FnOnce(&mut Job)) -> RunContext {
        let name = JobName::parse("a/b").unwrap();
        let key = RunKey::Tick(Timestamp::from_millis(0));
        let mut job = Job::shell(name.clone(), "true");
        change(&mut job);
        let id = RunId::of(&name, &key);
        RunContext {
            id,
            key,
            job: Arc::new(job),
            attempt: 2,
            fence: 7,
            worker: "w1".to_owned(),
        }
    }

    async fn env(run: &RunContext) -> BTreeMap<String, String> {
        let surroundings = Surroundings::new(
            worker(),
            &["TZ".to_owned(), "ABSENT".to_owned()],
            KnownSecrets::new(),
        );
        surroundings
            .of_run(run)
            .await
            .unwrap()
            .into_iter()
            .collect()
    }

    #[tokio::test]
    async fn a_command_sees_what_is_named_and_nothing_else() {
        let run = run(|_| {});
        let env = env(&run).await;
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        let expected = [
            "HOME",
            "LANG",
            "LOGNAME",
            "PATH",
            "SANDCLOCK_ATTEMPT",
            "SANDCLOCK_FENCE",
            "SANDCLOCK_FIRE_TIME",
            "SANDCLOCK_JOB",
            "SANDCLOCK_RUN_ID",
            "SANDCLOCK_WORKER",
            "SHELL",
            "TZ",
            "USER",
        ];
        assert_eq!(names, expected);
        assert_eq!(env["PATH"], "/opt/bin");
        assert_eq!(env["SANDCLOCK_RUN_ID"], run.id.to_string());
        assert_eq!(env["SANDCLOCK_FIRE_TIME"], "1970-01-01T00:00:00Z");
    }

    #[tokio::test]
    async fn a_job_may_set_anything_but_who_it_is() {
        let set = ["PATH", "SANDCLOCK_JOB"].map(|name| (name.to_owned(), "mine".to_owned()));
        let env = env(&run(|job| job.command.env = set.into())).await;
        assert_eq!(env["PATH"], "mine");
        assert_eq!(env["SANDCLOCK_JOB"], "a/b");
    }

    #[tokio::test]
    async fn secrets_come_from_files_and_variables() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "line\n\n").unwrap();
        let sources = [
            ("FROM_ENV".to_owned(), SecretSource::Env("TOKEN".to_owned())),
            (
                "FROM_FILE".to_owned(),
                SecretSource::File(file.path().display().to_string()),
            ),
        ];
        let env = env(&run(|job| job.command.secrets = sources.into())).await;
        assert_eq!(env["FROM_ENV"], "hush");
        assert_eq!(env["FROM_FILE"], "line\n");
    }

    /// A device gives bytes for ever, a FIFO nothing for ever.
    #[tokio::test]
    async fn only_regular_files_of_bounded_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let long = folder.path().join("long");
        std::fs::write(&long, "x".repeat(MAX_SECRET_BYTES + 2)).unwrap();
        let cases = [
            ("/dev/zero", "no regular file"),
            (fifo.to_str().unwrap(), "no regular file"),
            (folder.path().to_str().unwrap(), "no regular file"),
            (long.to_str().unwrap(), "more than 32768 bytes"),
        ];
        let surroundings = Surroundings::new(worker(), &[], KnownSecrets::new());
        for (path, why) in cases {
            let source = SecretSource::File(path.to_owned());
            let error = surroundings.secret("KEY", &source).await.unwrap_err();
            assert!(error.to_string().contains(why), "{path}: {error}");
        }
    }

    #[tokio::test]
    async fn a_missing_secret_names_itself_and_its_source() {
        let sources = [("KEY".to_owned(), SecretSource::Env("NOWHERE".to_owned()))];
        let run = run(|job| job.command.secrets = sources.into());
        let error = Surroundings::new(worker(), &[], KnownSecrets::new())
            .of_run(&run)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "secret \"KEY\": variable NOWHERE is not set in the worker's environment"
        );
    }
}
