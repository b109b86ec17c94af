//! A progress bar for whoever waits at a terminal. It goes to stderr, so that a pipe gets the report alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::backup::JobState;
use crate::run::Step;

/// A bar on a terminal; elsewhere nothing, because there the log lines tell.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// When it was first heard of a comparison of this namespace, and how many rows it had behind it then.
    comparing: RefCell<BTreeMap<String, (Instant, u64)>>,
    /// When the service first gave a percentage of the copy of this namespace, and which.
    copying: RefCell<BTreeMap<String, (Instant, f64)>>,
}

/// The last part is cut where the screen ends: a line that is broken could not be taken off it again.
const BAR: &str = "{prefix} [{bar:20}] {pos}/{len}, {elapsed}, {left}{wide_msg}";

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("left", |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A line of a progress bar that can't be drawn is no reason to end anything.
        let _ = out.write_str(&left(state.pos(), state.per_sec(), state.eta()));
    })
}

/// How fast it goes, and how long it will take if it goes on so; before the first one has ended nobody knows.
fn left(done: u64, per_second: f64, eta: Duration) -> String {
    if done == 0 {
        return "time left unknown".to_owned();
    }
    format!("{per_second:.1}/s, about {} left", HumanDuration(eta))
}

/// How far the comparison of one namespace is: the bar counts namespaces, and one alone may take hours.
fn compared((since, first): (Instant, u64), (rows, of): (u64, u64), now: Instant) -> String {
    let how_far = format!(
        "{} of {} rows compared",
        HumanCount(rows),
        HumanCount(of.max(rows))
    );
    let milliseconds = u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX);
    let read = rows.saturating_sub(first);
    let rate = read.saturating_mul(1_000).checked_div(milliseconds);
    let rest = of.saturating_sub(rows);
    let left = rest.saturating_mul(milliseconds).checked_div(read);
    match (rate, left.map(Duration::from_millis)) {
        (Some(rate), Some(left)) => format!(
            "{how_far}, {}/s, about {} left",
            HumanCount(rate),
            HumanDuration(left)
        ),
        _ => how_far,
    }
}

/// How far the service says a copy is, and how long it will take if it goes on so. The words are the service's own; where
/// they are no percentage that grew, nothing is added to them.
fn copied(first: Option<(Instant, f64)>, words: &str, now: Instant) -> String {
    let left = first
        .zip(percentage(words))
        .and_then(|((since, first), done)| {
            let passed = now.duration_since(since).as_secs_f64();
            let left = passed * (100.0 - done) / (done - first);
            let left = Duration::try_from_secs_f64(left).ok()?;
            (done > first && passed > 0.0).then_some(left)
        });
    match left {
        Some(left) => format!("{words}, about {} left", HumanDuration(left)),
        None => words.to_owned(),
    }
}

/// The percentage that these words are, if they are one. It is good for this line alone, and nothing is decided by it.
fn percentage(words: &str) -> Option<f64> {
    let number = words.trim().strip_suffix('%')?.trim_end();
    let done: f64 = number.parse().ok()?;
    (0.0..=100.0).contains(&done).then_some(done)
}

/// What the service says of one copy, as part of the line; it may say anything.
fn said(name: &str, words: &str) -> String {
    let words = words.chars().filter(|letter| !letter.is_control());
    format!(", {name}: {}", words.collect::<String>())
}

