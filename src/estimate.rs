//! What a plan will copy, keep and cost in the next thirty nights, told before it does.
//!
//! It reads listings and metadata, and changes nothing; `forecast` plays the nights.

mod forecast;

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::SignedDuration;
use jiff::civil::Date;
use serde::Serialize;

use crate::budget::{self, Judged};
use crate::event::Action;
use crate::listing::{ListingError, list_prefixes};
use crate::name::{Class, Namespace};
use crate::plan::Plan;
use crate::price::{Between, Prices};
use crate::prune::Inventory;
use crate::retention::Backup;
use crate::service::{Patient, Service, ServiceError};
use crate::slot::Slot;
use crate::zilliz::estimate::ClusterEstimate;
use forecast::{Live, forecast};

/// A month, as bills count one.
pub const NIGHTS: u32 = 30;
const DAY: SignedDuration = SignedDuration::from_hours(24);
const MONTH: SignedDuration = SignedDuration::from_hours(24 * 30);
/// What one plan will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanEstimate {
    /// The plan's name.
    pub plan: String,
    /// Namespaces that are backed up.
    pub sources: u64,
    /// Their logical bytes, as the service estimates them.
    pub source_bytes: u64,
    /// Each of its targets.
    pub targets: Vec<TargetEstimate>,
    /// What thirty nights cost in all of them; `None` when a price of it is unknown.
    pub total: Option<Between>,
    /// What that is to the plan's budget, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Judged>,
}

/// What will be copied into one target, and kept there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetEstimate {
    /// Its name.
    pub target: String,
    /// Its region.
    pub region: String,
    /// Backups that stand there now.
    pub backups: u64,
    /// The next night.
    pub tonight: Tonight,
    /// The next thirty.
    pub month: Month,
}

/// What the next night copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tonight {
    /// Namespaces.
    pub copies: u64,
    /// Their logical bytes.
    pub bytes: u64,
    /// How long the copies take, in seconds, if the service makes as many at once as the plan asks for.
    pub seconds: u64,
}

/// What thirty nights copy, keep and cost. A sum is `None` when a price of it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Month {
    /// Copies made.
    pub copies: u64,
    /// Logical bytes that they write.
    pub copied_bytes: u64,
    /// Those of them that are sent into another region.
    pub sent_bytes: u64,
    /// Logical bytes that stand there, on average.
    pub stored_bytes: u64,
    /// Logical bytes of rows that are read on both sides to compare copies with their sources.
    pub compared_bytes: u64,
    /// What writing costs.
    pub copying: Option<Between>,
    /// What sending costs.
    pub sending: Option<Between>,
    /// What keeping costs.
    pub storing: Option<Between>,
    /// What comparing costs, but for what its queries look through: that costs a dollar for a million GB (contract section 14).
    pub comparing: Option<Between>,
    /// All four.
    pub total: Option<Between>,
}

/// Why nothing can be estimated for a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EstimateError {
    /// A side can't be listed.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// A namespace's size can't be read.
    #[error("how big `{namespace}` is could not be read: {error}")]
    Service {
        /// Which.
        namespace: Namespace,
        /// Why.
        error: ServiceError,
    },
}

/// Reads what stands on all sides, and plays the nights that follow `now`.
pub async fn estimate<S: Service>(
    plan: &Plan,
    source: &Patient<S>,
    targets: &[Patient<S>],
    prices: &Prices,
    now: Slot,
) -> Result<PlanEstimate, EstimateError> {
    let sides = plan.targets.iter().zip(targets);
    let classes = [Class::Scheduled, Class::Manual];
    let inventories = join_all(sides.clone().map(async |(target, service)| {
        let listing = list_prefixes(service, &plan.backup_prefixes(target, &classes)).await?;
        Ok::<_, ListingError>(Inventory::of(plan, target, listing))
    }));
    let sources = list_prefixes(source, plan.source.selectors.prefixes());
    let (sources, inventories) = join(sources, inventories).await;
    let mut selected: Vec<Namespace> = sources?
        .names
        .into_iter()
        .filter(|name| plan.source.selectors.selects(name))
        .filter_map(|name| Namespace::parse(&name))
        .collect();
    selected.sort_unstable();
    let mut live = look_at_all(source, selected, plan.concurrency).await?;
    if let (Some(Ok(inventory)), Some(service)) = (inventories.first(), targets.first()) {
        see_growth(&mut live, inventory, service, plan.concurrency, now).await?;
    }
    let mut estimates = Vec::new();
    for ((target, service), inventory) in sides.zip(inventories) {
        let inventory = inventory?;
        let gone = bytes_of_the_gone(service, &inventory, &live, plan.concurrency).await?;
        let sides = (live.as_slice(), &inventory);
        estimates.push(forecast(plan, target, sides, gone, prices, now));
    }
    let total = budget::total(estimates.iter().map(|target| target.month.total));
    Ok(PlanEstimate {
        plan: plan.name.clone(),
        sources: count(live.len()),
        source_bytes: live.iter().map(|seen| seen.bytes).sum(),
        targets: estimates,
        total,
        budget: plan.budget.map(|budget| budget.judge(&plan.name, total)),
    })
}

