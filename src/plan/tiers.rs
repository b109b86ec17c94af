//! `tiers` of a plan of Zilliz Cloud: how many days, weeks, months and years back there is a backup, beyond the thirty days
//! of a native policy.
//!
//! The words mean what they mean in `retention`: each only keeps. A table that asks for nothing is refused, because nobody
//! writes one in order to have nothing done.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::walk::{Section, Table, Walk};
use super::{Reported, parts};
use crate::journal::JournalUrl;
use crate::retention::{Period, Periods};

pub(super) const TIERS: Table = (
    "`tiers` of Zilliz Cloud",
    &["daily", "weekly", "monthly", "yearly", "min", "hold"],
);

/// Periods of a rule that is there. None is said by leaving it out.
const PERIODS: RangeInclusive<u32> = 1..=36_500;

/// What a plan keeps for longer than a native policy can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers {
    /// Calendar periods at whose end there is a backup; at least one kind has a count.
    pub periods: Periods,
    /// The newest tiers of a cluster that stay in every region whatever their age.
    pub min: NonZeroU32,
    /// Ids of backups that stay until they are taken off this list.
    pub hold: BTreeSet<String>,
}

impl Tiers {
    /// The shortest period that has a count: one backup of each is made.
    #[must_use]
    pub fn finest(&self) -> Period {
        let Periods {
            daily,
            weekly,
            monthly,
            ..
        } = self.periods;
        let counts = [
            (Period::Daily, daily),
            (Period::Weekly, weekly),
            (Period::Monthly, monthly),
        ];
        let finest = counts.into_iter().find(|(_, count)| *count > 0);
        finest.map_or(Period::Yearly, |(period, _)| period)
    }

    /// As a plan says them, such as `daily = 7, monthly = 12`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Periods {
            daily,
            weekly,
            monthly,
            yearly,
        } = self.periods;
        let counts = [
            ("daily", daily),
            ("weekly", weekly),
            ("monthly", monthly),
            ("yearly", yearly),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        let counts = counts.map(|(word, count)| format!("{word} = {count}"));
        counts.collect::<Vec<_>>().join(", ")
    }
}

impl Walk<'_, '_> {
    pub(super) fn tiers(&mut self, plan: &Section<'_>) -> Result<Option<Tiers>, Reported> {
        let Some(value) = plan.get("tiers") else {
            return Ok(None);
        };
        let path = plan.at("tiers");
        let DeValue::Table(table) = value else {
            return Err(self.wrong(&path, value, "a table"));
        };
        let tiers = Section { path, table };
        self.refuse_unknown_to_zilliz(&tiers, TIERS);
        let mut number = |key| self.number(&tiers, key, PERIODS);
        let (daily, weekly) = (number("daily"), number("weekly"));
        let (monthly, yearly) = (number("monthly"), number("yearly"));
        let min = self.number(&tiers, "min", parts::MIN);
        let hold = self.held_ids(&tiers);
        let periods = Periods {
            daily: daily?.unwrap_or(0),
            weekly: weekly?.unwrap_or(0),
            monthly: monthly?.unwrap_or(0),
            yearly: yearly?.unwrap_or(0),
        };
        if periods == Periods::default() {
            let message = "asks for no backup; say how many in `daily`, `weekly`, `monthly` or `yearly`, such as `monthly = 12`, or leave the table out";
            return Err(self.fault(&tiers.path, message));
        }
        Ok(Some(Tiers {
            periods,
            min: NonZeroU32::new(min?.unwrap_or(1)).ok_or(Reported)?,
            hold: hold?,
        }))
    }

    /// Ids of backups that shall stay. Whether there are such, the service alone knows; here only what can be none is refused.
    fn held_ids(&mut self, tiers: &Section<'_>) -> Result<BTreeSet<String>, Reported> {
        let ids = self.texts(tiers, "hold")?.unwrap_or_default();
        let mut result = Ok(());
        for (index, id) in ids.iter().enumerate() {
            if !can_be_an_id(id) {
                let place = format!("{}[{index}]", tiers.at("hold"));
                let message = format!(
                    "`{id}` can't be the id of a backup; use one such as `backup3_71fd20c9ab4e665`, as `lifeboat list` shows it"
                );
                result = Err(self.fault(&place, message));
            }
        }
        result.map(|()| ids.into_iter().collect())
    }

    /// Which backups are the plan's own is known to the journal alone.
    pub(super) fn refuse_tiers_without_a_journal(
        &mut self,
        top: &Section<'_>,
        journal: &Result<Option<JournalUrl>, Reported>,
    ) {
        let (Some(DeValue::Table(plans)), Ok(None)) = (top.get("plans"), journal) else {
            return;
        };
        for (name, plan) in plans {
            let DeValue::Table(table) = plan.get_ref() else {
                continue;
            };
            let plans = Section {
                path: "plans".to_owned(),
                table: plans,
            };
            let plan = Section {
                path: plans.at(name.get_ref()),
                table,
            };
            if plan.get("tiers").is_some() && is_of_zilliz(&plan) {
                let message = "needs a journal, which alone knows what backups are the plan's own; set `journal` or LIFEBOAT_JOURNAL, such as `s3://bucket/lifeboat`";
                self.fault(&plan.at("tiers"), message);
            }
        }
    }
}

/// Ids are opaque (contract section 1), but they are a segment of a path, and no pattern.
fn can_be_an_id(text: &str) -> bool {
    let is_fit = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '*' | '?' | '/');
    text.chars().all(is_fit)
}

/// Elsewhere `tiers` is no key at all, which is told as such.
fn is_of_zilliz(plan: &Section<'_>) -> bool {
    matches!(plan.get("provider"), Some(DeValue::String(provider)) if provider == "zilliz")
}
