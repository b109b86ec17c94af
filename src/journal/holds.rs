//! Holds: which backups are being restored, for whoever deletes backups to read.
//!
//! What it must never do: say that nothing is held when that could not be read to the end. A hold that is not renewed
//! runs out, so that a restore that died keeps its backups for a day and not for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::store::{Put, Store};
use super::{Journal, JournalError, json};
use crate::slot::CLOCK_MARGIN;

/// How long a hold lasts from its making or renewal: longer than a copy of the largest namespace (contract section 6).
pub const HOLD_TIME: SignedDuration = SignedDuration::from_hours(24);
/// How often it is to be renewed while the restore is worked at.
pub(super) const RENEW_HOLD_EVERY: Duration = Duration::from_mins(30);
/// Objects read at once.
const READS: usize = 16;

/// A hold as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    restore: String,
    region: String,
    backups: Vec<String>,
    expires_at: Timestamp,
}

/// The hold of one restore, until it is let go or runs out.
pub struct Hold {
    store: Arc<Store>,
    path: Path,
    restore: String,
    region: String,
    backups: Vec<String>,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({}, {} backups)", self.restore, self.backups.len())
    }
}

/// All that is held, by everybody.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    /// Region and name of each backup, and a restore that holds it.
    held: BTreeMap<(String, String), String>,
}

impl Holds {
    /// The restore that holds the backup of this name in a region, if any does.
    #[must_use]
    pub fn holder(&self, region: &str, name: &str) -> Option<&str> {
        let held = self.held.get(&(region.to_owned(), name.to_owned()));
        held.map(String::as_str)
    }

    /// The names, or ids, of all that is held, wherever it stands.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.held.keys().map(|(_, name)| name.as_str())
    }

    /// The restore that holds a backup whose name or id is nobody else's, in whatever region.
    #[must_use]
    pub fn holder_anywhere(&self, id: &str) -> Option<&str> {
        let mut held = self.held.iter().filter(|((_, name), _)| name == id);
        held.next().map(|(_, restore)| restore.as_str())
    }
}

impl Journal {
    /// Holds backups that stand in `region`, by name or id, for a restore, and returns once that is durable. What the same restore held
    /// before is replaced.
    pub async fn hold(
        &self,
        restore: &str,
        region: &str,
        backups: impl Iterator<Item = impl ToString>,
        now: Timestamp,
    ) -> Result<Hold, JournalError> {
        let hold = Hold {
            store: Arc::clone(&self.store),
            path: hold_path(&self.store, restore),
            restore: restore.to_owned(),
            region: region.to_owned(),
            backups: backups.map(|backup| backup.to_string()).collect(),
        };
        hold.renew(now).await?;
        Ok(hold)
    }

    /// Lets go what a restore holds, if it holds anything.
    pub async fn let_go(&self, restore: &str) -> Result<(), JournalError> {
        self.store
            .delete(vec![hold_path(&self.store, restore)])
            .await
    }

    /// Everything that is held: one request when nothing is. It is complete, or an error.
    pub async fn holds(&self, now: Timestamp) -> Result<Holds, JournalError> {
        let paths = self.store.list(&self.store.path(["holds"])).await?;
        let reads = stream::iter(paths).map(|path| self.read_hold(path));
        let written: Vec<Option<Written>> = reads.buffered(READS).try_collect().await?;
        let mut holds = Holds::default();
        let lasting = written
            .into_iter()
            .flatten()
            .filter(|hold| now.duration_since(hold.expires_at) < CLOCK_MARGIN);
        for Written {
            restore,
            region,
            backups,
            ..
        } in lasting
        {
            for backup in backups {
                holds.held.insert((region.clone(), backup), restore.clone());
            }
        }
        Ok(holds)
    }

    /// A hold; `None` when it was removed after it had been listed.
    async fn read_hold(&self, path: Path) -> Result<Option<Written>, JournalError> {
        let Some(found) = self.store.read(&path).await? else {
            return Ok(None);
        };
        let written = serde_json::from_slice(&found.body);
        written
            .map(Some)
            .map_err(|error| JournalError::Unreadable {
                object: self.store.name_of(&path),
                fault: format!("should be the hold of a restore and can't be read ({error}), so no backup is deleted"),
            })
    }
}

fn hold_path(store: &Store, restore: &str) -> Path {
    store.path(["holds", &format!("{restore}.json")])
}

impl Hold {
    /// Makes it last from `now` on.
    pub async fn renew(&self, now: Timestamp) -> Result<(), JournalError> {
        let written = Written {
            restore: self.restore.clone(),
            region: self.region.clone(),
            backups: self.backups.clone(),
            expires_at: now.saturating_add(HOLD_TIME).unwrap_or(Timestamp::MAX),
        };
        let found = self.store.read(&self.path).await?;
        let put = self
            .store
            .put(&self.path, &json(&written), found.as_ref())
            .await?;
        match put {
            Put::Done => Ok(()),
            Put::Beaten(_) => Err(self.store.unreachable(format!(
                "{} was changed by somebody else",
                self.store.name_of(&self.path)
            ))),
        }
    }
}
