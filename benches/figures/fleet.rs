//! Ten thousand namespaces at 40 ms: how near a run comes to what latency and concurrency alone allow.
//!
//! Each region has a limit of its own, so the least possible time is that of the busier region:
//! its requests × latency ÷ concurrency.

use std::time::Duration;

use crate::service::{Service, Setup};
use crate::{Figure, product};

const LATENCY: Duration = Duration::from_millis(40);
/// The product's default.
const CONCURRENCY: f64 = 32.0;

pub(crate) fn figures() -> Vec<Figure> {
    vec![
        figure(
            "10,000 namespaces at 40 ms: time ÷ least possible time (at most 1.10)",
            setup(10_000, Duration::from_millis(5), false),
        ),
        // Here the number of copies under way decides, not the number of requests.
        figure(
            "1,000 namespaces at 40 ms, each copy taking 1 s: the same",
            setup(1_000, Duration::from_secs(1), false),
        ),
        figure(
            "restore of 10,000 namespaces at 40 ms: the same (at most 1.10)",
            setup(10_000, Duration::from_millis(5), true),
        ),
    ]
}

fn setup(sources: u64, copy: Duration, lost: bool) -> Setup {
    Setup {
        sources,
        latency: LATENCY,
        copy,
        lost,
    }
}

fn figure(name: &str, setup: Setup) -> Figure {
    let service = Service::start(setup);
    let run = if setup.lost {
        product::restore(&service)
    } else {
        product::run(&service)
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
    Figure::new(name, measured, against, run.seconds / least)
}
