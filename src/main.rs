//! The Lambda door: an event in, a report out.
//!
//! A run with failures ends as a function error after everything else was done, so that alarms, retries and the
//! dead-letter queue work. A configuration that is not usable answers every event with what is wrong with it.

use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use lifeboat::clock::Clock;
use lifeboat::drill::DrillReport;
use lifeboat::event::{Event, Request};
use lifeboat::plan::Settings;
use lifeboat::report::{Outcome, Report, Size};
use lifeboat::restore::RestoreReport;
use lifeboat::telemetry;
use lifeboat::zilliz::listed::ClusterList;
use lifeboat::zilliz::{ClusterReport, ClusterRestoreReport};
use lifeboat::{Answer, Checked, Lifeboat, NotCarriedOn};

/// Kept back from an invocation's time for the report.
const FOR_THE_REPORT: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::for_lambda(&std::env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default());
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let settings = Settings::from_environment(&environment).map_err(|faults| faults.to_string());
    let lifeboat = settings.and_then(|settings| Lifeboat::connect(settings, Clock::system()));
    let lifeboat = &lifeboat;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Event>| {
        answer(lifeboat, event).await
    }))
    .await
}

async fn answer(
    lifeboat: &Result<Lifeboat, String>,
    event: LambdaEvent<Event>,
) -> Result<Answer, Diagnostic> {
    let run_id = event.context.request_id.clone();
    let refused = |error: &str, message: String| {
        tracing::error!(
            run_id,
            error,
            detail = message,
            "the event is refused; nothing was done"
        );
        diagnostic(error, message)
    };
    let lifeboat = lifeboat
        .as_ref()
        .map_err(|faults| refused("Configuration", faults.clone()))?;
    let request = Request::from_event(&event.payload)
        .map_err(|error| refused("BadEvent", error.to_string()))?;
    // Lambda repeats an event with the request id that it had.
    let request = lifeboat.as_first_delivered(request, &run_id).await;
    let request = request.map_err(|error| refused(error.word(), error.to_string()))?;
    let time_left = time_left(event.context.deadline());
    let answer = lifeboat
        .handle(&request, run_id.clone(), time_left, Size::Bounded, &|_| ())
        .await;
    let answer = answer.map_err(|error| refused(error.word(), error.to_string()))?;
    for report in answer.reports() {
        telemetry::log_report(report)
            .map_err(|error| diagnostic("Log", format!("the report can't be logged: {error}")))?;
    }
    for report in answer.restores() {
        telemetry::log_restore(report)
            .map_err(|error| diagnostic("Log", format!("the report can't be logged: {error}")))?;
    }
    for report in answer.drills() {
        telemetry::log_drill(report)
            .map_err(|error| diagnostic("Log", format!("the report can't be logged: {error}")))?;
    }
    for report in answer.clusters() {
        telemetry::log_clusters(report)
            .map_err(|error| diagnostic("Log", format!("the report can't be logged: {error}")))?;
    }
    for report in answer.cluster_restores() {
        telemetry::log_cluster_restore(report)
            .map_err(|error| diagnostic("Log", format!("the report can't be logged: {error}")))?;
    }
    for list in answer.cluster_lists() {
        telemetry::log_cluster_list(list)
            .map_err(|error| diagnostic("Log", format!("the report can't be logged: {error}")))?;
    }
    match &answer {
        Answer::Checked(checked) => {
            if let Some(failure) = failure_of_check(checked) {
                return Err(failure);
            }
        }
        Answer::Estimated(estimated) if !estimated.failures.is_empty() => {
            return Err(diagnostic("EstimateFailed", estimated.failures.join("; ")));
        }
        _ => {}
    }
    let of_restores = answer.restores().filter_map(failure_of_restore);
    let of_drills = answer.drills().filter_map(failure_of_drill);
    let failed = answer
        .reports()
        .filter_map(failure)
        .chain(of_restores)
        .chain(of_drills)
        .chain(answer.clusters().filter_map(failure_of_clusters))
        .chain(
            answer
                .cluster_restores()
                .filter_map(failure_of_cluster_restore),
        )
        .chain(answer.cluster_lists().filter_map(failure_of_list))
        .next();
    let failed = failed.or_else(|| failure_of_resume(answer.not_carried_on()));
    failed.map_or(Ok(answer), Err)
}

/// What was open and could not be carried on with.
fn failure_of_resume(failures: &[NotCarriedOn]) -> Option<Diagnostic> {
    let reasons: Vec<String> = failures.iter().map(NotCarriedOn::reason).collect();
    (!reasons.is_empty()).then(|| diagnostic("ResumeFailed", reasons.join("; ")))
}

/// What has to be put right before the first night.
fn failure_of_check(checked: &Checked) -> Option<Diagnostic> {
    let bad: Vec<String> = checked
        .bad()
        .map(|found| format!("{}: {}", found.about, found.message))
        .collect();
    (!bad.is_empty()).then(|| diagnostic("CheckFailed", bad.join("; ")))
}

/// The same for a restore.
fn failure_of_restore(report: &RestoreReport) -> Option<Diagnostic> {
    match report.outcome {
        Outcome::Succeeded => None,
        Outcome::Incomplete if report.stays_open => None,
        Outcome::Incomplete => Some(diagnostic("RestoreIncomplete", report.summary())),
        Outcome::Failed => Some(diagnostic("RestoreFailed", report.summary())),
    }
}

/// The same for a drill.
fn failure_of_drill(report: &DrillReport) -> Option<Diagnostic> {
    match report.outcome {
        Outcome::Succeeded => None,
        Outcome::Incomplete if report.stays_open => None,
        Outcome::Incomplete => Some(diagnostic("DrillIncomplete", report.summary())),
        Outcome::Failed => Some(diagnostic("DrillFailed", report.summary())),
    }
}

/// The same for a run over clusters.
fn failure_of_clusters(report: &ClusterReport) -> Option<Diagnostic> {
    match report.outcome {
        Outcome::Succeeded => None,
        Outcome::Incomplete if report.stays_open => None,
        Outcome::Incomplete => Some(diagnostic("RunIncomplete", report.summary())),
        Outcome::Failed => Some(diagnostic("RunFailed", report.summary())),
    }
}

/// The same for a restore of clusters.
fn failure_of_cluster_restore(report: &ClusterRestoreReport) -> Option<Diagnostic> {
    match report.outcome {
        Outcome::Succeeded => None,
        Outcome::Incomplete if report.stays_open => None,
        Outcome::Incomplete => Some(diagnostic("RestoreIncomplete", report.summary())),
        Outcome::Failed => Some(diagnostic("RestoreFailed", report.summary())),
    }
}

/// The same for a list of clusters' backups.
fn failure_of_list(list: &ClusterList) -> Option<Diagnostic> {
    (list.outcome != Outcome::Succeeded).then(|| diagnostic("ListFailed", list.summary()))
}

/// What makes an invocation an error. A run that stays open in the journal is none: the next `resume` carries on.
fn failure(report: &Report) -> Option<Diagnostic> {
    match report.outcome {
        Outcome::Succeeded => None,
        Outcome::Incomplete if report.stays_open => None,
        Outcome::Incomplete => Some(diagnostic("RunIncomplete", report.summary())),
        Outcome::Failed => Some(diagnostic("RunFailed", report.summary())),
    }
}

/// What may be worked of an invocation that ends at `ends`.
fn time_left(ends: SystemTime) -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "Lambda's own deadline is told in the machine's time"
    )]
    let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
    left.saturating_sub(FOR_THE_REPORT.min(left / 4))
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic {
        error_type: error_type.to_owned(),
        error_message,
    }
}
