//! What each organisation would be billed for: backups kept, by region, and bytes copied, by pair of regions.
//!
//! Money is whole micro-dollars, rounded to the nearest once per line. What has no known price costs null, not zero.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::zilliz::backup::Backup;
use crate::zilliz::region;
use crate::zilliz::route::Op;
use crate::zilliz::settings::{Prices, ZillizSettings};

const DAY_SECONDS: i128 = 86_400;
const MONTH_DAYS: u128 = 30;

/// A backup that is, or was, kept.
#[derive(Debug)]
struct Kept {
    organisation: String,
    region: String,
    bytes: u64,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// From region, to region.
type Pair = (String, String);

#[derive(Debug, Default)]
pub(crate) struct Bill {
    /// By the backup's id.
    kept: BTreeMap<String, Kept>,
    transferred: BTreeMap<String, BTreeMap<Pair, u128>>,
    requests: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

/// Days that are billed: each that began, and one at least.
fn days(from: Timestamp, until: Timestamp) -> u128 {
    let seconds = i128::from(until.duration_since(from).as_secs()).max(1);
    ((seconds + DAY_SECONDS - 1) / DAY_SECONDS).unsigned_abs()
}

/// `amount / whole`, to the nearest.
fn nearest(amount: u128, whole: u128) -> u128 {
    let whole = whole.max(1);
    (amount + whole / 2) / whole
}

impl Prices {
    fn storage(&self, region: &str) -> Option<u64> {
        self.storage
            .iter()
            .find(|price| region.starts_with(&price.region_prefix))
            .map(|price| price.micro_dollars_per_gigabyte_month)
    }

    fn transfer(&self, from: &str, to: &str) -> Option<u64> {
        let (from, to) = (region::find(from)?, region::find(to)?);
        self.transfer
            .iter()
            .find(|price| {
                price.cloud == from.cloud
                    && price.from == from.continent
                    && price.to.is_none_or(|continent| continent == to.continent)
            })
            .map(|price| price.micro_dollars_per_gigabyte)
    }
}

impl Bill {
    pub(crate) fn request(&mut self, organisation: &str, op: Op) {
        let requests = self.requests.entry(organisation.to_owned()).or_default();
        *requests.entry(op.name()).or_default() += 1;
    }

    /// Notes that a backup is there from now on. Inferred: that keeping it is billed from when it is available.
    pub(crate) fn stored(&mut self, backup: &Backup, now: Timestamp) {
        let kept = Kept {
            organisation: backup.organisation.clone(),
            region: backup.region.clone(),
            bytes: backup.bytes,
            from: now,
            until: None,
        };
        self.kept.insert(backup.id.clone(), kept);
    }

    /// Notes that a backup is gone.
    pub(crate) fn released(&mut self, backup: &str, now: Timestamp) {
        if let Some(kept) = self.kept.get_mut(backup) {
            kept.until.get_or_insert(now);
        }
    }

    /// Notes that a copy went from one region to another.
    pub(crate) fn transferred(&mut self, organisation: &str, (from, to): (&str, &str), bytes: u64) {
        let pairs = self.transferred.entry(organisation.to_owned()).or_default();
        let pair = (from.to_owned(), to.to_owned());
        *pairs.entry(pair).or_default() += u128::from(bytes);
    }

    /// Everything up to `now`, by organisation.
    pub(crate) fn view(&self, settings: &ZillizSettings, now: Timestamp) -> Json {
        let kept = self.kept.values().map(|kept| &kept.organisation);
        let mut organisations: Vec<&String> = kept.chain(self.requests.keys()).collect();
        organisations.sort_unstable();
        organisations.dedup();
        let accounts = organisations
            .into_iter()
            .map(|name| (name.clone(), self.account(name, settings, now)));
        json!({
            "organisations": accounts.collect::<serde_json::Map<_, _>>(),
            "prices": settings.prices.source,
        })
    }

    fn account(&self, name: &str, settings: &ZillizSettings, now: Timestamp) -> Json {
        let storage = self.storage(name, settings, now);
        let transfer = self.transfer(name, settings);
        let costs = storage.iter().chain(&transfer).map(|line| line.cost);
        let total: Option<u128> = costs.clone().sum();
        let priced: u128 = costs.flatten().sum();
        let views = |lines: Vec<Line>| lines.into_iter().map(|line| line.view).collect::<Vec<_>>();
        json!({
            "requests": self.requests.get(name), "storage": views(storage), "transfer": views(transfer),
            "micro_dollars": total.map(small), "micro_dollars_of_known_prices": small(priced),
        })
    }

    fn storage(&self, name: &str, settings: &ZillizSettings, now: Timestamp) -> Vec<Line> {
        let mut regions: BTreeMap<&str, (u128, u64)> = BTreeMap::new();
        for kept in self.kept.values().filter(|kept| kept.organisation == name) {
            let (byte_days, bytes) = regions.entry(&kept.region).or_default();
            *byte_days += u128::from(kept.bytes) * days(kept.from, kept.until.unwrap_or(now));
            *bytes += kept.until.map_or(kept.bytes, |_| 0);
        }
        let month = u128::from(settings.bytes_per_gigabyte.max(1)) * MONTH_DAYS;
        regions
            .into_iter()
            .map(|(region, (byte_days, bytes))| {
                let price = settings.prices.storage(region);
                let cost = price.map(|price| nearest(byte_days * u128::from(price), month));
                Line {
                    cost,
                    view: json!({
                        "region": region, "bytes_stored": bytes, "byte_days": small(byte_days),
                        "gigabyte_months": decimal(nearest(byte_days * 1_000_000, month)),
                        "micro_dollars": cost.map(small),
                    }),
                }
            })
            .collect()
    }

