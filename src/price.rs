//! What the services ask for, and what something costs: integers, in millionths of a US dollar.
//!
//! The table is `price/table.toml`, with the day on which it was read, or one of the user's own. A price that a table
//! leaves out is unknown, and so is every sum with it; it is never nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;

use jiff::civil::Date;
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const TABLE: &str = include_str!("price/table.toml");
const MICRO: u64 = 1_000_000;
/// Bytes that a price is for. Of Zilliz Cloud it is unknown whether a GB is this or 2³⁰ (contract section 8).
const GB: u128 = 1_000_000_000;
/// Days that Zilliz Cloud counts as a month.
const MONTH: u32 = 30;

/// An amount of money, in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MicroDollars(pub u64);

impl MicroDollars {
    /// A decimal number of dollars with six digits after the point at most, such as `0.05`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| {
            !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole) || !digits(part) || part.len() > 6 {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let part: u64 = format!("{part:0<6}").parse().ok()?;
        Some(Self(whole * MICRO + part))
    }

    #[must_use]
    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for MicroDollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Self::plus)
    }
}

/// In dollars and cents, the nearest; less than a cent is said to be that.
impl fmt::Display for MicroDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.saturating_add(MICRO / 200) / (MICRO / 100);
        match (self.0, cents) {
            (1.., 0) => f.write_str("<$0.01"),
            _ => write!(f, "${}.{:02}", cents / 100, cents % 100),
        }
    }
}

/// An amount that is known to lie between two others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Between {
    /// At least.
    pub least: MicroDollars,
    /// At most.
    pub most: MicroDollars,
}

impl Between {
    /// Exactly so much.
    #[must_use]
    pub fn exactly(amount: MicroDollars) -> Self {
        Self {
            least: amount,
            most: amount,
        }
    }

    /// The price of so many bytes, where this is the price of a GB. Rounded up to the next millionth.
    #[must_use]
    pub fn of_bytes(self, bytes: u64) -> Self {
        self.of_parts(u128::from(bytes), GB)
    }

    /// The price of keeping so many bytes for so many days, where this is that of a GB for a month.
    #[must_use]
    pub fn of_byte_days(self, bytes: u64, days: u32) -> Self {
        let byte_days = u128::from(bytes) * u128::from(days);
        self.of_parts(byte_days, GB * u128::from(MONTH))
    }

    fn of_parts(self, parts: u128, whole: u128) -> Self {
        let of = |price: MicroDollars| {
            let amount = u128::from(price.0).saturating_mul(parts).div_ceil(whole);
            MicroDollars(u64::try_from(amount).unwrap_or(u64::MAX))
        };
        Self {
            least: of(self.least),
            most: of(self.most),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            least: self.least.plus(other.least),
            most: self.most.plus(other.most),
        }
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.least.to_string(), self.most.to_string());
        if least == most {
            return f.write_str(&least);
        }
        write!(f, "{least} to {most}")
    }
}

/// turbopuffer's prices of a GB, which is 10⁹ logical bytes (contract section 14). `None` is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurbopufferPrices {
    /// Written by a copy.
    pub copied_gb: Option<Between>,
    /// Sent into another region.
    pub returned_gb: Option<Between>,
    /// Kept for a month of thirty days.
    pub stored_gb_month: Option<Between>,
}

/// Zilliz Cloud's prices of a GB (contract section 8). What is left out is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZillizPrices {
    /// Kept for a month of thirty days, by region, or by cloud for regions without a price of their own.
    stored: BTreeMap<String, Between>,
    /// Sent, from one part of the world to another.
    sent: BTreeMap<(String, String), Between>,
    /// The part of the world of each region.
    parts: BTreeMap<String, String>,
}

impl ZillizPrices {
    /// Of keeping a GB in a region for thirty days.
    #[must_use]
    pub fn stored_gb_month(&self, region: &str) -> Option<Between> {
        let cloud = region.split_once('-').map_or(region, |(cloud, _)| cloud);
        self.stored
            .get(region)
            .or_else(|| self.stored.get(cloud))
            .copied()
    }

    /// Of sending a GB from one region to another. Within a region nothing is sent.
    #[must_use]
    pub fn sent_gb(&self, from: &str, to: &str) -> Option<Between> {
        if from == to {
            return Some(Between::exactly(MicroDollars(0)));
        }
        let parts = (self.parts.get(from)?.clone(), self.parts.get(to)?.clone());
        self.sent.get(&parts).copied()
    }
}

/// A table of prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// The day on which they were read.
    pub as_of: Date,
    /// Those of turbopuffer.
    pub turbopuffer: TurbopufferPrices,
    /// Those of Zilliz Cloud.
    pub zilliz: ZillizPrices,
}

