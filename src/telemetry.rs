//! Logs: one JSON line per thing that happened, for the operator at 3 a.m.
//!
//! Only our own events are let through below a warning: libraries' debug output may hold headers, and headers hold keys.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::budget::{Judged, State};
use crate::drill::DrillReport;
use crate::report::{Outcome, Report};
use crate::restore::RestoreReport;
use crate::zilliz::listed::ClusterList;
use crate::zilliz::{ClusterReport, ClusterRestoreReport};

/// Our own events from `level` on, everybody else's from a warning on, or from an error on where no more is wanted.
fn filter(level: Level) -> EnvFilter {
    let others = level.min(Level::WARN);
    EnvFilter::new(format!("{others},lifeboat={level}"))
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
    let metrics = (report.plan.as_str(), report.budget.as_ref());
    log_last(report.outcome, report.finished_at, report, Some(metrics))
}

/// The same for a restore.
pub fn log_restore(report: &RestoreReport) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report, None)
}

/// The same for a drill.
pub fn log_drill(report: &DrillReport) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report, None)
}

/// The same for a run over clusters.
pub fn log_clusters(report: &ClusterReport) -> io::Result<()> {
    let metrics = (report.plan.as_str(), report.budget.as_ref());
    log_last(report.outcome, report.finished_at, report, Some(metrics))
}

/// The same for a restore of clusters. The password is in no report.
pub fn log_cluster_restore(report: &ClusterRestoreReport) -> io::Result<()> {
    log_last(report.outcome, report.finished_at, report, None)
}

/// The same for a list of clusters' backups.
pub fn log_cluster_list(list: &ClusterList) -> io::Result<()> {
    log_last(list.outcome, list.finished_at, list, None)
}

fn log_last(
    outcome: Outcome,
    at: Timestamp,
    report: &impl Serialize,
    metrics: Option<(&str, Option<&Judged>)>,
) -> io::Result<()> {
    let level = match outcome {
        Outcome::Succeeded => "INFO",
        Outcome::Incomplete => "WARN",
        Outcome::Failed => "ERROR",
    };
    let mut line = json!({"timestamp": at, "level": level, "message": "report", "report": report});
    if let Some((plan, Some(judged))) = metrics {
        add_metrics(&mut line, plan, judged, at);
    }
    writeln!(io::stdout().lock(), "{line}")
}

/// Makes CloudWatch read a line as metrics, too (its Embedded Metric Format): whether a budget is passed, and by what is
/// expected to be spent at most. An unknown amount is no metric.
fn add_metrics(line: &mut Value, plan: &str, judged: &Judged, at: Timestamp) {
    let Some(fields) = line.as_object_mut() else {
        return;
    };
    let passed = |states: &[State]| u8::from(states.contains(&judged.state));
    let over_soft = passed(&[State::OverSoft, State::PerhapsOverHard, State::OverHard]);
    let mut metrics = vec![
        ("OverSoftBudget", json!(over_soft)),
        ("OverHardBudget", json!(passed(&[State::OverHard]))),
        ("BudgetUnknown", json!(passed(&[State::Unknown]))),
    ];
    if let Some(expected) = judged.expected {
        metrics.push(("ExpectedMicroDollars", json!(expected.most)));
    }
    let named: Vec<Value> = metrics
        .iter()
        .map(|(name, _)| json!({"Name": name}))
        .collect();
    fields.insert("plan".to_owned(), json!(plan));
    fields.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{"Namespace": "Lifeboat", "Dimensions": [["plan"]], "Metrics": named}],
        }),
    );
    let values = metrics.into_iter();
    fields.extend(values.map(|(name, value)| (name.to_owned(), value)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::price::{Between, MicroDollars};

    #[test]
    fn who_wants_errors_alone_gets_no_librarys_warnings_and_nobody_gets_their_debug_output() {
        for (level, warnings) in [
            (Level::ERROR, false),
            (Level::WARN, true),
            (Level::TRACE, true),
        ] {
            let registry = tracing_subscriber::registry().with(filter(level));
            tracing::subscriber::with_default(registry, || {
                let warns = tracing::enabled!(target: "aws_config", Level::WARN);
                let tells = tracing::enabled!(target: "aws_config", Level::INFO);
                assert_eq!((warns, tells), (warnings, false), "{level}");
            });
        }
    }

    #[test]
    fn a_budget_is_a_metric_of_its_plan() {
        let budget = Budget::of(Some(MicroDollars(5)), Some(MicroDollars(9))).unwrap();
        let at: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
        for (most, shown) in [
            (Some(5), (0, 0, 0)),
            (Some(6), (1, 0, 0)),
            (Some(10), (1, 1, 0)),
            (None, (0, 0, 1)),
        ] {
            let expected = most.map(|most| Between::exactly(MicroDollars(most)));
            let mut line = json!({"message": "report"});
            add_metrics(&mut line, "nightly", &budget.judge("nightly", expected), at);
            let of = |name: &str| line[name].as_u64().unwrap();
            let found = (
                of("OverSoftBudget"),
                of("OverHardBudget"),
                of("BudgetUnknown"),
            );
            assert_eq!(found, shown);
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_u64(), "{line}");
            }
            assert_eq!(directive["Dimensions"], json!([["plan"]]));
            assert_eq!(line["plan"], "nightly");
            assert_eq!(line["_aws"]["Timestamp"], 1_795_312_800_000_u64);
        }
    }
}
