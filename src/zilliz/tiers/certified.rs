//! The right to delete one backup of a cluster: the certificate, bound to the id that its candidate was read by.
//!
//! What it must never do: let a certificate for one backup be used for another. A [`Deletable`] is made here alone, from
//! what the service said of this very id a moment ago, and the client's DELETE takes nothing else.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::certificate::{self, Claim, DeletionCertificate, Lease, Refusal, Witness};
use crate::listing::ReadToTheEnd;
use crate::plan::Tiers;
use crate::service::Region;
use crate::zilliz::client::{Client, ZillizError};
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::Backup;

/// What the names begin with that planner and certificate know tiers by. The service knows nothing of them.
pub(super) const PREFIX: &str = "tier-";

/// The right to delete one backup, once.
#[derive(Debug)]
pub struct Deletable {
    certificate: DeletionCertificate,
    cluster: String,
    backup: String,
}

impl Deletable {
    /// Behind `/v2/`, one segment each.
    #[must_use]
    pub fn path(&self) -> [&str; 4] {
        ["clusters", &self.cluster, "backups", &self.backup]
    }

    /// What its certificate is for.
    #[must_use]
    pub fn name(&self) -> &str {
        self.certificate.namespace()
    }
}

/// Whose a tier is and where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The cluster's id.
    pub(super) cluster: &'a str,
    /// The region.
    pub(super) region: &'a Region,
}

impl Place<'_> {
    /// What planner and certificate call the source of tiers here: two clusters or regions have nothing to do with each
    /// other.
    pub(super) fn source(self) -> String {
        format!("{}.{}", self.cluster, self.region)
    }
}

/// One tier as the service described it just now.
pub(super) struct Seen {
    witness: Witness,
    backup: String,
}

impl Seen {
    /// Reads it by its id; `None` when it is gone, or the service does not say when it was made.
    pub(super) async fn read<T: Transport>(
        client: &Client<T>,
        place: Place<'_>,
        name: &str,
        backup: &str,
    ) -> Result<Option<Self>, ZillizError> {
        let described = client.backup_dated(place.cluster, backup).await?;
        let Some((described, answered_at)) = described else {
            return Ok(None);
        };
        let Some(created_at) = described.create_time else {
            return Ok(None);
        };
        let witness = Witness {
            namespace: name.to_owned(),
            created_at,
            read_only: is_good(&described, place, backup),
            answered_at,
        };
        Ok(Some(Self {
            witness,
            backup: backup.to_owned(),
        }))
    }
}

/// Whether a backup is what a tier is, stands in its region, and can be restored: what a seal is to a namespace.
fn is_good(described: &Backup, place: Place<'_>, backup: &str) -> bool {
    described.backup_id == backup
        && described.cluster_id.as_deref() == Some(place.cluster)
        && described.region_id.as_ref() == Some(place.region)
        && described.status.as_deref() == Some("AVAILABLE")
        && described.creation_method.as_deref() == Some("MANUAL")
        && described.backup_type.as_deref() == Some("CLUSTER")
}

/// What is claimed of a tier besides what the service says of it.
pub(super) struct Circumstances<'a> {
    pub(super) place: Place<'a>,
    pub(super) rules: &'a Tiers,
    pub(super) zone: &'a TimeZone,
    /// Whether the plan selects the cluster, and has the region.
    pub(super) is_of_the_plan: bool,
    /// Whether a restore reads it; `None` when that could not be read.
    pub(super) being_restored: Option<bool>,
    pub(super) lease: Lease,
    pub(super) listing: &'a ReadToTheEnd,
    pub(super) now: Timestamp,
}

/// Has the certificate's own rules checked.
pub(super) fn certify(
    candidate: &Seen,
    siblings: &[Seen],
    around: &Circumstances<'_>,
) -> Result<Deletable, Refusal> {
    let siblings: Vec<Witness> = siblings.iter().map(|seen| seen.witness.clone()).collect();
    let source = around.place.source();
    let periods = around.rules.periods;
    let certificate = certificate::certify(&Claim {
        candidate: &candidate.witness,
        siblings: &siblings,
        prefix: PREFIX,
        selects: &|of| around.is_of_the_plan && of == source,
        window_days: 0,
        daily: periods.daily,
        weekly: periods.weekly,
        monthly: periods.monthly,
        yearly: periods.yearly,
        zone: around.zone,
        min: around.rules.min.get(),
        held: &|_| around.rules.hold.contains(&candidate.backup),
        being_restored: around.being_restored,
        lease: around.lease,
        listing: around.listing,
        now: around.now,
    })?;
    Ok(Deletable {
        certificate,
        cluster: around.place.cluster.to_owned(),
        backup: candidate.backup.clone(),
    })
}
