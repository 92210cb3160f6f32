//! `sandclock doctor`: what is wrong with this host and its stores, and what to do about it. Needs no server.

use clap::Args;
use serde_json::{Value, json};

use super::config::{ConfigArgs, place};
use super::{Output, Told, table};
use crate::config::Inspection;
use crate::doctor::{self, Check, State};
use crate::document::FieldError;

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Looks at everything, and prints it.
///
/// # Errors
/// If something failed; that has been printed then.
pub(super) fn main(args: &DoctorArgs, output: Output) -> anyhow::Result<()> {
    let checks = examine(&args.config)?;
    let failed = checks.iter().filter(|check| check.state == State::Failed);
    let (all, failed) = (checks.len(), failed.count());
    let told: Vec<_> = checks.iter().map(document).collect();
    let told = json!({ "good": failed == 0, "checks": told });
    table::either(output, &told, |_| {
        let rows = checks.iter().map(|check| {
            vec![
                check.name.to_owned(),
                check.state.as_str().to_owned(),
                check.finding.clone(),
                check.remedy.clone().unwrap_or_default(),
            ]
        });
        table::print_whole(&["CHECK", "STATE", "FINDING", "REMEDY"], rows);
    });
    match failed {
        0 => Ok(()),
        failed => Err(Told(format!("{failed} of {all} checks failed")).into()),
    }
}

fn document(check: &Check) -> Value {
    json!({
        "check": check.name,
        "state": check.state.as_str(),
        "finding": check.finding,
        "remedy": check.remedy,
    })
}

fn examine(args: &ConfigArgs) -> anyhow::Result<Vec<Check>> {
    let (environment, shown) = (args.environment(), args.shown());
    let found = match Inspection::of(args.file(), &environment) {
        Ok(found) => found,
        Err(error) => {
            let finding = format!("{error:#}");
            let remedy = "name a file that the user of the doctor may read";
            return Ok(vec![Check::failed("configuration", finding, remedy)]);
        }
    };
    let Some(config) = &found.config else {
        // Where the stores are is not known then.
        let faults = found.faults.iter().map(|fault| {
            let FieldError {
                field,
                value,
                accepted,
            } = &fault.error;
            let place = place(&shown, fault);
            let finding = format!("{place}: {field}: {value} is not accepted");
            Check::failed("configuration", finding, accepted.clone())
        });
        return Ok(faults.collect());
    };
    let mut checks = vec![doctor::of_fits(&shown, config)];
    let settings = found.settings(&environment);
    let readers = args
        .file()
        .and_then(|file| doctor::of_readers(file, config, &settings));
    checks.extend(readers);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    checks.extend(runtime.block_on(doctor::examine(config)));
    // What hangs must not hold up the end.
    runtime.shutdown_background();
    Ok(checks)
}
