//! Arguments as they are typed, and as the command line reads them.

use std::ffi::OsString;
use std::path::Path;

use clap::{Command, CommandFactory};

/// The command line as it is read. A message about wrong usage shows each command's own usage: by itself the parser
/// shows what is set by the environment as if it had to be typed.
pub(super) fn command<C: CommandFactory>() -> Command {
    let mut command = C::command();
    command.build();
    with_usage(command)
}

fn with_usage(mut command: Command) -> Command {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    command.override_usage(usage).mut_subcommands(with_usage)
}

/// What `sandclock-worker` was given, as arguments of `sandclock worker`. Without any it reads `./worker.json`, as
/// a Go fleet's worker does.
pub fn as_worker(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_else(|| "sandclock".into());
    let mut rest: Vec<OsString> = arguments.collect();
    if rest.is_empty() {
        rest = vec!["--config".into(), "./worker.json".into()];
    }
    let mut whole = vec![program, "worker".into()];
    whole.append(&mut rest);
    whole
}

/// What the program was given, by the name it was called: a package may install `sandclock-worker` as a link to it.
pub fn as_called(arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "sandclock-worker") {
        return as_worker(arguments);
    }
    arguments
}

/// The same with `--config` where Go's way to write it, `-config`, was used.
pub fn with_go_flags(arguments: Vec<OsString>) -> Vec<OsString> {
    let spelled = |argument: OsString| match argument.to_str() {
        Some(text) if text == "-config" || text.starts_with("-config=") => {
            format!("-{text}").into()
        }
        _ => argument,
    };
    arguments.into_iter().map(spelled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn read(typed: &[&str]) -> Vec<OsString> {
        with_go_flags(as_worker(typed.iter().map(OsString::from).collect()))
    }

    fn narrow(mut command: Command) {
        let helps = [
            (command.render_help(), 100),
            (command.render_long_help(), 80),
        ];
        for (help, columns) in helps {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
        command.get_subcommands().cloned().for_each(narrow);
    }

    #[test]
    fn no_line_of_help_is_wide() {
        narrow(command::<Cli>());
    }

    #[test]
    fn all_forms_of_the_go_flag_are_read() {
        let wanted: [(&[&str], &[&str]); 6] = [
            (&["w"], &["w", "worker", "--config", "./worker.json"]),
            (
                &["w", "-config", "a.json"],
                &["w", "worker", "--config", "a.json"],
            ),
            (
                &["w", "-config=a.json"],
                &["w", "worker", "--config=a.json"],
            ),
            (
                &["w", "--config", "a.json"],
                &["w", "worker", "--config", "a.json"],
            ),
            (
                &["w", "--config=a.json"],
                &["w", "worker", "--config=a.json"],
            ),
            (&["w", "-h"], &["w", "worker", "-h"]),
        ];
        for (typed, wanted) in wanted {
            assert_eq!(read(typed), wanted);
        }
    }
}
