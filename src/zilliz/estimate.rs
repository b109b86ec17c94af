//! What a plan's backups and their copies cost in a month, told before the run; from what the clusters' newest backups
//! weigh, the plan's weekdays and retention, its tiers, and a dated price table. It changes nothing.
//!
//! A month is one in which everything stands that the policy keeps; the plan's own tiers are those that stand now, and what
//! the next thirty nights make of them. Clusters are taken to keep their size: nothing that the service tells shows what
//! they grow by. What a person had made by hand is not counted, but for what a run is about to have made (`by_hand`).

mod by_hand;

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

pub use by_hand::ByHandEstimate;

use super::account::Account;
use super::client::{Client, ZillizError};
use super::tiers::forecast::{Outlook, Stay};
use super::transport::Transport;
use super::wire::{Backup, Cluster};
use crate::budget::{self, Judged};
use crate::event::ByHand;
use crate::journal::{Journal, Tier};
use crate::plan::ClusterPlan;
use crate::price::{Between, MicroDollars, ZillizPrices};
use crate::service::Region;

/// A month, as bills count one.
const MONTH: u32 = 30;
/// Bytes a second of a backup, about (contract section 5). How fast copies are is unknown.
const BACKUP_SPEED: u64 = 700_000_000;
/// Clusters that are asked for at once. The service's limit on requests is what counts.
const AT_ONCE: usize = 8;

/// What a plan's backups cost in a month. A sum is `None` when a price or a size in it is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterEstimate {
    /// The plan's name.
    pub plan: String,
    /// Clusters that it selects, and that no run refuses.
    pub clusters: u64,
    /// Those that it selects, and that a run refuses: of them the sums have the tiers that stand, and nothing new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Of `clusters`, those without a backup that tells their size.
    pub of_unknown_size: Vec<String>,
    /// Bytes of one backup of each of the others.
    pub bytes: u64,
    /// Backups of each cluster in the thirty days to come.
    pub backups: u32,
    /// How long the largest takes to be made, in seconds; its copies take longer, and how much is unknown.
    pub seconds: u64,
    /// Every region in which something is kept: the clusters' own, and the targets.
    pub regions: Vec<RegionEstimate>,
    /// Ids of tiers that stand and don't tell their size; they are left out of all sums.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers_of_unknown_size: Vec<String>,
    /// Why nobody knows which tiers the plan has; then there is no total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers_unknown: Option<String>,
    /// What thirty days cost in all of them, what is of unknown size left out; `None` when a price of it is unknown.
    pub total: Option<Between>,
    /// What is about to be made by hand, if anything is; it is in no sum but the budget's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHandEstimate>,
    /// What all that is to the plan's budget, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Judged>,
}

/// What is sent to one region and kept there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RegionEstimate {
    /// Its id.
    pub region: Region,
    /// Bytes sent there.
    pub sent_bytes: u64,
    /// Bytes that stand there, on average.
    pub stored_bytes: u64,
    /// What sending costs.
    pub sending: Option<Between>,
    /// What keeping costs.
    pub storing: Option<Between>,
    /// Both.
    pub total: Option<Between>,
    /// What of all this is the plan's own tiers, if it has any here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers: Option<TiersInRegion>,
}

/// Originals and copies of a plan's own tiers in one region, which the sums of the region have in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TiersInRegion {
    /// That stand there now.
    pub standing: u64,
    /// That the next thirty nights make.
    pub made: u64,
    /// That they delete.
    pub deleted: u64,
    /// Bytes sent there.
    pub sent_bytes: u64,
    /// Bytes that stand there, on average.
    pub stored_bytes: u64,
}

/// One backup, or one copy of it.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Its size.
    pub bytes: u64,
    /// Where the cluster is.
    pub from: &'a str,
    /// Where it is kept: there, or in the region of a copy.
    pub at: &'a str,
    /// For so many days; part days count as whole ones, and there is at least one.
    pub days: u32,
}

impl Kept<'_> {
    /// What sending it there costs, once.
    #[must_use]
    pub fn sending(&self, prices: &ZillizPrices) -> Option<Between> {
        let price = prices.sent_gb(self.from, self.at)?;
        Some(price.of_bytes(self.bytes))
    }

    /// What keeping it costs.
    #[must_use]
    pub fn storing(&self, prices: &ZillizPrices) -> Option<Between> {
        let price = prices.stored_gb_month(self.at)?;
        Some(price.of_byte_days(self.bytes, self.days.max(1)))
    }
}

