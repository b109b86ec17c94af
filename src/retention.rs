//! Which backups are due, and why the others stay. Pure: no network, no clock, no side effect.
//!
//! Rules only ever keep. A backup is due when *no* reason to keep it is left, so adding a rule never deletes more, and
//! what is unknown keeps. [`plan`] looks at one source's backups in one target and answers for every one of them with
//! all its reasons; `certificate` checks each deletion again without any of this code.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::name::{BackupName, Class};
use crate::slot::{CLOCK_MARGIN, LATEST_START};

/// What a target's retention asks to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Recovery window in days of 24 hours; `None` is no window.
    pub days: Option<NonZeroU32>,
    /// Calendar periods of which the newest sealed backup stays.
    pub periods: Periods,
    /// Where a calendar period begins and ends.
    pub zone: TimeZone,
    /// The newest sealed backups of every source that stay whatever their age, also when the source is gone.
    pub min: NonZeroU32,
    /// Names of backups that stay until they are taken off this list.
    pub hold: BTreeSet<String>,
}

/// How many calendar periods, the present one included, keep their newest sealed backup; zero is no rule.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Periods {
    /// Days.
    pub daily: u32,
    /// Weeks from Monday to Sunday (ISO 8601).
    pub weekly: u32,
    /// Months.
    pub monthly: u32,
    /// Years.
    pub yearly: u32,
}

impl Policy {
    /// The instant before which a backup must have been superseded to be due; `None` when nothing ever is. It lies
    /// the clock margin before the window itself, so that clocks that agree can't disagree about what is due.
    fn window_start(&self, now: Timestamp) -> Option<Timestamp> {
        let window = SignedDuration::from_hours(24 * i64::from(self.days?.get()));
        now.checked_sub(window + CLOCK_MARGIN).ok()
    }
}

/// What the service itself says of a backup, from its metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// When the service created the namespace.
    pub created_at: Timestamp,
    /// Whether it is read-only, which only a verified backup becomes.
    pub sealed: bool,
}

/// A namespace whose name reads as a backup of one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Its name.
    pub name: BackupName,
    /// What the service says of it; `None` while nobody has asked.
    pub evidence: Option<Evidence>,
}

/// Why a backup stays.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Keep {
    /// The plan has no recovery window.
    NoRetention,
    /// Made by hand; kept for ever.
    Manual,
    /// Its slot lies in the future: some clock was wrong, so its age can't be judged.
    FutureSlot,
    /// The service created it at a time that its name can't explain: it is not one of ours.
    NotOurs {
        /// When the service created it.
        created_at: Timestamp,
    },
    /// Never verified, so it may be anything, and counts for nothing.
    Unsealed,
    /// Nobody asked the service about it, because its name alone shows that it is not due.
    NotAsked,
    /// One of the newest sealed backups of its source.
    Floor {
        /// How many of them stay.
        min: NonZeroU32,
    },
    /// Needed to return to an instant inside the recovery window.
    Window {
        /// When it leaves the window, if a newer sealed backup has superseded it.
        until: Option<Timestamp>,
    },
    /// The newest backup of its source is not known to be sealed, so nothing of that source is deleted.
    NewestUnsealed,
    /// The source no longer exists. Without it no new backup can take an old one's place, so all of them stay.
    SourceGone,
    /// A dry run: the run would make and seal it.
    Planned,
    /// This run did not end with a sealed backup of the source, so nothing of that source is deleted.
    JobNotSealed,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRetention => f.write_str("the plan keeps everything"),
            Self::Manual => f.write_str("made by hand, kept for ever"),
            Self::FutureSlot => f.write_str("its slot lies in the future"),
            Self::NotOurs { created_at } => write!(
                f,
                "not ours: created {created_at:.0}, which its name can't explain"
            ),
            Self::Unsealed => f.write_str("never verified (unsealed)"),
            Self::NotAsked => f.write_str("by its name alone, inside the recovery window"),
            Self::Floor { min } => write!(f, "among the {min} newest sealed"),
            Self::Window { until: Some(until) } => {
                write!(f, "inside the recovery window until {until:.0}")
            }
            Self::Window { until: None } => {
                f.write_str("inside the recovery window: nothing has superseded it")
            }
            Self::NewestUnsealed => {
                f.write_str("the source's newest backup is not known to be sealed")
            }
            Self::SourceGone => f.write_str("its source no longer exists"),
            Self::Planned => f.write_str("to be made by this run"),
            Self::JobNotSealed => f.write_str("this run did not seal a backup of the source"),
        }
    }
}

