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

const BAR: &str = "{msg} [{bar:30}] {pos}/{len} {elapsed}, {left}";

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
        return "time left unknown until the first is done".to_owned();
    }
    format!("{per_second:.1}/s, about {} left", HumanDuration(eta))
}

impl Progress {
    /// Draws on stderr, if that is a terminal.
    #[must_use]
    pub fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::no_length();
        bar.set_style(style());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows what just happened.
    pub fn show(&self, step: &Step<'_>) {
        let length = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        match step {
            Step::Jobs(jobs) => self.restart("copying", length(*jobs)),
            Step::Pruning(sources) => self.restart("pruning", length(*sources)),
            Step::Job(job) => {
                self.0.inc(1);
                if job.state == JobState::Failed {
                    self.0.set_message("copying (with failures)");
                }
            }
            Step::Verifying(backups) => self.restart("comparing", length(*backups)),
            Step::Pruned | Step::Verified => self.0.inc(1),
            Step::Restores(namespaces) => self.restart("restoring", length(*namespaces)),
            Step::Restored(record) => {
                self.0.inc(1);
                if record.error.is_some() {
                    self.0.set_message("restoring (with failures)");
                }
            }
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }

    fn restart(&self, what: &'static str, length: u64) {
        self.0.set_message(what);
        self.0.set_length(length);
        self.0.reset();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