/// What is gone in the meantime has no size.
async fn look_at_all<S: Service>(
    service: &Patient<S>,
    names: Vec<Namespace>,
    concurrency: u32,
) -> Result<Vec<Live>, EstimateError> {
    let at_once = usize::try_from(concurrency).unwrap_or(1).max(1);
    let looks = names.into_iter().map(async |name| {
        let shown = service.metadata(&name).await;
        let shown = shown.map_err(|error| EstimateError::Service {
            namespace: name.clone(),
            error,
        })?;
        Ok::<_, EstimateError>(shown.map(|shown| Live {
            name,
            bytes: shown.approx_bytes,
            rows: shown.approx_rows,
            growth: 0,
            written_at: shown.updated_at.max(shown.created_at),
        }))
    });
    let seen = stream::iter(looks).buffered(at_once);
    let seen: Vec<_> = seen.try_collect().await?;
    Ok(seen.into_iter().flatten().collect())
}

/// What a day added to each source since the oldest backup of the last month.
async fn see_growth<S: Service>(
    live: &mut [Live],
    inventory: &Inventory,
    service: &Patient<S>,
    concurrency: u32,
    now: Slot,
) -> Result<(), EstimateError> {
    let age = |backup: &Backup| now.instant().duration_since(backup.name.slot().instant());
    let oldest = |source: &Live| {
        let known = inventory.backups_of(&source.name).iter();
        let mut recent = known.filter(|backup| age(backup) <= MONTH && age(backup) >= DAY / 2);
        recent.next()
    };
    let oldest: Vec<Option<&Backup>> = live.iter().map(oldest).collect();
    let names = oldest.iter().flatten();
    let names = names.map(|backup| backup.name.namespace().clone());
    let then = look_at_all(service, names.collect(), concurrency).await?;
    let then: BTreeMap<_, _> = then.iter().map(|seen| (&seen.name, seen.bytes)).collect();
    for (source, backup) in live.iter_mut().zip(oldest) {
        let Some((backup, bytes)) =
            backup.and_then(|backup| Some((backup, then.get(backup.name.namespace())?)))
        else {
            continue;
        };
        let more = i128::from(source.bytes) - i128::from(*bytes);
        let a_day = more * i128::from(DAY.as_secs()) / i128::from(age(backup).as_secs());
        source.growth = i64::try_from(a_day).unwrap_or_default();
    }
    Ok(())
}

/// Logical bytes of the backups whose sources are gone. None of them is ever deleted, and all are taken to be as big as
/// the newest of their source.
async fn bytes_of_the_gone<S: Service>(
    service: &Patient<S>,
    inventory: &Inventory,
    live: &[Live],
    concurrency: u32,
) -> Result<u64, EstimateError> {
    let lives = |source: &Namespace| live.binary_search_by(|seen| seen.name.cmp(source)).is_ok();
    let gone = inventory.sources().filter(|(source, _)| !lives(source));
    let newest: BTreeMap<Namespace, u64> = gone
        .filter_map(|(_, backups)| {
            let newest = backups.last()?.name.namespace().clone();
            Some((newest, count(backups.len())))
        })
        .collect();
    let seen = look_at_all(service, newest.keys().cloned().collect(), concurrency).await?;
    let bytes = seen.iter().filter_map(|seen| {
        let backups = newest.get(&seen.name)?;
        Some(backups.saturating_mul(seen.bytes))
    });
    Ok(bytes.fold(0, u64::saturating_add))
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The day of the prices, beside what they were asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Estimated {
    /// Always `estimate`.
    pub action: Action,
    /// Names this invocation in every log line.
    pub run_id: String,
    /// The day on which the prices were read.
    pub prices_as_of: Date,
    /// Each plan that was asked for.
    pub plans: Vec<PlanEstimate>,
    /// Those of them that are about clusters of Zilliz Cloud.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterEstimate>,
    /// Why there is no estimate of a plan.
    pub failures: Vec<String>,
}
