//! Two namespaces read side by side in the order of their ids, every attribute of every row compared to its last bit.
//!
//! Both sides' pages are asked for at once and dropped when they were compared, so memory is a page of each at any size.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::{self, Digest};
use super::rows::{Cost, Depth, PageSize, Pages};
use super::{End, Observation};
use crate::run::Watch;
use crate::service::{Row, RowId, Service, ServiceError};

/// Rows that are named when many differ.
const NAMED: usize = 20;
/// Attributes that are named when many of one row differ.
const NAMED_ATTRIBUTES: usize = 5;

/// What is wrong with one row of the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// Only the source has it.
    Missing,
    /// Only the copy has it.
    Extra,
    /// Some attributes differ; these are the first of them.
    Changed(Vec<String>),
}

/// One row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongRow {
    /// Its id.
    pub id: RowId,
    /// How.
    pub wrong: Wrong,
}

impl fmt::Display for WrongRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wrong {
            Wrong::Missing => write!(f, "{} is missing", self.id),
            Wrong::Extra => write!(f, "{} is in the copy alone", self.id),
            Wrong::Changed(names) => write!(f, "{} differs in `{}`", self.id, names.join("`, `")),
        }
    }
}

/// Rows that differ: all of them counted, the first of them named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// Rows that only the source has.
    pub missing: u64,
    /// Rows that only the copy has.
    pub extra: u64,
    /// Rows of which some attribute differs.
    pub changed: u64,
    /// The first of them, in the order of ids.
    pub first: Vec<WrongRow>,
}

impl Differences {
    /// Whether no row differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing + self.extra + self.changed == 0
    }

    fn add(&mut self, id: &RowId, wrong: Wrong) {
        match wrong {
            Wrong::Missing => self.missing += 1,
            Wrong::Extra => self.extra += 1,
            Wrong::Changed(_) => self.changed += 1,
        }
        if self.first.len() < NAMED {
            let id = id.clone();
            self.first.push(WrongRow { id, wrong });
        }
    }
}

impl fmt::Display for Differences {
    /// How many, and the first three by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows are missing, {} are in the copy alone, {} have other values",
            self.missing, self.extra, self.changed
        )?;
        let named: Vec<String> = self.first.iter().take(3).map(ToString::to_string).collect();
        if named.is_empty() {
            return Ok(());
        }
        write!(f, " (row {})", named.join("; row "))
    }
}

/// How far two sides were compared and nothing differed, so that a later invocation need not begin anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// When the copy was created: of another one it says nothing.
    pub copy: Timestamp,
    /// The last row that both sides have.
    pub after: RowId,
    /// How many rows that are, on either side.
    pub rows: u64,
    /// Their sum.
    pub digest: Digest,
}

/// Where a walk begins, and where it says how far it is.
#[derive(Debug, Default)]
pub struct Way {
    reached: Mutex<Option<Milestone>>,
}

impl Way {
    /// One that goes on from here.
    #[must_use]
    pub fn from(milestone: Option<Milestone>) -> Self {
        Self {
            reached: Mutex::new(milestone),
        }
    }

    /// How far it is.
    #[must_use]
    pub fn reached(&self) -> Option<Milestone> {
        self.reached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn reach(&self, milestone: Milestone) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(milestone);
    }
}

/// The rows of both sides that were compared so far: the source's first, the copy's second.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) differences: Differences,
    pub(super) rows: [u64; 2],
    pub(super) digests: [Digest; 2],
    forms: [Vec<u8>; 2],
}

impl Pairs {
    /// What was equal up to here is counted and summed already.
    pub(super) fn behind(milestone: Option<&Milestone>) -> Self {
        let known = milestone.map(|milestone| (milestone.rows, milestone.digest));
        let (rows, digest) = known.unwrap_or_default();
        Self {
            rows: [rows; 2],
            digests: [digest; 2],
            ..Self::default()
        }
    }

