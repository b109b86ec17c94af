//! The product, in a process of its own: connects as the Lambda function does and carries out one backup run.

use std::time::{Duration, Instant};

use lifeboat::clock::Clock;
use lifeboat::event::{Action, Request};
use lifeboat::plan::Settings;
use lifeboat::report::{Outcome, Size};
use lifeboat::restore::{Asked, Which};
use lifeboat::telemetry;
use lifeboat::{Answer, Lifeboat};
use serde::{Deserialize, Serialize};

use crate::service::{self, Service};
use crate::{child, usage};

/// What the run is given.
#[derive(Serialize, Deserialize)]
pub(crate) struct Setup {
    base_url: String,
    log_level: String,
    /// Further variables, such as `COPIES`.
    variables: Vec<(String, String)>,
    /// Whether everything is restored, and not backed up.
    restores: bool,
}

/// What came of a run, of the product or of the bare loop.
#[derive(Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
    pub(crate) requests: u64,
    pub(crate) jobs: u64,
}

/// Runs the product once, with logs as deployed.
pub(crate) fn run(service: &Service) -> Run {
    run_with(service, "INFO", &[])
}

/// Runs the product once.
pub(crate) fn run_with(service: &Service, log_level: &str, variables: &[(&str, &str)]) -> Run {
    child::result("product", &setup(service, log_level, variables, false))
}

/// Has the product restore everything.
pub(crate) fn restore(service: &Service, variables: &[(&str, &str)]) -> Run {
    child::result("product", &setup(service, "INFO", variables, true))
}

fn setup(service: &Service, log_level: &str, variables: &[(&str, &str)], restores: bool) -> Setup {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Setup {
        base_url: service.base_url.clone(),
        log_level: log_level.to_owned(),
        variables: variables.iter().map(own).collect(),
        restores,
    }
}

/// The variables that make the product back up the service's sources.
pub(crate) fn environment(base_url: &str) -> Vec<(String, String)> {
    let variables = [
        ("SOURCE_REGION", service::SOURCE_REGION),
        ("BACKUP_REGION", service::BACKUP_REGION),
        ("SOURCE_PREFIX", service::SOURCE_PREFIX),
        ("BACKUP_PREFIX", service::BACKUP_PREFIX),
        ("TURBOPUFFER_API_KEY", service::API_KEY),
        ("TURBOPUFFER_BASE_URL", base_url),
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    variables.map(own).to_vec()
}

/// The product's own process.
pub(crate) fn play(setup: &Setup) -> Run {
    telemetry::for_lambda(&setup.log_level);
    let mut environment = environment(&setup.base_url);
    environment.extend(setup.variables.iter().cloned());
    let settings = Settings::from_environment(&environment).expect("the settings are valid");
    let lifeboat = Lifeboat::connect(settings, Clock::system()).unwrap();
    let request = if setup.restores {
        Request {
            action: Action::Restore,
            restore: Some(Asked::of(Which::All)),
            ..Request::default()
        }
    } else {
        Request::default()
    };
    let (begun, cpu) = (Instant::now(), usage::cpu_seconds());
    let answer = child::one_thread()
        .block_on(lifeboat.handle(
            &request,
            "figures".to_owned(),
            Duration::from_hours(1),
            Size::Bounded,
            &|_| (),
        ))
        .unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let (requests, jobs) = done(&answer);
    Run {
        seconds,
        cpu_seconds: usage::cpu_seconds() - cpu,
        peak_mib: usage::peak_mib(),
        requests,
        jobs,
    }
}

/// Requests sent, and namespaces that ended well; all of them must have.
fn done(answer: &Answer) -> (u64, u64) {
    if let Some(report) = answer.restores().next() {
        assert_eq!(report.outcome, Outcome::Succeeded, "{}", report.summary());
        return (report.requests, report.counts.restored);
    }
    let report = answer.reports().next().expect("a run has a report");
    assert_eq!(report.outcome, Outcome::Succeeded, "{}", report.summary());
    (report.requests, report.jobs.sealed)
}
