//! What thirty nights make of a cluster's tiers: those that stand, those that are to be made, and the days that each stays.
//!
//! Pure, over what was read, and played with the planner that decides on deletion. It takes every copy to arrive, nothing
//! to be restored meanwhile, and a list that the brake would stop to be approved. What it must never do: count as gone
//! what the plan would not delete, because then it costs less here than it will.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::making::is_due;
use super::standing::Decided;
use super::verdicts::{Whose, decide, regions};
use crate::journal::{Owned, Tier, TierState};
use crate::plan::{ClusterPlan, Tiers};
use crate::service::Region;
use crate::slot::Slot;
use crate::zilliz::wire::Backup;

/// Nights that are played, the present one first: a month, as bills count one.
const NIGHTS: i64 = 30;

/// One cluster, as its tiers are now.
pub(in crate::zilliz) struct Outlook<'a> {
    /// Its id.
    pub(in crate::zilliz) cluster: &'a str,
    /// Its region; none when a run leaves it alone, so that nothing of it is made or deleted.
    pub(in crate::zilliz) home: Option<&'a str>,
    /// Its tiers by the journal, oldest first.
    pub(in crate::zilliz) tiers: Vec<Tier>,
    /// Its backups, complete; none when they can't be read, and then all are taken to stand, and their sizes are unknown.
    pub(in crate::zilliz) listed: Option<&'a [Backup]>,
    /// Bytes of a new one, if they are known.
    pub(in crate::zilliz) size: Option<u64>,
}

/// One original, or one copy, in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::zilliz) struct Stay {
    /// Its id; of one that is still to be made, a name for it.
    pub(in crate::zilliz) backup: String,
    /// Where it lies.
    pub(in crate::zilliz) region: Region,
    /// Its size, if it is known.
    pub(in crate::zilliz) bytes: Option<u64>,
    /// Of the thirty days, those that a bill counts: it stands in them, or in a part of them.
    pub(in crate::zilliz) days: u32,
    /// It is not there yet.
    pub(in crate::zilliz) is_new: bool,
    /// It is deleted in one of the thirty nights.
    pub(in crate::zilliz) goes: bool,
}

impl Outlook<'_> {
    /// Everything that stands at any time of the thirty nights from now on.
    pub(in crate::zilliz) fn play(self, plan: &ClusterPlan, now: Timestamp) -> Vec<Stay> {
        let mut playing = Playing::default();
        let regions = regions(plan, self.home);
        for tier in &self.tiers {
            match &tier.state {
                TierState::Owned(Owned { backups, .. }) | TierState::Adopted { backups } => {
                    playing.find(backups, self.listed);
                    playing.tiers.push(tier.clone());
                }
                TierState::BeingMade { .. } if self.home.is_some() => {
                    playing.make(&self, tier.clone(), &regions);
                }
                TierState::BeingMade { .. } | TierState::Failed { .. } => {}
            }
        }
        for night in 0..NIGHTS {
            let at = now.saturating_add(SignedDuration::from_hours(24 * night));
            let tended = self.home.zip(plan.tiers.as_ref()).zip(at.ok());
            if let Some(((_, rules), at)) = tended {
                playing.make_due(&self, (plan, rules), &regions, at);
            }
            // What goes tonight stood for a part of the day, which bills count as a whole one.
            for stay in playing.stays.values_mut().filter(|stay| !stay.goes) {
                stay.days += 1;
            }
            if let Some(((home, rules), at)) = tended {
                playing.delete_due(&self, (plan, rules), home, at);
            }
        }
        playing.stays.into_values().collect()
    }
}

/// The cluster in some night.
#[derive(Default)]
struct Playing {
    tiers: Vec<Tier>,
    /// What the list would show of them, by region.
    listed: BTreeMap<Region, Vec<Backup>>,
    stays: BTreeMap<(Region, String), Stay>,
}

impl Playing {
    /// Takes in what stands of a tier. What is not in the list any more costs nothing.
    fn find(&mut self, backups: &BTreeMap<Region, String>, listed: Option<&[Backup]>) {
        for (region, id) in backups {
            let shown = match listed {
                Some(listed) => listed.iter().find(|shown| shown.backup_id == *id).cloned(),
                None => Some(Backup {
                    backup_id: id.clone(),
                    ..Backup::default()
                }),
            };
            if let Some(shown) = shown {
                self.stand(region, shown, false);
            }
        }
    }

    fn stand(&mut self, region: &Region, shown: Backup, is_new: bool) {
        let stay = Stay {
            backup: shown.backup_id.clone(),
            region: region.clone(),
            bytes: shown.size,
            days: 0,
            is_new,
            goes: false,
        };
        let key = (region.clone(), stay.backup.clone());
        self.stays.insert(key, stay);
        self.listed.entry(region.clone()).or_default().push(shown);
    }

