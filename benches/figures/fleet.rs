//! Ten thousand namespaces at 40 ms: how near a run comes to what latency and concurrency alone allow.
//!
//! Each region has a limit of its own, so the least possible time is that of the busier region:
//! its requests × latency ÷ concurrency.

use std::time::Duration;

use crate::service::{Service, Setup};
use crate::{Figure, product, so_many};

const LATENCY: Duration = Duration::from_millis(40);
/// The product's default.
const CONCURRENCY: f64 = 32.0;

/// What the product may take beyond what latency and concurrency alone allow.
const MOST: f64 = 1.10;

pub(crate) fn figures() -> Vec<Figure> {
    let at_40_ms = |what: &str| format!("{what} at 40 ms: time ÷ least possible time");
    let fleet = |lost| setup(10_000, Duration::from_millis(5), lost);
    let journal = tempfile::tempdir().unwrap();
    let journal = format!("file://{}", journal.path().display());
    let kept = [("LIFEBOAT_JOURNAL", journal.as_str())];
    vec![
        with_limit(figure(&at_40_ms("10,000 namespaces"), fleet(false), &[])),
        // Here the number of copies under way decides, not the number of requests.
        figure(
            "1,000 namespaces at 40 ms, each copy taking 1 s: the same",
            setup(1_000, Duration::from_secs(1), false),
            &[],
        )
        .0,
        with_limit(figure(
            &at_40_ms("restore of 10,000 namespaces with a journal"),
            fleet(true),
            &kept,
        )),
        with_limit(figure(
            &at_40_ms("restore of 10,000 namespaces without one"),
            fleet(true),
            &[],
        )),
    ]
}

fn with_limit((figure, ratio): (Figure, f64)) -> Figure {
    figure.at_most(MOST, "", ratio)
}

fn setup(sources: u64, copy: Duration, lost: bool) -> Setup {
    Setup {
        sources: so_many(sources),
        latency: LATENCY,
        copy,
        lost,
    }
}

/// The figure and its ratio.
fn figure(name: &str, setup: Setup, variables: &[(&str, &str)]) -> (Figure, f64) {
    let service = Service::start(setup);
    let run = if setup.lost {
        product::restore(&service, variables)
    } else {
        product::run_with(&service, "INFO", variables)
    };
    assert_eq!(run.jobs, setup.sources, "every namespace was copied");
    let (source, target) = service.requests();
    assert_eq!(source + target, run.requests, "both sides count alike");
    let alone = service.one_request();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let busier = source.max(target) as f64;
    let least = busier * LATENCY.as_secs_f64() / CONCURRENCY;
    let measured = format!(
        "{:.1} s, {:.1} s of CPU; {} jobs, requests: source {source}, target {target}",
        run.seconds, run.cpu_seconds, run.jobs
    );
    let against = format!(
        "{least:.1} s = {busier} × 40 ms ÷ {CONCURRENCY}, the busier region's (one request alone took {:.1} ms)",
        alone.as_secs_f64() * 1_000.0
    );
    let ratio = run.seconds / least;
    (Figure::new(name, measured, against, ratio), ratio)
}
