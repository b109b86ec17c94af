//! Deletes backups that a person named in full, one by one, each with a certificate of its own.
//!
//! What it must never do: delete anything that was not named exactly, the newest sealed backup of a source, one that is
//! held or still being made, or anything while the listing, the clocks, the lease or the journal are in doubt.

use tokio::time::timeout_at;
use tracing::info;

use super::{Run, Side};
use crate::certificate::{self, DeletionCertificate, DiscardClaim, Refusal, Witness};
use crate::journal::{Holds, leased};
use crate::name::{BackupName, Class, Namespace};
use crate::service::{Service, ServiceError, decided_anew};

/// What became of a backup that was to be discarded.
enum Discarded {
    /// It is gone, or a dry run found that it might go.
    Yes,
    /// It stays.
    No(&'static str, String),
    /// Its DELETE was not answered, or refused.
    Unconfirmed(ServiceError),
}

impl Discarded {
    fn put_off(&self) -> Option<&ServiceError> {
        match self {
            Self::Unconfirmed(error) => Some(error),
            Self::Yes | Self::No(..) => None,
        }
    }
}

impl<S: Service> Run<'_, '_, S> {
    /// Deletes what was named, or in a dry run says whether it could.
    pub(super) async fn discard(&mut self) {
        let (_, sides) = self.list_sides(&[Class::Scheduled, Class::Manual]).await;
        for (side, name) in self.pick(&sides) {
            let decide = async || self.discard_one(side, &name).await;
            let discarded = decided_anew(decide, Discarded::put_off);
            let discarded = timeout_at(self.until, discarded).await;
            let discarded = discarded.unwrap_or_else(|_| {
                let message = "time ran out during the deletion; look whether it stands";
                Ok(Discarded::No("out_of_time", message.into()))
            });
            match discarded {
                Ok(Discarded::Yes) => self.report.add_discarded(side.at, &name),
                Ok(Discarded::No(word, message)) => {
                    self.fail_backup_at(side.at, &name, word, message);
                }
                Ok(Discarded::Unconfirmed(error)) | Err(error) => {
                    let message =
                        format!("the deletion was not confirmed; look whether it stands: {error}");
                    self.fail_backup_at(side.at, &name, error.word(), message);
                }
            }
        }
    }

    async fn discard_one(
        &self,
        side: &Side<'_, S>,
        name: &BackupName,
    ) -> Result<Discarded, ServiceError> {
        let refused =
            |why: String| Discarded::No("deletion_refused", format!("not deleted: {why}"));
        if self.report.deletion_is_stopped(side.at) {
            return Ok(refused(
                "the listing or the journal is in doubt, as said above".into(),
            ));
        }
        if self.is_being_made(name).await {
            return Ok(refused("its run is still open in the journal, or the journal can't be read, so it may still be copied".into()));
        }
        let certificate = match self.certify(side, name).await? {
            Ok(certificate) => certificate,
            Err(refusal) => return Ok(refused(refusal.to_string())),
        };
        if self.request.dry_run {
            return Ok(Discarded::Yes);
        }
        if let Err(error) = side.service.delete(&certificate).await {
            return Ok(Discarded::Unconfirmed(error));
        }
        if side.service.metadata(name.namespace()).await?.is_some() {
            let message = "the service answered the deletion and still shows the backup";
            return Ok(Discarded::No("still_there", message.into()));
        }
        info!(job = name.source().as_str(), backup = %name, region = side.service.region(), "discarded by hand");
        Ok(Discarded::Yes)
    }

    /// Reads the backup and all others of its source once more, and asks the certificate's own opinion.
    async fn certify(
        &self,
        side: &Side<'_, S>,
        name: &BackupName,
    ) -> Result<Result<DeletionCertificate, Refusal>, ServiceError> {
        let Some(inventory) = &side.inventory else {
            return Ok(Err(Refusal::NotABackupName));
        };
        let Some(candidate) = self.witness(side, name.namespace()).await? else {
            return Ok(Err(Refusal::NotNamed));
        };
        // While a source is frozen, a newer copy's flag may be one that it was born with.
        if candidate.read_only
            && !self.flags_are_true(side, name.source()).await?
            && self.lives(name).await?
        {
            return Ok(Err(Refusal::NewestUnsealed));
        }
        let mut siblings = Vec::new();
        for sibling in side.known(name.source()) {
            if sibling.name != *name {
                siblings.extend(self.witness(side, sibling.name.namespace()).await?);
            }
        }
        let holds = match self.world.journal {
            Some(journal) => journal.holds(self.clock.now()).await,
            None => Ok(Holds::default()),
        };
        let Ok(holds) = holds else {
            return Ok(Err(Refusal::HoldsUnread));
        };
        if holds
            .holder(side.service.region(), &candidate.namespace)
            .is_some()
        {
            return Ok(Err(Refusal::BeingRestored));
        }
        let held = &side.target.retention.hold;
        let (now, latest) = (self.clock.now(), self.clock.latest());
        let lease = leased(self.lease.as_deref(), now, latest).await;
        let certified = certificate::certify_discard(&DiscardClaim {
            named: name.namespace().as_str(),
            candidate: &candidate,
            siblings: &siblings,
            prefix: side.target.prefix.as_str(),
            selects: &|source| self.world.plan.source.selectors.selects(source),
            held: &|name| held.contains(name),
            lease,
            listing: inventory.complete(),
            now: self.clock.now(),
        });
        Ok(certified.and_then(|certificate| {
            if self.clock.agrees() {
                Ok(certificate)
            } else {
                Err(Refusal::ClocksDisagree)
            }
        }))
    }

    async fn lives(&self, name: &BackupName) -> Result<bool, ServiceError> {
        Ok(self.world.source.metadata(name.source()).await?.is_some())
    }

    async fn witness(
        &self,
        side: &Side<'_, S>,
        namespace: &Namespace,
    ) -> Result<Option<Witness>, ServiceError> {
        let metadata = side.service.metadata(namespace).await?;
        Ok(metadata.map(|metadata| {
            self.clock.compare(metadata.answered_at);
            Witness {
                namespace: namespace.to_string(),
                created_at: metadata.created_at,
                read_only: metadata.read_only,
                answered_at: metadata.answered_at,
            }
        }))
    }
}
