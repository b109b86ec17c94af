//! Which backup of a source is restored for a point in time. Pure: no network, no clock.
//!
//! Each source is chosen for on its own, so that a run that sealed only some of its backups never makes a restore that
//! brings back only some of the sources. A sealed backup always wins over one that was never verified; only a source that
//! has none is restored from the newest of the others, and that is said.

use jiff::Timestamp;

use crate::name::BackupName;
use crate::retention::{Backup, Evidence};
use crate::slot::{CLOCK_MARGIN, LATEST_START};
use crate::witness::Testimony;

/// What can be said from the evidence so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The service must be asked about the backup at this place first.
    Ask(usize),
    /// This one.
    Take(Taken),
    /// None.
    Nothing(Lacking),
}

/// The point in time that is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// No backup of a later slot is taken.
    slot: Timestamp,
    /// Nor one that was made later, because it may hold what was written in between.
    made: Timestamp,
}

impl Point {
    /// The newest there is. What is dated later than `now` says nothing about any time.
    #[must_use]
    pub fn newest(now: Timestamp) -> Self {
        Self {
            slot: now,
            made: Timestamp::MAX,
        }
    }

    /// The state at this instant, or at the newest if that lies before it.
    #[must_use]
    pub fn at(instant: Timestamp, now: Timestamp) -> Self {
        Self {
            slot: instant.min(now),
            made: instant,
        }
    }

    /// Whether a backup may hold writes of later than this. Whoever gives a backup's own slot means that backup, though
    /// it was made a moment later.
    fn is_before(self, backup: &Backup, evidence: Evidence) -> bool {
        evidence.created_at > self.made && backup.name.slot().instant() != self.made
    }
}

/// A backup that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name.
    pub backup: BackupName,
    /// Whether it was verified when it was made.
    pub sealed: bool,
    /// What the journal says of it.
    pub testimony: Testimony,
    /// Newer ones, no later than the point in time, that were never verified and were passed over.
    pub passed_over: u64,
    /// Newer ones that were passed over because they were made after the point in time, though their slot is not.
    pub made_later: u64,
}

/// Why a source can't be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// It has no backup at all.
    #[error(
        "it has no backup here; `lifeboat list` shows what there is, and --target (in an event `target`) chooses among the plan's targets"
    )]
    NoBackup,
    /// All its backups are newer than the point in time.
    #[error("its oldest backup is of {oldest}, which is later; ask for that time or a later one")]
    AllLater {
        /// The oldest one's slot.
        oldest: Timestamp,
    },
    /// All its backups were made after the point in time.
    #[error(
        "its oldest backup that could be meant, of {slot}, was made at {made}, which is later than the time asked for, so it may hold later writes; give {slot} itself to have it restored"
    )]
    MadeLater {
        /// The oldest one's slot.
        slot: Timestamp,
        /// When the service created it.
        made: Timestamp,
    },
    /// The only ones are of a run that has not ended.
    #[error(
        "its only backup by then is still being made, or was never compared by the run that made it; wait until that run has ended (`lifeboat jobs`)"
    )]
    BeingMade,
    /// Names like backups, which the service created when no backup of that name was made.
    #[error(
        "what is called like its backups was created at times that the names can't explain; look what it is, and copy it by hand"
    )]
    NoneOfOurs,
}

/// Chooses among the backups of one source, oldest first.
#[must_use]
pub fn choose(backups: &[Backup], point: Point) -> Choice {
    let by_then = backups
        .iter()
        .enumerate()
        .filter(|(_, backup)| backup.name.slot().instant() <= point.slot);
    let mut unsealed: Option<&Backup> = None;
    let (mut passed_over, mut made_later) = (0, 0);
    let mut oldest_made_later = None;
    let mut any = false;
    for (place, backup) in by_then.rev() {
        any = true;
        let Some(evidence) = backup.evidence else {
            return Choice::Ask(place);
        };
        if !explains(backup, evidence) {
            continue;
        }
        if point.is_before(backup, evidence) {
            made_later += 1;
            oldest_made_later = Some(Lacking::MadeLater {
                slot: backup.name.slot().instant(),
                made: evidence.created_at,
            });
            continue;
        }
        if evidence.sealed {
            return take(backup, true, (passed_over, made_later));
        }
        unsealed = unsealed.or(Some(backup));
        passed_over += 1;
    }
    if let Some(backup) = unsealed {
        return take(backup, false, (0, made_later));
    }
    Choice::Nothing(match (oldest_made_later, any, backups.first()) {
        (Some(made_later), ..) => made_later,
        (None, true, _) => Lacking::NoneOfOurs,
        (None, false, Some(oldest)) => Lacking::AllLater {
            oldest: oldest.name.slot().instant(),
        },
        (None, false, None) => Lacking::NoBackup,
    })
}

fn take(backup: &Backup, sealed: bool, (passed_over, made_later): (u64, u64)) -> Choice {
    Choice::Take(Taken {
        backup: backup.name.clone(),
        sealed,
        testimony: Testimony::default(),
        passed_over,
        made_later,
    })
}

