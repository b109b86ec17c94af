//! What a plan's backups and their copies cost in a month, told before the run; from what the clusters' newest backups
//! weigh, the plan's weekdays and retention, and a dated price table. It changes nothing.
//!
//! A month is one in which everything stands that the plan keeps. Clusters are taken to keep their size: nothing that the
//! service tells shows what they grow by.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::account::Account;
use super::client::{Client, ZillizError};
use super::transport::Transport;
use super::wire::{Backup, Cluster};
use crate::budget::{self, Budget, Judged};
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
    /// Clusters that it selects.
    pub clusters: u64,
    /// Those without a backup that tells their size.
    pub of_unknown_size: Vec<String>,
    /// Bytes of one backup of each of the others.
    pub bytes: u64,
    /// Backups of each cluster in the thirty days to come.
    pub backups: u32,
    /// How long the largest takes to be made, in seconds; its copies take longer, and how much is unknown.
    pub seconds: u64,
    /// Every region in which something is kept: the clusters' own, and the targets.
    pub regions: Vec<RegionEstimate>,
    /// What thirty days cost in all of them, clusters of unknown size left out; `None` when a price of it is unknown.
    pub total: Option<Between>,
    /// What that is to the plan's budget, if it has one.
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

/// Asks how big the clusters' backups are, and adds up.
pub async fn estimate<T: Transport>(
    plan: &ClusterPlan,
    client: &Client<T>,
    prices: &ZillizPrices,
    now: Timestamp,
) -> Result<ClusterEstimate, ZillizError> {
    let account = Account::read(client).await?;
    estimate_of(plan, &account, client, prices, now).await
}

/// The same for an account that was read already.
pub(super) async fn estimate_of<T: Transport>(
    plan: &ClusterPlan,
    account: &Account,
    client: &Client<T>,
    prices: &ZillizPrices,
    now: Timestamp,
) -> Result<ClusterEstimate, ZillizError> {
    let looks = account.selected(plan).map(async |cluster| {
        let backups = client.backups(&cluster.cluster_id).await?;
        Ok::<_, ZillizError>((cluster, newest_size(&backups)))
    });
    let sizes = stream::iter(looks).buffered(AT_ONCE);
    let sizes: Vec<(&Cluster, Option<u64>)> = sizes.try_collect().await?;
    Ok(add_up(
        plan,
        &sizes,
        prices,
        plan.zone.to_datetime(now).date(),
    ))
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
    sizes: &[(&Cluster, Option<u64>)],
    prices: &ZillizPrices,
    today: Date,
) -> ClusterEstimate {
    let backups = windows(plan, today);
    let mut regions: BTreeMap<Region, RegionEstimate> = BTreeMap::new();
    let (mut unknown, mut bytes, mut largest) = (Vec::new(), 0_u64, 0);
    for (cluster, size) in sizes {
        let (Some(size), Some(home)) = (*size, cluster.region_id.as_deref()) else {
            unknown.push(cluster.shown().to_owned());
            continue;
        };
        bytes = bytes.saturating_add(size);
        largest = largest.max(size);
        let targets = plan.targets.iter();
        let copies = targets.map(|target| (target.region.as_str(), target.retention_days));
        for (at, days) in copies.chain([(home, plan.retention_days)]) {
            let kept = Kept {
                bytes: size,
                from: home,
                at,
                days,
            };
            regions
                .entry(at.to_owned())
                .or_insert_with(|| RegionEstimate::nothing(at))
                .add(kept, backups, prices);
        }
    }
    let regions: Vec<RegionEstimate> = regions.into_values().collect();
    let total = budget::total(regions.iter().map(|region| region.total));
    ClusterEstimate {
        plan: plan.name.clone(),
        clusters: u64::try_from(sizes.len()).unwrap_or(u64::MAX),
        budget: plan
            .budget
            .map(|budget| judged(budget, plan, total, &unknown)),
        of_unknown_size: unknown,
        bytes,
        backups,
        seconds: largest.div_ceil(BACKUP_SPEED),
        regions,
        total,
    }
}

/// What is known may be too much already. It is never known to be little enough while the size of a cluster is not.
fn judged(
    budget: Budget,
    plan: &ClusterPlan,
    total: Option<Between>,
    of_unknown_size: &[String],
) -> Judged {
    let judged = budget.judge(&plan.name, total);
    match judged.refusal() {
        None if !of_unknown_size.is_empty() => budget.judge(&plan.name, None),
        _ => judged,
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

    /// Adds a month's backups of one cluster. Each stands for its days, so as many stand on average as days are kept.
    fn add(&mut self, kept: Kept<'_>, backups: u32, prices: &ZillizPrices) {
        let all = kept.bytes.saturating_mul(backups.into());
        if kept.from != kept.at {
            self.sent_bytes = self.sent_bytes.saturating_add(all);
        }
        let standing = u128::from(all) * u128::from(kept.days) / u128::from(MONTH);
        let standing = u64::try_from(standing).unwrap_or(u64::MAX);
        self.stored_bytes = self.stored_bytes.saturating_add(standing);
        let of_all = Kept { bytes: all, ..kept };
        let add = |sum: Option<Between>, more: Option<Between>| Some(sum?.plus(more?));
        self.sending = add(self.sending, of_all.sending(prices));
        self.storing = add(self.storing, of_all.storing(prices));
        self.total = add(self.sending, self.storing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Prices;
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

    #[test]
    fn a_month_is_the_plans_weekdays_and_days_in_every_region() {
        let plan = plan("weekdays = [\"mon\", \"thu\"]\nstart = \"02:00\"\nretention_days = 7");
        let cluster = cluster();
        let unknown = Cluster {
            cluster_name: Some("new".into()),
            ..cluster.clone()
        };
        let sizes = [(&cluster, Some(70 * GB)), (&unknown, None)];
        let prices = Prices::built_in().unwrap().zilliz;
        // A Monday: in thirty days there are five Mondays and four Thursdays.
        let monday: Date = "2026-11-23".parse().unwrap();
        let told = add_up(&plan, &sizes, &prices, monday);
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
        let nobody_knows = add_up(&plan, &sizes, &ZillizPrices::default(), monday);
        assert!(nobody_knows.regions.iter().all(|at| at.total.is_none()));
    }
}
