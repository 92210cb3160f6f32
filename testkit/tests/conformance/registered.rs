//! A case that is written but not in the list would never run.

use std::path::Path;

use sandclock_testkit::conformance::{COORDINATION, RECORDS};

#[test]
fn every_case_is_in_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
    let mut written = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let module = file.file_stem().unwrap().to_str().unwrap();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            if let Some(case) = line.strip_prefix("pub async fn ") {
                let case = case.split('(').next().unwrap();
                written.push(format!("{module}::{case}"));
            }
        }
    }
    let coordination = COORDINATION.iter().map(|case| case.name);
    let records = RECORDS.iter().map(|case| case.name);
    let mut listed: Vec<_> = coordination.chain(records).map(str::to_owned).collect();
    written.sort();
    listed.sort();
    assert_eq!(written, listed);
}
