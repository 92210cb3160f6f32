//! Crontabs as cron reads them, line by line, and the jobs that do what their lines did. No I/O.
//!
//! The rules are those of Vixie's cron as Debian has it and of cronie, which differ little: crontab(5) of both,
//! and where that is silent, what their sources do. What one of them refuses is refused here with its line and a
//! remedy. A line that cron takes and a job cannot express is told, never dropped in silence.

mod command;
mod fields;
mod job;
mod name;
mod setting;

use std::collections::BTreeMap;

use crate::clock::one_name;
use crate::document::FieldError;

pub use self::job::{Origin, SOURCE, job};
pub use self::name::Names;

/// The longest command that Debian's cron takes whole, in bytes (crontab(5), LIMITATIONS).
const DEBIAN_COMMAND_BYTES: usize = 998;

/// The shell that cron runs commands with unless `SHELL` names another.
const SHELL: &str = "/bin/sh";

/// The `PATH` that cron gives commands unless the crontab sets one.
const PATH: &str = "/usr/bin:/bin";

/// A crontab, read.
#[derive(Debug, Default)]
pub struct Crontab {
    /// The lines that become jobs, in order.
    pub entries: Vec<Entry>,
    /// What is not imported, or works differently here.
    pub notes: Vec<Note>,
    /// What is no crontab.
    pub refused: Vec<Refusal>,
}

/// A line that runs a command at times.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counted from 1.
    pub line: usize,
    /// As written: five fields or a shorthand such as `@daily`.
    pub written: String,
    /// The same for a job's `schedule`.
    pub schedule: String,
    /// `CRON_TZ` of the lines above.
    pub time_zone: Option<String>,
    /// The user column.
    pub user: Option<String>,
    /// The variables of the lines above, as the crontab sets them.
    pub env: BTreeMap<String, String>,
    /// What the shell is given.
    pub command: String,
    /// What the command reads on its standard input; empty for most.
    pub stdin: String,
    /// What its author may not have meant.
    pub warnings: Vec<String>,
}

/// Something that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Counted from 1.
    pub line: usize,
    /// What it is about, such as `@reboot` or `MAILTO`.
    pub about: String,
    /// What becomes of it, and what to do.
    pub said: String,
}

/// A line that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Counted from 1.
    pub line: usize,
    /// Which part of the line, what stands there, and what would be accepted.
    pub error: FieldError,
}

/// What a line may turn out to be besides nothing.
enum Line {
    Entry(Box<Entry>),
    Note(&'static str, String),
}

/// Reads a crontab. With `system` its lines name a user before the command, as those of `/etc/crontab` and
/// `/etc/cron.d` do.
pub fn parse(text: &[u8], system: bool) -> Crontab {
    let mut reader = Reader {
        system,
        ..Reader::default()
    };
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let unended = lines.pop().filter(|last| !last.is_empty());
    for (at, bytes) in lines.into_iter().chain(unended).enumerate() {
        reader.line = at + 1;
        reader.read(bytes);
    }
    if unended.is_some() {
        let said = "it does not end with a newline: cron ignores such a line, or the whole file; it is imported";
        reader.note("the last line", said);
    }
    reader.crontab
}

#[derive(Default)]
struct Reader {
    system: bool,
    line: usize,
    /// Whether a line that ends with CR LF has been told.
    told_crlf: bool,
    time_zone: Option<String>,
    env: BTreeMap<String, String>,
    crontab: Crontab,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) {
        let bytes = match bytes.strip_suffix(b"\r") {
            Some(bytes) => {
                if !std::mem::replace(&mut self.told_crlf, true) {
                    let said = "lines end with a carriage return, which cron hands to the command; it is left out";
                    self.note("the end of the line", said);
                }
                bytes
            }
            None => bytes,
        };
        let read = match std::str::from_utf8(bytes) {
            Ok(text) => self.one(text.trim_start_matches(blank)),
            Err(_) => Err(FieldError::new(
                "line",
                String::from_utf8_lossy(bytes),
                "text in UTF-8; convert it with: iconv -f latin1 -t utf-8",
            )),
        };
        let line = self.line;
        match read {
            Ok(Some(Line::Entry(entry))) => self.crontab.entries.push(*entry),
            Ok(Some(Line::Note(about, said))) => self.note(about, said),
            Ok(None) => {}
            Err(error) => self.crontab.refused.push(Refusal { line, error }),
        }
    }

    fn note(&mut self, about: &str, said: impl Into<String>) {
        self.crontab.notes.push(Note {
            line: self.line,
            about: about.to_owned(),
            said: said.into(),
        });
    }

    /// One line without blanks before it.
    fn one(&mut self, text: &str) -> Result<Option<Line>, FieldError> {
        if text.is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        if text.contains('\0') {
            let accepted = "text without NUL bytes";
            return Err(FieldError::new("line", format!("{text:?}"), accepted));
        }
        match setting::read(text)? {
            Some((name, value)) => {
                if value.is_empty() && text.trim_end().ends_with('=') {
                    let said = "Debian's cron refuses a setting without a value; in quotes (\"\") every cron takes it";
                    self.note(&name, said);
                }
                self.set(name, value).map(|()| None)
            }
            None => self.entry(text).map(Some),
        }
    }

