//! What a plan's clusters and tiers come to together, and what that is to its budget. Pure.
//!
//! What it must never do: take what nobody knows for nothing, or have a budget used up by what is not certain.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::kept::{Kept, MONTH, RegionEstimate};
use super::weight::{Counted, Weight};
use super::{ByHandEstimate, ClusterEstimate, Look};
use crate::budget::{self, Judged};
use crate::event::ByHand;
use crate::journal::Tier;
use crate::plan::ClusterPlan;
use crate::price::{Between, ZillizPrices};
use crate::service::Region;
use crate::zilliz::tiers::forecast::Stay;

/// Bytes a second of a backup, about (contract section 5). How fast copies are is unknown.
const BACKUP_SPEED: u64 = 700_000_000;

/// Adds up what was looked at. `tiers` are the plan's, or why nobody knows them.
pub(super) fn add_up(
    plan: &ClusterPlan,
    looks: &[Look<'_>],
    tiers: Result<Vec<Tier>, String>,
    (prices, now): (&ZillizPrices, Timestamp),
    by_hand: Option<&ByHand>,
) -> ClusterEstimate {
    let (tiers, tiers_unknown) = match tiers {
        Ok(tiers) => (Some(tiers), None),
        Err(why) => (None, Some(why)),
    };
    let tiers = tiers.as_deref();
    let sum = |counted| Sum::over(plan, looks, tiers, (prices, now), by_hand, counted);
    let expected = sum(Counted::All);
    // A budget is used up only by what is certain.
    let certain = sum(Counted::BackupsAlone).with_by_hand();
    let certain = expected.with_by_hand().zip(certain);
    let certain = certain.map(|(all, certain)| Between {
        least: certain.least,
        most: all.most,
    });
    let judged = judged(
        plan,
        certain,
        expected.is_whole() && tiers_unknown.is_none(),
    );
    let judged = judged.map(|judged| judged.without_knowing(tiers_unknown.clone()));
    let selected = looks.iter().filter(|look| look.cluster.is_some()).count();
    expected.told(selected, tiers_unknown, judged)
}

/// What was added up so far.
struct Sum<'a> {
    plan: &'a ClusterPlan,
    prices: &'a ZillizPrices,
    backups: u32,
    /// `None` as long as no cluster's size is known.
    bytes: Option<u64>,
    largest: u64,
    of_unknown_size: Vec<String>,
    sized_by_storage: Vec<String>,
    tiers_of_unknown_size: Vec<String>,
    /// Whether anything is in it that has a size.
    knows: bool,
    regions: BTreeMap<Region, RegionEstimate>,
    by_hand: Option<ByHandEstimate>,
}

