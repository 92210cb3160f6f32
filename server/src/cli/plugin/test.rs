//! `sandclock plugin test`: a plugin's cases, on its built file, by the host's own code.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use sandclock_hooks::workbench::{Case, CaseReport, Chunkings, Workbench};
use sandclock_hooks::{Hook, Meter};
use serde_json::{Value, json};

use super::project::Built;
use crate::cli::file::Written;
use crate::cli::table::{self, say};
use crate::cli::{Output, Told};
use crate::document::FieldError;

/// What to test.
#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    /// The plugin's folder, or its built file
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// Where the cases are [default: the folder cases beside the file]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
}

/// A case of a file.
#[derive(Debug)]
pub(super) struct Named {
    name: String,
    hook: Hook,
    pub(super) case: Case,
}

/// Runs all cases.
///
/// # Errors
/// If the plugin or a case cannot be read, or a case does not hold.
pub(super) async fn run(args: &TestArgs, output: Output) -> anyhow::Result<()> {
    let built = Built::read(&args.plugin)?;
    let folder = args.cases.as_ref().unwrap_or(&built.cases);
    let cases = read_all(folder)?;
    if cases.is_empty() {
        let told = format!("{} holds no case: write NAME.toml there", folder.display());
        return Err(Told(told).into());
    }
    all_hold(built, &cases, output).await
}

/// Runs the cases of a folder, if it has any, on a built file.
///
/// # Errors
/// As [`run`].
pub(super) async fn of_file(file: &Path, folder: &Path, output: Output) -> anyhow::Result<()> {
    let cases = read_all(folder)?;
    match cases.is_empty() {
        true => Ok(()),
        false => all_hold(Built::read(file)?, &cases, output).await,
    }
}

async fn all_hold(built: Built, cases: &[Named], output: Output) -> anyhow::Result<()> {
    let workbench = Workbench::open(built.artifact, Meter::Fuel).await;
    let workbench = workbench.with_context(|| built.file.display().to_string())?;
    let mut done = Vec::new();
    for case in cases {
        done.push((case, workbench.run(&case.case).await));
    }
    let failed = done.iter().filter(|(_, report)| !holds(report)).count();
    let document = json!({
        "file": built.file,
        "cases": done.iter().map(|(case, report)| of_case(case, report)).collect::<Vec<_>>(),
        "held": done.len() - failed,
        "failed": failed,
    });
    table::either(output, &document, |_| print(&done));
    match failed {
        0 => Ok(()),
        failed => Err(Told(format!("{failed} of {} cases do not hold", done.len())).into()),
    }
}

/// The cases of a folder, by name; none if the folder is not there.
///
/// # Errors
/// If one cannot be read; names the line and the field that is not accepted.
pub(super) fn read_all(folder: &Path) -> anyhow::Result<Vec<Named>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let fail = || format!("read {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(fail)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().with_context(fail)?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> anyhow::Result<Named> {
    let mut written = Written::read(path)?;
    let found = written.take("hook");
    let hook = Hook::ALL
        .into_iter()
        .find(|hook| found.as_str() == Some(hook.as_str()));
    let Some(hook) = hook else {
        let known = Hook::ALL.map(Hook::as_str).join(", ");
        let found = if found.is_null() {
            "nothing".to_owned()
        } else {
            found.to_string()
        };
        return Err(written.refused(FieldError::new("hook", found, format!("one of {known}"))));
    };
    let case = match hook {
        Hook::TimeoutPolicy => Case::Timeout(written.whole()?),
        Hook::OutputRedaction => Case::Redaction(written.whole()?),
        Hook::RunEnd => Case::RunEnd(written.whole()?),
        Hook::Lifecycle => Case::Lifecycle(written.whole()?),
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Named {
        name: name.into_owned(),
        hook,
        case,
    })
}

fn holds(report: &CaseReport) -> bool {
    report.differences.is_empty() && apart(report).is_none()
}

fn apart(report: &CaseReport) -> Option<&sandclock_hooks::workbench::Apart> {
    report.chunkings.as_ref()?.apart.as_ref()
}

fn of_case(case: &Named, report: &CaseReport) -> Value {
    let differences = report.differences.iter().map(|difference| {
        json!({
            "member": difference.member,
            "expected": difference.expected,
            "found": difference.found,
        })
    });
    let chunkings = report.chunkings.as_ref().map(|tried| {
        json!({
            "tried": count(tried),
            "splits": tried.splits,
            "single_bytes": tried.single_bytes,
            "random": tried.random,
            "on_fresh_instances": tried.on_fresh_instances,
            "apart": tried.apart.as_ref().map(|apart| json!({ "how": apart.how, "found": apart.found })),
        })
    });
    json!({
        "case": case.name,
        "hook": case.hook.as_str(),
        "holds": holds(report),
        "fuel": report.fuel,
        "found": report.found,
        "differences": differences.collect::<Vec<_>>(),
        "chunkings": chunkings,
        "log": report.log.iter().map(|line| line.text.clone()).collect::<Vec<_>>(),
    })
}

fn count(tried: &Chunkings) -> usize {
    tried.splits + tried.single_bytes + tried.random
}

fn print(done: &[(&Named, CaseReport)]) {
    let row = |(case, report): &(&Named, CaseReport)| {
        let tried = report
            .chunkings
            .as_ref()
            .map(|tried| count(tried).to_string());
        vec![
            case.name.clone(),
            case.hook.as_str().to_owned(),
            if holds(report) { "holds" } else { "FAILS" }.to_owned(),
            report.fuel.to_string(),
            tried.unwrap_or_default(),
        ]
    };
    let header = ["CASE", "HOOK", "RESULT", "FUEL", "CHUNKINGS"];
    table::print(&header, done.iter().map(row));
    for (case, report) in done.iter().filter(|(_, report)| !holds(report)) {
        say("");
        for difference in &report.differences {
            say(&format!("{}: {}", case.name, difference.member));
            say(&format!("  expected  {}", shown(&difference.expected)));
            say(&format!("  found     {}", shown(&difference.found)));
        }
        if let Some(apart) = apart(report) {
            say(&format!(
                "{}: the output depends on how it is cut",
                case.name
            ));
            say(&format!("  whole     {}", report.found));
            say(&format!("  cut       {}", apart.found));
            say(&format!("  how       {}", apart.how));
        }
        for line in &report.log {
            say(&format!("  log       {}", line.text));
        }
    }
    if done.iter().all(|(_, report)| holds(report)) {
        say(&format!("all {} cases hold", done.len()));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    }
}
