//! What can be executed at all: no NUL bytes, and no more text than a process can be given.
//!
//! The kernel hands arguments and environment over as strings that a NUL byte ends. One of them may
//! have 128 KiB (`MAX_ARG_STRLEN`); all together share a quarter of the stack's limit, of which a
//! job leaves enough for what the worker adds. A job is refused when it is saved, not each time it
//! runs. Jobs that others stored are not checked: what was ever stored can be read (S13).

use super::{Command, Job, Program, SecretSource};
use crate::vault;

/// The longest `command`, member of `argv` or `shell`, or `NAME=value` of `env`, in bytes.
pub const MAX_TEXT_BYTES: usize = (128 << 10) - 1;

/// Program, arguments and environment together, in bytes, with 9 more for each string.
pub const MAX_EXEC_BYTES: usize = 512 << 10;

/// The longest `workdir` and the longest path of a secret's file, in bytes (`PATH_MAX`).
pub const MAX_PATH_BYTES: usize = 4095;

/// The longest name of a user or of a secret's variable, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The most plugins of a job.
pub const MAX_HOOKS: usize = 32;

/// The longest configuration of a plugin in a job, as JSON, in bytes.
pub const MAX_HOOK_CONFIG_BYTES: usize = 64 << 10;

/// A member of a job that cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} is not accepted: {accepted}")]
pub struct Unfit {
    /// The path of the member, such as `argv[1]` or `env.NAME`.
    pub field: String,
    /// The value, escaped, or how long it is.
    pub value: String,
    /// What would be accepted.
    pub accepted: String,
}

impl Unfit {
    pub(crate) fn new(field: &str, value: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            value: value.into(),
            accepted: accepted.into(),
        }
    }
}

impl Job {
    /// Whether a process could be made of this job, and its plugins be bound.
    ///
    /// # Errors
    /// Names the first member that stands in the way.
    pub fn check(&self) -> Result<(), Unfit> {
        self.command.check()?;
        if self.hooks.len() > MAX_HOOKS {
            let value = format!("{} plugins", self.hooks.len());
            return Err(Unfit::new("hooks", value, format!("at most {MAX_HOOKS}")));
        }
        for (at, hook) in self.hooks.iter().enumerate() {
            let bytes = hook.config.to_string().len();
            let field = format!("hooks[{at}].config");
            at_most(&field, bytes, MAX_HOOK_CONFIG_BYTES)?;
        }
        Ok(())
    }
}

impl Command {
    fn check(&self) -> Result<(), Unfit> {
        let mut total = 0;
        let mut string = |field: &str, text: &str, bytes: usize| {
            total += bytes + 9;
            without_nul(field, text)?;
            at_most(field, bytes, MAX_TEXT_BYTES)
        };
        let mut words = |field: &str, words: &[String]| {
            let mut words = words.iter().enumerate();
            words.try_for_each(|(at, word)| string(&format!("{field}[{at}]"), word, word.len()))
        };
        match &self.program {
            Program::Shell { shell, text } => {
                words("shell", shell)?;
                string("command", text, text.len())?;
            }
            Program::Argv(argv) => words("argv", argv)?,
        }
        for (name, value) in &self.env {
            without_nul("env", name)?;
            let field = format!("env.{name}");
            string(&field, value, name.len() + 1 + value.len())?;
        }
        at_most(
            "command, argv, shell and env together",
            total,
            MAX_EXEC_BYTES,
        )?;
        for (name, source) in &self.secrets {
            without_nul("secrets", name)?;
            let (member, text, most) = match source {
                SecretSource::File(path) => ("file", path, MAX_PATH_BYTES),
                SecretSource::Env(variable) => ("env", variable, MAX_NAME_BYTES),
                SecretSource::Name(name) => ("name", name, vault::MAX_NAME_BYTES),
            };
            short(&format!("secrets.{name}.{member}"), text, most)?;
        }
        self.workdir
            .iter()
            .try_for_each(|dir| short("workdir", dir, MAX_PATH_BYTES))?;
        self.user
            .iter()
            .try_for_each(|user| short("user", user, MAX_NAME_BYTES))
    }
}