impl<'a> Sum<'a> {
    /// Adds up all of it; `tiers` are none when nobody knows them.
    fn over(
        plan: &'a ClusterPlan,
        looks: &[Look<'_>],
        tiers: Option<&[Tier]>,
        (prices, now): (&'a ZillizPrices, Timestamp),
        by_hand: Option<&ByHand>,
        counted: Counted,
    ) -> Self {
        let today = plan.zone.to_datetime(now).date();
        let mut sum = Self {
            plan,
            prices,
            backups: windows(plan, today),
            bytes: None,
            largest: 0,
            of_unknown_size: Vec::new(),
            sized_by_storage: Vec::new(),
            tiers_of_unknown_size: Vec::new(),
            knows: false,
            regions: BTreeMap::new(),
            by_hand: by_hand.map(|of| ByHandEstimate::of(of, plan, looks, prices, counted)),
        };
        for look in looks {
            sum.add_cluster(look, counted);
            let home = look.cluster.and_then(|known| known.region_id.as_deref());
            for stay in look.tiers(plan, tiers.unwrap_or_default(), now, counted) {
                sum.add_tier(&stay, home);
            }
        }
        sum
    }

    fn add_cluster(&mut self, look: &Look<'_>, counted: Counted) {
        let Some(cluster) = look.cluster else { return };
        let name = || cluster.shown().to_owned();
        match look.known(counted) {
            Some((size, home)) => self.add_policy(size, home),
            None => self.of_unknown_size.push(name()),
        }
        if matches!(look.weight, Weight::Stored(_)) {
            self.sized_by_storage.push(name());
        }
    }

    /// What the policy makes of one cluster.
    fn add_policy(&mut self, size: u64, home: &str) {
        self.bytes = Some(self.bytes.unwrap_or_default().saturating_add(size));
        self.largest = self.largest.max(size);
        self.knows = true;
        let (backups, prices) = (self.backups, self.prices);
        let targets = self.plan.targets.iter();
        let copies = targets.map(|target| (target.region.as_str(), target.retention_days));
        for (at, days) in copies.chain([(home, self.plan.retention_days)]) {
            let kept = Kept {
                bytes: size,
                from: home,
                at,
                days,
            };
            region(&mut self.regions, at).add(kept, backups, true, prices);
        }
    }

    /// One tier in one region.
    fn add_tier(&mut self, stay: &Stay, home: Option<&str>) {
        let at = stay.region.as_str();
        self.knows |= stay.bytes.is_some();
        if stay.bytes.is_none() && !stay.is_new {
            self.tiers_of_unknown_size.push(stay.backup.clone());
        }
        let kept = Kept {
            // Of unknown size: told by the backup's id, or with its cluster.
            bytes: stay.bytes.unwrap_or_default(),
            from: home.unwrap_or(at),
            at,
            days: stay.days,
        };
        region(&mut self.regions, at).add_tier(kept, stay, self.prices);
    }

    /// What is known of the cost, without what is made by hand.
    fn total(&self) -> Option<Between> {
        budget::total(self.regions.values().map(|region| region.total))
    }

    /// The same with it, as far as that is known.
    fn with_by_hand(&self) -> Option<Between> {
        let by_hand = self.by_hand.iter().filter(|by_hand| by_hand.is_known());
        budget::total(by_hand.map(|by_hand| by_hand.total).chain([self.total()]))
    }

    fn is_whole(&self) -> bool {
        self.of_unknown_size.is_empty() && self.tiers_of_unknown_size.is_empty()
    }

    fn told(
        self,
        clusters: usize,
        tiers_unknown: Option<String>,
        budget: Option<Judged>,
    ) -> ClusterEstimate {
        // Where nothing tells a size, nothing is known, which is not the same as nothing.
        let is_nothing_known = !self.knows && !self.is_whole();
        let total = self.total().filter(|_| !is_nothing_known);
        let bytes = match self.bytes {
            None if self.of_unknown_size.is_empty() => Some(0),
            bytes => bytes,
        };
        let regions = self.regions.into_values();
        ClusterEstimate {
            plan: self.plan.name.clone(),
            clusters: u64::try_from(clusters).unwrap_or(u64::MAX),
            budget,
            by_hand: self.by_hand,
            refused: Vec::new(),
            of_unknown_size: self.of_unknown_size,
            sized_by_storage: self.sized_by_storage,
            bytes,
            backups: self.backups,
            seconds: bytes.map(|_| self.largest.div_ceil(BACKUP_SPEED)),
            regions: regions.filter(|_| !is_nothing_known).collect(),
            tiers_of_unknown_size: self.tiers_of_unknown_size,
            total: total.filter(|_| tiers_unknown.is_none()),
            tiers_unknown,
        }
    }
}

/// A region's line, which is made where there is none yet.
pub(super) fn region<'s>(
    regions: &'s mut BTreeMap<Region, RegionEstimate>,
    at: &str,
) -> &'s mut RegionEstimate {
    regions
        .entry(at.to_owned())
        .or_insert_with(|| RegionEstimate::nothing(at))
}

/// What is known may be too much already. It is never known to be little enough while something of it is not.
fn judged(plan: &ClusterPlan, known: Option<Between>, is_whole: bool) -> Option<Judged> {
    let judged = plan.budget?.judge(&plan.name, known);
    match judged.refusal() {
        None if !is_whole => Some(plan.budget?.judge(&plan.name, None)),
        _ => Some(judged),
    }
}

/// How many windows begin in the thirty days from today on.
fn windows(plan: &ClusterPlan, today: Date) -> u32 {
    let days = today.series(jiff::Span::new().days(1)).take(30);
    let windows = days.filter(|date| {
        plan.weekdays
            .contains(&date.weekday().to_monday_one_offset())
    });
    u32::try_from(windows.count()).unwrap_or(MONTH)
}

#[cfg(test)]
mod tests {
    use super::super::weight::newest;
    use super::*;
    use crate::budget::{Budget, State};
    use crate::journal::{Owned, TierState};
    use crate::price::{MicroDollars, Prices};
    use crate::slot::Slot;
    use crate::zilliz::cases::{cluster, plan};
    use crate::zilliz::wire::{Backup, Cluster};

    const GB: u64 = 1_000_000_000;