/// The newer sealed backup that made one superfluous.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Superseded {
    /// Name of the newer sealed backup.
    pub by: String,
    /// When it existed: the later of its slot and its creation.
    pub at: Timestamp,
}

/// What happens to one backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It stays, for every reason listed (at least one).
    Keep(Vec<Keep>),
    /// No rule keeps it.
    Due(Superseded),
}

/// One backup and what happens to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The backup.
    pub name: BackupName,
    /// Keep or due, with the reasons.
    pub verdict: Verdict,
}

/// Whether a backup is known to be ours and verified. Only such backups supersede others or count for a floor.
#[must_use]
pub fn good(backup: &Backup, now: Timestamp) -> bool {
    backup.evidence.is_some_and(|evidence| evidence.sealed) && disowned(backup, now).is_none()
}

/// Why a backup counts for nothing here: by hand, dated in the future, or created when its name can't explain.
fn disowned(backup: &Backup, now: Timestamp) -> Option<Keep> {
    let slot = backup.name.slot().instant();
    if backup.name.class() == Class::Manual {
        return Some(Keep::Manual);
    }
    if slot.duration_since(now) > CLOCK_MARGIN {
        return Some(Keep::FutureSlot);
    }
    let created_at = backup.evidence?.created_at;
    let lag = created_at.duration_since(slot);
    let explained = (-CLOCK_MARGIN..=LATEST_START).contains(&lag);
    (!explained).then_some(Keep::NotOurs { created_at })
}

/// The later of a backup's slot and its creation: before it, nobody could have restored from this backup.
fn usable_since(backup: &Backup) -> Timestamp {
    let slot = backup.name.slot().instant();
    backup
        .evidence
        .map_or(slot, |evidence| slot.max(evidence.created_at))
}

