//! What comparing every row costs: CPU and memory of a run at the level `full` beyond those of the same run by count, and
//! its rate against that of reading the same rows and looking at nothing.

use crate::service::{DIMENSIONS, Service};
use crate::{Figure, bare, product, so_many, usage};

/// About a hundred megabytes.
const ROWS: u64 = 100_000;
/// Namespaces whose rows a run compares at once: each side of each holds pages in memory.
const AT_ONCE: u64 = 4;
/// What comparing rows may hold beyond what a run by count holds, in megabytes.
const MOST_MB: f64 = 64.0;
const MB_PER_MIB: f64 = 1.048_576;
/// Bytes of a row's vector, title and id, nearly.
const ROW_BYTES: u64 = DIMENSIONS * 4 + 18;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn figures() -> Vec<Figure> {
    let name = "comparing every row";
    if let Some(why) = usage::missing() {
        return vec![Figure::skipped(name, why)];
    }
    let rows = so_many(ROWS);
    let run = |namespaces, level| {
        let service = Service::start_wide(namespaces, rows / namespaces);
        let run = product::run_with(&service, "INFO", &[("VERIFY_LEVEL", level)]);
        assert_eq!(run.jobs, namespaces, "every namespace was backed up");
        run
    };
    let (count, full) = (run(1, "count"), run(1, "full"));
    let read = bare::read_all(&Service::start_wide(1, rows));
    assert_eq!(read.jobs, rows, "every row was read");
    let (few_pages, all_pages) = (run(AT_ONCE, "count"), run(AT_ONCE, "full"));
    let more_mb = (all_pages.peak_mib - few_pages.peak_mib) * MB_PER_MIB;
    // Both sides are read, so twice as much as the namespace holds.
    let gigabytes = (2 * rows * ROW_BYTES) as f64 / 1e9;
    let cpu = (full.cpu_seconds - count.cpu_seconds) / gigabytes;
    let bare_cpu = read.cpu_seconds / (gigabytes / 2.0);
    let rate = gigabytes * 1e3 / (full.seconds - count.seconds);
    let bare_rate = gigabytes / 2.0 * 1e3 / read.seconds;
    vec![
        Figure::new(
            "CPU seconds per GB compared at the level full ÷ read by a bare client",
            format!("{cpu:.1} s"),
            format!("{bare_cpu:.1} s"),
            cpu / bare_cpu,
        ),
        Figure::new(
            "the same, MB per second",
            format!("{rate:.0} MB/s of both sides together"),
            format!("{bare_rate:.0} MB/s of one"),
            rate / bare_rate,
        ),
        Figure::new(
            "peak memory at the level full, four namespaces at once ÷ by count",
            format!("{:.1} MiB", all_pages.peak_mib),
            format!("{:.1} MiB", few_pages.peak_mib),
            all_pages.peak_mib / few_pages.peak_mib,
        )
        .at_most(MOST_MB, " MB more", more_mb),
    ]
}
