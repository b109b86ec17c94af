//! The Lambda door: an event in, a report out.
//!
//! A run with failures ends as a function error after everything else was done, so that alarms, retries and the
//! dead-letter queue work. A configuration that is not usable answers every event with what is wrong with it.

use std::io;
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
    log(&answer)
        .map_err(|error| diagnostic("Log", format!("the report can't be logged: {error}")))?;
    failure(&answer).map_or(Ok(answer), Err)
}

/// One line for each report, the last of its work.
fn log(answer: &Answer) -> io::Result<()> {
    for report in answer.reports() {
        telemetry::log_report(report)?;
    }
    for report in answer.restores() {
        telemetry::log_restore(report)?;
    }
    for report in answer.drills() {
        telemetry::log_drill(report)?;
    }
    for report in answer.clusters() {
        telemetry::log_clusters(report)?;
    }
    for report in answer.cluster_restores() {
        telemetry::log_cluster_restore(report)?;
    }
    for list in answer.cluster_lists() {
        telemetry::log_cluster_list(list)?;
    }
    Ok(())
}

/// The first thing that makes the invocation an error, so that alarms, retries and the dead-letter queue see it.
fn failure(answer: &Answer) -> Option<Diagnostic> {
    let of_run = |run: &Report| ended("Run", run.outcome, run.stays_open, || run.summary());
    let of_restore =
        |of: &RestoreReport| ended("Restore", of.outcome, of.stays_open, || of.summary());
    let of_drill = |of: &DrillReport| ended("Drill", of.outcome, of.stays_open, || of.summary());
    let of_clusters = |of: &ClusterReport| ended("Run", of.outcome, of.stays_open, || of.summary());
    let of_cluster_restore =
        |of: &ClusterRestoreReport| ended("Restore", of.outcome, of.stays_open, || of.summary());
    let of_list = |of: &ClusterList| {
        (of.outcome != Outcome::Succeeded).then(|| diagnostic("ListFailed", of.summary()))
    };
    failure_to_know(answer)
        .or_else(|| answer.reports().find_map(of_run))
        .or_else(|| answer.restores().find_map(of_restore))
        .or_else(|| answer.drills().find_map(of_drill))
        .or_else(|| answer.clusters().find_map(of_clusters))
        .or_else(|| answer.cluster_restores().find_map(of_cluster_restore))
        .or_else(|| answer.cluster_lists().find_map(of_list))
        .or_else(|| failure_of_resume(answer.not_carried_on()))
}

/// What ended in success is no failure, nor is what stays open in the journal: the next `resume` carries on.
fn ended(
    what: &str,
    outcome: Outcome,
    stays_open: bool,
    summary: impl FnOnce() -> String,
) -> Option<Diagnostic> {
    let how = match outcome {
        Outcome::Succeeded => return None,
        Outcome::Incomplete if stays_open => return None,
        Outcome::Incomplete => "Incomplete",
        Outcome::Failed => "Failed",
    };
    Some(diagnostic(&format!("{what}{how}"), summary()))
}

/// What has to be put right before the first night, and what an estimate could not be made of.
fn failure_to_know(answer: &Answer) -> Option<Diagnostic> {
    match answer {
        Answer::Checked(checked) => failure_of_check(checked),
        Answer::Estimated(estimated) if !estimated.failures.is_empty() => {
            Some(diagnostic("EstimateFailed", estimated.failures.join("; ")))
        }
        _ => None,
    }
}

/// What was open and could not be carried on with.
fn failure_of_resume(failures: &[NotCarriedOn]) -> Option<Diagnostic> {
    let reasons: Vec<String> = failures.iter().map(NotCarriedOn::reason).collect();
    (!reasons.is_empty()).then(|| diagnostic("ResumeFailed", reasons.join("; ")))
}

fn failure_of_check(checked: &Checked) -> Option<Diagnostic> {
    let bad: Vec<String> = checked
        .bad()
        .map(|found| format!("{}: {}", found.about, found.message))
        .collect();
    (!bad.is_empty()).then(|| diagnostic("CheckFailed", bad.join("; ")))
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