/// Why a table of prices can't be read. Each names the place, what stands there, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The file can't be read.
    #[error("{path}: can't be read: {message}; correct LIFEBOAT_PRICES")]
    File {
        /// The path.
        path: String,
        /// Why.
        message: String,
    },
    /// The text is no TOML.
    #[error("the price table is not TOML: {0}")]
    NotToml(String),
    /// A key that no table has.
    #[error("{place} is not known in a price table; known are {known}")]
    Unknown {
        /// The key with its path.
        place: String,
        /// The keys that may stand there.
        known: String,
    },
    /// A value that can't be meant.
    #[error("{place}: {found}; it must be {wanted}")]
    Wrong {
        /// The key with its path.
        place: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        wanted: &'static str,
    },
}

impl Prices {
    /// Those in the repository.
    ///
    /// # Errors
    /// None, which a test shows.
    pub fn built_in() -> Result<Self, PriceError> {
        Self::parse(TABLE)
    }

    /// The table that `LIFEBOAT_PRICES` names, or the one in the repository.
    pub fn of(path: Option<&str>) -> Result<Self, PriceError> {
        let Some(path) = path else {
            return Self::built_in();
        };
        let text = std::fs::read_to_string(path).map_err(|error| PriceError::File {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        Self::parse(&text)
    }

    /// Reads a table.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let document = DeTable::parse(text);
        let document = document.map_err(|error| PriceError::NotToml(error.message().to_owned()))?;
        let top = Section {
            path: String::new(),
            table: document.get_ref(),
        };
        top.refuse_unknown(&["as_of", "turbopuffer", "zilliz"])?;
        let empty = DeTable::new();
        let of_service = top.section("turbopuffer", &empty)?;
        of_service.refuse_unknown(&["copied_gb", "returned_gb", "stored_gb_month"])?;
        Ok(Self {
            as_of: top.date("as_of")?,
            turbopuffer: TurbopufferPrices {
                copied_gb: of_service.price("copied_gb")?,
                returned_gb: of_service.price("returned_gb")?,
                stored_gb_month: of_service.price("stored_gb_month")?,
            },
            zilliz: zilliz(&top.section("zilliz", &empty)?)?,
        })
    }
}

fn zilliz(section: &Section<'_>) -> Result<ZillizPrices, PriceError> {
    section.refuse_unknown(&["stored_gb_month", "sent_gb", "parts"])?;
    let empty = DeTable::new();
    let mut prices = ZillizPrices::default();
    let stored = section.section("stored_gb_month", &empty)?;
    for place in stored.keys() {
        let price = stored.price(place)?;
        prices
            .stored
            .extend(price.map(|price| (place.to_owned(), price)));
    }
    let sent = section.section("sent_gb", &empty)?;
    for from in sent.keys() {
        let destinations = sent.section(from, &empty)?;
        for to in destinations.keys() {
            let price = destinations.price(to)?;
            let parts = (from.to_owned(), to.to_owned());
            prices.sent.extend(price.map(|price| (parts, price)));
        }
    }
    let parts = section.section("parts", &empty)?;
    for part in parts.keys() {
        for region in parts.texts(part)? {
            if prices.parts.insert(region, part.to_owned()).is_some() {
                return Err(parts.wrong(
                    part,
                    "a list of regions, each in one part of the world alone",
                ));
            }
        }
    }
    Ok(prices)
}

const PRICE: &str =
    "dollars in quotes, such as \"0.05\", or the least and the most, such as [\"0.50\", \"1.00\"]";

/// One table of the document, and what its keys' paths begin with.
struct Section<'a> {
    path: String,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.table.get(key).map(Spanned::get_ref)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// The table under a key; `empty` when there is none.
    fn section(&self, key: &str, empty: &'a DeTable<'a>) -> Result<Self, PriceError> {
        let table = match self.get(key) {
            None => empty,
            Some(DeValue::Table(table)) => table,
            Some(_) => return Err(self.wrong(key, "a table of prices")),
        };
        let path = format!("{}{key}.", self.path);
        Ok(Self { path, table })
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, PriceError> {
        let texts = match self.get(key) {
            Some(DeValue::Array(values)) => values
                .iter()
                .map(|value| match value.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        texts.ok_or_else(|| self.wrong(key, "a list of regions in quotes"))
    }

    fn refuse_unknown(&self, known: &[&str]) -> Result<(), PriceError> {
        match self.keys().find(|key| !known.contains(key)) {
            None => Ok(()),
            Some(key) => Err(PriceError::Unknown {
                place: format!("{}{key}", self.path),
                known: known.join(", "),
            }),
        }
    }

    fn wrong(&self, key: &str, wanted: &'static str) -> PriceError {
        let found = match self.get(key) {
            None => "is missing".to_owned(),
            Some(DeValue::String(text)) => format!("is the text {text:?}"),
            Some(DeValue::Integer(number)) => format!("is the number {number}"),
            Some(DeValue::Float(number)) => format!("is the number {number}"),
            Some(_) => "is of another kind".to_owned(),
        };
        PriceError::Wrong {
            place: format!("{}{key}", self.path),
            found,
            wanted,
        }
    }

    fn date(&self, key: &str) -> Result<Date, PriceError> {
        let read = match self.get(key) {
            Some(DeValue::String(text)) => text.parse().ok(),
            _ => None,
        };
        let wanted = "the day on which the prices were read, in quotes, such as \"2026-11-20\"";
        read.ok_or_else(|| self.wrong(key, wanted))
    }

    fn price(&self, key: &str) -> Result<Option<Between>, PriceError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let dollars = |value: &DeValue<'_>| match value {
            DeValue::String(text) => MicroDollars::parse(text),
            _ => None,
        };
        let read = match value {
            DeValue::Array(values) => match values.as_ref() {
                [least, most] => dollars(least.get_ref())
                    .zip(dollars(most.get_ref()))
                    .map(|(least, most)| Between { least, most }),
                _ => None,
            },
            value => dollars(value).map(Between::exactly),
        };
        let in_order = read.filter(|price| price.least <= price.most);
        in_order.map(Some).ok_or_else(|| self.wrong(key, PRICE))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_in_the_repository_is_read() {
        let prices = Prices::built_in().unwrap();
        let all = prices.turbopuffer;
        assert!(all.copied_gb.is_some() && all.returned_gb.is_some());
        assert_eq!(
            all.stored_gb_month,
            Some(Between::exactly(MicroDollars(330_000)))
        );
    }

    #[test]
    fn what_a_table_leaves_out_is_unknown() {
        let prices = Prices::parse("as_of = \"2026-01-02\"").unwrap();
        assert_eq!(prices.turbopuffer.copied_gb, None);
    }

    #[test]
    fn every_mistake_has_its_place_and_its_remedy() {
        for (text, says) in [
            ("", "as_of: is missing; it must be the day"),
            (
                "as_of = \"yesterday\"",
                "as_of: is the text \"yesterday\"; ",
            ),
            ("as_of", "the price table is not TOML: "),
            (
                "as_of = \"2026-01-02\"\nturbopufer = {}",
                "turbopufer is not known in a price table; known are as_of, turbopuffer, zilliz",
            ),
            (
                "as_of = \"2026-01-02\"\nturbopuffer = 1",
                "turbopuffer: is the number 1; it must be a table of prices",
            ),
            (
                "as_of = \"2026-01-02\"\n[turbopuffer]\nstored = \"1\"",
                "turbopuffer.stored is not known",
            ),
            (
                "as_of = \"2026-01-02\"\n[turbopuffer]\ncopied_gb = 0.5",
                "turbopuffer.copied_gb: is the number 0.5; it must be dollars in quotes",
            ),
            (
                "as_of = \"2026-01-02\"\n[turbopuffer]\ncopied_gb = [\"2\", \"1\"]",
                "turbopuffer.copied_gb: is of another kind; ",
            ),
            (
                "as_of = \"2026-01-02\"\n[zilliz.sent_gb.gcp-na]\ngcp-eu = 1",
                "zilliz.sent_gb.gcp-na.gcp-eu: is the number 1; it must be dollars",
            ),
            (
                "as_of = \"2026-01-02\"\n[zilliz.parts]\na = [\"gcp-x\"]\nb = [\"gcp-x\"]",
                "zilliz.parts.b: is of another kind; it must be a list of regions, each in one part",
            ),
            (
                "as_of = \"2026-01-02\"\n[turbopuffer]\nreturned_gb = \"-1\"",
                "turbopuffer.returned_gb: is the text \"-1\"; ",
            ),
        ] {
            let said = Prices::parse(text).unwrap_err().to_string();
            assert!(said.starts_with(says), "{said}");
        }
        let said = Prices::of(Some("/no/such/table.toml")).unwrap_err();
        assert!(
            said.to_string()
                .starts_with("/no/such/table.toml: can't be read: ")
        );
    }

    #[test]
    fn money_is_shown_in_cents_and_never_as_nothing() {
        for (micro, shown) in [
            (0, "$0.00"),
            (1, "<$0.01"),
            (4_999, "<$0.01"),
            (5_000, "$0.01"),
            (2_800_000, "$2.80"),
            (1_234_567_890, "$1234.57"),
        ] {
            assert_eq!(MicroDollars(micro).to_string(), shown);
        }
        let between = Between {
            least: MicroDollars(500_000),
            most: MicroDollars(1_000_000),
        };
        assert_eq!(between.to_string(), "$0.50 to $1.00");
        assert_eq!(Between::exactly(between.most).to_string(), "$1.00");
    }

    proptest! {
        #[test]
        fn a_price_reads_back_as_itself(micro in 0_u64..1_000_000_000_000) {
            let text = format!("{}.{:06}", micro / MICRO, micro % MICRO);
            prop_assert_eq!(MicroDollars::parse(&text), Some(MicroDollars(micro)));
        }

        #[test]
        fn twice_as_many_bytes_cost_twice_as_much(price in 1_u64..10_000_000, bytes in 0_u64..1 << 50) {
            let price = Between::exactly(MicroDollars(price));
            let (once, twice) = (price.of_bytes(bytes).most.0, price.of_bytes(2 * bytes).most.0);
            prop_assert!(twice <= 2 * once && 2 * once <= twice + 2);
        }

        #[test]
        fn no_text_is_read_with_a_panic(text in "[0-9.+-]{0,12}|.{0,20}") {
            let _ = MicroDollars::parse(&text);
        }
    }
}
