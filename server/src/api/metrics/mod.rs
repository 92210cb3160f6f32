//! Metrics in Prometheus' text format, from what the worker and the plugins count.

mod page;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use sandclock_core::fleet::{START_SKEW_BOUNDS, WorkerHandle};
use sandclock_hooks::{LATENCY_BOUNDS, PluginCounters};

use self::page::{Classes, Page};
use super::{Api, health};
use crate::front::TlsStatus;
use crate::spool::SpoolStatus;
use crate::telemetry::Telemetry;

/// `GET /metrics`
pub async fn render(State(api): State<Api>) -> impl IntoResponse {
    let mut page = Page::default();
    stores(health::Contact::ask(&api).await, &mut page);
    if let Some(handle) = &api.worker {
        worker(handle, &mut page);
    }
    let help = "1 if this server does the fleet's chores";
    page.gauge("sandclock_leader", help, &[], api.leads.get().into());
    let help =
        "0 if the configuration was read again and is of no use, so that an earlier one counts on";
    let accepted = api.accepted.get().into();
    page.gauge("sandclock_config_accepted", help, &[], accepted);
    if let Some(count) = health::go_workers(&api).await {
        let help = "Registered workers of a Go fleet, with which this one shares its jobs";
        page.gauge("sandclock_go_workers", help, &[], count);
    }
    if let Some(spool) = &api.spool {
        waiting(&spool.status(), &mut page);
    }
    if let Some(tls) = &api.tls {
        certificate(tls.status(), &mut page);
    }
    plugins(&api, &mut page);
    for tries in api.deliveries.all() {
        let labels = [
            ("target", tries.target.as_str()),
            ("outcome", tries.outcome),
        ];
        let help = "Tries to deliver an alert by how they ended";
        page.counter(
            "sandclock_alert_deliveries_total",
            help,
            &labels,
            tries.count,
        );
    }
    let spans = api.telemetry.as_ref().map(Telemetry::spans);
    for (outcome, count) in spans.into_iter().flatten() {
        let help = "Spans of traces by what became of them";
        let labels = [("outcome", outcome)];
        page.counter("sandclock_spans_total", help, &labels, count);
    }
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        page.text(),
    )
}

/// Which stores are away, as `/readyz` says it.
fn stores(contact: health::Contact, page: &mut Page) {
    let gauges = [
        (
            "sandclock_coordination_away",
            "1 if the coordination store does not answer, or does not carry out what this worker asks",
            contact.coordination,
        ),
        (
            "sandclock_run_log_away",
            "1 if the run log does not answer, or does not take what this worker writes",
            contact.run_log,
        ),
    ];
    for (name, help, answers) in gauges {
        page.gauge(name, help, &[], (!answers).into());
    }
}

fn certificate(status: TlsStatus, page: &mut Page) {
    let until = status.valid_until.as_millis() / 1_000;
    let gauges = [
        (
            "sandclock_tls_certificate_expires_at_seconds",
            "Until when the certificate in use is valid, in seconds since 1970",
            u64::try_from(until).unwrap_or(0),
        ),
        (
            "sandclock_tls_certificate_refused",
            "1 if the files hold a certificate that is of no use, and an earlier one is shown on",
            status.refused.into(),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, &[], value);
    }
    let help = "Certificates that took the place of an earlier one";
    page.counter(
        "sandclock_tls_certificate_replaced_total",
        help,
        &[],
        status.replaced,
    );
}

