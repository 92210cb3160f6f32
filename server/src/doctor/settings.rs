//! The configuration: what takes it, whether what it names can be used, and who may read it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Check;
use crate::config::{Config, Origin, RunLogSection, Setting, Target};
use crate::{roles, wire};

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

/// Who may read the file, if it holds what not everybody should know. What the environment sets is none of its.
pub(crate) fn of_readers(file: &Path, config: &Config, settings: &[Setting]) -> Option<Check> {
    let mode = std::fs::metadata(file).ok()?.mode();
    let mut in_file = (settings.iter()).filter(|one| matches!(one.origin, Origin::File(_)));
    let holds = in_file.any(|setting| is_secret(setting, config));
    judge_readers(&file.display().to_string(), mode, holds)
}

fn judge_readers(shown: &str, mode: u32, holds_secret: bool) -> Option<Check> {
    let finding = format!(
        "{shown} holds a secret, and every user of this host may read it (mode {:03o})",
        mode & 0o777
    );
    (holds_secret && mode & 0o004 != 0)
        .then(|| Check::warning(NAME, finding, format!("chmod o= {shown}")))
}

/// Whether it is one: of what is not shown, addresses mostly are not.
fn is_secret(setting: &Setting, config: &Config) -> bool {
    if setting.value != "(redacted)" {
        return false;
    }
    let path: Vec<_> = setting.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["run_log", "uri"] => match &config.run_log {
            RunLogSection::Mongodb(section) => wire::password_in(&section.uri).is_some(),
            RunLogSection::Embedded {} => false,
        },
        // Whoever knows this one can post.
        ["alerts", "targets", name, "url"] => {
            matches!(config.alerts.targets.get(*name), Some(Target::Slack(_)))
        }
        [.., "uri" | "url"] => false,
        _ => true,
    }
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
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Environment, Inspection};

    #[test]
    fn only_a_secret_that_everybody_may_read_is_told() {
        assert!(judge_readers("f", 0o100_644, true).is_some());
        assert!(judge_readers("f", 0o100_640, true).is_none());
        assert!(judge_readers("f", 0o100_644, false).is_none());
    }

    /// Whether a file of this text that everybody may read is told of, in this environment.
    fn is_told(text: &str, variables: &[(&str, &str)]) -> bool {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = variables.iter().map(own).collect::<Environment>();
        let found = Inspection::of(Some(file.path()), &environment).unwrap();
        let config = found.config.as_ref().expect("a good configuration");
        of_readers(file.path(), config, &found.settings(&environment)).is_some()
    }

    #[test]
    fn the_file_counts_and_not_what_the_environment_adds() {
        let log = |uri: &str| format!("run_log.type = \"mongodb\"\nrun_log.uri = {uri:?}\n");
        let open = log("mongodb://h1/?appName=a@b");
        assert!(is_told(&log("mongodb://ann:horse@h1/"), &[]));
        assert!(!is_told(&open, &[]));
        assert!(!is_told(&log("mongodb://ann@h1/"), &[]));
        let uri = ("SANDCLOCK__RUN_LOG__URI", "mongodb://ann:horse@h1/");
        assert!(!is_told(&open, &[uri]));

        let etcd = "coordination.type = \"etcd\"\ncoordination.endpoints = [\"h1:2379\"]\n\
                    coordination.user = \"ann\"\n";
        let password = ("SANDCLOCK__COORDINATION__PASSWORD", "horse");
        assert!(!is_told(&format!("{open}{etcd}"), &[password]));
        let etcd = format!("{open}{etcd}coordination.password = \"horse\"\n");
        assert!(is_told(&etcd, &[]));
    }

    #[test]
    fn of_addresses_for_alerts_those_of_slack_are_secrets() {
        let target = |kind: &str| {
            format!(
                "[alerts.targets.default]\ntype = {kind:?}\nurl = \"https://hooks.example.org/T0/B0/x\"\n"
            )
        };
        assert!(is_told(&target("slack"), &[]));
        assert!(!is_told(&target("webhook"), &[]));
    }
}