fn short(field: &str, text: &str, most: usize) -> Result<(), Unfit> {
    without_nul(field, text)?;
    at_most(field, text.len(), most)
}

fn without_nul(field: &str, text: &str) -> Result<(), Unfit> {
    match text.contains('\0') {
        true => Err(Unfit::new(
            field,
            format!("{text:?}"),
            "text without NUL bytes",
        )),
        false => Ok(()),
    }
}

fn at_most(field: &str, bytes: usize, most: usize) -> Result<(), Unfit> {
    match bytes > most {
        true => Err(Unfit::new(
            field,
            format!("{bytes} bytes"),
            format!("at most {most} bytes"),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HookBinding, JobName};
    use super::*;

    fn told(change: impl FnOnce(&mut Job)) -> String {
        let mut job = Job::shell(JobName::parse("j").unwrap(), "true");
        change(&mut job);
        job.check()
            .map_or_else(|unfit| unfit.to_string(), |()| String::new())
    }

    #[test]
    fn a_nul_byte_is_refused_wherever_it_stands() {
        let nul = || "a\0b".to_owned();
        type Case = (fn(&mut Job, String), &'static str);
        let cases: [Case; 9] = [
            (
                |job, nul| job.command.program = Program::Argv(vec!["x".to_owned(), nul]),
                "argv[1]",
            ),
            (
                |job, text| {
                    job.command.program = Program::Shell {
                        shell: vec![],
                        text,
                    }
                },
                "command",
            ),
            (
                |job, nul| {
                    job.command.program = Program::Shell {
                        shell: vec![nul],
                        text: "x".to_owned(),
                    }
                },
                "shell[0]",
            ),
            (
                |job, nul| job.command.env = [(nul, String::new())].into(),
                "env",
            ),
            (
                |job, nul| job.command.env = [("A".to_owned(), nul)].into(),
                "env.A",
            ),
            (
                |job, nul| job.command.secrets = [("A".to_owned(), SecretSource::File(nul))].into(),
                "secrets.A.file",
            ),
            (
                |job, nul| job.command.secrets = [("A".to_owned(), SecretSource::Env(nul))].into(),
                "secrets.A.env",
            ),
            (|job, nul| job.command.workdir = Some(nul), "workdir"),
            (|job, nul| job.command.user = Some(nul), "user"),
        ];
        for (change, field) in cases {
            let expected = format!("{field}: \"a\\0b\" is not accepted: text without NUL bytes");
            assert_eq!(told(|job| change(job, nul())), expected);
        }
    }

    #[test]
    fn what_execve_would_not_take_is_refused() {
        let text = |bytes: usize| "x".repeat(bytes);
        let shell = |job: &mut Job, text| {
            job.command.program = Program::Shell {
                shell: vec![],
                text,
            };
        };
        assert_eq!(told(|job| shell(job, text(MAX_TEXT_BYTES))), "");
        assert_eq!(
            told(|job| shell(job, text(MAX_TEXT_BYTES + 1))),
            "command: 131072 bytes is not accepted: at most 131071 bytes"
        );
        let env = |job: &mut Job, entries: usize| {
            let entry = |at| (format!("V{at:05}"), text(1000));
            job.command.env = (0..entries).map(entry).collect();
        };
        assert_eq!(told(|job| env(job, 500)), "");
        let many = told(|job| env(job, 600));
        assert!(many.ends_with("at most 524288 bytes"), "{many}");
        let name = text(MAX_NAME_BYTES + 1);
        assert!(told(|job| job.command.user = Some(name)).starts_with("user: 256 bytes"));
    }

    #[test]
    fn plugins_are_bounded_in_number_and_size() {
        let hooks = |number, bytes: usize| {
            let config = serde_json::json!({ "a": "x".repeat(bytes) });
            let hook = HookBinding {
                plugin: "p".to_owned(),
                config,
            };
            told(|job| job.hooks = vec![hook; number])
        };
        assert_eq!(hooks(MAX_HOOKS, 60 << 10), "");
        assert!(hooks(MAX_HOOKS + 1, 1).starts_with("hooks: 33 plugins"));
        assert!(hooks(1, 64 << 10).starts_with("hooks[0].config: 65544 bytes"));
    }
}