    /// A variable for the lines below.
    fn set(&mut self, name: String, value: String) -> Result<(), FieldError> {
        match name.as_str() {
            "LOGNAME" => {
                let said = "cron does not let a crontab change it: it is the name of the user who runs the job";
                self.note("LOGNAME", said);
                return Ok(());
            }
            "CRON_TZ" if value.is_empty() => self.time_zone = None,
            "CRON_TZ" => {
                let zone = one_name(&value).map_err(|error| {
                    let why = format!("it {}; {}", error.reason, error.remedy);
                    FieldError::new("CRON_TZ", &value, why)
                })?;
                self.time_zone = Some(zone);
                self.note(
                    "CRON_TZ",
                    "the schedules below are read in it, as cronie does; Debian's cron reads them in the host's zone",
                );
            }
            "HOME" if !value.starts_with('/') => {
                let accepted = "an absolute path, in which the commands below start";
                return Err(FieldError::new("HOME", shown(&value), accepted));
            }
            "RANDOM_DELAY" => self.note(
                "RANDOM_DELAY",
                "the delay is not imported: these jobs start when they are due",
            ),
            "MAILTO" if value.is_empty() => self.note(
                "MAILTO",
                "no mail is sent here either: output is kept with each run",
            ),
            "MAILTO" => self.note(
                "MAILTO",
                format!(
                    "no mail goes to {value}: output is kept with each run, and a hook such as webhook-alert tells of \
                     failures"
                ),
            ),
            "TZ" => self.note(
                "TZ",
                "the commands see it, but no schedule is read in it, as in cron; CRON_TZ or --time-zone does that",
            ),
            _ => {}
        }
        if let Some(odd) = setting::oddity(&value) {
            self.note(&name, odd);
        }
        self.env.insert(name, value);
        Ok(())
    }

    /// A line that is to run a command.
    fn entry(&mut self, text: &str) -> Result<Line, FieldError> {
        let mut warnings = Vec::new();
        let text = match text.strip_prefix('-') {
            // cronie's and SUSE's mark for commands that are not logged.
            Some(rest) if rest.starts_with(['*', '@']) || rest.starts_with(digit) => {
                warnings.push(
                    "the '-' before it asks for no line in syslog; runs are always recorded"
                        .to_owned(),
                );
                rest
            }
            _ => text,
        };
        let (written, rest) = match text.starts_with('@') {
            true => words(text, 1),
            false => words(text, 5),
        };
        let schedule = match written.as_slice() {
            [word] if word.starts_with('@') => fields::shorthand(word)?,
            [minute, hour, day, month, week] => {
                fields::expression([minute, hour, day, month, week], &mut warnings)?
            }
            _ => {
                let accepted = "five fields (minute, hour, day of month, month, day of week) or a shorthand such as \
                                @daily, then the command; or NAME=value";
                return Err(FieldError::new("line", text, accepted));
            }
        };
        let (user, rest) = self.user(rest)?;
        let written = written.join(" ");
        if rest.is_empty() || rest.starts_with('*') {
            let accepted = match rest.starts_with('*') {
                true => "a command; crontab has five fields, and this is a sixth",
                false => "a command behind the schedule",
            };
            return Err(FieldError::new("command", shown(rest), accepted));
        }
        if rest.len() > DEBIAN_COMMAND_BYTES {
            let bytes = rest.len();
            warnings.push(format!(
                "the command has {bytes} bytes; Debian's cron cuts it after {DEBIAN_COMMAND_BYTES}, here it is whole"
            ));
        }
        if !self.system && rest.split(blank).next() == Some("root") {
            warnings.push(
                "the command begins with 'root': if that is a user column, import with --system"
                    .to_owned(),
            );
        }
        let Some(schedule) = schedule else {
            let said = format!(
                "not imported: nothing here runs when a host starts; let its init system do it: {rest}"
            );
            return Ok(Line::Note("@reboot", said));
        };
        if let Some(why) = fields::never(&schedule) {
            return Ok(Line::Note("schedule", format!("not imported: {why}")));
        }
        let (command, stdin) = command::split(rest);
        self.check(&command, &stdin)?;
        Ok(Line::Entry(Box::new(Entry {
            line: self.line,
            written,
            schedule,
            time_zone: self.time_zone.clone(),
            user,
            env: self.env.clone(),
            command,
            stdin,
            warnings,
        })))
    }

    /// The user column, if there is one, and what follows.
    fn user<'a>(&self, rest: &'a str) -> Result<(Option<String>, &'a str), FieldError> {
        if !self.system {
            return Ok((None, rest));
        }
        let (user, rest) = words(rest, 1);
        let user = user.concat();
        if user.is_empty() || user.contains(['*', ':', '/']) {
            let accepted = "a user's name between schedule and command, without group or login class; a user's own \
                            crontab has no such column and is imported without --system";
            return Err(FieldError::new("user", shown(&user), accepted));
        }
        Ok((Some(user), rest))
    }

    fn check(&self, command: &str, stdin: &str) -> Result<(), FieldError> {
        if command.trim().is_empty() {
            let accepted = "a command before the first '%', which begins its standard input";
            return Err(FieldError::new("command", shown(command), accepted));
        }
        let shell = self.env.get("SHELL").map_or(SHELL, |shell| shell);
        if !stdin.is_empty() && !command::has_here_documents(shell) {
            let accepted = "with a standard input behind '%', a shell that has here-documents as sh does; put the \
                            input into a script, or write \\% for a percent sign";
            return Err(FieldError::new("SHELL", shell, accepted));
        }
        Ok(())
    }
}

/// What stands there, or that nothing does.
fn shown(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

/// What separates fields.
fn blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// Up to so many words, and what follows them and the blanks behind them.
fn words(text: &str, count: usize) -> (Vec<&str>, &str) {
    let (mut found, mut rest) = (Vec::new(), text.trim_start_matches(blank));
    while found.len() < count && !rest.is_empty() {
        let (word, behind) = rest.split_once(blank).unwrap_or((rest, ""));
        found.push(word);
        rest = behind.trim_start_matches(blank);
    }
    (found, rest)
}

#[cfg(test)]
mod tests;