/// Asks how big the clusters' backups are, and adds up. `plans` are all of them, of which no two may have one cluster;
/// `journal` says which backups are tiers.
pub async fn estimate<T: Transport>(
    (plan, plans): (&ClusterPlan, &[ClusterPlan]),
    client: &Client<T>,
    journal: Option<&Journal>,
    prices: &ZillizPrices,
    now: Timestamp,
) -> Result<ClusterEstimate, ZillizError> {
    let account = Account::read(client).await?;
    let prices = (prices, now);
    estimate_of((plan, plans), &account, client, journal, prices, None).await
}

/// The same for an account that was read already, and with what is about to be made by hand.
pub(super) async fn estimate_of<T: Transport>(
    (plan, plans): (&ClusterPlan, &[ClusterPlan]),
    account: &Account,
    client: &Client<T>,
    journal: Option<&Journal>,
    (prices, now): (&ZillizPrices, Timestamp),
    by_hand: Option<&ByHand>,
) -> Result<ClusterEstimate, ZillizError> {
    let selected = account.selected(plan);
    let (refused, clusters): (Vec<&Cluster>, Vec<&Cluster>) =
        selected.partition(|cluster| account.refuses(plan, plans, cluster));
    let looks = clusters.into_iter().map(async |cluster| {
        let listed = client.backups(&cluster.cluster_id).await?;
        Ok::<_, ZillizError>(Look {
            id: cluster.cluster_id.clone(),
            cluster: Some(cluster),
            listed: Some(listed),
        })
    });
    let looks = stream::iter(looks).buffered(AT_ONCE);
    let mut looks: Vec<Look<'_>> = looks.try_collect().await?;
    let tiers = tiers_of(plan, journal).await;
    for tier in tiers.iter().flatten() {
        if !looks.iter().any(|look| look.id == tier.cluster) {
            looks.push(Look {
                id: tier.cluster.clone(),
                cluster: None,
                // A key that no longer reaches it is no reason to tell nothing of all others.
                listed: client.backups(&tier.cluster).await.ok(),
            });
        }
    }
    let refused = refused
        .into_iter()
        .map(|cluster| cluster.shown().to_owned());
    let by_hand = by_hand.map(|of| ByHandEstimate::of(of, plan, &looks, prices));
    let mut told = add_up(plan, &looks, tiers, (prices, now), by_hand);
    told.refused = refused.collect();
    Ok(told)
}

/// Every tier of the plan, those of clusters that it selects no more or that are refused among them, or why that is unknown.
async fn tiers_of(plan: &ClusterPlan, journal: Option<&Journal>) -> Result<Vec<Tier>, String> {
    match journal {
        Some(journal) => {
            let tiers = journal.tiers(&plan.name).await;
            tiers.map_err(|error| error.to_string())
        }
        None if plan.tiers.is_some() => {
            Err("only a journal knows them, and there is none; set LIFEBOAT_JOURNAL".to_owned())
        }
        None => Ok(Vec::new()),
    }
}

/// One cluster, and what stands of it.
struct Look<'a> {
    id: String,
    /// None when the plan selects it no more, or a run refuses it: then nothing of it is made, and nothing goes.
    cluster: Option<&'a Cluster>,
    /// Its backups; none when they can't be read.
    listed: Option<Vec<Backup>>,
}

impl Look<'_> {
    /// The size of a new backup, and the cluster's region, if both are known.
    fn known(&self) -> Option<(u64, &str)> {
        let size = newest_size(self.listed.as_deref()?)?;
        Some((size, self.cluster?.region_id.as_deref()?))
    }

    /// What becomes of its tiers.
    fn tiers(&self, plan: &ClusterPlan, tiers: &[Tier], now: Timestamp) -> Vec<Stay> {
        let of_it = tiers.iter().filter(|tier| tier.cluster == self.id);
        let listed = self.listed.as_deref();
        let outlook = Outlook {
            cluster: &self.id,
            home: self.cluster.and_then(|known| known.region_id.as_deref()),
            tiers: of_it.cloned().collect(),
            size: listed.and_then(newest_size),
            listed,
        };
        outlook.play(plan, now)
    }
}

