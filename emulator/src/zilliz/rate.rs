//! The limit on requests: so many in any second, for each key and endpoint.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::zilliz::route::Op;

/// The requests of the last second that were not refused, by key and endpoint.
#[derive(Debug, Default)]
pub(crate) struct Recent(BTreeMap<(String, &'static str), VecDeque<Timestamp>>);

impl Recent {
    /// Whether one more request is within the limit. Inferred: one that is refused does not count.
    pub(crate) fn takes(&mut self, key: &str, op: Op, limit: usize, now: Timestamp) -> bool {
        let sent = self.0.entry((key.to_owned(), op.name())).or_default();
        let second = SignedDuration::from_secs(1);
        while sent
            .front()
            .is_some_and(|first| now.duration_since(*first) >= second)
        {
            sent.pop_front();
        }
        let takes = sent.len() < limit;
        if takes {
            sent.push_back(now);
        }
        takes
    }
}
