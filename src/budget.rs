//! What a plan may cost in thirty days, and what follows when it is expected to cost more. Pure: no network, no clock.
//!
//! A soft budget warns; a hard one keeps new copies from being made. What it must never do: have anything deleted, stop a
//! copy that is paid for already, or stop anything when nobody knows what it costs. So a hard budget stops only what is
//! certain to pass it, and a warning comes as soon as either may be passed: backups matter more than the budget.

use serde::Serialize;

use crate::price::{Between, MicroDollars};

/// What a plan may cost in thirty days; at least one of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    soft: Option<MicroDollars>,
    hard: Option<MicroDollars>,
}

/// Why two amounts are no budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// There is none of them.
    #[error("is empty; set `soft_usd`, `hard_usd` or both, or leave the table out")]
    Empty,
    /// Nothing could ever be copied.
    #[error(
        "is nothing, which every copy costs more than; set it to what may be spent, or leave it out"
    )]
    Nothing,
    /// Nobody would be warned before copies stop.
    #[error(
        "{soft} is more than `hard_usd`, {hard}, so copies would stop before anybody is warned; lower it, or raise `hard_usd`"
    )]
    SoftAboveHard {
        /// The soft one.
        soft: MicroDollars,
        /// The hard one.
        hard: MicroDollars,
    },
}

impl Budget {
    /// # Errors
    /// When there is neither, one is nothing, or the soft one is the larger.
    pub fn of(soft: Option<MicroDollars>, hard: Option<MicroDollars>) -> Result<Self, BudgetError> {
        let nothing = MicroDollars::default();
        match (soft, hard) {
            (None, None) => Err(BudgetError::Empty),
            _ if soft == Some(nothing) || hard == Some(nothing) => Err(BudgetError::Nothing),
            (Some(soft), Some(hard)) if soft > hard => {
                Err(BudgetError::SoftAboveHard { soft, hard })
            }
            _ => Ok(Self { soft, hard }),
        }
    }

    /// Over which a warning is given.
    #[must_use]
    pub fn soft(&self) -> Option<MicroDollars> {
        self.soft
    }

    /// Over which no new copy is made.
    #[must_use]
    pub fn hard(&self) -> Option<MicroDollars> {
        self.hard
    }

    /// Judges what thirty days are expected to cost; `None` is unknown.
    #[must_use]
    pub fn judge(&self, plan: &str, expected: Option<Between>) -> Judged {
        let passes = |limit: Option<MicroDollars>, amount: MicroDollars| {
            limit.is_some_and(|limit| amount > limit)
        };
        let state = match expected {
            None => State::Unknown,
            Some(expected) if passes(self.hard, expected.least) => State::OverHard,
            Some(expected) if passes(self.hard, expected.most) => State::PerhapsOverHard,
            Some(expected) if passes(self.soft, expected.most) => State::OverSoft,
            Some(_) => State::Within,
        };
        Judged {
            plan: plan.to_owned(),
            state,
            expected,
            soft: self.soft,
            hard: self.hard,
            unread: None,
        }
    }
}

/// How what is expected lies to a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Below both.
    Within,
    /// It may pass the soft one.
    OverSoft,
    /// It may pass the hard one, and may not.
    PerhapsOverHard,
    /// It certainly passes the hard one.
    OverHard,
    /// Something that is needed to tell is unknown.
    Unknown,
}

/// A budget, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    #[serde(skip)]
    plan: String,
    /// What was found.
    pub state: State,
    /// What thirty days are expected to cost; absent where that is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Between>,
    /// The soft budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft: Option<MicroDollars>,
    /// The hard one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard: Option<MicroDollars>,
    /// Why nobody knows which backups the plan keeps, if that is so.
    #[serde(skip)]
    unread: Option<String>,
}

impl Judged {
    /// Remembers why nobody knows which backups the plan keeps; no table of prices is a remedy for that.
    #[must_use]
    pub fn without_knowing(mut self, why: Option<String>) -> Self {
        self.unread = why;
        self
    }

    /// Why nothing new may be copied, if that is so.
    #[must_use]
    pub fn refusal(&self) -> Option<OverBudget> {
        let (State::OverHard, Some(expected), Some(hard)) = (self.state, self.expected, self.hard)
        else {
            return None;
        };
        Some(OverBudget {
            plan: self.plan.clone(),
            expected,
            hard,
        })
    }

