//! What the services ask for, and what something costs: integers, in millionths of a US dollar.
//!
//! The table is `price/table.toml`, with the day on which it was read, or one of the user's own. A price that a table
//! leaves out is unknown, and so is every sum with it; it is never nothing.

use std::fmt;
use std::iter::Sum;

use jiff::civil::Date;
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const TABLE: &str = include_str!("price/table.toml");
const MICRO: u64 = 1_000_000;
/// Bytes that a price is for.
const GB: u128 = 1_000_000_000;

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
        let of = |price: MicroDollars| {
            let amount = (u128::from(price.0) * u128::from(bytes)).div_ceil(GB);
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

/// A table of prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// The day on which they were read.
    pub as_of: Date,
    /// Those of turbopuffer.
    pub turbopuffer: TurbopufferPrices,
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
            path: "",
            table: document.get_ref(),
        };
        top.refuse_unknown(&["as_of", "turbopuffer"])?;
        let empty = DeTable::new();
        let of_service = Section {
            path: "turbopuffer.",
            table: match top.get("turbopuffer") {
                None => &empty,
                Some(DeValue::Table(table)) => table,
                Some(_) => return Err(top.wrong("turbopuffer", "a table of prices")),
            },
        };
        of_service.refuse_unknown(&["copied_gb", "returned_gb", "stored_gb_month"])?;
        Ok(Self {
            as_of: top.date("as_of")?,
            turbopuffer: TurbopufferPrices {
                copied_gb: of_service.price("copied_gb")?,
                returned_gb: of_service.price("returned_gb")?,
                stored_gb_month: of_service.price("stored_gb_month")?,
            },
        })
    }
}

const PRICE: &str =
    "dollars in quotes, such as \"0.05\", or the least and the most, such as [\"0.50\", \"1.00\"]";

/// One table of the document, and what its keys' paths begin with.
struct Section<'a> {
    path: &'static str,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.table.get(key).map(Spanned::get_ref)
    }

    fn refuse_unknown(&self, known: &[&str]) -> Result<(), PriceError> {
        let mut keys = self.table.keys().map(|key| key.get_ref().as_ref());
        match keys.find(|key| !known.contains(key)) {
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
                "turbopufer is not known in a price table; known are as_of, turbopuffer",
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