    /// Adds a tier as if it had been made, with a copy in every region.
    fn make(&mut self, of: &Outlook<'_>, tier: Tier, regions: &[Region]) {
        let mut backups = BTreeMap::new();
        for region in regions {
            let id = format!("the tier of {} in {region}", tier.slot.instant());
            let shown = Backup {
                backup_id: id.clone(),
                cluster_id: Some(tier.cluster.clone()),
                create_time: Some(tier.slot.instant()),
                status: Some("AVAILABLE".to_owned()),
                creation_method: Some("MANUAL".to_owned()),
                backup_type: Some("CLUSTER".to_owned()),
                size: of.size,
                ..Backup::default()
            };
            self.stand(region, shown, true);
            backups.insert(region.clone(), id);
        }
        let state = TierState::Owned(Owned {
            backups,
            ..Owned::default()
        });
        self.tiers.push(Tier { state, ..tier });
    }

    /// Makes the tier of a night, if its period has none.
    fn make_due(
        &mut self,
        of: &Outlook<'_>,
        (plan, rules): (&ClusterPlan, &Tiers),
        regions: &[Region],
        at: Timestamp,
    ) {
        if let Ok(slot) = Slot::of(at)
            && is_due(rules, &plan.zone, &self.tiers, slot, at)
        {
            let tier = Tier {
                plan: plan.name.clone(),
                cluster: of.cluster.to_owned(),
                slot,
                state: TierState::Owned(Owned::default()),
            };
            self.make(of, tier, regions);
        }
    }

    /// Deletes what no rule keeps any more.
    fn delete_due(
        &mut self,
        of: &Outlook<'_>,
        plan: (&ClusterPlan, &Tiers),
        home: &str,
        at: Timestamp,
    ) {
        let whose = Whose {
            cluster: of.cluster,
            home,
        };
        let listed = |region: &Region| self.listed.get(region).map_or(&[][..], Vec::as_slice);
        let decided = decide(whose, plan, &self.tiers, listed, at, |_| None);
        for (region, due) in decided.into_iter().filter(|(_, one)| one.is_due()) {
            self.delete(due, &region);
        }
    }

    fn delete(&mut self, due: Decided, region: &Region) {
        let of_slot = |tier: &&mut Tier| tier.slot == due.own.slot;
        if let Some(Tier {
            state: TierState::Owned(owned),
            ..
        }) = self.tiers.iter_mut().find(of_slot)
        {
            owned.backups.remove(region);
        }
        let key = due.own.id.map(|id| (region.clone(), id));
        if let Some(stay) = key.and_then(|key| self.stays.get_mut(&key)) {
            stay.goes = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU32;

    use super::*;
    use crate::retention::Periods;
    use crate::zilliz::cases::{cluster, plan};

    /// A Sunday, at the hour of the nightly runs.
    const NOW: &str = "2026-11-22T02:00:00Z";
    const HOME: &str = "gcp-us-west1";
    const FAR: &str = "gcp-europe-west3";

    fn at(day: &str) -> Timestamp {
        format!("2026-{day}T02:00:00Z").parse().unwrap()
    }

    /// The tier of a day; in every region, or as `odd` has it: `h` only at home, `a` adopted, `b` being made, `f` failed, `g`
    /// gone from the list, `o` in a region that is no target any more.
    fn tier(day: &str, odd: char) -> Tier {
        let regions: &[&str] = match odd {
            'h' => &[HOME],
            'o' => &[HOME, "gcp-us-east4", FAR, "gcp-us-central1"],
            _ => &[HOME, "gcp-us-east4", FAR],
        };
        let id = |region: &&str| ((*region).to_owned(), format!("{day} {region}"));
        let backups: BTreeMap<Region, String> = regions.iter().map(id).collect();
        Tier {
            plan: "prod".into(),
            cluster: cluster().cluster_id,
            slot: Slot::of(at(day)).unwrap(),
            state: match odd {
                'a' => TierState::Adopted { backups },
                'b' => TierState::BeingMade { facts: Vec::new() },
                'f' => TierState::Failed { why: "x".into() },
                _ => TierState::Owned(Owned {
                    backups,
                    ..Owned::default()
                }),
            },
        }
    }

    fn listed(tiers: &[Tier]) -> Vec<Backup> {
        let shown = |tier: &Tier, id: &String| Backup {
            backup_id: id.clone(),
            cluster_id: Some(tier.cluster.clone()),
            create_time: Some(tier.slot.instant()),
            status: Some("AVAILABLE".into()),
            creation_method: Some("MANUAL".into()),
            backup_type: Some("CLUSTER".into()),
            size: Some(7),
            ..Backup::default()
        };
        let of = |tier: &Tier| match &tier.state {
            TierState::Owned(Owned { backups, .. }) | TierState::Adopted { backups } => {
                backups.values().map(|id| shown(tier, id)).collect()
            }
            _ => Vec::new(),
        };
        tiers.iter().flat_map(of).collect()
    }

    /// In one region: that stand, are made, are deleted, and the days of all of them.
    fn counted(stays: &[Stay], region: &str) -> [u32; 4] {
        let mut counted = [0; 4];
        for stay in stays.iter().filter(|stay| stay.region == region) {
            counted[0] += u32::from(!stay.is_new);
            counted[1] += u32::from(stay.is_new);
            counted[2] += u32::from(stay.goes);
            counted[3] += stay.days;
        }
        counted
    }

    /// Rules of days, weeks and months over tiers of these days.
    fn played(rules: [u32; 3], told: &[(&str, char)], home: bool) -> Vec<Stay> {
        let [daily, weekly, monthly] = rules;
        let periods = Periods {
            daily,
            weekly,
            monthly,
            yearly: 0,
        };
        let mut plan = plan("start = \"02:00\"");
        plan.tiers = (periods != Periods::default()).then(|| Tiers {
            periods,
            min: NonZeroU32::MIN,
            hold: BTreeSet::new(),
        });
        let tiers: Vec<Tier> = told.iter().map(|(day, odd)| tier(day, *odd)).collect();
        let gone: Vec<&str> = told
            .iter()
            .filter(|told| told.1 == 'g')
            .map(|told| told.0)
            .collect();
        let mut listed = listed(&tiers);
        listed.retain(|shown| !gone.iter().any(|day| shown.backup_id.starts_with(day)));
        let cluster = cluster().cluster_id;
        let outlook = Outlook {
            cluster: &cluster,
            home: home.then_some(HOME),
            tiers,
            listed: Some(&listed),
            size: Some(7),
        };
        outlook.play(&plan, NOW.parse().unwrap())
    }

    /// Rules, tiers, and what comes of them at home and far away.
    type Told = (
        [u32; 3],
        &'static [(&'static str, char)],
        [u32; 4],
        [u32; 4],
    );

