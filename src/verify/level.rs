//! How closely a copy is compared with what it is a copy of.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How closely two namespaces are compared, from the cheapest to the dearest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Schemas equal, size plausible. Reads no row.
    Metadata,
    /// The same, and strongly consistent counts equal.
    #[default]
    Count,
    /// The same, and so many rows, chosen at random, equal in every attribute.
    Sample(NonZeroU32),
    /// The same, and every row equal in every attribute.
    Full,
}

/// Rows that are compared by `sample` without a number. One damaged row in a hundred is then missed once in 20,000 times.
const SAMPLE: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// A text that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no verification level; use metadata, count, sample, sample:N (such as sample:5000) or full"
)]
pub struct LevelError(String);

impl Level {
    /// A level that a backup may be sealed on. Without a count a seal would say nothing.
    ///
    /// # Errors
    /// What is no level, and `metadata`; with what to use.
    pub fn to_seal_on(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(Self::Metadata) => Err("`metadata` counts no row, which is too little to seal a backup on; use count, sample:N or full".into()),
            Ok(level) => Ok(level),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let unknown = || LevelError(text.to_owned());
        match text {
            "metadata" => return Ok(Self::Metadata),
            "count" => return Ok(Self::Count),
            "sample" => return Ok(Self::Sample(SAMPLE)),
            "full" => return Ok(Self::Full),
            _ => {}
        }
        let in_brackets = |text: &str| Some(text.strip_prefix("(")?.strip_suffix(")")?.to_owned());
        let number = text.strip_prefix("sample").ok_or_else(unknown)?;
        let number = number
            .strip_prefix(':')
            .map(str::to_owned)
            .or_else(|| in_brackets(number));
        let number = number.ok_or_else(unknown)?.parse().map_err(|_| unknown())?;
        Ok(Self::Sample(number))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata => f.write_str("metadata"),
            Self::Count => f.write_str("count"),
            Self::Sample(rows) => write!(f, "sample:{rows}"),
            Self::Full => f.write_str("full"),
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_written_alike() {
        for text in ["metadata", "count", "sample:1", "sample:5000", "full"] {
            assert_eq!(text.parse::<Level>().unwrap().to_string(), text);
        }
        assert_eq!("sample(7)".parse(), "sample:7".parse::<Level>());
        assert_eq!("sample".parse(), "sample:1000".parse::<Level>());
        for text in [
            "",
            "Full",
            "sample:0",
            "sample:",
            "sample:-1",
            "sample(9",
            "sample9",
            "all",
        ] {
            let refused = text.parse::<Level>().unwrap_err().to_string();
            assert!(refused.contains("no verification level"), "{refused}");
        }
    }

    #[test]
    fn levels_have_an_order() {
        let of = |text: &str| text.parse::<Level>().unwrap();
        assert!(of("metadata") < of("count") && of("count") < of("sample:1"));
        assert!(of("sample:1") < of("sample:2") && of("sample:9") < of("full"));
    }
}