    /// Two rows with one id.
    fn add_both(&mut self, source: &Row, copy: &Row) {
        let ([source_form, copy_form], [of_source, of_copy]) = (&mut self.forms, &mut self.digests);
        digest::write_row(source, source_form);
        digest::write_row(copy, copy_form);
        self.rows = self.rows.map(|rows| rows + 1);
        let hash = Digest::of(source_form);
        of_source.add(hash);
        if source_form == copy_form {
            return of_copy.add(hash);
        }
        of_copy.add(Digest::of(copy_form));
        self.differences.add(&source.id, changed(source, copy));
    }

    /// A row that only one side has.
    fn add_one(&mut self, side: usize, row: &Row, wrong: Wrong) {
        let sides = self.forms.iter_mut().zip(&mut self.digests);
        if let Some(((form, sum), rows)) = sides.zip(&mut self.rows).nth(side) {
            digest::write_row(row, form);
            sum.add(Digest::of(form));
            *rows += 1;
        }
        self.differences.add(&row.id, wrong);
    }

    /// The next row of each side, of which one may have ended. Whichever id is smaller comes alone.
    pub(super) fn add(&mut self, source: Option<&Row>, copy: Option<&Row>) -> (bool, bool) {
        let order = match (source, copy) {
            (Some(source), Some(copy)) => source.id.cmp(&copy.id),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match (order, source, copy) {
            (Ordering::Equal, Some(source), Some(copy)) => self.add_both(source, copy),
            (Ordering::Less, Some(source), _) => self.add_one(0, source, Wrong::Missing),
            (_, _, Some(copy)) => self.add_one(1, copy, Wrong::Extra),
            (_, _, None) => {}
        }
        (order.is_le(), order.is_ge())
    }
}

/// The attributes in which two rows differ.
fn changed(source: &Row, copy: &Row) -> Wrong {
    let names: BTreeSet<&String> = source
        .attributes
        .keys()
        .chain(copy.attributes.keys())
        .collect();
    let differ = names
        .into_iter()
        .filter(|name| !digest::same(source.attributes.get(*name), copy.attributes.get(*name)));
    Wrong::Changed(differ.take(NAMED_ATTRIBUTES).cloned().collect())
}

/// Reads both sides to their ends, from the milestone of `way` on if it is one of this copy.
pub(super) async fn walk<S: Service>(
    (source, copy): (&mut Pages<'_, S>, &mut Pages<'_, S>),
    mut pairs: Pairs,
    (way, created_at): (&Way, Timestamp),
    watch: Watch<'_>,
) -> Result<Pairs, ServiceError> {
    let mut last = None;
    loop {
        if source.wants_page() || copy.wants_page() {
            copy.tell(watch);
            if let (true, Some(after)) = (pairs.differences.is_empty(), last.take()) {
                let ([rows, _], [digest, _]) = (pairs.rows, pairs.digests);
                way.reach(Milestone {
                    copy: created_at,
                    after,
                    rows,
                    digest,
                });
            }
            let size = source.size.min(copy.size);
            (source.size, copy.size) = (size, size);
            try_join(source.fill(), copy.fill()).await?;
        }
        if source.peek().is_none() && copy.peek().is_none() {
            return Ok(pairs);
        }
        let (of_source, of_copy) = pairs.add(source.peek(), copy.peek());
        let compared = source.pop_if(of_source);
        copy.pop_if(of_copy);
        last = compared.map(|row| row.id).or(last);
    }
}

/// Reads a namespace of which there is nothing to compare it with: its rows, their sum, and what that cost.
pub async fn read_through<S: Service>(
    end: End<'_, S>,
    seen: &Observation,
    watch: Watch<'_>,
) -> Result<(u64, Digest, Cost), ServiceError> {
    let size = PageSize::guess(seen.metadata.approx_rows, seen.metadata.approx_bytes);
    let mut pages = Pages::of(end, Depth::Whole, seen.rows, size);
    let (mut rows, mut sum, mut form) = (0, Digest::default(), Vec::new());
    while pages.wants_page() {
        pages.tell(watch);
        pages.fill().await?;
        while let Some(row) = pages.pop() {
            digest::write_row(&row, &mut form);
            sum.add(Digest::of(&form));
            rows += 1;
        }
    }
    Ok((rows, sum, pages.cost))
}
