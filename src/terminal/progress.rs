//! A progress bar for whoever waits at a terminal. It goes to stderr, so that a pipe gets the report alone.

use std::fmt;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::backup::JobState;
use crate::run::Step;

/// A bar on a terminal; elsewhere nothing, because there the log lines tell.
#[derive(Debug)]
pub struct Progress(ProgressBar);

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
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::no_length();
        // Until it is known how much there is to do, a bar would only be wrong.
        let asking = ProgressStyle::with_template("{prefix}, {elapsed}");
        bar.set_style(asking.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix("looking what there is");
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows what just happened.
    pub fn show(&self, step: &Step<'_>) {
        let length = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        match step {
            Step::Jobs(jobs) => self.restart("copying", length(*jobs)),
            Step::Pruning(sources) => self.restart("looking at backups", length(*sources)),
            Step::Copying(name, words) => self.0.set_message(said(name.as_str(), words)),
            Step::Job(job) => {
                self.ended_one();
                if job.state == JobState::Failed {
                    self.0.set_prefix("copying (failures)");
                }
            }
            Step::Verifying(backups) => self.restart("comparing", length(*backups)),
            Step::Pruned | Step::Verified => self.0.inc(1),
            Step::Restores(namespaces) => self.restart("restoring", length(*namespaces)),
            Step::Restored(record) => {
                self.ended_one();
                if record.error.is_some() {
                    self.0.set_prefix("restoring (failures)");
                }
            }
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }

    /// What was said last was perhaps said of the one that has ended.
    fn ended_one(&self) {
        self.0.set_message("");
        self.0.inc(1);
    }

    fn restart(&self, what: &'static str, length: u64) {
        self.0.set_length(length);
        self.0.set_message("");
        self.0.set_prefix(what);
        self.0.set_style(style());
        self.0.reset();
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
    fn what_the_service_says_is_shown_and_moves_no_cursor() {
        assert_eq!(said("acme-docs", "38%"), ", acme-docs: 38%");
        let escapes = said("acme-docs", "\u{1b}[2J\nhalf\r");
        assert_eq!(escapes, ", acme-docs: [2Jhalf");
    }
}
