//! What the backups that stand say about a cluster: what could be restored in each region, and whether that is enough.
//!
//! Pure, over what was read. A region without a recent backup is a failure, never "nothing to do", and so is a window of the
//! plan that made none ([`super::gaps`]).

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::gaps::{Gap, Known, Ledger};
use super::policy::WINDOW;
use super::windows::grace;
use super::wire::Backup;
use crate::plan::{ClusterPlan, longest_gap_days};
use crate::service::Region;

/// A backup of the whole cluster, whose region was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub id: String,
    /// The service's name for it.
    pub name: Option<String>,
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
            name: backup.backup_name.clone(),
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
    /// A window that came due lately made no backup.
    WindowMissed,
    /// A backup was not copied there.
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
            Self::WindowMissed => "window_missed",
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

/// How old the policy's newest backup in a region may be at the very most, whatever day it is: from one window to the end of
/// the next, and the grace.
#[must_use]
pub fn allowed_age(plan: &ClusterPlan) -> SignedDuration {
    let gap = i64::from(longest_gap_days(&plan.weekdays)) * 24;
    SignedDuration::from_hours(gap) + WINDOW + grace(plan)
}

/// Judges one cluster in its own region `home` and in every target.
#[must_use]
pub fn judge(
    plan: &ClusterPlan,
    home: &str,
    backups: &[Placed],
    known: &Known<'_>,
) -> Vec<Standing> {
    let ledger = Ledger {
        plan,
        home,
        backups,
        known,
    };
    let targets = plan.targets.iter().map(|target| target.region.as_str());
    let regions = std::iter::once(home).chain(targets);
    regions.map(|region| standing(&ledger, region)).collect()
}

/// Since when jobs that failed may explain what some region lacks; `None` when none lacks anything.
#[must_use]
pub fn unexplained_since(ledger: &Ledger<'_>) -> Option<Timestamp> {
    let targets = ledger.plan.targets.iter();
    let regions = targets.map(|target| target.region.as_str());
    let regions = regions.chain([ledger.home]);
    let gaps = regions.flat_map(|region| {
        let late = ledger.late_copy(region).map(Gap::Copy);
        ledger.gaps(region).into_iter().chain(late)
    });
    gaps.map(|gap| gap.since()).min()
}

fn standing(ledger: &Ledger<'_>, region: &str) -> Standing {
    let there = |backup: &&Placed| backup.region == region && backup.available;
    let newest = newest(ledger.backups.iter().filter(there));
    let (protection, message) = ledger.protection(region);
    Standing {
        region: region.to_owned(),
        protection,
        newest: newest.cloned(),
        message,
    }
}

impl<'a> Ledger<'a> {
    /// Only what the policy made counts: a backup by hand must not hide that the schedule no longer works.
    fn protection(&self, region: &str) -> (Protection, Option<String>) {
        let here = |backup: &&Placed| backup.scheduled && backup.region == region;
        let here = newest(self.backups.iter().filter(here).filter(|one| one.available));
        let Some(here) = here else {
            return self.without_any(region);
        };
        let mut gaps = self.gaps(region);
        if let Some(message) = self.stale(region, here, &gaps) {
            return (Protection::Stale, Some(message));
        }
        // The newest one before its window is due: the next copy may fail the same way.
        let late = self.late_copy(region).map(Gap::Copy);
        gaps.extend(late.filter(|late| !gaps.contains(late)));
        let of_copies = gaps.iter().any(|gap| matches!(gap, Gap::Copy(_)));
        let protection = match (gaps.is_empty(), of_copies) {
            (true, _) => return (Protection::Protected, None),
            (false, true) => Protection::CopyMissing,
            (false, false) => Protection::WindowMissed,
        };
        let remedy = self.remedy(
            "look at the project's jobs in the console, and make one by hand if it is needed",
        );
        let message = format!(
            "{}; the newest there is of {}; {remedy}",
            self.told(region, &gaps),
            here.created_at
        );
        (protection, Some(message))
    }