/// Decides about every backup of one source in one target. `backups` are sorted by slot, oldest first.
#[must_use]
pub fn plan(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<Decision> {
    let newest_unsealed = newest_owned(backups, now).is_some_and(|newest| !good(newest, now));
    let decide = |(index, backup): (usize, &Backup)| {
        let newer = backups.get(index + 1..).unwrap_or_default();
        let reasons = reasons(backup, newer, policy, now, newest_unsealed);
        let successor = newer.iter().find(|newer| good(newer, now));
        let verdict = match successor {
            Some(by) if reasons.is_empty() => Verdict::Due(Superseded {
                by: by.name.to_string(),
                at: usable_since(by),
            }),
            _ => Verdict::Keep(reasons),
        };
        Decision {
            name: backup.name.clone(),
            verdict,
        }
    };
    backups.iter().enumerate().map(decide).collect()
}

/// What of the present backups falls due within `days` if nothing else changes, and in how many days.
#[must_use]
pub fn falls_due(
    backups: &[Backup],
    policy: &Policy,
    now: Timestamp,
    days: u32,
) -> Vec<(BackupName, u32)> {
    let _ = (backups, policy, now, days);
    Vec::new()
}

/// Every reason to keep one backup, given all newer ones of its source.
fn reasons(
    backup: &Backup,
    newer: &[Backup],
    policy: &Policy,
    now: Timestamp,
    newest_unsealed: bool,
) -> Vec<Keep> {
    let mut reasons = Vec::new();
    reasons.extend(disowned(backup, now));
    match backup.evidence {
        None => reasons.push(Keep::NotAsked),
        Some(evidence) if !evidence.sealed => reasons.push(Keep::Unsealed),
        Some(_) => {}
    }
    let sealed_newer = newer.iter().filter(|newer| good(newer, now)).count();
    if u32::try_from(sealed_newer).is_ok_and(|newer| newer < policy.min.get()) && good(backup, now)
    {
        reasons.push(Keep::Floor { min: policy.min });
    }
    match policy.window_start(now) {
        None => reasons.push(Keep::NoRetention),
        Some(start) => match newer
            .iter()
            .find(|newer| good(newer, now))
            .map(usable_since)
        {
            Some(superseded) if superseded < start => {}
            Some(superseded) => reasons.push(Keep::Window {
                until: superseded.checked_add(now.duration_since(start)).ok(),
            }),
            None => reasons.push(Keep::Window { until: None }),
        },
    }
    if newest_unsealed {
        reasons.push(Keep::NewestUnsealed);
    }
    reasons
}

/// The newest backup that is ours as far as we know; what is set aside can't block or protect a source.
fn newest_owned(backups: &[Backup], now: Timestamp) -> Option<&Backup> {
    backups
        .iter()
        .rev()
        .find(|backup| disowned(backup, now).is_none())
}

/// Which backups the service must be asked about before [`plan`] can call any of them due.
///
/// Ask, fill in the evidence, and call again until nothing is left: a source in its steady state costs two questions,
/// not one per backup. Deciding on this evidence deletes exactly what deciding on everybody's would.
#[must_use]
pub fn unasked(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<usize> {
    let Some(start) = policy.window_start(now) else {
        return Vec::new();
    };
    let mut ask = Vec::new();
    for (index, backup) in backups.iter().enumerate() {
        let newer = backups.get(index + 1..).unwrap_or_default();
        let may_be_superseded = newer
            .first()
            .is_some_and(|next| next.name.slot().instant() < start);
        if !may_be_superseded || disowned(backup, now).is_some() {
            continue;
        }
        match backup.evidence {
            None => ask.push(index),
            Some(evidence) if !evidence.sealed => {}
            Some(_) => {
                ask.extend(successor_unasked(newer, start, now).map(|at| index + 1 + at));
                ask.extend(floor_unasked(newer, policy.min, now).map(|at| index + 1 + at));
                ask.extend(newest_unasked(backups, now));
            }
        }
    }
    ask.sort_unstable();
    ask.dedup();
    ask
}

/// The oldest newer backup that may be the successor, if nobody asked about it and its slot is old enough to matter.
fn successor_unasked(newer: &[Backup], start: Timestamp, now: Timestamp) -> Option<usize> {
    let at = newer.iter().position(|backup| {
        good(backup, now) || (backup.evidence.is_none() && disowned(backup, now).is_none())
    })?;
    let found = newer.get(at)?;
    (found.evidence.is_none() && found.name.slot().instant() < start).then_some(at)
}

/// The newest backup nobody asked about, while fewer than `min` newer ones are known to be good.
fn floor_unasked(newer: &[Backup], min: NonZeroU32, now: Timestamp) -> Option<usize> {
    let known = newer.iter().filter(|backup| good(backup, now)).count();
    if u32::try_from(known).is_ok_and(|known| known >= min.get()) {
        return None;
    }
    newer
        .iter()
        .rposition(|backup| backup.evidence.is_none() && disowned(backup, now).is_none())
}

/// The source's newest backup, if nobody asked about it.
fn newest_unasked(backups: &[Backup], now: Timestamp) -> Option<usize> {
    let at = backups
        .iter()
        .rposition(|backup| disowned(backup, now).is_none())?;
    backups.get(at)?.evidence.is_none().then_some(at)
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