    /// What a person should know, though copies go on.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let limit = match self.state {
            State::Within | State::OverHard => return None,
            State::Unknown => return Some(self.why_unknown()),
            State::OverSoft => self.soft.map(|soft| ("soft", soft)),
            State::PerhapsOverHard => self.hard.map(|hard| ("hard", hard)),
        };
        let ((word, limit), expected) = (limit?, self.expected?);
        Some(format!(
            "thirty days are expected to cost {expected}, and the {word} budget is {limit}; copies go on. Raise `{word}_usd` of plan `{}`, or have less copied and kept: `lifeboat estimate` shows what costs most",
            self.plan
        ))
    }

    fn why_unknown(&self) -> String {
        match &self.unread {
            Some(why) => format!(
                "the budget can't be judged, because which tiers the plan has is unknown, so copies go on: {why}"
            ),
            None => "the budget can't be judged, because a price or a size that it takes is unknown, so copies go on; `lifeboat estimate` shows which, and LIFEBOAT_PRICES names a table of yours".to_owned(),
        }
    }
}

/// Why nothing new is copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "thirty days are expected to cost {expected}, more than the hard budget of {hard}; raise `hard_usd` of plan `{plan}`, or have less copied and kept: `lifeboat estimate` shows what costs most"
)]
pub struct OverBudget {
    plan: String,
    expected: Between,
    hard: MicroDollars,
}

/// What several parts cost together; unknown when one of them is.
pub fn total(parts: impl IntoIterator<Item = Option<Between>>) -> Option<Between> {
    let nothing = Some(Between::exactly(MicroDollars::default()));
    parts
        .into_iter()
        .fold(nothing, |sum, part| Some(sum?.plus(part?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dollars(amount: u64) -> MicroDollars {
        MicroDollars(amount * 1_000_000)
    }

    fn budget(soft: Option<u64>, hard: Option<u64>) -> Budget {
        Budget::of(soft.map(dollars), hard.map(dollars)).unwrap()
    }

    fn between(least: u64, most: u64) -> Between {
        Between {
            least: dollars(least),
            most: dollars(most),
        }
    }

    #[test]
    fn a_hard_budget_stops_what_is_certain_and_warns_of_what_may_be() {
        for (soft, hard, expected, state) in [
            (Some(50), None, Some(between(40, 50)), State::Within),
            (Some(50), None, Some(between(40, 51)), State::OverSoft),
            (Some(50), None, Some(between(500, 900)), State::OverSoft),
            (None, Some(100), Some(between(80, 100)), State::Within),
            (
                None,
                Some(100),
                Some(between(80, 101)),
                State::PerhapsOverHard,
            ),
            (
                None,
                Some(100),
                Some(between(100, 160)),
                State::PerhapsOverHard,
            ),
            (None, Some(100), Some(between(101, 160)), State::OverHard),
            (Some(50), Some(100), Some(between(60, 90)), State::OverSoft),
            (
                Some(50),
                Some(100),
                Some(between(60, 190)),
                State::PerhapsOverHard,
            ),
            (
                Some(100),
                Some(100),
                Some(between(101, 101)),
                State::OverHard,
            ),
            (Some(50), Some(100), None, State::Unknown),
        ] {
            let judged = budget(soft, hard).judge("nightly", expected);
            assert_eq!(judged.state, state, "{soft:?} {hard:?} {expected:?}");
            assert_eq!(judged.refusal().is_some(), state == State::OverHard);
            let silent = matches!(state, State::Within | State::OverHard);
            assert_eq!(judged.warning().is_none(), silent);
        }
    }

    #[test]
    fn what_is_said_has_the_amounts_and_the_remedy() {
        let fifty = budget(Some(50), Some(100));
        let refusal = fifty.judge("nightly", Some(between(101, 160))).refusal();
        assert_eq!(
            refusal.unwrap().to_string(),
            "thirty days are expected to cost $101.00 to $160.00, more than the hard budget of $100.00; raise `hard_usd` of plan `nightly`, or have less copied and kept: `lifeboat estimate` shows what costs most"
        );
        let warning = fifty
            .judge("nightly", Some(between(60, 90)))
            .warning()
            .unwrap();
        assert!(
            warning.starts_with("thirty days are expected to cost $60.00 to $90.00, and the soft budget is $50.00; copies go on. Raise `soft_usd` of plan `nightly`"),
            "{warning}"
        );
    }

    #[test]
    fn a_sum_with_an_unknown_part_is_unknown() {
        assert_eq!(total([]), Some(between(0, 0)));
        assert_eq!(
            total([Some(between(1, 2)), Some(between(3, 4))]),
            Some(between(4, 6))
        );
        assert_eq!(total([Some(between(1, 2)), None]), None);
    }

    proptest! {
        /// More money never stops what less would let pass.
        #[test]
        fn a_larger_budget_never_stops_more(least in 0_u64..1000, more in 0_u64..1000, hard in 1_u64..1000, raise in 0_u64..1000) {
            let stops = |hard| budget(None, Some(hard)).judge("p", Some(between(least, least + more))).refusal().is_some();
            prop_assert!(stops(hard) || !stops(hard + raise));
        }
    }
}
