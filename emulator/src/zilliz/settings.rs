//! What can be chosen about the Zilliz part, and the defaults: above all what its contract marks as unknown.
//!
//! Prices are data with a date, never constants of the code: no official table could be read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::zilliz::region::Continent;

/// How the answer says that a backup never expires. Unknown (contract, section 3): clients must read all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PermanentExpiry {
    /// `"expireTime": null`
    #[default]
    Null,
    /// No `expireTime`.
    Absent,
    /// `"expireTime": ""`
    Empty,
}

/// Everything that can be chosen about the Zilliz part: the field `zilliz` of [`crate::Settings`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZillizSettings {
    /// How long a job is PENDING.
    pub queue_ms: u64,
    /// Time every job takes on top of what its bytes take.
    pub overhead_ms: u64,
    /// Speed of making a backup; documented as about 700 MB per second.
    pub backup_bytes_per_second: u64,
    /// Speed of a copy to another region; undocumented.
    pub copy_bytes_per_second: u64,
    /// Speed of a restore; documented only as minutes to hours.
    pub restore_bytes_per_second: u64,
    /// How an answer says that a backup never expires.
    pub permanent_expiry: PermanentExpiry,
    /// Whether a deleted backup can still be described, as DELETED; otherwise it is not found.
    pub deleted_can_be_described: bool,
    /// Requests a second that each key may send to each endpoint; any number where absent. The documentation says 20.
    pub rate_limit: Option<usize>,
    /// Whether `GET /v2/jobs?type=BACKUP` lists backup jobs. Nothing public says that it does.
    pub jobs_can_be_listed: bool,
    /// Whether `restoreCluster` takes LOADED and `NOT_LOADED`, which is all that `zilliz-cli` 1.0.2 can send, for KEEP
    /// and RELEASE. The documented code 96031 says that it does not.
    pub old_collection_status: bool,
    /// Bytes in a billed gigabyte; 10^9 or 2^30 is undocumented.
    pub bytes_per_gigabyte: u64,
    /// Unit prices.
    pub prices: Prices,
}

impl Default for ZillizSettings {
    fn default() -> Self {
        Self {
            queue_ms: 2_000,
            overhead_ms: 1_000,
            backup_bytes_per_second: 700_000_000,
            copy_bytes_per_second: 100_000_000,
            restore_bytes_per_second: 350_000_000,
            permanent_expiry: PermanentExpiry::Null,
            deleted_can_be_described: false,
            rate_limit: None,
            jobs_can_be_listed: false,
            old_collection_status: false,
            bytes_per_gigabyte: 1_000_000_000,
            prices: Prices::of_the_worked_examples(),
        }
    }
}

impl ZillizSettings {
    /// How long a job over this many bytes takes, at this speed.
    pub(crate) fn takes(&self, bytes: u64, bytes_per_second: u64) -> Duration {
        let milliseconds = u128::from(bytes) * 1_000 / u128::from(bytes_per_second.max(1));
        let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        Duration::from_millis(self.overhead_ms.saturating_add(milliseconds))
    }
}

/// Unit prices in micro-dollars. The first row that fits counts; what no row fits has no known price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// When and where they were read.
    pub source: String,
    /// Of keeping backups.
    pub storage: Vec<StoragePrice>,
    /// Of copying between regions.
    pub transfer: Vec<TransferPrice>,
}

/// What keeping a backup costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoragePrice {
    /// How the region's id begins.
    pub region_prefix: String,
    /// For a gigabyte over thirty days.
    pub micro_dollars_per_gigabyte_month: u64,
}

/// What copying a backup costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferPrice {
    /// The cloud of both regions.
    pub cloud: String,
    /// Where the original lies.
    pub from: Continent,
    /// Where the copy goes; absent where the price depends on the source alone.
    #[serde(default)]
    pub to: Option<Continent>,
    /// For a gigabyte.
    pub micro_dollars_per_gigabyte: u64,
}

impl Prices {
    /// The prices of the vendor's worked examples, with which the example of the cross-region page costs $2.80.
    ///
    /// The page on transfer costs says $0.05 instead of $0.08 for North America to Europe.
    #[must_use]
    pub fn of_the_worked_examples() -> Self {
        let storage = |prefix: &str, price| StoragePrice {
            region_prefix: prefix.to_owned(),
            micro_dollars_per_gigabyte_month: price,
        };
        let transfer = |to, price| TransferPrice {
            cloud: "gcp".to_owned(),
            from: Continent::NorthAmerica,
            to: Some(to),
            micro_dollars_per_gigabyte: price,
        };
        Self {
            source: "worked examples in the vendor's guides, read in November 2026".to_owned(),
            storage: vec![storage("gcp-", 20_000), storage("aws-us-east-1", 25_000)],
            transfer: vec![
                transfer(Continent::NorthAmerica, 20_000),
                transfer(Continent::Europe, 80_000),
            ],
        }
    }
}
