//! The log of calls: the newest hundred thousand, and counts of all. Never whole keys, never bodies.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

const KEPT: usize = 100_000;

/// One call.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) time: Timestamp,
    pub(crate) method: &'static str,
    pub(crate) path: Box<str>,
    /// Zero when the connection was closed without an answer.
    pub(crate) status: u16,
    pub(crate) operation: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) key_suffix: Box<str>,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    calls: VecDeque<Entry>,
    total: u64,
    counts: BTreeMap<(&'static str, u16), u64>,
}

impl Log {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.total += 1;
        *self
            .counts
            .entry((entry.operation, entry.status))
            .or_default() += 1;
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(entry);
    }

    pub(crate) fn view(&self) -> Json {
        json!({"calls": self.calls, "total": self.total})
    }

    /// Counts by operation, then status.
    pub(crate) fn summary(&self) -> Json {
        let mut operations = Map::new();
        for ((operation, status), count) in &self.counts {
            let statuses = operations
                .entry((*operation).to_owned())
                .or_insert_with(|| json!({}));
            if let Json::Object(statuses) = statuses {
                statuses.insert(status.to_string(), json!(count));
            }
        }
        json!({"operations": operations, "total": self.total})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_but_counted() {
        let mut log = Log::default();
        for _ in 0..KEPT + 5 {
            log.push(Entry {
                time: Timestamp::UNIX_EPOCH,
                method: "GET",
                path: "/r/v1/namespaces".into(),
                status: 200,
                operation: "list",
                key_suffix: "".into(),
            });
        }
        assert_eq!(log.calls.len(), KEPT);
        assert_eq!(log.summary()["operations"]["list"]["200"], json!(100_005));
    }
}
