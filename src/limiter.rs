//! How many requests are in flight at one service.
//!
//! Starts at the configured bound, halves when the service says that it is too much, and grows back with success. What
//! is not reached in time is reported, never forced.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// One burst of refusals is one sign, not many: how long the window stays as it is after shrinking.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// Additive increase, multiplicative decrease.
#[derive(Debug)]
struct Window {
    size: f64,
    most: f64,
    in_flight: u32,
    shrunk_at: Option<Instant>,
}

impl Window {
    fn has_room(&self) -> bool {
        f64::from(self.in_flight) < self.size.floor()
    }

    fn grow(&mut self) {
        self.size = (self.size + 1.0 / self.size).min(self.most);
    }

    fn shrink(&mut self, now: Instant) {
        if self
            .shrunk_at
            .is_none_or(|at| now.duration_since(at) >= COOL_DOWN)
        {
            self.size = (self.size / 2.0).max(1.0);
            self.shrunk_at = Some(now);
        }
    }
}

/// Bounds the requests in flight.
#[derive(Debug)]
pub struct Limiter {
    window: Mutex<Window>,
    freed: Notify,
}

/// A place in flight; given back when dropped.
#[derive(Debug)]
pub struct Permit<'a>(&'a Limiter);

impl Limiter {
    /// At most `most` requests at once (at least one).
    #[must_use]
    pub fn new(most: u32) -> Self {
        let most = f64::from(most.max(1));
        let window = Window {
            size: most,
            most,
            in_flight: 0,
            shrunk_at: None,
        };
        Self {
            window: Mutex::new(window),
            freed: Notify::new(),
        }
    }

    /// Waits for a place.
    pub async fn acquire(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut window = self.window();
                if window.has_room() {
                    window.in_flight += 1;
                    return Permit(self);
                }
            }
            freed.await;
        }
    }

    /// The service answered: room for a little more.
    pub fn answered(&self) {
        self.window().grow();
        self.freed.notify_one();
    }

    /// The service said that it is too much.
    pub fn throttled(&self) {
        self.window().shrink(Instant::now());
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let limiter = self.0;
        limiter.window().in_flight -= 1;
        limiter.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_bound_are_in_flight() {
        let limiter = Limiter::new(2);
        let (first, _second) = (limiter.acquire().await, limiter.acquire().await);
        let third = tokio::time::timeout(Duration::from_secs(1), limiter.acquire()).await;
        assert!(third.is_err());
        drop(first);
        limiter.acquire().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_refusals_halves_once_and_success_grows_back() {
        let limiter = Limiter::new(16);
        for _ in 0..10 {
            limiter.throttled();
        }
        assert!((limiter.window().size - 8.0).abs() < f64::EPSILON);
        tokio::time::advance(COOL_DOWN).await;
        for _ in 0..10 {
            limiter.throttled();
        }
        assert!((limiter.window().size - 4.0).abs() < f64::EPSILON);
        for _ in 0..1_000 {
            limiter.answered();
        }
        assert!((limiter.window().size - 16.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_is_always_allowed() {
        let limiter = Limiter::new(0);
        for _ in 0..10 {
            limiter.throttled();
            tokio::time::advance(COOL_DOWN).await;
        }
        drop(limiter.acquire().await);
    }
}
