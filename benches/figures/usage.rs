//! What a process has used, as Linux tells it.

use std::fs;

/// Clock ticks in a second, in every file under `/proc`.
const TICKS: f64 = 100.0;

/// Why figures about processes can't be taken here, if they can't.
pub(crate) fn missing() -> Option<String> {
    let there = fs::exists("/proc/self/stat").unwrap_or(false);
    (!there).then(|| "needs Linux's /proc".to_owned())
}

/// CPU seconds of this process so far, in user and system mode, all threads. Zero where there is no `/proc`.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may hold spaces; after it, the 12th and 13th are the two times.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = fields.split_whitespace().skip(11).take(2);
    times
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / TICKS
}

/// The most memory this process has held, in MiB. Zero where there is no `/proc`.
pub(crate) fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.map_or(0.0, |kib| kib.parse::<f64>().unwrap() / 1_024.0)
}
