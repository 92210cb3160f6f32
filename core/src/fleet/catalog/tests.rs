//! When a job is due in the view of all jobs, and what becomes of a definition that cannot be read.

use super::*;

fn stored(version: u64, expr: &str) -> StoredJob {
    let mut job = Job::shell(JobName::existing("job"), "true");
    job.schedule = Some(ScheduleSpec::utc(expr));
    StoredJob {
        job: Arc::new(job),
        version: Version(version),
        created: Version(1),
    }
}

fn broken(version: u64) -> BrokenJob {
    BrokenJob {
        name: JobName::existing("job"),
        version: Version(version),
        created: Version(1),
        reason: "it is malformed".to_owned(),
        newer: false,
    }
}

fn entry(catalog: &Catalog) -> &Entry {
    catalog.get(&JobName::existing("job")).unwrap()
}

#[test]
fn a_broken_job_makes_no_ticks_and_is_still_there() {
    let mut catalog = Catalog::default();
    catalog.replace(vec![stored(2, "@daily")], Vec::new());
    let name = JobName::existing("job");
    assert_eq!(
        catalog.apply(JobEvent::Broken(broken(3))),
        Some(name.clone())
    );
    assert!(catalog.get(&name).is_none());
    assert!(matches!(
        catalog.definition(&name),
        Definition::Broken(record) if record.version == Version(3)
    ));
    assert_eq!((catalog.len(), catalog.broken().len()), (0, 1));
    for old in [
        JobEvent::Broken(broken(3)),
        JobEvent::Put(stored(2, "@daily")),
    ] {
        assert_eq!(catalog.apply(old), None, "what is known already is no news");
    }
    assert!(catalog.replace(Vec::new(), vec![broken(3)]).is_empty());
    let deleted = JobEvent::Deleted(name.clone(), Version(4));
    assert_eq!(catalog.apply(deleted), Some(name.clone()));
    assert!(matches!(catalog.definition(&name), Definition::Gone));
}

/// Whether the repair comes by the watch or by a snapshot.
#[test]
fn a_repaired_job_goes_on_where_it_was() {
    for by_watch in [true, false] {
        for (expr, same) in [("@daily", true), ("@hourly", false)] {
            let mut catalog = Catalog::default();
            catalog.replace(vec![stored(2, "@daily")], Vec::new());
            let before = entry(&catalog).generation;
            if by_watch {
                catalog.apply(JobEvent::Broken(broken(3)));
                catalog.apply(JobEvent::Broken(broken(4)));
                catalog.apply(JobEvent::Put(stored(5, expr)));
            } else {
                // Damage by hand leaves the version as it was.
                catalog.replace(Vec::new(), vec![broken(2)]);
                catalog.replace(Vec::new(), vec![broken(4)]);
                catalog.replace(vec![stored(5, expr)], Vec::new());
            }
            let after = entry(&catalog);
            assert_eq!(after.generation == before, same);
            let previous = after.previous.as_ref().map(|(generation, _)| *generation);
            assert_eq!(previous, (!same).then_some(before));
            assert_eq!(catalog.broken().len(), 0);
        }
    }
}
