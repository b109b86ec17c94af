//! Peak memory of a run over a hundred thousand namespaces against one over a thousand.

use std::time::Duration;

use crate::service::{Service, Setup};
use crate::{Figure, product, so_many, usage};

const MANY: u64 = 100_000;
const FEW: u64 = 1_000;

pub(crate) fn figures() -> Vec<Figure> {
    let name = "peak memory, 100,000 namespaces ÷ 1,000";
    if let Some(why) = usage::missing() {
        return vec![Figure::skipped(name, why)];
    }
    let run = |sources| {
        let (latency, copy) = (Duration::ZERO, Duration::ZERO);
        product::run(&Service::start(Setup {
            sources,
            latency,
            copy,
            lost: false,
        }))
    };
    let sizes = (so_many(FEW), so_many(MANY));
    let (few, many) = (run(sizes.0), run(sizes.1));
    assert_eq!(
        (few.jobs, many.jobs),
        sizes,
        "every namespace was backed up"
    );
    vec![Figure::new(
        name,
        format!("{:.1} MiB ({:.0} s)", many.peak_mib, many.seconds),
        format!("{:.1} MiB", few.peak_mib),
        many.peak_mib / few.peak_mib,
    )]
}
