//! The embedded store's file.

use std::path::Path;
use std::time::Duration;

use super::Check;
use crate::wire::checkup::{self, FileCheckup, Refused};

/// The check.
pub(super) const NAME: &str = "store";

/// Looks at it. Blocks for as long as it takes to read all of it.
pub(super) fn examine(data: &Path) -> Vec<Check> {
    vec![judge(checkup::file(data))]
}

/// It is too large to be read in this time.
pub(super) fn unread(limit: Duration) -> Check {
    let finding = format!("not read to its end within {} s", limit.as_secs());
    let remedy = "if it is large that is all; else see whether its disk hangs. sqlite3 FILE 'PRAGMA quick_check' \
                  takes its time";
    Check::warning(NAME, finding, remedy)
}

fn judge(found: Result<Option<FileCheckup>, Refused>) -> Check {
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => return Check::ok(NAME, "not there yet; the first start makes it"),
        Err(refused) => return Check::failed(NAME, refused.said, refused.remedy),
    };
    let FileCheckup { tables, known, .. } = found;
    match found.damage {
        Some(damage) => {
            let remedy = "stop what uses it, and restore a backup (sandclock restore), or save what is left with \
                          \"sqlite3 FILE .recover\"";
            Check::failed(NAME, format!("it is damaged: {damage}"), remedy)
        }
        None if tables < known => Check::ok(
            NAME,
            format!("undamaged; tables of version {tables}, which the next start takes to {known}"),
        ),
        None => Check::ok(NAME, format!("undamaged; tables of version {tables}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn damage_and_refusals_fail_and_an_older_file_does_not() {
        let found = |tables, damage: Option<&str>| {
            let damage = damage.map(str::to_owned);
            let known = 8;
            Ok(Some(FileCheckup {
                tables,
                known,
                damage,
            }))
        };
        assert_eq!(judge(found(8, None)).state, State::Ok);
        assert!(judge(found(7, None)).finding.contains("takes to 8"));
        assert_eq!(judge(found(8, Some("row 3"))).state, State::Failed);
        assert_eq!(judge(Ok(None)).state, State::Ok);
        let (said, remedy) = ("newer".to_owned(), String::new());
        let refused = judge(Err(Refused { said, remedy }));
        assert_eq!((refused.state, refused.remedy), (State::Failed, None));
    }
}
