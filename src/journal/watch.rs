//! The watch: which clusters a plan has looked after, since when with its schedule, and when each was last judged.
//!
//! Without it a run could not tell a night that was lost from one for which nothing was asked, nor a cluster that disappeared
//! from one that never was. What it must never do: decide about data. Losing it costs no backup; the next run then goes by
//! the backups that stand.

use std::collections::BTreeMap;

use jiff::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::store::{Found, Put};
use super::{Journal, JournalError, Lease, json};
use crate::service::Region;

/// What runs of a plan have looked after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// What the windows of the plan depended on then.
    pub schedule: String,
    /// What the plan's choice of clusters was then.
    pub selection: String,
    /// Each cluster, by id.
    pub clusters: BTreeMap<String, Watched>,
}

/// One cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Its name when it was last seen.
    pub name: String,
    /// When the plan last selected it.
    pub seen_at: Timestamp,
    /// What is known of each region.
    pub regions: BTreeMap<Region, Look>,
}

/// One region of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Since when the policy is known to make backups there on the plan's schedule.
    pub since: Option<Timestamp>,
    /// When what stands there was last judged.
    pub looked_at: Timestamp,
}

impl Journal {
    /// What earlier runs of a plan have looked after; nothing when there was none.
    pub async fn watch(&self, plan: &str) -> Result<Watch, JournalError> {
        let path = self.watch_path(plan);
        match self.store.read(&path).await? {
            Some(found) => self.read_watch(&path, &found),
            None => Ok(Watch::default()),
        }
    }

    /// Writes it down anew, and returns once that is durable. Whoever has the plan's lease is the only one who does.
    pub async fn write_watch(&self, lease: &Lease, watch: &Watch) -> Result<(), JournalError> {
        lease.held().if_not_lost()?;
        let path = self.watch_path(lease.plan());
        let found = self.store.read(&path).await?;
        match self.store.put(&path, &json(watch), found.as_ref()).await? {
            Put::Done => Ok(()),
            Put::Beaten(_) => Err(self.store.unreachable(format!(
                "{} was changed by somebody else",
                self.store.name_of(&path)
            ))),
        }
    }

    fn read_watch(&self, path: &Path, found: &Found) -> Result<Watch, JournalError> {
        serde_json::from_slice(&found.body).map_err(|error| JournalError::Unreadable {
            object: self.store.name_of(path),
            fault: format!(
                "should say which clusters the plan looked after, and can't be read ({error})"
            ),
        })
    }

    fn watch_path(&self, plan: &str) -> Path {
        self.store.path(["watch", &format!("{plan}.json")])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn it_is_written_under_the_lease_and_read_as_it_was_written() {
        let journal = Journal::on(Arc::new(InMemory::new()), Path::from("journal"));
        let now: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
        assert_eq!(journal.watch("prod").await.unwrap(), Watch::default());
        let lease = journal.acquire("prod", "run", now).await.unwrap();
        let look = Look {
            since: Some(now),
            looked_at: now,
        };
        let watched = Watched {
            name: "orders".into(),
            seen_at: now,
            regions: BTreeMap::from([("near".to_owned(), look)]),
        };
        let watch = Watch {
            schedule: "mon 02:00 UTC".into(),
            selection: "*".into(),
            clusters: BTreeMap::from([("in01-1".to_owned(), watched)]),
        };
        for watch in [&watch, &Watch::default(), &watch] {
            journal.write_watch(&lease, watch).await.unwrap();
            assert_eq!(journal.watch("prod").await.unwrap(), *watch);
        }
        assert_eq!(journal.watch("other").await.unwrap(), Watch::default());
        let path = journal.store.path(["leases", "prod.json"]);
        journal.store.delete(vec![path]).await.unwrap();
        assert!(lease.renew(now).await.is_err());
        assert!(journal.write_watch(&lease, &watch).await.is_err());
    }

    #[tokio::test]
    async fn something_else_in_its_place_is_told_by_name() {
        let journal = Journal::on(Arc::new(InMemory::new()), Path::from("journal"));
        let path = journal.watch_path("prod");
        journal.store.put(&path, b"[]", None).await.unwrap();
        let error = journal.watch("prod").await.unwrap_err();
        assert!(error.to_string().contains("watch/prod.json"), "{error}");
    }
}