impl Progress {
    /// Draws on stderr, if that is a terminal.
    #[must_use]
    pub fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self::of(ProgressBar::hidden());
        }
        let bar = ProgressBar::no_length();
        // Until it is known how much there is to do, a bar would only be wrong.
        let asking = ProgressStyle::with_template("{prefix}, {elapsed}");
        bar.set_style(asking.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix("looking what there is");
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::of(bar)
    }

    fn of(bar: ProgressBar) -> Self {
        Self {
            bar,
            comparing: RefCell::default(),
            copying: RefCell::default(),
        }
    }

    /// Shows what just happened.
    pub fn show(&self, step: &Step<'_>) {
        let length = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        match step {
            Step::Jobs(jobs) => self.restart("copying", length(*jobs)),
            Step::Pruning(sources) => self.restart("looking at backups", length(*sources)),
            Step::Copying(name, words) => {
                let now = Instant::now();
                let first = percentage(words).map(|done| {
                    let mut copying = self.copying.borrow_mut();
                    *copying.entry(name.to_string()).or_insert((now, done))
                });
                let words = copied(first, words, now);
                self.bar.set_message(said(name.as_str(), &words));
            }
            Step::Comparing(name, rows, of) => {
                let mut comparing = self.comparing.borrow_mut();
                let first = comparing
                    .entry(name.to_string())
                    .or_insert_with(|| (Instant::now(), *rows));
                let words = compared(*first, (*rows, *of), Instant::now());
                self.bar.set_message(said(name.as_str(), &words));
            }
            Step::Job(job) => {
                self.ended_one();
                if job.state == JobState::Failed {
                    self.bar.set_prefix("copying (failures)");
                }
            }
            Step::Verifying(backups) => self.restart("comparing", length(*backups)),
            Step::Pruned | Step::Verified => self.bar.inc(1),
            Step::Restores(namespaces) => self.restart("restoring", length(*namespaces)),
            Step::Restored(record) => {
                self.ended_one();
                if record.error.is_some() {
                    self.bar.set_prefix("restoring (failures)");
                }
            }
        }
    }

    /// Says something above the bar, or where there is none, by itself.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| {
            // Nothing can be said when stderr is closed, and nothing depends on it.
            let _ = writeln!(io::stderr(), "{line}");
        });
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// What was said last was perhaps said of the one that has ended.
    fn ended_one(&self) {
        self.bar.set_message("");
        self.bar.inc(1);
    }

    fn restart(&self, what: &'static str, length: u64) {
        self.comparing.borrow_mut().clear();
        self.copying.borrow_mut().clear();
        self.bar.set_length(length);
        self.bar.set_message("");
        self.bar.set_prefix(what);
        self.bar.set_style(style());
        self.bar.reset();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_large_comparison_says_its_rows_its_rate_and_what_is_left() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let far = (1_250_000, 4_000_000);
        assert_eq!(
            compared((began, 1_000_000), far, after(10)),
            "1,250,000 of 4,000,000 rows compared, 25,000/s, about 2 minutes left"
        );
        let unknown = "1,250,000 of 4,000,000 rows compared";
        assert_eq!(compared((began, 1_250_000), far, after(10)), unknown);
        assert_eq!(compared((began, 1_250_000), far, began), unknown);
    }

    #[test]
    fn one_copy_of_hours_says_what_is_left_where_the_service_gives_a_percentage() {
        let began = Instant::now();
        let after = |minutes| began + Duration::from_mins(minutes);
        let first = Some((began, 4.0));
        assert_eq!(
            copied(first, "44%", after(20)),
            "44%, about 28 minutes left"
        );
        assert_eq!(
            copied(first, " 4.5 %", after(1)),
            " 4.5 %, about 3 hours left"
        );
        assert_eq!(
            copied(first, "100%", after(20)),
            "100%, about 0 seconds left"
        );
        for words in [
            "4%", "3%", "101%", "-1%", "NaN%", "inf%", "44", "44% of 2", "soon", "",
        ] {
            assert_eq!(copied(first, words, after(20)), words);
        }
        assert_eq!(copied(first, "44%", began), "44%", "nothing is known yet");
        assert_eq!(copied(None, "44%", after(20)), "44%");
    }

    #[test]
    fn what_the_service_says_is_shown_and_moves_no_cursor() {
        assert_eq!(said("acme-docs", "38%"), ", acme-docs: 38%");
        let escapes = said("acme-docs", "\u{1b}[2J\nhalf\r");
        assert_eq!(escapes, ", acme-docs: [2Jhalf");
    }
}