    fn look(cluster: &Cluster, listed: Vec<Backup>) -> Look<'_> {
        Look {
            id: cluster.cluster_id.clone(),
            cluster: Some(cluster),
            weight: newest(&listed).map_or(Weight::Unknown, Weight::OfBackup),
            listed: Some(listed),
        }
    }

    /// A backup of the whole cluster, as the list shows it.
    fn shown(id: &str, size: Option<u64>) -> Backup {
        let word = |word: &str| Some(word.to_owned());
        Backup {
            backup_id: id.to_owned(),
            size,
            backup_type: word("CLUSTER"),
            status: word("AVAILABLE"),
            creation_method: word("MANUAL"),
            cluster_id: word("in01-4be01c77d20a9f3"),
            create_time: "2026-11-22T02:00:00Z".parse().ok(),
            ..Backup::default()
        }
    }

    /// A tier that stands in every region, as `home`, `near` and `far`.
    fn standing_tier() -> Tier {
        let places = [
            ("gcp-us-west1", "home"),
            ("gcp-us-east4", "near"),
            ("gcp-europe-west3", "far"),
        ];
        let backups = places.map(|(region, id)| (region.to_owned(), id.to_owned()));
        Tier {
            plan: "prod".into(),
            cluster: "in01-4be01c77d20a9f3".into(),
            slot: Slot::of("2026-11-22T02:00:00Z".parse().unwrap()).unwrap(),
            state: TierState::Owned(Owned {
                backups: backups.into(),
                ..Owned::default()
            }),
        }
    }

    /// What tiers add: money in every region, and nothing that is not known.
    #[test]
    fn tiers_are_in_every_sum_and_what_is_unknown_of_them_is_never_nothing() {
        let mut plan = plan("start = \"02:00\"");
        plan.budget = Budget::of(None, Some(MicroDollars(1_000_000_000))).ok();
        let cluster = cluster();
        let prices = Prices::built_in().unwrap().zilliz;
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let told = |far: Option<u64>, tiers| {
            let listed = [("home", Some(GB)), ("near", Some(GB)), ("far", far)];
            let listed = listed.map(|(id, size)| shown(id, size));
            add_up(
                &plan,
                &[look(&cluster, listed.into())],
                tiers,
                (&prices, now),
                None,
            )
        };
        let without = told(Some(GB), Ok(Vec::new()));
        let with = told(Some(GB), Ok(vec![standing_tier()]));
        // Nothing is made, because the plan has no rules any more; what stands is kept for a month, at two cents.
        for (without, with) in without.regions.iter().zip(&with.regions) {
            let cents = Between::exactly(MicroDollars(20_000));
            assert_eq!(with.total, without.total.map(|sum| sum.plus(cents)));
            assert_eq!(with.sent_bytes, without.sent_bytes);
            let tiers = with.tiers.unwrap();
            let counted = (tiers.standing, tiers.made, tiers.stored_bytes);
            assert_eq!(counted, (1, 0, GB));
        }
        let state = |told: &ClusterEstimate| told.budget.as_ref().map(|judged| judged.state);
        assert_eq!(state(&with), Some(State::Within));
        let of_unknown_size = told(None, Ok(vec![standing_tier()]));
        assert_eq!(of_unknown_size.tiers_of_unknown_size, ["far"]);
        assert_eq!(state(&of_unknown_size), Some(State::Unknown));
        let unread = told(Some(GB), Err("the bucket is gone".into()));
        assert_eq!((unread.total, state(&unread)), (None, Some(State::Unknown)));
    }

    #[test]
    fn a_month_is_the_plans_weekdays_and_days_in_every_region() {
        let plan = plan("weekdays = [\"mon\", \"thu\"]\nstart = \"02:00\"\nretention_days = 7");
        let cluster = cluster();
        let unknown = Cluster {
            cluster_name: Some("new".into()),
            ..cluster.clone()
        };
        let looks = [
            look(&cluster, vec![shown("b", Some(70 * GB))]),
            look(&unknown, Vec::new()),
        ];
        let prices = Prices::built_in().unwrap().zilliz;
        // A Monday: in thirty days there are five Mondays and four Thursdays.
        let monday: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let told = add_up(&plan, &looks, Ok(Vec::new()), (&prices, monday), None);
        let counted = (told.backups, told.seconds, told.bytes);
        assert_eq!(counted, (9, Some(100), Some(70 * GB)));
        assert_eq!(told.of_unknown_size, ["new"]);
        let home = told
            .regions
            .iter()
            .find(|at| at.region == "gcp-us-west1")
            .unwrap();
        assert_eq!(
            (home.sent_bytes, home.stored_bytes),
            (0, 9 * 70 * GB * 7 / 30)
        );
        for target in &plan.targets {
            let at = told
                .regions
                .iter()
                .find(|at| at.region == target.region)
                .unwrap();
            assert_eq!(at.sent_bytes, 9 * 70 * GB);
            assert!(
                at.sending.is_some()
                    && at.total == at.sending.zip(at.storing).map(|(a, b)| a.plus(b))
            );
        }
        let nobody_knows = add_up(
            &plan,
            &looks,
            Ok(Vec::new()),
            (&ZillizPrices::default(), monday),
            None,
        );
        assert!(nobody_knows.regions.iter().all(|at| at.total.is_none()));
    }
}
