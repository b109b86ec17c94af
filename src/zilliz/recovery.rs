//! What the backups that stand say about a cluster: what could be restored in each region, and whether that is enough.
//!
//! Pure, over what was read. A region without a recent backup is a failure, never "nothing to do".

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::policy::WINDOW;
use super::wire::Backup;
use crate::plan::{ClusterPlan, longest_gap_days};
use crate::service::Region;

/// A backup of the whole cluster, whose region was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub id: String,
    /// Where it lies.
    pub region: Region,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it can be restored.
    pub available: bool,
    /// Whether the policy made it.
    pub scheduled: bool,
    /// When the service deletes it.
    pub expires_at: Option<Timestamp>,
}

impl Placed {
    /// A described backup, if it is one of a whole cluster that is there or being made, and tells all of this.
    #[must_use]
    pub fn of(backup: &Backup) -> Option<Self> {
        let status = backup.status.as_deref()?;
        if backup.backup_type.as_deref() != Some("CLUSTER") || status == "DELETED" {
            return None;
        }
        Some(Self {
            id: backup.backup_id.clone(),
            region: backup.region_id.clone()?,
            created_at: backup.create_time?,
            available: status == "AVAILABLE",
            scheduled: backup.creation_method.as_deref() == Some("AUTO"),
            expires_at: backup.expire_time,
        })
    }
}

/// How well a cluster is protected in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// The policy's newest backup there is as young as the plan asks for.
    Protected,
    /// There is none yet, and the first is being made.
    InMaking,
    /// There is none.
    Missing,
    /// The newest is older than the plan allows.
    Stale,
    /// The newest backup was not copied there.
    CopyMissing,
    /// The backups could not be read.
    Unknown,
}

impl Protection {
    /// The word that reports and the journal use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::InMaking => "in_making",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::CopyMissing => "copy_missing",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of a cluster's backups in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The region.
    pub region: Region,
    /// How good that is.
    pub protection: Protection,
    /// The newest backup that can be restored there, whoever had it made.
    pub newest: Option<Placed>,
    /// What is wrong and what to do; `None` when nothing is.
    pub message: Option<String>,
}

/// How old the policy's newest backup in a region may be: from one window to the end of the next, and the grace.
#[must_use]
pub fn allowed_age(plan: &ClusterPlan) -> SignedDuration {
    let gap = i64::from(longest_gap_days(&plan.weekdays)) * 24;
    SignedDuration::from_hours(gap + i64::from(plan.grace_hours)) + WINDOW
}

/// Judges one cluster in its own region `home` and in every target. `just_enabled` says that this run has switched the
/// policy on, which makes a first backup at once.
#[must_use]
pub fn judge(
    plan: &ClusterPlan,
    home: &str,
    backups: &[Placed],
    now: Timestamp,
    just_enabled: bool,
) -> Vec<Standing> {
    let targets = plan.targets.iter().map(|target| target.region.as_str());
    let regions = std::iter::once(home).chain(targets);
    regions
        .map(|region| {
            let judging = Judging {
                plan,
                home,
                backups,
                now,
                just_enabled,
            };
            judging.region(region)
        })
        .collect()
}

struct Judging<'a> {
    plan: &'a ClusterPlan,
    home: &'a str,
    backups: &'a [Placed],
    now: Timestamp,
    just_enabled: bool,
}

impl Judging<'_> {
    fn region(&self, region: &str) -> Standing {
        let newest = newest(
            self.backups
                .iter()
                .filter(|backup| backup.region == region && backup.available),
        );
        let (protection, message) = self.protection(region);
        Standing {
            region: region.to_owned(),
            protection,
            newest: newest.cloned(),
            message,
        }
    }

    /// Only what the policy made counts: a backup by hand must not hide that the schedule no longer works.
    fn protection(&self, region: &str) -> (Protection, Option<String>) {
        let scheduled = || self.backups.iter().filter(|backup| backup.scheduled);
        let here = newest(scheduled().filter(|backup| backup.region == region && backup.available));
        let Some(here) = here else {
            return self.without_any(region);
        };
        let (age, allowed) = (
            self.now.duration_since(here.created_at),
            allowed_age(self.plan),
        );
        if age > allowed {
            let message = format!(
                "the policy's newest backup in {region} is of {}, {} hours ago, and may be {} hours old at most; look at the project's jobs in the console, and make one by hand meanwhile",
                here.created_at,
                age.as_hours(),
                allowed.as_hours()
            );
            return (Protection::Stale, Some(message));
        }
        // An original that has had its time and has no copy: the next copy may fail the same way.
        let original =
            newest(scheduled().filter(|backup| backup.region == self.home && backup.available));
        let late = original.filter(|original| {
            let had = self.now.duration_since(original.created_at);
            had > self.grace() && here.created_at < original.created_at
        });
        match late {
            Some(original)
                if region != self.home && !self.is_made_since(region, original.created_at) =>
            {
                let message = format!(
                    "the backup of {} ({}) was not copied to {region}; the newest copy there is of {}",
                    original.created_at, original.id, here.created_at
                );
                (Protection::CopyMissing, Some(message))
            }
            _ => (Protection::Protected, None),
        }
    }

    fn without_any(&self, region: &str) -> (Protection, Option<String>) {
        let young = |backup: &&Placed| {
            backup.scheduled && self.now.duration_since(backup.created_at) <= self.grace()
        };
        // Copies begin when their original is done, so an original that is young may still be copied.
        let on_its_way = |backup: &Placed| {
            backup.region == region || (region != self.home && backup.region == self.home)
        };
        let in_making = self.just_enabled || self.backups.iter().filter(young).any(on_its_way);
        if in_making {
            let message =
                format!("the first backup in {region} is being made; look again in a while");
            return (Protection::InMaking, Some(message));
        }
        let message = format!(
            "the policy has made no backup that stands in {region}; the next window makes one, and `lifeboat backup --manual` makes one now"
        );
        (Protection::Missing, Some(message))
    }

    fn is_made_since(&self, region: &str, since: Timestamp) -> bool {
        let made = |backup: &Placed| {
            let young = self.now.duration_since(backup.created_at) <= self.grace();
            backup.region == region && !backup.available && young && backup.created_at >= since
        };
        self.backups.iter().any(made)
    }

    fn grace(&self) -> SignedDuration {
        SignedDuration::from_hours(self.plan.grace_hours.into())
    }
}

