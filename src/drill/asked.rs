//! What a drill is asked for, and which backups it picks. Pure.
//!
//! The lot is drawn by hashes of the seed and the names, so the same seed picks the same of the same sources on any
//! machine and in any version, and a source that comes or goes changes nothing about the others.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::identity_of;
use crate::name::Namespace;
use crate::plan::Plan;
use crate::service::Region;
use crate::slot::Slot;
use crate::verify::Level;

/// A share of all sources, in hundredths of a per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share(u16);

/// All of them.
const WHOLE: u16 = 10_000;

/// A text that is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no share of the sources; use one such as 5% or 0.5%, more than nothing, at most 100%"
)]
pub struct ShareError(String);

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let read = || {
            let (whole, part) = match text.strip_suffix('%')?.split_once('.') {
                Some((whole, part)) => (whole, part),
                None => (text.strip_suffix('%')?, "0"),
            };
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = digits(whole) && digits(part) && !whole.is_empty();
            if !plain || whole.len() > 3 || !(1..=2).contains(&part.len()) {
                return None;
            }
            let hundredths: u16 = format!("{part:0<2}").parse().ok()?;
            whole
                .parse::<u16>()
                .ok()?
                .checked_mul(100)?
                .checked_add(hundredths)
        };
        read()
            .filter(|hundredths| (1..=WHOLE).contains(hundredths))
            .map(Self)
            .ok_or_else(|| ShareError(text.to_owned()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole}%"),
            part => write!(f, "{whole}.{part:02}%"),
        }
    }
}

/// How many sources are drilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many, or all if there are fewer.
    Count(u32),
    /// So large a part of them, rounded up.
    Share(Share),
}

impl Amount {
    /// How many of `sources` that is.
    #[must_use]
    pub fn of(self, sources: usize) -> usize {
        match self {
            Self::Count(count) => sources.min(usize::try_from(count).unwrap_or(usize::MAX)),
            Self::Share(Share(hundredths)) => {
                let part = sources.saturating_mul(usize::from(hundredths));
                part.div_ceil(usize::from(WHOLE))
            }
        }
    }
}

/// Which backups are drilled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// These: a source's name stands for its newest sealed backup, a backup's whole name for itself.
    Names(Vec<String>),
    /// The newest sealed backup of each of some sources, drawn by lot.
    Random(Amount),
    /// The same of the sources whose newest sealed backup is the oldest: those that a restore would set back farthest.
    Oldest(Amount),
}

impl Pick {
    /// The report's word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Names(_) => "names",
            Self::Random(_) => "random",
            Self::Oldest(_) => "oldest",
        }
    }
}

/// A drill as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which backups.
    pub pick: Pick,
    /// What the lot is drawn with; `None` is the drill's slot, in Unix seconds.
    pub seed: Option<u64>,
    /// Where they are restored to; `None` is the plan's source region, or, if the backups have an organisation of their
    /// own, their region.
    pub to: Option<Region>,
    /// How closely each is compared with its backup.
    #[serde(rename = "verify")]
    pub level: Level,
    /// From which of the plan's targets; `None` is its only one, or for sources that are drawn, one drawn before them.
    pub target: Option<String>,
    /// What the scratches are encrypted with: `default`, or a key; `None` inherits from the backup.
    pub to_encryption_key: Option<String>,
}

impl Asked {
    /// What tells this request from every other of the same plan and slot.
    #[must_use]
    pub fn identity(&self) -> String {
        identity_of(self)
    }

    /// What the lot is drawn with in the drill of this slot.
    #[must_use]
    pub fn seed_in(&self, slot: Slot) -> u64 {
        let seconds = slot.instant().as_second();
        self.seed.unwrap_or(seconds.unsigned_abs())
    }

    /// The same with one of several targets drawn, where sources are, so that a schedule reaches all of them in time.
    #[must_use]
    pub fn with_a_target(self, plan: &Plan, slot: Slot) -> Self {
        if self.target.is_some() || !matches!(self.pick, Pick::Random(_)) {
            return self;
        }
        let seed = self.seed_in(slot);
        let names = plan.targets.iter().map(|target| target.name.as_str());
        let target = names.min_by_key(|name| lot(seed, name)).map(str::to_owned);
        Self { target, ..self }
    }
}

/// A name's place in the lot of a seed.
fn lot(seed: u64, name: &str) -> [u8; 32] {
    let lot = Sha256::new().chain_update(seed.to_be_bytes());
    lot.chain_update(name).finalize().into()
}

impl Default for Asked {
    /// One source by lot, compared to the last bit.
    fn default() -> Self {
        Self {
            pick: Pick::Random(Amount::Count(1)),
            seed: None,
            to: None,
            level: Level::Full,
            target: None,
            to_encryption_key: None,
        }
    }
}

/// The sources in the order in which the lot draws them.
#[must_use]
pub fn by_lot(mut sources: Vec<Namespace>, seed: u64) -> Vec<Namespace> {
    sources.sort_by_cached_key(|source| lot(seed, source.as_str()));
    sources
}

