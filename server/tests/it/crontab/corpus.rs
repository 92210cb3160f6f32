//! Lines as people write them: their next 1,000 fire times are those of cronsim, which reads the lines itself.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the binary as a user does"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use sandclock_core::Timestamp;
use sandclock_core::job::ScheduleSpec;
use sandclock_core::schedule::{Dialect, DstPolicy};
use sandclock_server::timetable;
use sandclock_testkit::oracle;
use serde_json::Value;

use crate::product::{PROGRAM, told};

const FIRES: usize = 1000;
/// 2026-02-01T00:00:00Z, before the clocks of most zones change.
const START: i64 = 1_769_904_000;
/// 2099-12-31: in no zone does anything of ours fire in 2100.
const END: i64 = 4_102_358_400;
/// The zone of files that name none.
const ZONE: &str = "Europe/Berlin";

/// crontab(5): what the shorthands stand for.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/crontab/corpus");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// A dry run without a server.
fn imported(file: &Path) -> Value {
    let mut command = Command::new(PROGRAM);
    command.args(["crontab", "import", "--output", "json", "--time-zone", ZONE]);
    if file.ends_with("system.crontab") {
        command.arg("--system");
    }
    let output = command
        .arg(file)
        .env_remove("SANDCLOCK_TOKEN")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A line's five fields, and the zone that the lines above it set, read with nothing of the product's.
fn as_written(text: &str, line: usize) -> (String, String) {
    let lines: Vec<_> = text.lines().take(line).collect();
    let mut zones = lines.iter().filter_map(|line| line.strip_prefix("CRON_TZ"));
    let zone = zones
        .next_back()
        .map(|rest| rest.trim_matches([' ', '=', '"', '\'']));
    let zone = zone.filter(|zone| !zone.is_empty()).unwrap_or(ZONE);
    let words: Vec<_> = lines[line - 1]
        .trim_start_matches('-')
        .split_whitespace()
        .collect();
    let shorthand = SHORTHANDS.iter().find(|(name, _)| *name == words[0]);
    let fields = shorthand.map_or_else(|| words[..5].join(" "), |(_, fields)| (*fields).to_owned());
    (fields, zone.to_owned())
}

/// The fire times of the job that was made.
fn fires(job: &Value) -> Vec<i64> {
    assert_eq!(job["dst"], "vixie");
    let table = timetable::of(&ScheduleSpec {
        expr: job["schedule"].as_str().unwrap().to_owned(),
        dialect: Dialect::Native,
        time_zone: job["time_zone"].as_str().unwrap().to_owned(),
        dst: DstPolicy::Vixie,
        starts_at: None,
        ends_at: None,
    });
    let (start, end) = (
        Timestamp::from_millis(START * 1000),
        Timestamp::from_millis(END * 1000),
    );
    let table = table.unwrap();
    let fires = table.fire_times(start, end).map(|at| at.as_millis() / 1000);
    fires.take(FIRES).collect()
}

#[test]
fn every_line_fires_when_cron_would() {
    let files = files();
    let (mut questions, mut jobs) = (Vec::new(), Vec::new());
    let mut not_imported = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let document = imported(file);
        assert_eq!(document["refused"], serde_json::json!([]));
        let items = document["items"].as_array().unwrap();
        for item in items {
            let line = item["line"].as_u64().unwrap();
            let (fields, zone) = as_written(&text, usize::try_from(line).unwrap());
            questions.push((fields, zone, START, FIRES));
            jobs.push(item.clone());
        }
        let notes = document["notes"].as_array().unwrap().iter();
        let omitted =
            notes.filter(|note| note["said"].as_str().unwrap().starts_with("not imported"));
        let omitted = omitted.count();
        not_imported += omitted;
        let commands = text.lines().map(str::trim_start).filter(|line| {
            let word = line.split([' ', '\t', '=']).next().unwrap();
            let setting = word.starts_with(|c: char| c.is_ascii_uppercase());
            !line.is_empty() && !line.starts_with('#') && !setting
        });
        let shown = file.display();
        assert_eq!(
            commands.count(),
            items.len() + omitted,
            "{shown}: no line is lost"
        );
    }
    let answers = oracle::fires(&questions);
    let mut compared = 0;
    for ((question, answer), item) in questions.iter().zip(answers).zip(&jobs) {
        let expected = answer.unwrap_or_else(|| panic!("cronsim refuses {}", question.0));
        let expected: Vec<_> = expected.into_iter().filter(|fire| *fire < END).collect();
        let fires = fires(&item["definition"]);
        assert_eq!(fires, expected, "{} in {}: {item}", question.0, question.1);
        assert!(!fires.is_empty(), "{item}");
        compared += fires.len();
    }
    println!(
        "{} lines of {} files, {compared} fires compared",
        jobs.len(),
        files.len()
    );
    assert!(
        jobs.len() >= 200 && files.len() >= 6,
        "{} lines",
        jobs.len()
    );
    assert_eq!(not_imported, 4, "lines that are told and not imported");
}

/// The oracle would tell wrong readings: those that importers are known for.
#[test]
fn wrong_readings_are_told_apart() {
    type Mutant = fn(&str) -> String;
    let mutants: [(&str, Mutant); 3] = [
        ("every second of the minute", |fields| format!("* {fields}")),
        ("weekdays counted from Monday", |fields| {
            let (others, week) = fields.rsplit_once(' ').unwrap();
            match week.parse::<u32>() {
                Ok(day) => format!("{others} {}", (day + 1) % 7),
                Err(_) => fields.to_owned(),
            }
        }),
        ("day fields joined with AND", |fields| {
            let words: Vec<_> = fields.split(' ').collect();
            match words.as_slice() {
                [minute, hour, day, month, week] if !day.starts_with('*') && *week != "*" => {
                    format!("{minute} {hour} {day} {month} *,{week}")
                }
                _ => fields.to_owned(),
            }
        }),
    ];
    let mut questions = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        for item in imported(&file)["items"].as_array().unwrap() {
            let line = usize::try_from(item["line"].as_u64().unwrap()).unwrap();
            let (fields, zone) = as_written(&text, line);
            questions.push((fields, zone, START, 20));
        }
    }
    let right = oracle::fires(&questions);
    for (name, mutant) in mutants {
        let wrong: Vec<_> = questions
            .iter()
            .map(|(fields, zone, start, count)| (mutant(fields), zone.clone(), *start, *count))
            .collect();
        let caught = oracle::fires(&wrong)
            .iter()
            .zip(&right)
            .filter(|(wrong, right)| wrong != right)
            .count();
        println!("caught by {caught} lines: {name}");
        assert!(caught > 0, "nothing catches: {name}");
    }
}
