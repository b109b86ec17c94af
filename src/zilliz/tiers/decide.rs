//! What the planner comes to for a cluster's tiers in one region: the one decision behind the run that deletes, the list that
//! says why something stays, and the forecast.
//!
//! Pure, over what was read. What it must never do: let an original go while a copy of it stands, or may.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::standing::{Decided, Standing};
use crate::journal::Tier;
use crate::plan::{ClusterPlan, Tiers};
use crate::service::Region;
use crate::slot::Slot;
use crate::zilliz::wire::Backup;

/// A cluster's tiers as they are decided about, region after region; the originals' comes last.
#[derive(Clone, Copy)]
pub(super) struct Deciding<'a> {
    pub(super) plan: &'a ClusterPlan,
    pub(super) rules: &'a Tiers,
    /// The cluster's own region.
    pub(super) home: Option<&'a Region>,
    pub(super) tiers: &'a [Tier],
    pub(super) now: Timestamp,
}

impl Deciding<'_> {
    /// Keep or due for everything that the plan owns in a region. `listed` is what the list of backups shows, `going` the
    /// copies that were found due before.
    pub(super) fn in_region(
        &self,
        region: &Region,
        (standing, listed): (&Standing, &[Backup]),
        going: &BTreeSet<(Slot, Region)>,
        held: impl Fn(&str) -> Option<String>,
    ) -> Vec<Decided> {
        let mut decided = standing.decide(self.rules, &self.plan.zone, self.now, held);
        if self.home == Some(region) {
            for decided in &mut decided {
                decided.has_copies =
                    self.has_copies(decided, region, going) || self.has_a_namesake(decided, listed);
            }
        }
        decided
    }

    /// Whether copies of an original stand that are not `going`.
    fn has_copies(
        &self,
        original: &Decided,
        home: &Region,
        going: &BTreeSet<(Slot, Region)>,
    ) -> bool {
        let slot = original.own.slot;
        let mut copies = copies_of(self.tiers, home, slot);
        copies.any(|copy| !going.contains(&(slot, copy.clone())))
    }

    /// Whether something else in the list bears an original's name: a copy that came when nobody waited for it any more.
    fn has_a_namesake(&self, original: &Decided, listed: &[Backup]) -> bool {
        let slot = original.own.slot;
        let of_slot = self.tiers.iter().filter(|tier| tier.slot == slot);
        let known: Vec<&String> = of_slot
            .filter_map(Tier::owned)
            .flat_map(|owned| owned.backups.values())
            .collect();
        let is_it = |listed: &&Backup| Some(&listed.backup_id) == original.own.id.as_ref();
        let name = listed.iter().find(is_it);
        let name = name.and_then(|original| original.backup_name.as_ref());
        let bears_it = |listed: &Backup| name.is_some() && listed.backup_name.as_ref() == name;
        let mut others = listed.iter();
        others.any(|listed| bears_it(listed) && !known.contains(&&listed.backup_id))
    }
}

/// The regions in which copies of a tier's original stand, or what may be one.
///
/// Unknown (contract section 3): whether deleting an original deletes its copies, too. So it goes after them.
pub(super) fn copies_of<'t>(
    tiers: &'t [Tier],
    home: &'t Region,
    slot: Slot,
) -> impl Iterator<Item = &'t Region> {
    let of_slot = tiers.iter().filter(move |tier| tier.slot == slot);
    let regions = of_slot
        .filter_map(Tier::owned)
        .flat_map(|owned| owned.backups.keys().chain(&owned.unsure));
    regions.filter(move |region| *region != home)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;

    use super::*;
    use crate::journal::{Owned, TierState};
    use crate::retention::Periods;
    use crate::zilliz::cases;
    use crate::zilliz::tiers::verdicts::{Whose, reasons};

    /// What the list says of an original that is due, beside something that bears its name.
    fn why(beside: &str) -> String {
        let mut plan = cases::plan("start = \"02:00\"");
        plan.tiers = Some(Tiers {
            periods: Periods {
                daily: 1,
                ..Periods::default()
            },
            min: NonZeroU32::MIN,
            hold: BTreeSet::new(),
        });
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let (mut tiers, mut listed) = (Vec::new(), Vec::new());
        for day in [20, 21, 22] {
            let at: Timestamp = format!("2026-11-{day}T02:00:00Z").parse().unwrap();
            let id = format!("b{day}");
            tiers.push(Tier {
                plan: "prod".into(),
                cluster: "in01-1".into(),
                slot: Slot::of(at).unwrap(),
                state: TierState::Owned(Owned {
                    backups: BTreeMap::from([("home".to_owned(), id.clone())]),
                    ..Owned::default()
                }),
            });
            listed.push(Backup {
                backup_name: Some(format!("orders_{id}")),
                backup_id: id,
                cluster_id: Some("in01-1".into()),
                create_time: Some(at),
                status: Some("AVAILABLE".into()),
                creation_method: Some("MANUAL".into()),
                backup_type: Some("CLUSTER".into()),
                ..Backup::default()
            });
        }
        listed.push(Backup {
            backup_id: "late".into(),
            backup_name: Some(beside.into()),
            ..Backup::default()
        });
        let of = Whose {
            cluster: "in01-1",
            home: "home",
        };
        let reasons = reasons(Ok(of), &plan, &tiers, &listed, now, |_| None);
        reasons["b20"].clone()
    }

    #[test]
    fn the_list_says_of_an_original_with_a_namesake_what_the_run_does() {
        let (due, stays) = (why("orders_other"), why("orders_b20"));
        assert_ne!(due, stays);
        assert!(stays.contains("cop"), "{stays}");
    }
}