/// The same, those first whose newest sealed backup is the oldest; among equals, by name.
#[must_use]
pub fn by_age<T>(mut newest: Vec<(Timestamp, Namespace, T)>) -> Vec<(Timestamp, Namespace, T)> {
    newest.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::play;

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    fn names(names: &[&str]) -> Vec<Namespace> {
        let names = names.iter().map(|name| Namespace::parse(name).unwrap());
        names.collect()
    }

    #[test]
    fn a_share_is_read_and_written_alike() {
        for text in ["5%", "100%", "0.50%", "12.25%", "0.01%"] {
            assert_eq!(share(text).to_string(), text);
        }
        assert_eq!(share("0.5%"), share("0.50%"));
        for text in [
            "", "%", "5", "0%", "0.00%", "100.01%", "101%", "-1%", "+5%", "5 %", "5.%", ".5%",
            "1.234%", "1e1%", "9999%", "5%%", "1.2.3%", "٥%",
        ] {
            let refused = text.parse::<Share>().unwrap_err().to_string();
            assert!(refused.contains("5% or 0.5%"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_share_is_rounded_up_and_a_count_is_never_more_than_there_are() {
        for (text, sources, of) in [
            ("5%", 100, 5),
            ("5%", 101, 6),
            ("5%", 1, 1),
            ("0.01%", 1_000_000, 100),
            ("100%", 7, 7),
            ("5%", 0, 0),
        ] {
            assert_eq!(
                Amount::Share(share(text)).of(sources),
                of,
                "{text} {sources}"
            );
        }
        assert_eq!(Amount::Count(3).of(2), 2);
        assert_eq!(Amount::Count(3).of(9), 3);
    }

    #[test]
    fn the_lot_is_the_same_for_ever() {
        let drawn = by_lot(names(&["acme-a", "acme-b", "acme-c", "acme-d"]), 7);
        let drawn: Vec<&str> = drawn.iter().map(Namespace::as_str).collect();
        assert_eq!(drawn, LOT_OF_SEVEN, "auditors repeat the pick years later");
    }

    const LOT_OF_SEVEN: [&str; 4] = ["acme-c", "acme-d", "acme-b", "acme-a"];

    #[test]
    fn a_source_that_goes_changes_nothing_about_the_others() {
        play("lots", 2_000, |dice| {
            let seed = dice.u64(..);
            let sources: Vec<String> = (0..dice.usize(2..40)).map(|n| format!("s{n}")).collect();
            let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
            let drawn = by_lot(names(&sources), seed);
            let mut shuffled = names(&sources);
            dice.shuffle(&mut shuffled);
            assert_eq!(
                by_lot(shuffled, seed),
                drawn,
                "the order of the listing is nothing"
            );
            let gone = dice.usize(..sources.len());
            let gone = &drawn[gone].clone();
            let fewer: Vec<Namespace> =
                drawn.iter().filter(|name| *name != gone).cloned().collect();
            assert_eq!(by_lot(fewer.clone(), seed), fewer);
        });
    }

    #[test]
    fn of_several_targets_a_drawn_one_is_drilled_and_each_in_its_time() {
        let environment = [
            ("SOURCE_REGION", "aws-us-east-1"),
            ("BACKUP_REGION", "aws-eu-west-1"),
            ("SOURCE_PREFIX", "acme-"),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = crate::plan::Settings::from_environment(&environment);
        let mut plan = settings.unwrap().plans.remove(0);
        let first = plan.targets[0].name.clone();
        let mut second = plan.targets[0].clone();
        second.name = "second".to_owned();
        plan.targets.push(second);
        let slot =
            |n: u64| Slot::from_digits(&format!("{:010}", 1_767_528_000 + n * 604_800)).unwrap();
        let drawn = |n| {
            Asked::default()
                .with_a_target(&plan, slot(n))
                .target
                .unwrap()
        };
        let weeks: Vec<String> = (0..40).map(drawn).collect();
        assert_eq!(weeks[3], drawn(3), "a repeated event drills the same");
        let of_first = weeks.iter().filter(|name| **name == first).count();
        assert!((10..30).contains(&of_first), "{weeks:?}");
        let named = Asked {
            pick: Pick::Names(vec!["acme-a".to_owned()]),
            ..Asked::default()
        };
        let asked = named.clone().with_a_target(&plan, slot(0));
        assert_eq!(
            asked, named,
            "for what is named, the target is to be named, too"
        );
    }

    #[test]
    fn every_source_is_drawn_first_about_as_often() {
        let mut first = std::collections::BTreeMap::new();
        for seed in 0..4_000 {
            let drawn = by_lot(names(&["a", "b", "c", "d"]), seed);
            *first.entry(drawn[0].to_string()).or_insert(0) += 1;
        }
        assert_eq!(first.len(), 4);
        assert!(
            first.values().all(|count| (850..1_150).contains(count)),
            "{first:?}"
        );
    }

    #[test]
    fn the_oldest_newest_backup_comes_first() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut of = names(&["a", "b", "c"]).into_iter();
        let mut newest = |second| (at(second), of.next().unwrap(), ());
        let sorted = by_age(vec![newest(30), newest(10), newest(10)]);
        let sorted: Vec<&str> = sorted
            .iter()
            .map(|(_, source, ())| source.as_str())
            .collect();
        assert_eq!(sorted, ["b", "c", "a"]);
    }
}
