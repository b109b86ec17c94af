//! What the product's care costs: CPU per job against a bare loop that sends the same requests.
//!
//! The service answers at once, so that both do nothing but work; its CPU is in another process and not counted.

use std::time::Duration;

use crate::product::{self, Run};
use crate::service::{Service, Setup};
use crate::{Figure, bare, usage};

const SETUP: Setup = Setup {
    sources: 3_000,
    latency: Duration::ZERO,
    copy: Duration::ZERO,
    lost: false,
};
/// Product and loop take turns, so that a busy moment of the machine hits both.
const ROUNDS: usize = 3;

pub(crate) fn figures() -> Vec<Figure> {
    let name = "CPU per job ÷ a bare loop's of the same requests";
    if let Some(why) = usage::missing() {
        return vec![Figure::skipped(name, why)];
    }
    let (mut ours, mut quiet, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(product::run(&Service::start(SETUP)));
        quiet.push(product::run_with(&Service::start(SETUP), "ERROR", &[]));
        theirs.push(bare::run(&Service::start(SETUP)));
    }
    let against = format!(
        "{:.2} ms, {:.2} requests a job",
        per_job(&theirs),
        requests(&theirs)
    );
    [
        (name.to_owned(), ours),
        (format!("{name}, log level ERROR"), quiet),
    ]
    .into_iter()
    .map(|(name, runs)| {
        let measured = format!(
            "{:.2} ms, {:.2} requests a job",
            per_job(&runs),
            requests(&runs)
        );
        Figure::new(
            &name,
            measured,
            against.clone(),
            per_job(&runs) / per_job(&theirs),
        )
    })
    .collect()
}

/// CPU milliseconds per job over all rounds.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per_job(runs: &[Run]) -> f64 {
    let seconds: f64 = runs.iter().map(|run| run.cpu_seconds).sum();
    seconds * 1_000.0 / runs.iter().map(|run| run.jobs).sum::<u64>() as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn requests(runs: &[Run]) -> f64 {
    let requests: u64 = runs.iter().map(|run| run.requests).sum();
    requests as f64 / runs.iter().map(|run| run.jobs).sum::<u64>() as f64
}
