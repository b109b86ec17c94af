//! Events that say no scheduled time: when each was delivered first, so that a repeated delivery is the same run.
//!
//! Lambda sends an event whose run failed twice more, and may send any event twice, each time with the same request id.
//! What it must never do: take one event for another.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::store::{Found, Put};
use super::{Journal, JournalError, json};
use crate::slot::LATEST_START;

/// Objects read at once.
const READS: usize = 16;

/// What is remembered of an event.
#[derive(Serialize, Deserialize)]
struct Delivered {
    first_at: Timestamp,
}

impl Journal {
    /// When an event was delivered first: `now`, unless it was before. Events that no run can be of any more are forgotten.
    pub async fn first_delivery(
        &self,
        event: &str,
        now: Timestamp,
    ) -> Result<Timestamp, JournalError> {
        let path = self
            .store
            .path(["events", &format!("{}.json", in_hex(event))]);
        let first = Delivered { first_at: now };
        let first_at = match self.store.put(&path, &json(&first), None).await? {
            Put::Done => now,
            Put::Beaten(Some(found)) => self.read_delivered(&path, &found)?.first_at,
            Put::Beaten(None) => {
                let name = self.store.name_of(&path);
                return Err(self.store.unreachable(format!("{name} was not taken")));
            }
        };
        // What is not forgotten now is by the next one.
        if let Err(error) = self.forget_events(now).await {
            warn!(error = error.word(), detail = %error, "events that are over were not forgotten");
        }
        Ok(first_at)
    }

    async fn forget_events(&self, now: Timestamp) -> Result<(), JournalError> {
        let paths = self.store.list(&self.store.path(["events"])).await?;
        let reads = stream::iter(paths).map(|path| async move {
            let found = self.store.read(&path).await?;
            Ok((path, found))
        });
        let read: Vec<(Path, Option<Found>)> = reads.buffered(READS).try_collect().await?;
        let is_over = |path: &Path, found: &Found| {
            let delivered = self.read_delivered(path, found);
            delivered.is_ok_and(|event| now.duration_since(event.first_at) > LATEST_START)
        };
        let over = read
            .into_iter()
            .filter(|(path, found)| found.as_ref().is_some_and(|found| is_over(path, found)));
        let over: Vec<Path> = over.map(|(path, _)| path).collect();
        if over.is_empty() {
            return Ok(());
        }
        self.store.delete(over).await
    }

    fn read_delivered(&self, path: &Path, found: &Found) -> Result<Delivered, JournalError> {
        serde_json::from_slice(&found.body).map_err(|error| JournalError::Unreadable {
            object: self.store.name_of(path),
            fault: format!("should say when an event came first, and can't be read ({error})"),
        })
    }
}

/// An id as part of an object's name, whatever is in it.
fn in_hex(event: &str) -> String {
    let digits = event.bytes().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn an_event_keeps_the_moment_at_which_it_came_first() {
        let journal = Journal::on(Arc::new(InMemory::new()), Path::from("journal"));
        let begin: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let at = |hours| begin + SignedDuration::from_hours(hours);
        for (event, hour, first) in [
            ("one", 0, 0),
            ("one", 1, 0),
            ("../two", 1, 1),
            ("one", 6, 0),
            ("../two", 7, 1),
            // After a week nothing is left of it.
            ("three", 200, 200),
            ("one", 201, 201),
        ] {
            let told = journal.first_delivery(event, at(hour)).await.unwrap();
            assert_eq!(told, at(first), "{event} {hour}");
        }
        let left = journal.store.list(&journal.store.path(["events"])).await;
        assert_eq!(left.unwrap().len(), 2);
    }
}
