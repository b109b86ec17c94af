//! How a report ends and how long it may be: shared by the reports of runs, restores and drills.

use serde::Serialize;

/// Lambda's answer may have 6 MB and a log line 256 KB; lists are cut far below both.
pub(super) const LONGEST_LIST: usize = 100;

/// Decisions are the point of a dry run, so more of them are shown.
pub(super) const LONGEST_DECISIONS: usize = 500;

/// How long a report may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Lists are cut, for an answer and a log line.
    Bounded,
    /// Lists are whole, for a person who asked for them.
    Whole,
}

impl Size {
    /// Entries of a list that is cut.
    pub(crate) fn longest_list(self) -> usize {
        match self {
            Self::Bounded => LONGEST_LIST,
            Self::Whole => usize::MAX,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything asked for was done.
    Succeeded,
    /// Something was not done; everything else was.
    Failed,
    /// Time ran out; an event for the same slot carries on.
    Incomplete,
}

impl Outcome {
    /// How it ends with so many failures, for so many of which more time is no remedy. Which those are, each report says
    /// for itself: what passes for one, because the service goes on by itself, is final for another.
    pub(crate) fn of(failures: usize, not_for_want_of_time: u64) -> Self {
        match (failures, not_for_want_of_time) {
            (0, _) => Self::Succeeded,
            (_, 0) => Self::Incomplete,
            _ => Self::Failed,
        }
    }

    /// The word that reports and the journal use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// The beginning of a list, and how much of it is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bounded<T> {
    /// The first entries.
    pub shown: Vec<T>,
    /// Entries that are counted and not shown.
    pub omitted: usize,
    #[serde(skip)]
    most: usize,
}

impl<T> Bounded<T> {
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self {
            shown: Vec::new(),
            omitted: 0,
            most,
        }
    }

    pub(crate) fn push(&mut self, entry: T) {
        if self.shown.len() < self.most {
            self.shown.push(entry);
        } else {
            self.omitted += 1;
        }
    }

    /// Entries in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shown.len() + self.omitted
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A failure of one thing, or of all that was asked for.
pub(crate) trait Fails {
    /// What happened, if it is not one source's alone.
    fn of_the_whole(&self) -> Option<&str>;
}

/// Letters of what history keeps of it.
const LONGEST_REASON: usize = 500;

/// Why it ended as it did, for history, which has a line for each job beside it; `None` where jobs alone failed.
pub(crate) fn of_the_whole<T: Fails>(failures: &Bounded<T>) -> Option<String> {
    let whole = failures.shown.iter().filter_map(Fails::of_the_whole);
    let first: Vec<&str> = whole.take(3).collect();
    let reason: String = first.join("; ").chars().take(LONGEST_REASON).collect();
    (!reason.is_empty()).then_some(reason)
}

/// Why something ended without any job, for history, which has no other place for it.
pub(crate) fn of_no_job<T>(failures: &Bounded<T>, reason: impl Fn(&T) -> String) -> Option<String> {
    let first = first_reasons(failures, reason);
    let reason: String = first.chars().take(LONGEST_REASON).collect();
    (!reason.is_empty()).then_some(reason)
}

/// The first reasons, for a report's one line.
pub(crate) fn first_reasons<T>(failures: &Bounded<T>, reason: impl Fn(&T) -> String) -> String {
    let first = failures.shown.iter().take(3).map(reason);
    first.collect::<Vec<_>>().join("; ")
}