    fn transfer(&self, name: &str, settings: &ZillizSettings) -> Vec<Line> {
        let gigabyte = u128::from(settings.bytes_per_gigabyte.max(1));
        let pairs = self.transferred.get(name).into_iter().flatten();
        pairs
            .map(|((from, to), bytes)| {
                let price = settings.prices.transfer(from, to);
                let cost = price.map(|price| nearest(bytes * u128::from(price), gigabyte));
                Line {
                    cost,
                    view: json!({
                        "from": from, "to": to, "bytes": small(*bytes), "micro_dollars": cost.map(small),
                    }),
                }
            })
            .collect()
    }
}

struct Line {
    /// None where the price is unknown.
    cost: Option<u128>,
    view: Json,
}

/// A number that JSON can hold.
fn small(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Millionths, written with a point.
fn decimal(millionths: u128) -> String {
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GB: u64 = 1_000_000_000;

    fn keep(bill: &mut Bill, id: &str, region: &str, bytes: u64, from: &str, until: Option<&str>) {
        let kept = Kept {
            organisation: "o".to_owned(),
            region: region.to_owned(),
            bytes,
            from: from.parse().unwrap(),
            until: until.map(|until| until.parse().unwrap()),
        };
        bill.kept.insert(id.to_owned(), kept);
    }

    fn total(bill: &Bill, settings: &ZillizSettings, now: &str) -> Json {
        let view = bill.view(settings, now.parse().unwrap());
        view["organisations"]["o"]["micro_dollars"].clone()
    }

    /// The example of the cross-region page: 20 GB in us-west1, a month in us-east4 and in europe-west3.
    fn example() -> Bill {
        let mut bill = Bill::default();
        for to in ["gcp-us-east4", "gcp-europe-west3"] {
            keep(&mut bill, to, to, 20 * GB, "2026-11-01T00:00:00Z", None);
            bill.transferred("o", ("gcp-us-west1", to), 20 * GB);
        }
        bill
    }

    #[test]
    fn the_vendors_example_costs_what_it_says() {
        let settings = ZillizSettings::default();
        let month = "2026-12-01T00:00:00Z";
        assert_eq!(total(&example(), &settings, month), json!(2_800_000));
    }

    #[test]
    fn with_the_other_published_rate_to_europe_it_costs_less() {
        let mut settings = ZillizSettings::default();
        settings.prices.transfer[1].micro_dollars_per_gigabyte = 50_000;
        let month = "2026-12-01T00:00:00Z";
        assert_eq!(total(&example(), &settings, month), json!(2_200_000));
    }

    #[test]
    fn part_days_are_whole_and_a_month_is_thirty() {
        // The vendor's: 44 days and 6 hours are 45 days, so 20 GB at $0.025 cost $0.75.
        let mut bill = Bill::default();
        let (from, until) = ("2026-01-01T00:00:00Z", "2026-02-14T06:00:00Z");
        keep(&mut bill, "b", "aws-us-east-1", 20 * GB, from, Some(until));
        let settings = ZillizSettings::default();
        let later = "2027-01-01T00:00:00Z";
        assert_eq!(total(&bill, &settings, later), json!(750_000));
        let view = bill.view(&settings, later.parse().unwrap());
        let line = &view["organisations"]["o"]["storage"][0];
        assert_eq!(line["gigabyte_months"], json!("30.000000"));
        assert_eq!(line["bytes_stored"], json!(0));
    }

    #[test]
    fn what_has_no_known_price_is_not_free() {
        let mut bill = example();
        bill.transferred("o", ("aws-us-east-1", "aws-us-west-2"), GB);
        let month = "2026-12-01T00:00:00Z";
        let view = bill.view(&ZillizSettings::default(), month.parse().unwrap());
        let account = &view["organisations"]["o"];
        assert_eq!(account["micro_dollars"], Json::Null);
        assert_eq!(account["micro_dollars_of_known_prices"], json!(2_800_000));
    }

    proptest! {
        #[test]
        fn a_day_is_billed_from_its_first_second(seconds in 0_i64..10_000_000) {
            let from = Timestamp::UNIX_EPOCH;
            let billed = days(from, Timestamp::from_second(seconds).unwrap());
            let billed = i64::try_from(billed).unwrap();
            prop_assert!(billed >= 1);
            prop_assert!(billed * 86_400 >= seconds);
            prop_assert!(billed == 1 || (billed - 1) * 86_400 < seconds);
        }

        #[test]
        fn rounding_is_to_the_nearest(amount in 0_u128..1 << 100, whole in 1_u128..1 << 50) {
            let error = (nearest(amount, whole) * whole).abs_diff(amount);
            prop_assert!(error * 2 <= whole);
        }
    }
}
