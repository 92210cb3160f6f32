//! Names of imported jobs: `FILE/PROGRAM-N`, after the file, the program that the line runs, and how many lines of
//! the file before it run that program. So a job keeps its name when its schedule or its arguments change, and when
//! lines of other programs come and go.

use std::collections::BTreeMap;

/// The longest part of a name that is taken from a file or a program, in bytes.
const PART_BYTES: usize = 60;

/// What a command line begins with before the program that it is about: these, their options, and settings.
const WRAPPERS: [&str; 19] = [
    "bash", "chronic", "command", "dash", "env", "exec", "ionice", "nice", "node", "nohup", "perl",
    "php", "python", "python3", "ruby", "sh", "sudo", "time", "timeout",
];

/// First words of commands that only prepare the next one behind `&&` or `;`.
const PREPARATIONS: [&str; 12] = [
    "[", "[[", ".", "cd", "command", "export", "perl", "set", "sleep", "source", "test", "umask",
];

/// Names for the lines of one file.
#[derive(Debug)]
pub struct Names {
    /// What every name begins with.
    group: String,
    /// How many lines ran each program.
    given: BTreeMap<String, u32>,
}

impl Names {
    /// For a file of this name, below `prefix` if there is one.
    pub fn of(file: &str, prefix: Option<&str>) -> Self {
        let file = file
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(file);
        let file = part(file).unwrap_or_else(|| "crontab".to_owned());
        let group = match prefix {
            Some(prefix) => format!("{}/{file}", prefix.trim_matches('/')),
            None => file,
        };
        let given = BTreeMap::new();
        Self { group, given }
    }

    /// The name of the next line.
    pub fn next(&mut self, command: &str) -> String {
        let program = program(command)
            .and_then(part)
            .unwrap_or_else(|| "job".to_owned());
        let given = self.given.entry(program.clone()).or_default();
        *given += 1;
        format!("{}/{program}-{given}", self.group)
    }
}

/// The program that a command is about.
fn program(command: &str) -> Option<&str> {
    let commands = command.split("&&").flat_map(|some| some.split([';', '|']));
    let mut commands = commands.map(str::trim).filter(|one| !one.is_empty());
    let prepares = |one: &str| {
        let first = one.split_ascii_whitespace().next().map(file_name);
        first.is_some_and(|first| PREPARATIONS.contains(&first))
    };
    let first = commands.next()?;
    let about = match prepares(first) {
        true => commands.find(|one| !prepares(one)).unwrap_or(first),
        false => first,
    };
    let mut words = about.split_ascii_whitespace();
    let mut wrapper = None;
    loop {
        let Some(word) = words.next() else {
            return wrapper;
        };
        let word = word.trim_matches(['(', ')', '{', '}', '"', '\'', '!']);
        let skipped = word.is_empty()
            || word
                .split_once('=')
                .is_some_and(|(name, _)| !name.contains('/'))
            || (wrapper.is_some() && word.starts_with(|c: char| c == '-' || c.is_ascii_digit()));
        if skipped {
            continue;
        }
        let name = file_name(word);
        if !WRAPPERS.contains(&name) {
            return Some(name);
        }
        wrapper = Some(name);
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What of a text can stand between two slashes of a job's name.
fn part(text: &str) -> Option<String> {
    let kept = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text
        .split(|c: char| !kept(c))
        .filter(|word| !word.is_empty());
    let mut part = words.collect::<Vec<_>>().join("-");
    part.truncate(PART_BYTES);
    (!part.is_empty()).then_some(part)
}