    fn stale(&self, region: &str, here: &Placed, gaps: &[Gap<'_>]) -> Option<String> {
        let age = self.known.now.duration_since(here.created_at);
        let allowed = allowed_age(self.plan);
        let fruitless = self.fruitless(region);
        let why = match fruitless.filter(|window| here.created_at < window.opens) {
            Some(window) => format!("the window of {} has made no newer one", window.shown()),
            None if age > allowed => format!("may be {} hours old at most", allowed.as_hours()),
            None => return None,
        };
        let told = match gaps {
            [] => String::new(),
            gaps => format!(" ({})", self.told(region, gaps)),
        };
        let remedy = self
            .remedy("look at the project's jobs in the console, and make one by hand meanwhile");
        Some(format!(
            "the policy's newest backup in {region} is of {}, {} hours ago, and {why}{told}; {remedy}",
            here.created_at,
            age.as_hours(),
        ))
    }

    /// The newest original, if it has had its time and a region has no copy of it.
    fn late_copy(&self, region: &str) -> Option<&'a Placed> {
        let original = newest(self.originals().filter(|original| original.available))?;
        let had = self.known.now.duration_since(original.created_at);
        let is_late = region != self.home && had > grace(self.plan);
        (is_late && !self.is_copied(original, region)).then_some(original)
    }

    fn without_any(&self, region: &str) -> (Protection, Option<String>) {
        let young = |backup: &&Placed| {
            let age = self.known.now.duration_since(backup.created_at);
            backup.scheduled && age <= grace(self.plan)
        };
        // Copies begin when their original is done, so an original that is young may still be copied.
        let on_its_way = |backup: &Placed| {
            backup.region == region || (region != self.home && backup.region == self.home)
        };
        let gaps = self.gaps(region);
        let in_making =
            self.known.just_enabled || self.backups.iter().filter(young).any(on_its_way);
        if in_making && gaps.is_empty() {
            let message =
                format!("the first backup in {region} is being made; look again in a while");
            return (Protection::InMaking, Some(message));
        }
        let told = match gaps.as_slice() {
            [] => String::new(),
            gaps => format!(" ({})", self.told(region, gaps)),
        };
        let remedy =
            self.remedy("the next window makes one, and `lifeboat backup --manual` makes one now");
        let message =
            format!("the policy has made no backup that stands in {region}{told}; {remedy}");
        (Protection::Missing, Some(message))
    }

    /// What to do; where the policy itself failed, nothing else helps before that.
    fn remedy(&self, where_it_works: &'static str) -> &'static str {
        if self.known.policy_failed {
            return "see the failure of its policy, which comes first";
        }
        where_it_works
    }
}

fn newest<'a>(backups: impl Iterator<Item = &'a Placed>) -> Option<&'a Placed> {
    backups.max_by_key(|backup| backup.created_at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
                name: None,
                region: (*region).to_owned(),
                created_at: now - SignedDuration::from_hours(*hours),
                available: !flags.contains('c'),
                scheduled: !flags.contains('m'),
                expires_at: None,
            })
            .collect();
        let known = Known {
            now,
            just_enabled,
            had_drifted: just_enabled,
            policy_failed: false,
            earlier: &BTreeMap::new(),
            failed: &[],
        };
        let judged = judge(&plan, HOME, &backups, &known);
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
            // Thursday's window, which came due 74 hours ago, has made none.
            (
                vec![(HOME, 104, ""), (NEAR, 105, ""), (FAR, 104, "")],
                "stale stale stale",
            ),
            (
                vec![(HOME, 80, ""), (NEAR, 80, ""), (FAR, 104, "")],
                "protected protected copy_missing",
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
        // Whatever was asked for before, none may be older than the plan's longest gap.
        assert_eq!(
            standing(&[(HOME, 104, ""), (NEAR, 105, ""), (FAR, 104, "")], true),
            "protected stale protected"
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
