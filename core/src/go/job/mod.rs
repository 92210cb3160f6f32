//! A job as the Go fleet stores it: `{"name", "command", "cronExpr"}`, and our definition as one member more.
//!
//! Go workers ignore members that they do not know, so the member `sandclock` is safe beside theirs. It holds
//! the job's stored form without what stands in the Go members already; those win, because a Go worker runs
//! them. Reading is as lenient as Go's: names of members match in any case, `null` is `""`, invalid UTF-8 is
//! replaced. A Go master's save drops our member; then [`GoJob::joined`] takes it from a copy kept elsewhere.

use serde_json::{Map, Value, json};

use super::quote::shell_text;
use crate::job::{DEFAULT_SHELL, Job, JobName, Leftovers, Program, ScheduleSpec};
use crate::policy::MisfirePolicy;
use crate::schedule::{Dialect, DstPolicy};
use crate::stored::{self, StoredError};

/// The member that holds our definition.
const DEFINITION: &str = "sandclock";

/// What a Go job does not say of itself, because its workers took it from their own machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoDefaults {
    /// The zone in which its schedule is read: an IANA name. Go workers used their local zone.
    pub time_zone: String,
    /// What runs its command, which is appended: program and arguments.
    pub shell: Vec<String>,
}

impl Default for GoDefaults {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            shell: DEFAULT_SHELL.map(str::to_owned).to_vec(),
        }
    }
}

/// Why a value is not a job.
#[derive(Debug, thiserror::Error)]
pub enum GoJobError {
    /// The bytes are not JSON.
    #[error("the value is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// Some member, or the whole, has a type that Go would refuse.
    #[error("{what} is {found} instead of {wanted}")]
    WrongType {
        /// Which part.
        what: String,
        /// Its type.
        found: &'static str,
        /// What is accepted.
        wanted: &'static str,
    },
    /// Our member is not a definition.
    #[error("member sandclock is not a definition")]
    Definition(#[from] StoredError),
}

impl GoJobError {
    /// All that there is to say, for people: one line of bounded length.
    pub fn reason(&self) -> String {
        match self {
            Self::NotJson(source) => stored::one_line(&format!("{self}: {source}")),
            Self::WrongType { .. } => stored::one_line(&self.to_string()),
            Self::Definition(source) => source.reason(),
        }
    }

    /// Whether a later program wrote it.
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Definition(StoredError::Newer { .. }))
    }
}

/// A job's value under the Go prefix, taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GoJob {
    name: String,
    command: String,
    cron_expr: String,
    definition: Option<Map<String, Value>>,
    others: Map<String, Value>,
}

impl GoJob {
    /// Takes a stored value apart.
    ///
    /// # Errors
    /// If Go could not read it either, or our member is no object.
    pub fn parse(value: &[u8]) -> Result<Self, GoJobError> {
        let text = String::from_utf8_lossy(value);
        let members = match serde_json::from_str(&text).map_err(GoJobError::NotJson)? {
            Value::Object(members) => members,
            other => return Err(wrong_type("the value", &other, "an object")),
        };
        let mut job = Self::default();
        for (name, value) in members {
            let is = |field: &str| name.eq_ignore_ascii_case(field);
            if is("name") {
                set_text(&mut job.name, &name, value)?;
            } else if is("command") {
                set_text(&mut job.command, &name, value)?;
            } else if is("cronExpr") {
                set_text(&mut job.cron_expr, &name, value)?;
            } else if name == DEFINITION {
                match value {
                    Value::Object(definition) => job.definition = Some(definition),
                    other => return Err(wrong_type("member sandclock", &other, "an object")),
                }
            } else {
                job.others.insert(name, value);
            }
        }
        Ok(job)
    }

    /// What stands for `job`, with members of others as `previous` has them (S13).
    ///
    /// # Errors
    /// If `previous` holds a definition of a later program, which this one would damage.
    pub fn of(job: &Job, previous: Option<&Self>) -> Result<Self, GoJobError> {
        let old = previous.and_then(|previous| previous.whole(&job.name));
        let bytes = match old {
            Some(old) => stored::encode_over(job, old.to_string().as_bytes())?,
            None => stored::encode(job)?,
        };
        let mut definition: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(GoJobError::NotJson)?;
        definition.shift_remove("name");
        remove(definition.get_mut("schedule"), "expr");
        let program = definition
            .get_mut("command")
            .and_then(|c| c.get_mut("program"));
        remove(program.and_then(|program| program.get_mut("shell")), "text");
        Ok(Self {
            name: job.name.as_str().to_owned(),
            command: match &job.command.program {
                Program::Shell { text, .. } => text.clone(),
                Program::Argv(argv) => shell_text(argv),
            },
            cron_expr: (job.schedule.as_ref()).map_or_else(String::new, |spec| spec.expr.clone()),
            definition: Some(definition),
            others: previous.map_or_else(Map::new, |previous| previous.others.clone()),
        })
    }

