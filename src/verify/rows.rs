//! Reading a namespace from its first row to its last, page by page, in bounded memory.
//!
//! What it must never do: go on without proof that it comes nearer the end. Ids must strictly grow, from row to row and
//! from page to page; a page on which they don't is an error, because what was read so far is then worth nothing.

use std::collections::VecDeque;
use std::ops::AddAssign;

use serde::Serialize;

use super::End;
use crate::run::{Step, Watch};
use crate::service::{Row, RowId, Rows, Service, ServiceError, Wanted};

/// Logical bytes that a page should have. On their way they are text, and then values, of several times that size, and
/// two sides of several comparisons are read at once.
const PAGE_BYTES: u64 = 1_000_000;
/// The most rows that the service puts on one page (contract section 10).
const MOST_ROWS: u32 = 10_000;
/// Rows of a first page, at most: until one was seen, nobody knows how unequal the rows are.
const FIRST_ROWS: u32 = 1_000;
/// A page may have so many times the rows of the one before.
const GROWTH: u32 = 4;

/// What reading rows costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Requests for rows, as far as they were answered.
    pub requests: u64,
    /// Rows that came, of both sides together.
    pub rows: u64,
    /// Billed logical bytes that the service looked through.
    pub bytes_queried: u64,
    /// Billed logical bytes that it sent.
    pub bytes_returned: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.rows += other.rows;
        self.bytes_queried += other.bytes_queried;
        self.bytes_returned += other.bytes_returned;
    }
}

impl Cost {
    /// Whether no row was read.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Adds an answer.
    pub(super) fn add(&mut self, answer: &Rows) {
        self.requests += 1;
        self.rows += count(&answer.rows);
        self.bytes_queried += answer.bytes_queried;
        self.bytes_returned += answer.bytes_returned;
    }
}

/// How many rows to ask for, so that what comes is about a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSize(u32);

impl PageSize {
    /// From what the service estimates of a namespace.
    pub(super) fn guess(approx_rows: u64, approx_bytes: u64) -> Self {
        Self(fitting(approx_rows.max(1), approx_bytes).clamp(1, FIRST_ROWS))
    }

    /// Learns from an answer.
    pub(super) fn learn(&mut self, rows: u64, bytes: u64) {
        if rows > 0 && bytes > 0 {
            let most = self.0.saturating_mul(GROWTH).min(MOST_ROWS);
            self.0 = fitting(rows, bytes).clamp(1, most);
        }
    }

    /// Rows to ask for.
    pub(super) fn rows(self) -> u32 {
        self.0
    }

    /// The smaller of two.
    pub(super) fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

/// Rows of a page, if all were like these.
fn fitting(rows: u64, bytes: u64) -> u32 {
    let each = (bytes / rows).max(1);
    u32::try_from(PAGE_BYTES / each).unwrap_or(MOST_ROWS)
}

/// What is read of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// All of it.
    Whole,
    /// Its id.
    Ids,
}

/// A namespace that is being read.
#[derive(Debug)]
pub(super) struct Pages<'a, S> {
    end: End<'a, S>,
    depth: Depth,
    /// Rows that must come at the least, so that a short page is not taken for the last.
    expected: u64,
    page: VecDeque<Row>,
    last: Option<RowId>,
    at_end: bool,
    read: u64,
    pub(super) size: PageSize,
    pub(super) cost: Cost,
}

impl<'a, S: Service> Pages<'a, S> {
    /// Nothing is read yet. `expected` are the rows that were counted.
    pub(super) fn of(end: End<'a, S>, depth: Depth, expected: u64, size: PageSize) -> Self {
        let size = match depth {
            Depth::Whole => size,
            Depth::Ids => PageSize(MOST_ROWS),
        };
        Self {
            end,
            depth,
            expected,
            page: VecDeque::new(),
            last: None,
            at_end: false,
            read: 0,
            size,
            cost: Cost::default(),
        }
    }

    /// Goes on behind this row, as many rows having been read before.
    pub(super) fn behind(mut self, last: Option<(&RowId, u64)>) -> Self {
        if let Some((last, read)) = last {
            self.last = Some(last.clone());
            self.read = read;
        }
        self
    }

    /// Says how far it is.
    pub(super) fn tell(&self, Watch(watch): Watch<'_>) {
        let waiting = u64::try_from(self.page.len()).unwrap_or(u64::MAX);
        let compared = self.read.saturating_sub(waiting);
        watch(Step::Comparing(self.end.namespace, compared, self.expected));
    }

    /// Reads the next page, unless there are rows left of this one or it was the last.
    pub(super) async fn fill(&mut self) -> Result<(), ServiceError> {
        if !self.page.is_empty() || self.at_end {
            return Ok(());
        }
        let limit = self.size.rows();
        let after = self.last.as_ref();
        let wanted = match self.depth {
            Depth::Whole => Wanted::Whole { after, limit },
            Depth::Ids => Wanted::Ids { after, limit },
        };
        let answer = self.end.service.rows(self.end.namespace, wanted).await?;
        let answer = answer.ok_or_else(|| self.end.gone())?;
        self.cost.add(&answer);
        self.take(answer, limit)
    }

    fn take(&mut self, answer: Rows, limit: u32) -> Result<(), ServiceError> {
        let mut last = self.last.take();
        for row in &answer.rows {
            if last.as_ref().is_some_and(|last| row.id <= *last) {
                let fault = format!("row {} came where a larger id was due", row.id);
                return Err(self.end.broken(fault));
            }
            last = Some(row.id.clone());
        }
        let rows = count(&answer.rows);
        self.last = last;
        self.read += rows;
        // A short page is the last one only if nothing is missing; else an empty one must say so.
        self.at_end = rows == 0 || (rows < u64::from(limit) && self.read >= self.expected);
        if self.depth == Depth::Whole {
            self.size.learn(rows, answer.bytes_returned);
        }
        self.page = answer.rows.into();
        Ok(())
    }

    /// The next row, if the page has one.
    pub(super) fn peek(&self) -> Option<&Row> {
        self.page.front()
    }

    /// Takes the next row off the page.
    pub(super) fn pop(&mut self) -> Option<Row> {
        self.page.pop_front()
    }

    /// The same, if it is wanted.
    pub(super) fn pop_if(&mut self, wanted: bool) -> Option<Row> {
        if wanted { self.pop() } else { None }
    }

    /// Whether a page must be read before the next row is known.
    pub(super) fn wants_page(&self) -> bool {
        self.page.is_empty() && !self.at_end
    }
}

/// How many there are.
pub(super) fn count<T>(all: &[T]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_as_many_rows_as_fit_and_grow_slowly() {
        assert_eq!(PageSize::guess(0, 0).rows(), FIRST_ROWS);
        assert_eq!(PageSize::guess(1_000, 10_000_000).rows(), 100);
        assert_eq!(PageSize::guess(1, u64::MAX).rows(), 1);
        let mut size = PageSize::guess(1_000, 10_000_000);
        size.learn(100, 400);
        assert_eq!(size.rows(), 400, "no faster than fourfold");
        for _ in 0..10 {
            size.learn(400, 1_600);
        }
        assert_eq!(size.rows(), MOST_ROWS);
        size.learn(10, 100_000_000);
        assert_eq!(size.rows(), 1);
        size.learn(0, 0);
        assert_eq!(size.rows(), 1, "an empty page teaches nothing");
    }
}
