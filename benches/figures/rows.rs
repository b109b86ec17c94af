//! What comparing every row costs: CPU and memory of a run at the level `full` beyond those of the same run by count, and
//! its rate against that of reading the same rows and looking at nothing.

use crate::service::{DIMENSIONS, Service};
use crate::{Figure, bare, product, usage};

/// About a hundred megabytes.
const ROWS: u64 = 100_000;
/// Bytes of a row's vector, title and id, nearly.
const ROW_BYTES: u64 = DIMENSIONS * 4 + 18;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn figures() -> Vec<Figure> {
    let name = "comparing every row";
    if let Some(why) = usage::missing() {
        return vec![Figure::skipped(name, why)];
    }
    let run = |level| {
        let service = Service::start_wide(ROWS);
        product::run_with(&service, "INFO", &[("VERIFY_LEVEL", level)])
    };
    let (count, full) = (run("count"), run("full"));
    let read = bare::read_all(&Service::start_wide(ROWS));
    assert_eq!(read.jobs, ROWS, "every row was read");
    // Both sides are read, so twice as much as the namespace holds.
    let gigabytes = (2 * ROWS * ROW_BYTES) as f64 / 1e9;
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
            "peak memory at the level full ÷ by count (at most 64 MiB more)",
            format!("{:.1} MiB", full.peak_mib),
            format!("{:.1} MiB", count.peak_mib),
            full.peak_mib / count.peak_mib,
        ),
    ]
}
