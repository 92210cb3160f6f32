//! A page in Prometheus' text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// What a histogram is made of: how many lie in the class up to each bound, then how many beyond all.
#[derive(Debug)]
pub(super) struct Classes<'a> {
    pub(super) bounds: &'a [Duration],
    pub(super) counts: &'a [u64],
    pub(super) total: Duration,
}

/// A page of metrics, by name. All samples of one metric stand under one header, as the format demands.
#[derive(Debug, Default)]
pub(super) struct Page {
    metrics: BTreeMap<String, String>,
}

impl Page {
    pub(super) fn gauge(&mut self, metric: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.sample(("gauge", metric, help), "", labels, value);
    }

    pub(super) fn counter(
        &mut self,
        metric: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: u64,
    ) {
        self.sample(("counter", metric, help), "", labels, value);
    }

    /// Classes add up in this format: each holds those below it, too.
    pub(super) fn histogram(
        &mut self,
        metric: &str,
        help: &str,
        labels: &[(&str, &str)],
        classes: &Classes<'_>,
    ) {
        let family = ("histogram", metric, help);
        let bounds = classes.bounds.iter();
        let bounds = bounds.map(|bound| bound.as_secs_f64().to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut so_far = 0;
        for (bound, count) in bounds.zip(classes.counts) {
            so_far += count;
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(family, "_bucket", &labels, so_far);
        }
        self.sample(family, "_sum", labels, classes.total.as_secs_f64());
        self.sample(family, "_count", labels, so_far);
    }

    /// One line of the family of this kind, name and help.
    fn sample(
        &mut self,
        (kind, metric, help): (&str, &str, &str),
        suffix: &str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        let header = || format!("# HELP {metric} {help}\n# TYPE {metric} {kind}\n");
        let text = self.metrics.entry(metric.to_owned()).or_insert_with(header);
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{metric}{suffix}{labels} {value}");
    }

    pub(super) fn text(self) -> String {
        self.metrics.into_values().collect()
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
