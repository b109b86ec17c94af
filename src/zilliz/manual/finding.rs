//! Finds in the list what a request has made that was not answered, and what else is being made of a cluster.
//!
//! What it must never do: take for this request's what stood there before it, or is known to be another one's.

use jiff::SignedDuration;

use super::{APART, Hand};
use crate::zilliz::client::ZillizError;
use crate::zilliz::notes::{Begun, Intent};
use crate::zilliz::run::describe;
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::Backup;

/// What a request has made began no later, however slow the service was to take it up, and however wrong the clock was by which
/// it was sent (inferred: the documentation says nothing of it).
const ARRIVES_WITHIN: SignedDuration = SignedDuration::from_hours(3);

impl<T: Transport> Hand<'_, T> {
    pub(super) fn intent(&self, listed: &[Backup]) -> Intent {
        let at = self.client.now();
        let could_be_it = |backup: &&Backup| {
            backup
                .create_time
                .is_none_or(|made| made + APART + APART >= at)
        };
        Intent {
            at,
            there: listed
                .iter()
                .filter(could_be_it)
                .map(|backup| backup.backup_id.clone())
                .collect(),
        }
    }

    /// What an unanswered request has made: the first original that was made by hand then, and was not there before. What is
    /// made hours later is another one's.
    pub(super) async fn find(
        &self,
        intent: &Intent,
        listed: &[Backup],
    ) -> Result<Option<Begun>, ZillizError> {
        let kind = self.wanted().backup_type;
        let arrives = intent.at - APART..=intent.at + ARRIVES_WITHIN;
        let could_be_it = |backup: &&Backup| {
            backup.creation_method.as_deref() == Some("MANUAL")
                && backup.backup_type.as_deref() == Some(kind)
                && backup.create_time.is_some_and(|at| arrives.contains(&at))
                && !intent.there.contains(&backup.backup_id)
                && !self.others.ids.contains(&backup.backup_id)
        };
        let mut candidates: Vec<&Backup> = listed.iter().filter(could_be_it).collect();
        candidates.sort_by_key(|backup| backup.create_time);
        for candidate in candidates {
            let described = describe(self.client, &self.cluster.cluster_id, candidate).await?;
            if described.is_some_and(|backup| backup.region_id.as_deref() == Some(self.home())) {
                return Ok(Some(Begun {
                    backup: candidate.backup_id.clone(),
                    job: None,
                    at: candidate.create_time.unwrap_or(intent.at),
                    adopted: true,
                }));
            }
        }
        Ok(None)
    }

    /// A backup of the cluster that is being made, whoever had it made. Copies hold nobody up (inferred).
    pub(super) async fn busy(&self, listed: &[Backup]) -> Result<Option<Backup>, ZillizError> {
        for backup in listed
            .iter()
            .filter(|backup| backup.status.as_deref() == Some("CREATING"))
        {
            let described = describe(self.client, &self.cluster.cluster_id, backup).await?;
            if described.is_some_and(|backup| backup.region_id.as_deref() == Some(self.home())) {
                return Ok(Some(backup.clone()));
            }
        }
        Ok(None)
    }

    pub(super) async fn is_busy_now(&self) -> Result<bool, ZillizError> {
        let listed = self.client.backups(&self.cluster.cluster_id).await?;
        Ok(self.busy(&listed).await?.is_some())
    }
}
