//! Whether a source needs no new copy, because nothing was written to it since its newest sealed backup.
//!
//! What it must never do: take the absence of a sign for proof. The service's own timestamps must place the last write,
//! and the creation, before the backup's slot by more than clocks may differ or step; schema and count must still be
//! equal; and a backup that is older than the plan allows is never enough.

use std::num::NonZeroU32;

use jiff::SignedDuration;

use crate::clock::Clock;
use crate::name::{BackupName, Class};
use crate::retention::{Backup, Evidence, good};
use crate::service::{Service, ServiceError};
use crate::slot::Slot;
use crate::verify::Observation;

/// How long before a backup's slot its source must have been written last. Clocks that agree may differ by five minutes, and
/// a service's own may have been behind by more while a write came, right after the copy, and be right again by now: the
/// write's time tells only where it was behind by less than this. What is written in the half hour before its slot is
/// copied once more, which costs little.
pub(crate) const STILL_FOR: SignedDuration = SignedDuration::from_mins(30);

/// When an unchanged source is not copied again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SkipUnchanged {
    /// After so many days of 24 hours it is copied all the same.
    pub max_age_days: NonZeroU32,
}

impl SkipUnchanged {
    /// A backup may stand for an unchanged source until it is so many days old; with zero, no day at all.
    #[must_use]
    pub fn until_days_old(days: u32) -> Option<Self> {
        NonZeroU32::new(days).map(|max_age_days| Self { max_age_days })
    }
}

/// The backup that holds what a new copy would hold.
#[derive(Clone, Debug)]
pub struct Covering {
    /// Its name.
    pub name: BackupName,
    /// What the service says of it.
    pub evidence: Evidence,
    /// Its rows, counted just now.
    pub rows: u64,
}

/// The newest backup of a source, if it is sealed and nothing was written to the source since. `now` is the source as it
/// was seen a moment ago, `known` are its backups in the target's listing, by slot.
pub async fn covering<S: Service>(
    target: &S,
    now: &Observation,
    known: &[Backup],
    slot: Slot,
    rule: SkipUnchanged,
    clock: &Clock,
) -> Result<Option<Covering>, ServiceError> {
    let scheduled = known
        .iter()
        .filter(|backup| backup.name.class() == Class::Scheduled);
    let Some(newest) = scheduled.max_by_key(|backup| backup.name.slot()) else {
        return Ok(None);
    };
    let since = newest.name.slot().instant();
    let age = slot.instant().duration_since(since);
    let most = SignedDuration::from_hours(24 * i64::from(rule.max_age_days.get()));
    // A dated ahead or this slot's own backup is the job's business.
    if age <= SignedDuration::ZERO || age >= most || !last_written_before(now, newest) {
        return Ok(None);
    }
    let Some(shown) = target.metadata(newest.name.namespace()).await? else {
        return Ok(None);
    };
    clock.compare(shown.answered_at);
    let evidence = Evidence {
        created_at: shown.created_at,
        sealed: shown.read_only,
    };
    let seen = Backup {
        name: newest.name.clone(),
        evidence: Some(evidence),
    };
    let sound = good(&seen, clock.now()) && shown.schema == now.metadata.schema && clock.agrees();
    if !sound || target.count(newest.name.namespace()).await? != Some(now.rows) {
        return Ok(None);
    }
    Ok(Some(Covering {
        name: seen.name,
        evidence,
        rows: now.rows,
    }))
}

/// Whether the service's timestamps prove that the source was neither written nor made anew since well before the
/// backup's slot. They have whole seconds, and another clock than the slot's, which may step: the margin is wider than all.
fn last_written_before(now: &Observation, backup: &Backup) -> bool {
    let slot = backup.name.slot().instant();
    let before = |instant: jiff::Timestamp| slot.duration_since(instant) > STILL_FOR;
    before(now.metadata.updated_at) && before(now.metadata.created_at)
}
