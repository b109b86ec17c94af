//! Logs: one JSON line per thing that happened, for the operator at 3 a.m.
//!
//! Only our own events are let through below a warning: libraries' debug output may hold headers, and headers hold keys.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::drill::DrillReport;
use crate::report::{Outcome, Report};
use crate::restore::RestoreReport;
use crate::zilliz::{ClusterReport, ClusterRestoreReport};

/// Our own events from `level` on, everybody else's from a warning on.
fn filter(level: Level) -> EnvFilter {
    EnvFilter::new(format!("warn,lifeboat={level}"))
}

/// JSON lines on stdout with the `timestamp` and `level` that Lambda's own filter reads. `level` is what Lambda was
/// configured with; whatever it is, it never keeps a night from being backed up.
pub fn for_lambda(level: &str) {
    let level = level.parse().unwrap_or(Level::INFO);
    let lines = layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(io::stdout);
    // An Err means that a subscriber is set already, which only a test's process has.
    let _ = tracing_subscriber::registry()
        .with(filter(level))
        .with(lines)
        .try_init();
}

/// Plain or JSON lines on stderr; stdout belongs to the report.
pub fn for_terminal(level: Level, as_json: bool) {
    let registry = tracing_subscriber::registry().with(filter(level));
    let _ = if as_json {
        let lines = layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(io::stderr);
        registry.with(lines).try_init()
    } else {
        registry
            .with(layer().compact().with_target(false).with_writer(io::stderr))
            .try_init()
    };
}

/// The report as the run's last log line, on stdout, with its structure kept.
pub fn log_report(report: &Report) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report)
}

/// The same for a restore.
pub fn log_restore(report: &RestoreReport) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report)
}

/// The same for a drill.
pub fn log_drill(report: &DrillReport) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report)
}

/// The same for a run over clusters.
pub fn log_clusters(report: &ClusterReport) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report)
}

/// The same for a restore of clusters. The password is in no report.
pub fn log_cluster_restore(report: &ClusterRestoreReport) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report)
}

fn log_last(outcome: Outcome, at: Timestamp, report: &impl Serialize) -> io::Result<()> {
    let level = match outcome {
        Outcome::Succeeded => "INFO",
        Outcome::Incomplete => "WARN",
        Outcome::Failed => "ERROR",
    };
    let line = json!({"timestamp": at, "level": level, "message": "report", "report": report});
    writeln!(io::stdout().lock(), "{line}")
}
