//! What a plan will copy, keep and cost in the next thirty nights, told before it does.
//!
//! It reads listings and metadata, and changes nothing. The nights are played with the planner that decides on deletion,
//! from the backups that stand now. They are played as if every source kept its size, each night went well, and what was
//! written since its newest backup were written every night, and nothing else; so an estimate is as good as last night was
//! like the next thirty.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use futures_util::future::{join, join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::event::Action;
use crate::listing::{ListingError, list_prefixes};
use crate::name::{BackupName, Class, Namespace};
use crate::plan::{Plan, Target};
use crate::price::{Between, MicroDollars, Prices};
use crate::prune::Inventory;
use crate::retention::{self, Backup, Evidence, Verdict};
use crate::service::{Patient, Service, ServiceError};
use crate::slot::{CLOCK_MARGIN, Slot};

/// A month, as bills count one.
pub const NIGHTS: u32 = 30;
/// Bytes a second of one copy into another region, and within one (contract section 6: about, and per namespace).
const BETWEEN_REGIONS: u64 = 50_000_000;
const WITHIN_A_REGION: u64 = 72_000_000;

/// What one plan will do.
#[derive(Clone, Debug, Serialize)]
pub struct PlanEstimate {
    /// The plan's name.
    pub plan: String,
    /// Namespaces that are backed up.
    pub sources: u64,
    /// Their logical bytes, as the service estimates them.
    pub source_bytes: u64,
    /// Each of its targets.
    pub targets: Vec<TargetEstimate>,
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
    /// What writing costs.
    pub copying: Option<Between>,
    /// What sending costs.
    pub sending: Option<Between>,
    /// What keeping costs.
    pub storing: Option<Between>,
    /// All three.
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

/// A namespace and what its region shows of it.
#[derive(Clone, Debug)]
struct Seen {
    name: Namespace,
    bytes: u64,
    written_at: Timestamp,
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
    let selected = sources?
        .names
        .into_iter()
        .filter(|name| plan.source.selectors.selects(name))
        .filter_map(|name| Namespace::parse(&name))
        .collect();
    let live = look_at_all(source, selected, plan.concurrency).await?;
    let mut estimates = Vec::new();
    for ((target, service), inventory) in sides.zip(inventories) {
        let inventory = inventory?;
        let gone = bytes_of_the_gone(service, &inventory, &live, plan.concurrency).await?;
        let sides = (live.as_slice(), &inventory);
        estimates.push(forecast(plan, target, sides, gone, prices, now));
    }
    Ok(PlanEstimate {
        plan: plan.name.clone(),
        sources: count(live.len()),
        source_bytes: live.iter().map(|seen| seen.bytes).sum(),
        targets: estimates,
    })
}

/// What is gone in the meantime has no size.
async fn look_at_all<S: Service>(
    service: &Patient<S>,
    names: Vec<Namespace>,
    concurrency: u32,
) -> Result<Vec<Seen>, EstimateError> {
    let at_once = usize::try_from(concurrency).unwrap_or(1).max(1);
    let looks = names.into_iter().map(async |name| {
        let shown = service.metadata(&name).await;
        let shown = shown.map_err(|error| EstimateError::Service {
            namespace: name.clone(),
            error,
        })?;
        Ok(shown.map(|shown| Seen {
            name,
            bytes: shown.approx_bytes,
            written_at: shown.updated_at.max(shown.created_at),
        }))
    });
    let seen = stream::iter(looks).buffered(at_once);
    let seen: Vec<Option<Seen>> = seen.try_collect().await?;
    Ok(seen.into_iter().flatten().collect())
}

/// Logical bytes of the backups whose sources are gone. None of them is ever deleted, and all are taken to be as big as
/// the newest of their source.
async fn bytes_of_the_gone<S: Service>(
    service: &Patient<S>,
    inventory: &Inventory,
    live: &[Seen],
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

/// Plays the nights of one target.
fn forecast(
    plan: &Plan,
    target: &Target,
    (live, inventory): (&[Seen], &Inventory),
    gone_bytes: u64,
    prices: &Prices,
    now: Slot,
) -> TargetEstimate {
    let mut tonight = Tonight::default();
    let mut month = Month::default();
    let mut byte_nights = u128::from(gone_bytes) * u128::from(NIGHTS);
    let (mut largest, mut played) = (0, BTreeMap::new());
    for seen in live {
        let known = inventory.backups_of(&seen.name);
        let written = plan.skip_unchanged.is_none() || written_since(known, seen);
        // Most sources have backups of the same nights, and so the same future.
        let slots = known.iter().map(|backup| backup.name.slot());
        let future = played
            .entry((slots.collect::<Vec<_>>(), written))
            .or_insert_with(|| play(plan, target, &seen.name, known, written, now));
        byte_nights += u128::from(future.standing) * u128::from(seen.bytes);
        month.copies += future.copies;
        month.copied_bytes += future.copies.saturating_mul(seen.bytes);
        if future.tonight {
            tonight.copies += 1;
            tonight.bytes += seen.bytes;
            largest = largest.max(seen.bytes);
        }
    }
    let same_region = target.region == plan.source.region;
    let (speed, sent) = if same_region {
        (WITHIN_A_REGION, 0)
    } else {
        (BETWEEN_REGIONS, month.copied_bytes)
    };
    let at_once = u64::from(plan.copies).max(1) * speed;
    tonight.seconds = largest.div_ceil(speed).max(tonight.bytes.div_ceil(at_once));
    month.sent_bytes = sent;
    month.stored_bytes = u64::try_from(byte_nights / u128::from(NIGHTS)).unwrap_or(u64::MAX);
    let asked = prices.turbopuffer;
    let costs = |price: Option<Between>, bytes| match bytes {
        0 => Some(Between::exactly(MicroDollars(0))),
        bytes => price.map(|price| price.of_bytes(bytes)),
    };
    month.copying = costs(asked.copied_gb, month.copied_bytes);
    month.sending = costs(asked.returned_gb, month.sent_bytes);
    month.storing = costs(asked.stored_gb_month, month.stored_bytes);
    let parts = [month.copying, month.sending, month.storing];
    month.total = parts
        .into_iter()
        .reduce(|sum, part| Some(sum?.plus(part?)))
        .flatten();
    TargetEstimate {
        target: target.name.clone(),
        region: target.region.to_string(),
        backups: inventory
            .sources()
            .map(|(_, backups)| count(backups.len()))
            .sum(),
        tonight,
        month,
    }
}

/// Whether the next night would copy a source because of what was written since its newest backup.
fn written_since(known: &[Backup], seen: &Seen) -> bool {
    newest_scheduled(known)
        .is_none_or(|newest| newest.instant().duration_since(seen.written_at) <= CLOCK_MARGIN)
}

fn newest_scheduled(known: &[Backup]) -> Option<Slot> {
    let scheduled = known
        .iter()
        .filter(|backup| backup.name.class() == Class::Scheduled);
    scheduled.map(|backup| backup.name.slot()).max()
}

/// What becomes of one source.
struct Future {
    /// Copies made.
    copies: u64,
    /// Backups that stand after each night, added up.
    standing: u64,
    /// Whether the first night makes one.
    tonight: bool,
}

/// Plays the nights of one source.
fn play(
    plan: &Plan,
    target: &Target,
    source: &Namespace,
    known: &[Backup],
    written: bool,
    now: Slot,
) -> Future {
    let mut standing: Vec<Backup> = known.iter().map(|backup| sealed(&backup.name)).collect();
    let mut future = Future {
        copies: 0,
        standing: 0,
        tonight: false,
    };
    let most_days = plan.skip_unchanged.map(|rule| rule.max_age_days);
    let nights = (0..NIGHTS).filter_map(|night| {
        let later = SignedDuration::from_hours(24 * i64::from(night));
        let instant = now.instant().checked_add(later).ok()?;
        Some((night, Slot::of(instant).ok()?))
    });
    for (night, slot) in nights {
        let name = BackupName::of(&target.prefix, Class::Scheduled, source, slot);
        if let Ok(name) = name
            && (written || is_too_old(&standing, slot, most_days))
        {
            standing.push(sealed(&name));
            future.copies += 1;
            future.tonight |= night == 0;
        }
        let decided = retention::plan(&standing, &target.retention, slot.instant());
        let mut due = decided
            .iter()
            .map(|decision| matches!(decision.verdict, Verdict::Due(_)));
        standing.retain(|_| !due.next().unwrap_or(false));
        future.standing += count(standing.len());
    }
    future
}

/// Whether an unchanged source is copied all the same.
fn is_too_old(standing: &[Backup], slot: Slot, most_days: Option<NonZeroU32>) -> bool {
    let Some(newest) = newest_scheduled(standing) else {
        return true;
    };
    let age = slot.instant().duration_since(newest.instant());
    most_days.is_none_or(|days| age >= SignedDuration::from_hours(24 * i64::from(days.get())))
}

/// A backup as it is when all went well.
fn sealed(name: &BackupName) -> Backup {
    Backup {
        name: name.clone(),
        evidence: Some(Evidence {
            created_at: name.slot().instant(),
            sealed: true,
        }),
    }
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
    /// Why there is no estimate of a plan.
    pub failures: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::{CompleteListing, ReadToTheEnd};
    use crate::plan::Settings;

    const GB: u64 = 1_000_000_000;

    fn night(days: i64) -> Slot {
        let first: Timestamp = "2026-11-01T02:00:00Z".parse().unwrap();
        Slot::of(first + SignedDuration::from_hours(24 * days)).unwrap()
    }

    fn plan_with(variables: &[(&str, &str)]) -> Plan {
        let given = [
            ("SOURCE_REGION", "aws-us-east-1"),
            ("BACKUP_REGION", "aws-eu-west-1"),
            ("SOURCE_PREFIX", "acme-"),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ];
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in given.iter().chain(variables) {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
        let environment: Vec<_> = all.into_iter().collect();
        let mut settings = Settings::from_environment(&environment).unwrap();
        settings.plans.remove(0)
    }

    /// One source of so many bytes, written at an instant, with a backup of each of the nights before tonight.
    fn of_one(plan: &Plan, bytes: u64, written: i64, backups: i64, prices: &str) -> TargetEstimate {
        let target = &plan.targets[0];
        let seen = Seen {
            name: Namespace::parse("acme-docs").unwrap(),
            bytes,
            written_at: night(written).instant(),
        };
        let names = (-backups..0).map(|days| {
            BackupName::of(&target.prefix, Class::Scheduled, &seen.name, night(days))
                .unwrap()
                .to_string()
        });
        let listing = CompleteListing {
            names: names.collect(),
            complete: ReadToTheEnd::for_tests(),
        };
        let inventory = Inventory::of(plan, target, listing);
        let prices = Prices::parse(prices).unwrap();
        forecast(plan, target, (&[seen], &inventory), 0, &prices, night(0))
    }

    const CONTRACT: &str = "as_of = \"2026-11-20\"\n[turbopuffer]\n\
        copied_gb = [\"0.50\", \"1.00\"]\nreturned_gb = \"0.05\"\nstored_gb_month = \"0.33\"";

    /// Contract section 14: 50 GB, daily, seven kept, into another region.
    #[test]
    fn the_contracts_example_is_reproduced() {
        let plan = plan_with(&[("RETENTION_DAYS", "5")]);
        let told = of_one(&plan, 50 * GB, -1, 7, CONTRACT).month;
        assert_eq!((told.copies, told.copied_bytes), (30, 1_500 * GB));
        assert_eq!(told.stored_bytes, 350 * GB);
        let shown = [told.copying, told.sending, told.storing, told.total];
        let shown = shown.map(|amount| amount.unwrap().to_string());
        assert_eq!(
            shown,
            [
                "$750.00 to $1500.00",
                "$75.00",
                "$115.50",
                "$940.50 to $1690.50"
            ]
        );
    }

    #[test]
    fn a_price_that_is_unknown_makes_no_sum_and_nothing_sent_costs_nothing() {
        let without = "as_of = \"2026-11-20\"\n[turbopuffer]\nreturned_gb = \"0.05\"";
        let plan = plan_with(&[]);
        let told = of_one(&plan, GB, -1, 3, without).month;
        assert_eq!((told.copying, told.storing, told.total), (None, None, None));
        assert!(told.sending.is_some());

        let here = plan_with(&[("BACKUP_REGION", "aws-us-east-1")]);
        let told = of_one(&here, GB, -1, 3, CONTRACT).month;
        assert_eq!(told.sent_bytes, 0);
        assert_eq!(told.sending, Some(Between::exactly(MicroDollars(0))));
    }

    #[test]
    fn what_did_not_change_is_copied_when_its_backup_is_old() {
        let plan = plan_with(&[("MAX_AGE_DAYS", "10"), ("RETENTION_DAYS", "0")]);
        let unchanged = of_one(&plan, GB, -20, 1, CONTRACT);
        assert_eq!((unchanged.tonight.copies, unchanged.month.copies), (0, 3));
        let written = of_one(&plan, GB, 0, 1, CONTRACT);
        assert_eq!((written.tonight.copies, written.month.copies), (1, 30));
        let never = of_one(&plan, GB, -20, 0, CONTRACT);
        assert_eq!((never.tonight.copies, never.month.copies), (1, 3));
    }

    /// 2 TB at 50 MB/s are about eleven hours; many small ones share the copies that are made at once.
    #[test]
    fn the_largest_or_all_together_say_how_long_a_night_takes() {
        let plan = plan_with(&[]);
        let told = of_one(&plan, 2_000 * GB, -1, 1, CONTRACT);
        assert_eq!(told.tonight.seconds, 40_000);
        let here = plan_with(&[("BACKUP_REGION", "aws-us-east-1")]);
        let told = of_one(&here, 72 * GB, -1, 1, CONTRACT);
        assert_eq!(told.tonight.seconds, 1_000);
    }
}
