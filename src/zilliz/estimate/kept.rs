//! What one backup costs in one region, and what all of them come to there. Pure.

use serde::Serialize;

use crate::price::{Between, MicroDollars, ZillizPrices};
use crate::service::Region;
use crate::zilliz::tiers::forecast::Stay;

/// A month, as bills count one.
pub(super) const MONTH: u32 = 30;

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

impl RegionEstimate {
    pub(super) fn nothing(region: &str) -> Self {
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
    pub(super) fn add(
        &mut self,
        kept: Kept<'_>,
        backups: u32,
        is_sent: bool,
        prices: &ZillizPrices,
    ) {
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
    pub(super) fn add_tier(&mut self, kept: Kept<'_>, stay: &Stay, prices: &ZillizPrices) {
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
    use crate::price::Prices;

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
}