fn worker(handle: &WorkerHandle, page: &mut Page) {
    let status = handle.status();
    let info = [
        ("version", crate::VERSION),
        ("worker", status.name.as_str()),
    ];
    page.gauge(
        "sandclock_info",
        "The program and the worker in it",
        &info,
        1,
    );
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let gauges = [
        (
            "worker_ready",
            "1 if it knows what it needs",
            status.ready.into(),
        ),
        (
            "worker_trusted",
            "1 if it may claim now",
            status.trusted.into(),
        ),
        (
            "worker_draining",
            "1 if it drains, and takes nothing new",
            status.draining.into(),
        ),
        (
            "worker_stands_back",
            "1 if it leaves new ticks to others because of its clock or its time zone",
            (status.clock_doubted || status.elder.is_some()).into(),
        ),
        ("runs_running", "Runs it holds", count(status.running.len())),
        (
            "runs_running_max",
            "Runs it may hold",
            u64::from(status.max_concurrent_runs),
        ),
        ("jobs", "Jobs it knows", count(status.jobs)),
        (
            "jobs_broken",
            "Jobs whose stored record it cannot read",
            count(status.jobs_broken),
        ),
        (
            "done_waiting",
            "Ended runs not yet in the run log",
            count(status.done_waiting),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(&format!("sandclock_{name}"), help, &[], value);
    }
    for (name, value) in handle.counters().iter() {
        let help = "Of this worker since its start";
        page.counter(&format!("sandclock_{name}_total"), help, &[], value);
    }
    ends(handle, page);
}

/// How ticks start, and how runs end.
fn ends(handle: &WorkerHandle, page: &mut Page) {
    for (state, count) in handle.ends() {
        let help = "Runs, and ticks that did not run, by how they ended: those whose records this worker copied";
        let labels = [("state", state.as_str())];
        page.counter("sandclock_ends_total", help, &labels, count);
    }
    let skew = handle.start_skew();
    let counts = Classes {
        bounds: &START_SKEW_BOUNDS,
        counts: &skew.classes,
        total: skew.total,
    };
    let help = "How long after its fire time a tick's command was started, in seconds";
    page.histogram("sandclock_start_skew_seconds", help, &[], &counts);
}

/// What waits on disk for the run log.
fn waiting(spool: &SpoolStatus, page: &mut Page) {
    let gauges = [
        (
            "sandclock_spool_entries",
            "Writes that wait on disk for the run log",
            spool.waiting.entries,
        ),
        (
            "sandclock_spool_bytes",
            "Bytes that wait on disk for the run log",
            spool.waiting.bytes,
        ),
        (
            "sandclock_spool_max_bytes",
            "Bytes that may wait on disk for the run log",
            spool.max_bytes,
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, &[], value);
    }
    page.counter(
        "sandclock_spool_refused_total",
        "Writes that could not wait on disk: output is cut",
        &[],
        spool.refused,
    );
}

fn plugins(api: &Api, page: &mut Page) {
    let help = "Plugins compiled, rather than found compiled";
    let compiled = api.plugins.compilations();
    page.counter("sandclock_plugin_compilations_total", help, &[], compiled);
    if let Some(recorder) = &api.recorder {
        let name = "sandclock_plugin_recordings_dropped_total";
        let help = "Recordings of plugin calls dropped because the run log did not keep up";
        page.counter(name, help, &[], recorder.dropped());
    }
    for counters in api.plugins.counters() {
        plugin(&counters, page);
    }
}

/// What a plugin is not called for, and what it did beside answering.
fn beside_answers(plugin: &PluginCounters, page: &mut Page) {
    let name = ("plugin", plugin.plugin.as_str());
    for (hook, open) in &plugin.breakers {
        let help = "Configurations (of redactors: streams) for which a plugin is not called because it failed too often";
        let labels = [name, ("hook", hook.as_str())];
        page.gauge("sandclock_plugin_breaker_open", help, &labels, *open);
    }
    for effect in &plugin.effects {
        let labels = [name, ("effect", effect.effect), ("outcome", effect.outcome)];
        let help = "What plugins did beside answering, by how it ended";
        let count = effect.count;
        page.counter("sandclock_plugin_effects_total", help, &labels, count);
    }
}

fn plugin(plugin: &PluginCounters, page: &mut Page) {
    let name = ("plugin", plugin.plugin.as_str());
    for call in &plugin.calls {
        let labels = [
            name,
            ("hook", call.hook.as_str()),
            ("outcome", call.outcome),
        ];
        page.counter(
            "sandclock_plugin_calls_total",
            "Calls by how they ended",
            &labels,
            call.count,
        );
    }
    for latency in &plugin.latencies {
        let labels = [name, ("hook", latency.hook.as_str())];
        let help = "What calls took, in seconds, waiting for a thread included";
        let counts = Classes {
            bounds: &LATENCY_BOUNDS,
            counts: &latency.classes,
            total: latency.total,
        };
        page.histogram("sandclock_plugin_call_seconds", help, &labels, &counts);
    }
    beside_answers(plugin, page);
    let micros = u64::try_from(plugin.cpu_time.as_micros()).unwrap_or(u64::MAX);
    let help = "Processor time of calls, in microseconds";
    page.counter(
        "sandclock_plugin_cpu_microseconds_total",
        help,
        &[name],
        micros,
    );
    let help = "The most memory that one instance had, in bytes";
    let peak = plugin.memory_peak_bytes;
    page.gauge("sandclock_plugin_memory_peak_bytes", help, &[name], peak);
    let counters = [
        (
            "sandclock_plugin_edits_total",
            "Stretches of output hidden",
            plugin.edits,
        ),
        (
            "sandclock_plugin_hidden_bytes_total",
            "Bytes of output hidden",
            plugin.hidden_bytes,
        ),
        (
            "sandclock_plugin_withheld_bytes_total",
            "Bytes withheld",
            plugin.withheld_bytes,
        ),
        (
            "sandclock_plugin_breakers_total",
            "Streams given up",
            plugin.breakers_opened,
        ),
        (
            "sandclock_plugin_unrecorded_total",
            "Calls too large, or with a known secret in them, to be recorded",
            plugin.unrecorded,
        ),
    ];
    for (metric, help, value) in counters {
        page.counter(metric, help, &[name], value);
    }
}