/// Copies weigh what their original does, so it does not matter where the newest stands.
fn newest_size(backups: &[Backup]) -> Option<u64> {
    let whole = backups.iter().filter(|backup| {
        backup.backup_type.as_deref() == Some("CLUSTER")
            && backup.status.as_deref() == Some("AVAILABLE")
    });
    whole.max_by_key(|backup| backup.create_time)?.size
}

fn add_up(
    plan: &ClusterPlan,
    looks: &[Look<'_>],
    tiers: Result<Vec<Tier>, String>,
    (prices, now): (&ZillizPrices, Timestamp),
    by_hand: Option<ByHandEstimate>,
) -> ClusterEstimate {
    let (tiers, tiers_unknown) = match tiers {
        Ok(tiers) => (tiers, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let today = plan.zone.to_datetime(now).date();
    let mut sum = Sum::of(plan, prices, windows(plan, today));
    for look in looks {
        match (look.known(), look.cluster) {
            (Some((size, home)), _) => sum.add_policy(size, home),
            (None, Some(cluster)) => sum.of_unknown_size.push(cluster.shown().to_owned()),
            (None, None) => {}
        }
        if tiers_unknown.is_none() {
            let home = look.cluster.and_then(|known| known.region_id.as_deref());
            for stay in look.tiers(plan, &tiers, now) {
                sum.add_tier(&stay, home);
            }
        }
    }
    let selected = looks.iter().filter(|look| look.cluster.is_some()).count();
    sum.told(selected, tiers_unknown, by_hand)
}

/// What was added up so far.
struct Sum<'a> {
    plan: &'a ClusterPlan,
    prices: &'a ZillizPrices,
    backups: u32,
    bytes: u64,
    largest: u64,
    of_unknown_size: Vec<String>,
    tiers_of_unknown_size: Vec<String>,
    regions: BTreeMap<Region, RegionEstimate>,
}

impl<'a> Sum<'a> {
    fn of(plan: &'a ClusterPlan, prices: &'a ZillizPrices, backups: u32) -> Self {
        Self {
            plan,
            prices,
            backups,
            bytes: 0,
            largest: 0,
            of_unknown_size: Vec::new(),
            tiers_of_unknown_size: Vec::new(),
            regions: BTreeMap::new(),
        }
    }

    /// What the policy makes of one cluster.
    fn add_policy(&mut self, size: u64, home: &str) {
        self.bytes = self.bytes.saturating_add(size);
        self.largest = self.largest.max(size);
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

    fn told(
        self,
        clusters: usize,
        tiers_unknown: Option<String>,
        by_hand: Option<ByHandEstimate>,
    ) -> ClusterEstimate {
        let regions: Vec<RegionEstimate> = self.regions.into_values().collect();
        let known = budget::total(regions.iter().map(|region| region.total));
        let is_whole = self.of_unknown_size.is_empty()
            && self.tiers_of_unknown_size.is_empty()
            && tiers_unknown.is_none();
        let with_those = by_hand.iter().map(|by_hand| by_hand.total).chain([known]);
        let judged = judged(self.plan, budget::total(with_those), is_whole);
        ClusterEstimate {
            plan: self.plan.name.clone(),
            clusters: u64::try_from(clusters).unwrap_or(u64::MAX),
            budget: judged.map(|judged| judged.without_knowing(tiers_unknown.clone())),
            by_hand,
            refused: Vec::new(),
            of_unknown_size: self.of_unknown_size,
            bytes: self.bytes,
            backups: self.backups,
            seconds: self.largest.div_ceil(BACKUP_SPEED),
            regions,
            tiers_of_unknown_size: self.tiers_of_unknown_size,
            total: known.filter(|_| tiers_unknown.is_none()),
            tiers_unknown,
        }
    }
}

fn region<'s>(
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

impl RegionEstimate {
    fn nothing(region: &str) -> Self {
        let nothing = Some(Between::exactly(MicroDollars(0)));
        Self {
            region: region.to_owned(),
            sending: nothing,
            storing: nothing,
            total: nothing,
            ..Self::default()
        }
    }

    /// Adds so many backups of one cluster. Each stands for its days, so as many stand on average as days are kept.
    fn add(&mut self, kept: Kept<'_>, backups: u32, is_sent: bool, prices: &ZillizPrices) {
        let all = kept.bytes.saturating_mul(backups.into());
        let of_all = Kept { bytes: all, ..kept };
        let add = |sum: Option<Between>, more: Option<Between>| Some(sum?.plus(more?));
        if is_sent && kept.from != kept.at {
            self.sent_bytes = self.sent_bytes.saturating_add(all);
            self.sending = add(self.sending, of_all.sending(prices));
        }
        let standing = u128::from(all) * u128::from(kept.days) / u128::from(MONTH);
        let standing = u64::try_from(standing).unwrap_or(u64::MAX);
        self.stored_bytes = self.stored_bytes.saturating_add(standing);
        self.storing = add(self.storing, of_all.storing(prices));
        self.total = add(self.sending, self.storing);
    }

    /// Adds a tier, which is sent once, if it is not there yet.
    fn add_tier(&mut self, kept: Kept<'_>, stay: &Stay, prices: &ZillizPrices) {
        let (sent, stored) = (self.sent_bytes, self.stored_bytes);
        self.add(kept, 1, stay.is_new, prices);
        let (sent, stored) = (self.sent_bytes - sent, self.stored_bytes - stored);
        let tiers = self.tiers.get_or_insert_default();
        tiers.standing += u64::from(!stay.is_new);
        tiers.made += u64::from(stay.is_new);
        tiers.deleted += u64::from(stay.goes);
        tiers.sent_bytes = tiers.sent_bytes.saturating_add(sent);
        tiers.stored_bytes = tiers.stored_bytes.saturating_add(stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, State};
    use crate::journal::{Owned, TierState};
    use crate::price::Prices;
    use crate::slot::Slot;
    use crate::zilliz::cases::{cluster, plan};

    const GB: u64 = 1_000_000_000;

    /// The documentation's worked example (contract section 8): 20 GB in us-west1, copied to us-east4 and europe-west3, and
    /// kept there for a month. Its price of Europe is the higher of the two.
    #[test]
    fn the_documentations_example_is_reproduced() {
        let prices = Prices::parse(
            "as_of = \"2026-11-20\"\n[zilliz.stored_gb_month]\ngcp = \"0.02\"\n\
             [zilliz.sent_gb.gcp-na]\ngcp-na = \"0.02\"\ngcp-eu = \"0.08\"\n[zilliz.parts]\n\
             gcp-na = [\"gcp-us-west1\", \"gcp-us-east4\"]\ngcp-eu = [\"gcp-europe-west3\"]",
        );
        let prices = prices.unwrap().zilliz;
        let copies = ["gcp-us-east4", "gcp-europe-west3"].map(|at| Kept {
            bytes: 20 * GB,
            from: "gcp-us-west1",
            at,
            days: 30,
        });
        let sum = |of: &dyn Fn(&Kept<'_>) -> Option<Between>| {
            let parts = copies.iter().map(|copy| of(copy).unwrap());
            parts.reduce(Between::plus).unwrap()
        };
        let storing = sum(&|copy| copy.storing(&prices));
        let sending = sum(&|copy| copy.sending(&prices));
        assert_eq!(storing, Between::exactly(MicroDollars(800_000)));
        assert_eq!(sending, Between::exactly(MicroDollars(2_000_000)));
        assert_eq!(
            storing.plus(sending),
            Between::exactly(MicroDollars(2_800_000))
        );
    }

    /// The storage page's example: 44 days and 6 hours are 45 days, 20 GB at $0.025.
    #[test]
    fn part_days_count_as_whole_ones() {
        let prices = Prices::built_in().unwrap().zilliz;
        let kept = |days| Kept {
            bytes: 20 * GB,
            from: "aws-us-east-1",
            at: "aws-us-east-1",
            days,
        };
        let shown = |days| kept(days).storing(&prices).unwrap().to_string();
        assert_eq!((shown(45).as_str(), shown(0)), ("$0.75", shown(1)));
    }

    fn look(cluster: &Cluster, listed: Vec<Backup>) -> Look<'_> {
        Look {
            id: cluster.cluster_id.clone(),
            cluster: Some(cluster),
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
        assert_eq!((told.backups, told.seconds, told.bytes), (9, 100, 70 * GB));
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
