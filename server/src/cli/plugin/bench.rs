//! `sandclock plugin bench`: what a plugin costs a worker, beside its limits, and beside another version of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use sandclock_core::backend::plugins::MAX_MODULE_BYTES;
use sandclock_hooks::Meter;
use sandclock_hooks::limits::MAX_COMPILE_TIME;
use sandclock_hooks::workbench::{Bench, Case, HookBench, Workbench};
use serde_json::{Value, json};

use super::project::{self, Built};
use super::test;
use crate::cli::table::{self, size};
use crate::cli::{Output, Told};

/// What to measure.
#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    /// The plugin's folder, or its built file
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// Where the cases are [default: the folder cases beside the file]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Another file to measure in the same way
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// A figure, and what it may be.
struct Figure {
    name: String,
    value: f64,
    limit: Option<f64>,
    form: Form,
}

/// What was measured of a file.
struct Measured {
    file: PathBuf,
    figures: Vec<Figure>,
    /// Why a redactor's output is withheld, if it is.
    withheld: Option<String>,
}

#[derive(Clone, Copy)]
enum Form {
    Bytes,
    Micros,
    MegabytesPerSecond,
}

/// Measures the plugin.
///
/// # Errors
/// If it cannot be read or installed, or a call fails.
pub(super) async fn run(args: &BenchArgs, output: Output) -> anyhow::Result<()> {
    let built = Built::read(&args.plugin)?;
    let folder = args.cases.as_ref().unwrap_or(&built.cases);
    let cases: Vec<_> = test::read_all(folder)?
        .into_iter()
        .map(|named| named.case)
        .collect();
    let own = measure(&built.file, built.artifact, &cases).await?;
    let other = match &args.compare {
        None => None,
        Some(file) => Some(measure(file, project::artifact(file)?, &cases).await?),
    };
    let mut document = own.document();
    document["compared"] = json!(other.as_ref().map(Measured::document));
    table::either(output, &document, |_| print(&own, other.as_ref()));
    let withheld = [Some(&own), other.as_ref()].into_iter().flatten();
    let mut withheld =
        withheld.filter_map(|measured| Some((measured, measured.withheld.as_ref()?)));
    if let Some((Measured { file, .. }, why)) = withheld.next() {
        let file = file.display();
        let told = format!("{file}: no output passes under the limits: {why}");
        return Err(Told(told).into());
    }
    Ok(())
}

async fn measure(
    file: &Path,
    artifact: sandclock_hooks::Artifact,
    cases: &[Case],
) -> anyhow::Result<Measured> {
    let shown = || file.display().to_string();
    let bytes = artifact.bytes.len();
    let workbench = Workbench::open(artifact, Meter::Time)
        .await
        .with_context(shown)?;
    let memory = workbench.info().limits.memory_bytes;
    let bench = workbench.bench(cases).await.with_context(shown)?;
    Ok(Measured {
        file: file.to_owned(),
        figures: figures(bytes, memory, &bench),
        withheld: bench.throughput.err().map(|failure| failure.to_string()),
    })
}

fn figures(bytes: usize, memory: usize, bench: &Bench) -> Vec<Figure> {
    let figure = |name: &str, value, limit, form| Figure {
        name: name.to_owned(),
        value,
        limit,
        form,
    };
    let mut all = vec![
        figure(
            "size",
            count(bytes),
            Some(count(MAX_MODULE_BYTES)),
            Form::Bytes,
        ),
        figure(
            "compile",
            micros(bench.compile),
            Some(micros(MAX_COMPILE_TIME)),
            Form::Micros,
        ),
        figure(
            "memory",
            bench.memory_peak_bytes as f64,
            Some(count(memory)),
            Form::Bytes,
        ),
    ];
    for HookBench {
        hook,
        cold,
        warm,
        limit,
        ..
    } in &bench.hooks
    {
        let limit = Some(micros(*limit));
        for (name, value) in [
            ("cold p50", cold.p50),
            ("cold p99", cold.p99),
            ("warm p50", warm.p50),
            ("warm p99", warm.p99),
        ] {
            all.push(figure(
                &format!("{} {name}", hook.as_str()),
                micros(value),
                limit,
                Form::Micros,
            ));
        }
    }
    for throughput in bench.throughput.iter().flatten() {
        let name = format!("throughput, {} pieces", size(throughput.chunk_bytes));
        all.push(figure(
            &name,
            throughput.bytes_per_second / 1e6,
            None,
            Form::MegabytesPerSecond,
        ));
    }
    all
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn count(bytes: usize) -> f64 {
    bytes as f64
}

impl Figure {
    fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.value > limit)
    }

    fn shown(&self, value: f64) -> String {
        match self.form {
            Form::Bytes => table::size_of(value),
            Form::Micros if value < 1e3 => format!("{value:.0} us"),
            Form::Micros if value < 1e6 => format!("{:.1} ms", value / 1e3),
            Form::Micros => format!("{:.1} s", value / 1e6),
            Form::MegabytesPerSecond => format!("{value:.1} MB/s"),
        }
    }

    fn unit(&self) -> &'static str {
        match self.form {
            Form::Bytes => "bytes",
            Form::Micros => "us",
            Form::MegabytesPerSecond => "MB/s",
        }
    }
}

impl Measured {
    fn document(&self) -> Value {
        let figure = |figure: &Figure| {
            json!({
                "figure": figure.name,
                "value": figure.value,
                "unit": figure.unit(),
                "limit": figure.limit,
                "over_limit": figure.is_over(),
            })
        };
        let figures: Vec<_> = self.figures.iter().map(figure).collect();
        json!({ "file": self.file, "figures": figures, "withheld": self.withheld })
    }
}

fn print(own: &Measured, other: Option<&Measured>) {
    let file = own.file.display().to_string();
    let row = |figure: &Figure| {
        let value = figure.shown(figure.value);
        let limit = figure
            .limit
            .map_or_else(String::new, |limit| figure.shown(limit));
        let mut row = vec![figure.name.clone(), value];
        if let Some(other) = other {
            let mut others = other.figures.iter();
            let other = others.find(|other| other.name == figure.name);
            let change =
                |other: &Figure| format!("{:+.0} %", (figure.value / other.value - 1.0) * 100.0);
            row.push(other.map_or_else(|| "-".to_owned(), |other| other.shown(other.value)));
            row.push(other.map_or_else(|| "-".to_owned(), change));
        }
        row.push(limit);
        (row, figure.is_over())
    };
    let header: &[&str] = match other {
        None => &[&file, "VALUE", "LIMIT"],
        Some(_) => &[&file, "VALUE", "OTHER", "CHANGE", "LIMIT"],
    };
    table::print_marked(header, own.figures.iter().map(row));
}
