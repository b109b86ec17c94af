//! Collections of a backup into a cluster that exists: one request for each, for now (contract section 6), or one for all.
//!
//! The control plane shows no collections, so after silence nobody can look what came of a request: it is never sent again,
//! and told. What it must never do: go on to the next collection while one is being restored, or may be.

use futures_util::FutureExt;
use jiff::Timestamp;
use tracing::warn;

use super::follow::{LONGEST, at_work_for};
use super::following::Followed;
use super::notes::{Begun, Chosen, Item, PastItem, RestoreNote, Way};
use super::password::Vault;
use super::{Ended, MOST_REQUESTS, Restore, pace};
use crate::journal::JobLine;
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::{SentCollectionRestore, SentRename, SentRenames};

/// What is said of a request that nobody saw answered.
const UNANSWERED: &str = "the request was not answered, and the service's API does not show whether it was carried out, so it is not sent again; look in the cluster whether the collection came, and ask again with another destination name if it did not";

/// Words of what may have come although nobody saw it come. The same request never sends these again.
const NEVER_AGAIN: [&str; 3] = ["unanswered", "job_unknown", "stuck"];

/// The word of an earlier line that says so.
pub(super) fn never_again(line: &JobLine) -> Option<&'static str> {
    let error = line.error.as_deref()?;
    NEVER_AGAIN.into_iter().find(|word| *word == error)
}

impl<T: Transport, V: Vault> Restore<'_, '_, T, V> {
    /// Brings one collection, or all of them, or goes on with it.
    pub(super) async fn bring(
        &mut self,
        chosen: &Chosen,
        (at, item): (usize, Item<'_>),
        past: PastItem,
        line: JobLine,
    ) -> Ended {
        let Some((cluster, sent)) = sent(chosen, item) else {
            return Ended::Failed(line, "rejected", "a cluster is no collection".to_owned());
        };
        let begun = match (past.begun, past.intent) {
            (Some(begun), _) => begun,
            (None, Some(at)) => {
                let unanswered = self.unanswered(chosen, cluster, at, line, UNANSWERED.to_owned());
                return unanswered.boxed_local().await;
            }
            (None, None) if self.unsettled => {
                let why = "not asked for, because the request before it was not answered and may still be at work, and without a journal nothing would remember it; ask again later";
                return Ended::Failed(line, "not_begun", why.to_owned());
            }
            (None, None) => match self
                .ask_for_collections(chosen, at, cluster, &sent)
                .boxed_local()
                .await
            {
                Ok(begun) => begun,
                Err(Asked::Waits(why)) => return Ended::Waits(line, why),
                Err(Asked::Failed(word, message)) => return Ended::Failed(line, word, message),
                Err(Asked::Unanswered(at, message)) => {
                    let unanswered = self.unanswered(chosen, cluster, at, line, message);
                    return unanswered.boxed_local().await;
                }
            },
        };
        let at_work_for = at_work_for(chosen.backup.bytes);
        let followed = self.follow(Followed::Collections { at_work_for }, &begun, line);
        followed.boxed_local().await
    }

    /// Waits until nothing can be at work any more that a request of `at` may have begun; then it is told.
    async fn unanswered(
        &mut self,
        chosen: &Chosen,
        cluster: &str,
        at: Timestamp,
        line: JobLine,
        message: String,
    ) -> Ended {
        let mut pace = pace();
        loop {
            let shown = match self.world.client.cluster(cluster).await {
                Err(error) => format!(
                    "the request was not answered, and whether the cluster restores could not be asked: {error}"
                ),
                Ok(now) => {
                    let says = now.as_ref().and_then(|cluster| cluster.status.as_deref());
                    let age = self.world.client.now().duration_since(at);
                    let restores = says == Some("RESTORE_BACKUP") && age <= LONGEST;
                    if !restores && age > at_work_for(chosen.backup.bytes) {
                        return Ended::Failed(line, "unanswered", message);
                    }
                    "the request was not answered and may be at work, so no other is sent"
                        .to_owned()
                }
            };
            if !self.wait(pace.next()).await {
                if self.journaled.remembers() {
                    return Ended::Waits(line, shown);
                }
                self.unsettled = true;
                return Ended::Failed(line, "unanswered", message);
            }
        }
    }

    async fn ask_for_collections(
        &mut self,
        chosen: &Chosen,
        item: usize,
        cluster: &str,
        sent: &SentCollectionRestore,
    ) -> Result<Begun, Asked> {
        let mut pace = pace();
        let mut requests = 0;
        loop {
            self.may_send().await.map_err(Asked::Waits)?;
            if let Some(fault) = self.journaled.fault() {
                let message = format!(
                    "not asked for, because the journal could not be written, and nothing else would tell whether it was: {fault}; correct LIFEBOAT_JOURNAL, or unset it to go without"
                );
                return Err(Asked::Failed(fault.word(), message));
            }
            let at = self.world.client.now();
            self.journaled
                .write(RestoreNote::Intended { item, at })
                .await;
            if self.journaled.fault().is_some() {
                continue;
            }
            requests += 1;
            let backup = (chosen.backup.cluster.as_str(), chosen.backup.id.as_str());
            match self.world.client.restore_collections(backup, sent).await {
                Ok(restoring) => {
                    let begun = Begun {
                        cluster: cluster.to_owned(),
                        job: restoring.job_id,
                        at,
                        password: None,
                    };
                    let note = RestoreNote::Begun {
                        item,
                        begun: begun.clone(),
                    };
                    self.journaled.write(note).await;
                    return Ok(begun);
                }
                Err(error) if error.may_have_happened() => {
                    warn!(error = error.word(), detail = %error, "the request for collections was not answered");
                    return Err(Asked::Unanswered(at, format!("{UNANSWERED} ({error})")));
                }
                Err(error) => {
                    self.journaled.write(RestoreNote::Refused { item }).await;
                    if error.is_a_no() || requests == MOST_REQUESTS {
                        return Err(Asked::Failed(error.word(), error.to_string()));
                    }
                    if !self.wait(pace.next()).await {
                        return Err(Asked::Waits(format!("not begun yet: {error}")));
                    }
                }
            }
        }
    }
}

/// Why nothing was begun.
enum Asked {
    Waits(String),
    Failed(&'static str, String),
    /// A request was sent then, and may have begun it.
    Unanswered(Timestamp, String),
}

/// The request for an item, and the cluster that it leads into. The default database is sent by its name, `default`: whether
/// it may be left out is only documented for backups (inferred, contract sections 3 and 6).
fn sent<'a>(chosen: &'a Chosen, item: Item<'_>) -> Option<(&'a str, SentCollectionRestore)> {
    let Way::Into {
        cluster, loaded, ..
    } = &chosen.way
    else {
        return None;
    };
    let db_collections = match item {
        Item::Collection(rename) => Some([SentRenames {
            db_name: rename.from.database.clone(),
            dest_db_name: rename.to.database.clone(),
            collections: [SentRename {
                collection_name: rename.from.name.clone(),
                dest_collection_name: rename.to.name.clone(),
                dest_collection_status: if *loaded { "LOADED" } else { "UNLOADED" },
            }],
        }]),
        _ => None,
    };
    let sent = SentCollectionRestore {
        dest_cluster_id: cluster.clone(),
        db_collections,
    };
    Some((cluster, sent))
}