    #[test]
    fn thirty_nights_make_and_delete_what_the_rules_say() {
        const THREE: &[(&str, char)] = &[("11-20", ' '), ("11-21", ' '), ("11-22", ' ')];
        let told: [Told; 10] = [
            // Each night one comes and one goes; today's is there.
            ([3, 0, 0], THREE, [3, 29, 29, 119], [3, 29, 29, 119]),
            // Six weeks begin or go on in these nights; from the second on, two stand.
            ([0, 2, 0], &[], [0, 6, 4, 63], [0, 6, 4, 63]),
            // This month's, and from the tenth night on December's.
            ([0, 0, 12], &[], [0, 2, 0, 51], [0, 2, 0, 51]),
            // October's goes when December's comes.
            (
                [0, 0, 2],
                &[("10-01", ' '), ("11-01", ' ')],
                [2, 1, 1, 61],
                [2, 1, 1, 61],
            ),
            // Found after silence: for ever, and the period's.
            ([0, 0, 1], &[("11-01", 'a')], [1, 1, 0, 51], [1, 1, 0, 51]),
            // Being made is as good as made; failed is not.
            ([0, 0, 2], &[("11-21", 'b')], [0, 2, 0, 51], [0, 2, 0, 51]),
            ([0, 0, 2], &[("11-21", 'f')], [0, 2, 0, 51], [0, 2, 0, 51]),
            // What somebody deleted costs nothing.
            ([0, 0, 2], &[("11-01", 'g')], [0, 1, 0, 21], [0, 1, 0, 21]),
            // Without a copy far away, what is older stays there until December.
            (
                [1, 0, 0],
                &[("11-21", ' '), ("11-22", 'h')],
                [2, 29, 30, 61],
                [1, 29, 29, 59],
            ),
            // No rules any more: everything stays.
            ([0, 0, 0], THREE, [3, 0, 0, 90], [3, 0, 0, 90]),
        ];
        for (rules, told, home, far) in told {
            let stays = played(rules, told, true);
            assert_eq!(counted(&stays, HOME), home, "{rules:?} {told:?} at home");
            assert_eq!(counted(&stays, FAR), far, "{rules:?} {told:?} far away");
        }
    }

    #[test]
    fn what_nobody_deletes_stays_and_so_does_its_original() {
        let stays = played(
            [1, 0, 0],
            &[("11-20", 'o'), ("11-21", ' '), ("11-22", ' ')],
            true,
        );
        assert_eq!(counted(&stays, "gcp-us-central1"), [1, 0, 0, 30]);
        // At home the one with a copy elsewhere, and each night's newest.
        assert_eq!(counted(&stays, HOME), [3, 29, 30, 90]);
        // Of a cluster that the plan selects no more, everything.
        let stays = played(
            [1, 0, 0],
            &[("11-20", ' '), ("11-21", 'b'), ("11-22", ' ')],
            false,
        );
        assert_eq!(counted(&stays, FAR), [2, 0, 0, 60]);
    }
}
