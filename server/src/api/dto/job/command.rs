//! What a job executes, on the wire: the program, its environment and secrets, its limits.

use sandclock_core::job::{Command, DEFAULT_SHELL, Limits, Program, SecretSource};
use sandclock_core::vault;
use serde::{Deserialize, Serialize};

use super::JobDto;
use crate::document::FieldError;
use utoipa::ToSchema;

/// A member of `secrets`: where the worker finds the value. One of the three is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SecretSource)]
#[serde(deny_unknown_fields, default)]
pub struct SecretDto {
    /// The content of this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// This variable of the worker's environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    /// What the worker knows by this name: by its configuration, or from the fleet's sealed secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// `limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Limits)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsDto {
    /// Stored output, in bytes: 4096 to 1 GiB; what is more is cut, with a marker.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_bytes: Option<u64>,
    /// Address space, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    /// Processor time, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_s: Option<u64>,
    /// Open descriptors.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_files: Option<u64>,
}

impl JobDto {
    pub(super) fn program(&self) -> Result<Program, FieldError> {
        match (&self.command, &self.argv) {
            (Some(text), None) if !text.trim().is_empty() => {
                let default = || DEFAULT_SHELL.map(str::to_owned).to_vec();
                let shell = self.shell.clone().unwrap_or_else(default);
                if shell.first().is_none_or(String::is_empty) {
                    return Err(FieldError::new(
                        "shell",
                        "[]",
                        "a program and its arguments",
                    ));
                }
                Ok(Program::Shell {
                    shell,
                    text: text.clone(),
                })
            }
            (None, Some(argv)) if argv.first().is_some_and(|program| !program.is_empty()) => {
                if self.shell.is_some() {
                    return Err(FieldError::new("shell", "given", "only with 'command'"));
                }
                Ok(Program::Argv(argv.clone()))
            }
            (Some(_), Some(_)) => Err(FieldError::new(
                "argv",
                "given",
                "either 'command' or 'argv', not both",
            )),
            (None, None) => Err(FieldError::new(
                "command",
                "nothing",
                "shell text, or 'argv' without a shell",
            )),
            (Some(text), None) => Err(FieldError::new(
                "command",
                format!("{text:?}"),
                "shell text",
            )),
            (None, Some(argv)) => {
                let value = format!("{argv:?}");
                Err(FieldError::new(
                    "argv",
                    value,
                    "a program and its arguments",
                ))
            }
        }
    }

    pub(super) fn command_of(&self, command: Command) -> Result<Command, FieldError> {
        self.check_variables()?;
        let umask = match &self.umask {
            None => command.umask,
            Some(text) => u32::from_str_radix(text, 8)
                .ok()
                .filter(|mask| *mask <= 0o777)
                .ok_or_else(|| {
                    FieldError::new("umask", text, "three octal digits such as \"022\"")
                })?,
        };
        Ok(Command {
            env: self.env.clone(),
            secrets: self
                .secrets
                .iter()
                .map(|(name, source)| Ok((name.clone(), source.to_core(name)?)))
                .collect::<Result<_, FieldError>>()?,
            workdir: self.workdir.clone(),
            user: self.user.clone(),
            umask,
            limits: self.limits.clone().unwrap_or_default().to_core()?,
            output: self.output.map_or_else(Default::default, Into::into),
            leftovers: self.leftovers.map_or_else(Default::default, Into::into),
            ..command
        })
    }

    fn check_variables(&self) -> Result<(), FieldError> {
        for variable in self.env.keys().chain(self.secrets.keys()) {
            let start = |c: char| c.is_ascii_alphabetic() || c == '_';
            let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let field = if self.env.contains_key(variable) {
                "env"
            } else {
                "secrets"
            };
            if !variable.starts_with(start) || !variable.chars().all(rest) {
                let accepted = "names of letters, digits and '_', no digit first";
                return Err(FieldError::new(field, format!("{variable:?}"), accepted));
            }
            if variable.starts_with("SANDCLOCK_") {
                return Err(FieldError::new(
                    field,
                    variable,
                    "names without the prefix SANDCLOCK_",
                ));
            }
        }
        if let Some(twice) = self
            .secrets
            .keys()
            .find(|name| self.env.contains_key(*name))
        {
            return Err(FieldError::new(
                "secrets",
                twice,
                "a name that 'env' does not have too",
            ));
        }
        Ok(())
    }
}

impl LimitsDto {
    fn to_core(&self) -> Result<Limits, FieldError> {
        let output_bytes = self
            .output_bytes
            .unwrap_or_else(|| Limits::default().output_bytes);
        if !(4096..=1 << 30).contains(&output_bytes) {
            let accepted = "a number of bytes from 4096 to 1073741824";
            return Err(FieldError::new(
                "limits.output_bytes",
                output_bytes,
                accepted,
            ));
        }
        Ok(Limits {
            output_bytes,
            memory_bytes: self.memory_bytes,
            cpu_s: self.cpu_s,
            open_files: self.open_files,
        })
    }

    pub(super) fn from_core(limits: &Limits) -> Self {
        Self {
            output_bytes: Some(limits.output_bytes),
            memory_bytes: limits.memory_bytes,
            cpu_s: limits.cpu_s,
            open_files: limits.open_files,
        }
    }
}

impl SecretDto {
    fn to_core(&self, name: &str) -> Result<SecretSource, FieldError> {
        match (&self.file, &self.env, &self.name) {
            (Some(path), None, None) => Ok(SecretSource::File(path.clone())),
            (None, Some(name), None) => Ok(SecretSource::Env(name.clone())),
            (None, None, Some(known)) if vault::is_name(known) => {
                Ok(SecretSource::Name(known.clone()))
            }
            (None, None, Some(known)) => {
                let field = format!("secrets.{name}.name");
                Err(FieldError::new(field, known, vault::NAMES))
            }
            (file, env, known) => {
                let given = [file, env, known];
                let none = given.iter().all(|source| source.is_none());
                let value = if none { "nothing" } else { "more than one" };
                let accepted = "'name' of a secret that the worker knows, 'file' with a path, or 'env' with a \
                                variable of the worker";
                Err(FieldError::new(format!("secrets.{name}"), value, accepted))
            }
        }
    }

    pub(super) fn from_core(source: &SecretSource) -> Self {
        let (mut file, mut env, mut name) = (None, None, None);
        match source {
            SecretSource::File(path) => file = Some(path.clone()),
            SecretSource::Env(variable) => env = Some(variable.clone()),
            SecretSource::Name(known) => name = Some(known.clone()),
        }
        Self { file, env, name }
    }
}