/// Whether a namespace was created when a backup of its name was made.
fn explains(backup: &Backup, evidence: Evidence) -> bool {
    let lag = evidence
        .created_at
        .duration_since(backup.name.slot().instant());
    (-CLOCK_MARGIN..=LATEST_START).contains(&lag)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::name::BackupPrefix;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A backup of that day, created a minute after its slot.
    fn backup(day: &str, sealed: Option<bool>) -> Backup {
        let slot = at(&format!("2026-11-{day}T02:00:00Z"));
        let prefix = BackupPrefix::parse("backup-").unwrap();
        let name = format!("backup-acme-{:010}", slot.as_second());
        Backup {
            name: BackupName::parse(&prefix, &name).unwrap(),
            evidence: sealed.map(|sealed| Evidence {
                created_at: slot + SignedDuration::from_mins(1),
                sealed,
            }),
        }
    }

    fn taken(choice: Choice) -> (String, bool, u64) {
        let Choice::Take(taken) = choice else {
            panic!("{choice:?}")
        };
        (
            taken.backup.slot().instant().strftime("%d").to_string(),
            taken.sealed,
            taken.passed_over,
        )
    }

    fn newest_by(time: &str) -> Point {
        Point::at(at(time), Timestamp::MAX)
    }

    const LATER: &str = "2026-12-01T00:00:00Z";

    #[test]
    fn the_newest_sealed_one_at_or_before_the_time_is_taken() {
        let backups = ["01", "02", "03"].map(|day| backup(day, Some(true)));
        for (time, day) in [
            (LATER, "03"),
            ("2026-11-03T02:00:00Z", "03"),
            ("2026-11-03T01:59:59Z", "02"),
            ("2026-11-01T02:00:00Z", "01"),
        ] {
            assert_eq!(
                taken(choose(&backups, newest_by(time))),
                (day.into(), true, 0)
            );
        }
        assert_eq!(
            choose(&backups, newest_by("2026-11-01T01:59:59Z")),
            Choice::Nothing(Lacking::AllLater {
                oldest: at("2026-11-01T02:00:00Z")
            })
        );
        assert_eq!(
            choose(&[], newest_by(LATER)),
            Choice::Nothing(Lacking::NoBackup)
        );
    }

    #[test]
    fn an_unsealed_one_is_passed_over_for_an_older_sealed_one_and_told() {
        let backups = [
            backup("01", Some(true)),
            backup("02", Some(false)),
            backup("03", Some(false)),
        ];
        assert_eq!(
            taken(choose(&backups, newest_by(LATER))),
            ("01".into(), true, 2)
        );
    }

    #[test]
    fn where_none_is_sealed_the_newest_is_taken_and_told() {
        let backups = [backup("01", Some(false)), backup("02", Some(false))];
        assert_eq!(
            taken(choose(&backups, newest_by(LATER))),
            ("02".into(), false, 0)
        );
    }

    #[test]
    fn no_more_is_asked_than_must_be_known() {
        let mut backups = [
            backup("01", None),
            backup("02", None),
            backup("03", Some(false)),
        ];
        assert_eq!(choose(&backups, newest_by(LATER)), Choice::Ask(1));
        backups[1] = backup("02", Some(true));
        assert_eq!(taken(choose(&backups, newest_by(LATER))).0, "02");
    }

    #[test]
    fn a_namespace_that_only_bears_the_name_is_never_restored() {
        let mut stray = backup("05", Some(true));
        stray.evidence = Some(Evidence {
            created_at: at("2026-11-20T00:00:00Z"),
            sealed: true,
        });
        assert_eq!(
            choose(std::slice::from_ref(&stray), newest_by(LATER)),
            Choice::Nothing(Lacking::NoneOfOurs)
        );
        let backups = [backup("01", Some(true)), stray];
        assert_eq!(taken(choose(&backups, newest_by(LATER))).0, "01");
    }

    #[test]
    fn what_was_made_after_the_time_may_hold_later_writes_and_is_passed_over() {
        let mut late = backup("03", Some(true));
        late.evidence = Some(Evidence {
            created_at: at("2026-11-03T08:00:00Z"),
            sealed: true,
        });
        let backups = [backup("02", Some(true)), late.clone()];
        for (time, day, made_later) in [
            ("2026-11-03T07:59:59Z", "02", 1),
            ("2026-11-03T08:00:00Z", "03", 0),
            ("2026-11-03T02:00:00Z", "03", 0), // its own slot
            ("2026-11-03T02:00:01Z", "02", 1),
        ] {
            let Choice::Take(taken) = choose(&backups, newest_by(time)) else {
                panic!("nothing at {time}")
            };
            let slot = taken.backup.slot().instant().strftime("%d").to_string();
            assert_eq!(
                (slot.as_str(), taken.made_later),
                (day, made_later),
                "{time}"
            );
        }
        let newest = choose(&backups, Point::newest(at("2026-11-03T07:00:00Z")));
        assert_eq!(taken(newest).0, "03", "nobody asked for an earlier time");
        let only = choose(
            std::slice::from_ref(&late),
            newest_by("2026-11-03T05:00:00Z"),
        );
        let Choice::Nothing(lacking @ Lacking::MadeLater { .. }) = only else {
            panic!("{only:?}")
        };
        let said = lacking.to_string();
        assert!(
            said.contains("2026-11-03T02:00:00Z") && said.contains("2026-11-03T08:00:00Z"),
            "{said}"
        );
    }
}
