//! The configuration: what takes it, whether what it names can be used, and who may read it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Check;
use crate::config::{Config, CoordinationSection, Inspection, Origin, RunLogSection, Setting};
use crate::roles;

/// The check.
const NAME: &str = "configuration";

/// Which commands take it. `shown` is how messages name it.
pub(crate) fn of_fits(shown: &str, config: &Config) -> Check {
    let (taken, refused): (Vec<_>, Vec<_>) = (roles::fits(config).into_iter())
        .map(|(role, fits)| (role, fits.err()))
        .partition(|(_, refused)| refused.is_none());
    if let (true, Some((_, Some(why)))) = (taken.is_empty(), refused.first()) {
        return Check::failed(
            NAME,
            format!("no command takes {shown}"),
            format!("{why:#}"),
        );
    }
    let roles: Vec<_> = taken.iter().map(|(role, _)| *role).collect();
    let roles = roles.join(" and ");
    Check::ok(NAME, format!("{shown} is good, for sandclock {roles}"))
}

/// Who may read it, if it holds what not everybody should know.
pub(crate) fn of_readers(file: &Path, found: &Inspection, settings: &[Setting]) -> Option<Check> {
    let mode = std::fs::metadata(file).ok()?.mode();
    let in_file = |setting: &Setting| matches!(setting.origin, Origin::File(_));
    let holds = found.config.as_ref().is_some_and(has_password)
        || settings
            .iter()
            .any(|setting| in_file(setting) && is_secret(setting));
    judge_readers(&file.display().to_string(), mode, holds)
}

fn judge_readers(shown: &str, mode: u32, holds_secret: bool) -> Option<Check> {
    let finding = format!(
        "{shown} holds a password, and every user of this host may read it (mode {:03o})",
        mode & 0o777
    );
    (holds_secret && mode & 0o004 != 0)
        .then(|| Check::warning(NAME, finding, format!("chmod o= {shown}")))
}

/// Addresses may be confidential and mostly are not.
fn is_secret(setting: &Setting) -> bool {
    let name = setting.path.last().map(String::as_str);
    setting.value == "(redacted)" && !matches!(name, Some("uri" | "url"))
}

fn has_password(config: &Config) -> bool {
    let in_uri = match &config.run_log {
        RunLogSection::Mongodb(section) => section.uri.contains('@'),
        RunLogSection::Embedded {} => false,
    };
    let of_etcd = match &config.coordination {
        CoordinationSection::Etcd(section) => section.password.is_some(),
        CoordinationSection::Embedded {} => false,
    };
    in_uri || of_etcd
}

/// What is wrong with the files that it names.
pub(super) fn of_files(wrong: &[anyhow::Error]) -> Check {
    let told: Vec<_> = wrong.iter().map(|error| format!("{error:#}")).collect();
    match told.is_empty() {
        true => Check::ok("files", "what the configuration names is there and of use"),
        false => Check::failed("files", told.join("; "), "mend or replace what is named"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_password_that_everybody_may_read_is_told() {
        assert!(judge_readers("f", 0o100_644, true).is_some());
        assert!(judge_readers("f", 0o100_640, true).is_none());
        assert!(judge_readers("f", 0o100_644, false).is_none());
    }
}
