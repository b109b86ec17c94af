//! The service's limit on requests, kept by waiting: so many a second for each user and endpoint (contract section 1).
//!
//! Users are keys, so clients with one key share one of these, whatever plans they are for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The documented limit.
const REQUESTS: usize = 20;
/// A little more than the second, because requests that were sent apart may arrive together.
const WINDOW: Duration = Duration::from_millis(1_100);

/// When requests were sent with one key, by endpoint.
#[derive(Debug, Default)]
pub struct Limits {
    sent: Mutex<BTreeMap<&'static str, VecDeque<Instant>>>,
}

impl Limits {
    /// Waits until one more request stays within the limit.
    pub(super) async fn wait_for_room(&self, endpoint: &'static str) {
        let at = {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = sent.entry(endpoint).or_default();
            let now = Instant::now();
            let at = match sent.len() {
                REQUESTS.. => sent
                    .pop_front()
                    .map_or(now, |first| now.max(first + WINDOW)),
                _ => now,
            };
            sent.push_back(at);
            at
        };
        sleep_until(at).await;
    }
}
