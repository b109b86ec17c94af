//! The local clock, handed down by the door, and how well it agrees with the services'.
//!
//! Disagreement stops deletion and raises; it never stops copying.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::slot::CLOCK_MARGIN;

/// Tells the time, and remembers the worst disagreement with a service.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    worst_seconds: Arc<AtomicI64>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("now", &self.now())
            .field("worst_seconds", &self.worst_seconds)
            .finish()
    }
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock that everything else is given"
        )]
        Self::new(Timestamp::now)
    }

    /// Any other clock, such as an emulator's.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            now: Arc::new(now),
            worst_seconds: Arc::default(),
        }
    }

    /// The time, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The same clock for another run, which judges agreement afresh.
    #[must_use]
    pub fn for_a_new_run(&self) -> Self {
        Self {
            now: Arc::clone(&self.now),
            worst_seconds: Arc::default(),
        }
    }

    /// Compares a service's answer, just come, with the local clock.
    pub fn compare(&self, answered_at: Option<Timestamp>) {
        let Some(service) = answered_at else { return };
        let seconds = self.now().as_second() - service.as_second();
        let worse = |worst: i64| (seconds.abs() > worst.abs()).then_some(seconds);
        // An Err only means that the new difference is no worse.
        let _ = self
            .worst_seconds
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, worse);
    }

    /// The later of the local time and the service's, as far as they were compared: what must last for everybody lasts
    /// from then on, although a clock that is behind would have it run out at once.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        let behind = SignedDuration::from_secs(self.worst_difference_seconds().min(0)).abs();
        self.now().saturating_add(behind).unwrap_or(Timestamp::MAX)
    }

    /// Local time less the service's, in seconds, at its worst in this run.
    #[must_use]
    pub fn worst_difference_seconds(&self) -> i64 {
        self.worst_seconds.load(Ordering::Relaxed)
    }

    /// Whether every comparison so far was within the margin.
    #[must_use]
    pub fn agrees(&self) -> bool {
        SignedDuration::from_secs(self.worst_difference_seconds()).abs() <= CLOCK_MARGIN
    }
}