    /// The value to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut members = Map::new();
        members.insert("name".to_owned(), json!(self.name));
        members.insert("command".to_owned(), json!(self.command));
        members.insert("cronExpr".to_owned(), json!(self.cron_expr));
        if let Some(definition) = &self.definition {
            members.insert(DEFINITION.to_owned(), Value::Object(definition.clone()));
        }
        members.extend(self.others.clone());
        Value::Object(members).to_string().into_bytes()
    }

    /// What a save of `self` leaves of `old`, which stood there: our definition, and members of others that `self`
    /// does not name (S13). A schedule that is another than before is one of the Go fleet's dialect.
    #[must_use]
    pub fn over(mut self, old: &Self) -> Self {
        self.definition.clone_from(&old.definition);
        for (name, value) in &old.others {
            let entry = self.others.entry(name.clone());
            entry.or_insert_with(|| value.clone());
        }
        let schedule = self.definition.as_mut().and_then(|d| d.get_mut("schedule"));
        if let (Some(Value::Object(schedule)), true) = (schedule, self.cron_expr != old.cron_expr) {
            schedule.insert("dialect".to_owned(), json!("go"));
        }
        self
    }

    /// The same without our definition: what a Go worker makes of it.
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            definition: None,
            ..self
        }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, name: &JobName) -> Self {
        Self {
            name: name.as_str().to_owned(),
            ..self
        }
    }

    /// What a Go master shows of it.
    pub fn shown(&self) -> Value {
        json!({ "name": self.name, "command": self.command, "cronExpr": self.cron_expr })
    }

    /// The command text.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The schedule; empty without one.
    pub fn cron_expr(&self) -> &str {
        &self.cron_expr
    }

    /// The name that the value gives itself. The key is the job's name; a Go worker goes by this one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether our member is there.
    pub fn has_definition(&self) -> bool {
        self.definition.is_some()
    }

    /// The same with the definition of a copy, if it lacks its own and the copy was saved for the same command
    /// and schedule.
    #[must_use]
    pub fn joined(mut self, copy: &Self) -> Self {
        let same = self.command == copy.command && self.cron_expr == copy.cron_expr;
        if self.definition.is_none() && same {
            self.definition.clone_from(&copy.definition);
        }
        self
    }

    /// The job of this name. Without our member it is what a Go worker makes of it.
    ///
    /// # Errors
    /// If our member is not a definition.
    pub fn job(&self, name: &JobName, defaults: &GoDefaults) -> Result<Job, GoJobError> {
        let by_go = ScheduleSpec {
            expr: self.cron_expr.clone(),
            dialect: Dialect::Go,
            time_zone: defaults.time_zone.clone(),
            dst: DstPolicy::default(),
            starts_at: None,
            ends_at: None,
        };
        let by_go = Some(by_go).filter(|spec| !spec.expr.is_empty());
        let Some(definition) = self.whole(name) else {
            let mut job = Job::shell(name.clone(), &*self.command);
            job.command.program = Program::Shell {
                shell: defaults.shell.clone(),
                text: self.command.clone(),
            };
            job.schedule = by_go;
            job.misfire.policy = MisfirePolicy::Skip;
            job.command.leftovers = Leftovers::Keep;
            return Ok(job);
        };
        let mut job: Job = stored::decode(definition.to_string().as_bytes())?;
        job.schedule = job.schedule.or(by_go);
        Ok(job)
    }

    /// The stored form of our definition, with what stands in the Go members.
    fn whole(&self, name: &JobName) -> Option<Value> {
        let mut definition = self.definition.clone()?;
        definition.insert("name".to_owned(), json!(name.as_str()));
        if self.cron_expr.is_empty() {
            definition.insert("schedule".to_owned(), Value::Null);
        } else if let Some(Value::Object(schedule)) = definition.get_mut("schedule") {
            schedule.insert("expr".to_owned(), json!(self.cron_expr));
        }
        let program = definition
            .get_mut("command")
            .and_then(|c| c.get_mut("program"));
        if let Some(Value::Object(program)) = program {
            self.complete(program);
        }
        Some(Value::Object(definition))
    }

    /// Puts the command text back; an argument vector stays only while it says the same.
    fn complete(&self, program: &mut Map<String, Value>) {
        let argv = program.get("argv").and_then(|argv| {
            let argv = argv
                .as_array()?
                .iter()
                .map(|arg| arg.as_str().map(str::to_owned));
            argv.collect::<Option<Vec<_>>>()
        });
        if argv.is_some_and(|argv| shell_text(&argv) != self.command) {
            program.clear();
            program.insert("shell".to_owned(), json!({"shell": DEFAULT_SHELL}));
        }
        if let Some(Value::Object(shell)) = program.get_mut("shell") {
            shell.insert("text".to_owned(), json!(self.command));
        }
    }
}

fn remove(object: Option<&mut Value>, member: &str) {
    if let Some(Value::Object(object)) = object {
        object.shift_remove(member);
    }
}

/// As Go's decoder: `null` leaves the field as it is.
fn set_text(field: &mut String, name: &str, value: Value) -> Result<(), GoJobError> {
    match value {
        Value::String(text) => *field = text,
        Value::Null => {}
        other => return Err(wrong_type(&format!("member {name}"), &other, "text")),
    }
    Ok(())
}

fn wrong_type(what: &str, found: &Value, wanted: &'static str) -> GoJobError {
    GoJobError::WrongType {
        what: what.to_owned(),
        found: match found {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        },
        wanted,
    }
}

#[cfg(test)]
mod tests;