fn newest<'a>(backups: impl Iterator<Item = &'a Placed>) -> Option<&'a Placed> {
    backups.max_by_key(|backup| backup.created_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zilliz::cases;

    const HOME: &str = "gcp-us-west1";
    const NEAR: &str = "gcp-us-east4";
    const FAR: &str = "gcp-europe-west3";

    /// `region hours-ago flags`: `c` being made, `m` by hand.
    fn standing(backups: &[(&str, i64, &str)], just_enabled: bool) -> String {
        // Monday and Thursday, grace six hours: four days, two hours and six hours.
        let plan = cases::plan("weekdays = [\"mon\", \"thu\"]\nstart = \"02:00\"");
        assert_eq!(allowed_age(&plan).as_hours(), 104);
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let backups: Vec<Placed> = backups
            .iter()
            .map(|(region, hours, flags)| Placed {
                id: format!("backup{hours}"),
                region: (*region).to_owned(),
                created_at: now - SignedDuration::from_hours(*hours),
                available: !flags.contains('c'),
                scheduled: !flags.contains('m'),
                expires_at: None,
            })
            .collect();
        let judged = judge(&plan, HOME, &backups, now, just_enabled);
        for one in &judged {
            assert_eq!(
                one.message.is_none(),
                one.protection == Protection::Protected,
                "{one:?}"
            );
        }
        judged
            .iter()
            .map(|one| one.protection.word())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn every_region_is_judged_by_what_the_policy_made_there() {
        for (backups, expected) in [
            (vec![], "missing missing missing"),
            (
                vec![(HOME, 10, ""), (NEAR, 10, ""), (FAR, 10, "")],
                "protected protected protected",
            ),
            (
                vec![(HOME, 104, ""), (NEAR, 105, ""), (FAR, 104, "")],
                "protected stale protected",
            ),
            // A backup by hand hides nothing.
            (
                vec![(HOME, 10, "m"), (NEAR, 10, "m"), (FAR, 10, "m")],
                "missing missing missing",
            ),
            // The first one: being made, then made at home and on its way.
            (vec![(HOME, 1, "c")], "in_making in_making in_making"),
            (
                vec![(HOME, 6, ""), (NEAR, 5, "c")],
                "protected in_making in_making",
            ),
            (
                vec![(HOME, 7, ""), (NEAR, 7, "")],
                "protected protected missing",
            ),
            // One that has been in the making for too long is none.
            (vec![(HOME, 7, "c")], "missing missing missing"),
            // Copies of the newest original: there, being made, not there although it had its time.
            (
                vec![
                    (HOME, 80, ""),
                    (NEAR, 80, ""),
                    (FAR, 80, ""),
                    (HOME, 8, ""),
                    (NEAR, 8, ""),
                ],
                "protected protected copy_missing",
            ),
            (
                vec![
                    (HOME, 80, ""),
                    (NEAR, 80, ""),
                    (FAR, 80, ""),
                    (HOME, 8, ""),
                    (NEAR, 8, ""),
                    (FAR, 5, "c"),
                ],
                "protected protected protected",
            ),
            (
                vec![
                    (HOME, 80, ""),
                    (NEAR, 80, ""),
                    (FAR, 80, ""),
                    (HOME, 5, ""),
                    (NEAR, 5, ""),
                ],
                "protected protected protected",
            ),
        ] {
            assert_eq!(standing(&backups, false), expected, "{backups:?}");
        }
        assert_eq!(standing(&[], true), "in_making in_making in_making");
        assert_eq!(
            standing(&[(HOME, 200, ""), (NEAR, 200, "")], true),
            "stale stale in_making"
        );
    }

    #[test]
    fn a_plans_longest_gap_goes_over_the_end_of_the_week() {
        for (weekdays, hours) in [
            (r#"["sun"]"#, 7 * 24 + 8),
            (r#"["fri", "sat"]"#, 6 * 24 + 8),
            (
                r#"["mon", "tue", "wed", "thu", "fri", "sat", "sun"]"#,
                24 + 8,
            ),
        ] {
            let plan = cases::plan(&format!("weekdays = {weekdays}\nstart = \"02:00\""));
            assert_eq!(allowed_age(&plan).as_hours(), hours, "{weekdays}");
        }
    }
}
