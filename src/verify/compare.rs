//! Two namespaces compared at a level: a copy with its source, two copies of one source, a restored namespace with the
//! backup it came from.
//!
//! What it must never do: call it damage when a side was written meanwhile. Both sides are looked at before, and after if
//! anything differs; what differs then proves nothing, and is told as drift.

use jiff::Timestamp;

use super::rows::{Cost, Depth, PageSize, Pages};
use super::sample::{self, Sample};
use super::walk::{self, Differences, Pairs, Way};
use super::{
    Digest, Drift, Level, Mismatch, Observation, Verdict, difference, observe, was_written,
};
use crate::clock::Clock;
use crate::name::Namespace;
use crate::run::Watch;
use crate::service::{Metadata, Service, ServiceError};

/// Estimates of one content may differ by one part in this many of the larger.
const ESTIMATES_AGREE_WITHIN_PART: u64 = 4;
/// Small namespaces' estimates may differ by so many rows all the same.
const ROWS_OF_NO_MATTER: u64 = 1_000;
/// The same for bytes.
const BYTES_OF_NO_MATTER: u64 = 1_000_000;

/// A namespace, and the region where it stands.
#[derive(Debug)]
pub struct End<'a, S> {
    /// The region.
    pub service: &'a S,
    /// The namespace.
    pub namespace: &'a Namespace,
}

impl<S> Clone for End<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for End<'_, S> {}

impl<S: Service> End<'_, S> {
    /// It was there a moment ago.
    pub(super) fn gone(&self) -> ServiceError {
        ServiceError::NotFound {
            region: self.service.region().into(),
            message: format!("`{}` was deleted while it was compared", self.namespace),
        }
    }

    /// Its rows can't be read.
    pub(super) fn broken(&self, fault: impl std::fmt::Display) -> ServiceError {
        ServiceError::Unreadable {
            region: self.service.region().into(),
            message: format!("reading the rows of `{}`: {fault}", self.namespace),
        }
    }
}

/// What a comparison goes by.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// How closely it looks.
    pub level: Level,
    /// From this instant on, a write to the source may be missing in the copy.
    pub still_since: Timestamp,
    /// What a sample is drawn with.
    pub seed: u64,
    /// The local clock, which is compared with the services'.
    pub clock: &'a Clock,
    /// How far an earlier comparison of the same two came at the level `full`, and where this one says how far it comes.
    pub way: &'a Way,
    /// Who is told how many rows were compared.
    pub watch: Watch<'a>,
}

/// What a comparison found.
#[derive(Clone, Debug)]
pub struct Compared {
    /// How closely it looked.
    pub level: Level,
    /// What it says.
    pub verdict: Verdict,
    /// Rows in the source and in the copy: counted, or estimated at the level `metadata`.
    pub rows: [u64; 2],
    /// The sums of all rows of the source and of the copy, at the level `full`.
    pub digests: Option<[Digest; 2]>,
    /// What was drawn, at the level `sample`.
    pub sample: Option<Sample>,
    /// The rows that differ, also where that proves nothing because a side was written.
    pub differences: Differences,
    /// When the source was last written, if it was, or may have been, since it should have stood still.
    pub written_at: Option<Timestamp>,
    /// What reading rows cost.
    pub cost: Cost,
}

/// A sample's seed: another one at every moment. It is reported, so that the same places can be drawn again.
#[must_use]
pub fn seed(clock: &Clock) -> u64 {
    clock.now().as_microsecond().unsigned_abs()
}

/// Compares a copy with its source. Takes as long as the namespaces are large: callers set the end.
///
/// # Errors
/// A request failed, or the rows can't be read in order; then nothing is known.
pub async fn compare<S: Service>(
    source: End<'_, S>,
    copy: End<'_, S>,
    terms: Terms<'_>,
) -> Result<Compared, ServiceError> {
    let (before, held) = match looks(source, copy, terms).await? {
        (Some(before), Some(held)) => (before, held),
        (Some(before), None) => {
            return Ok(Compared::unread(
                terms.level,
                Mismatch::Missing,
                [before.rows, 0],
            ));
        }
        (None, copy) => {
            let copied = copy.map_or(0, |copy| copy.rows);
            let gone = Mismatch::SourceGone {
                expected: 0,
                copied,
            };
            return Ok(Compared::unread(terms.level, gone, [0, copied]));
        }
    };
    let mut found = Compared {
        level: terms.level,
        verdict: Verdict::Equal,
        rows: [before.rows, held.rows],
        digests: None,
        sample: None,
        differences: Differences::default(),
        written_at: None,
        cost: Cost::default(),
    };
    let suspicion = found
        .look_closer(source, copy, terms, &before, &held)
        .await?;
    let Some(suspicion) = suspicion else {
        return Ok(found);
    };
    let (after, kept) = looks(source, copy, terms).await?;
    found.judge(suspicion, (&before, &held), (after, kept), terms);
    Ok(found)
}

/// Both sides at this moment.
async fn looks<S: Service>(
    source: End<'_, S>,
    copy: End<'_, S>,
    terms: Terms<'_>,
) -> Result<(Option<Observation>, Option<Observation>), ServiceError> {
    let look = async |end: End<'_, S>| {
        if terms.level > Level::Metadata {
            return observe(end.service, end.namespace, terms.clock).await;
        }
        let metadata = end.service.metadata(end.namespace).await?;
        Ok(metadata.map(|metadata| {
            terms.clock.compare(metadata.answered_at);
            let rows = metadata.approx_rows;
            Observation { metadata, rows }
        }))
    };
    futures_util::future::try_join(look(source), look(copy)).await
}

impl Compared {
    fn unread(level: Level, mismatch: Mismatch, rows: [u64; 2]) -> Self {
        Self {
            level,
            verdict: Verdict::Differs(mismatch),
            rows,
            digests: None,
            sample: None,
            differences: Differences::default(),
            written_at: None,
            cost: Cost::default(),
        }
    }

    /// Everything that the level asks for. What comes back is wrong, unless a side was written meanwhile.
    async fn look_closer<S: Service>(
        &mut self,
        source: End<'_, S>,
        copy: End<'_, S>,
        terms: Terms<'_>,
        before: &Observation,
        held: &Observation,
    ) -> Result<Option<Mismatch>, ServiceError> {
        if before.metadata.schema != held.metadata.schema {
            let difference = difference(&before.metadata.schema, &held.metadata.schema);
            return Ok(Some(Mismatch::Schema(difference)));
        }
        let counts = (before.rows != held.rows).then_some(Mismatch::Rows {
            expected: before.rows,
            copied: held.rows,
        });
        let size = PageSize::guess(before.metadata.approx_rows, before.metadata.approx_bytes);
        match terms.level {
            Level::Metadata => return Ok(implausible(&before.metadata, &held.metadata)),
            Level::Count => return Ok(counts),
            // Rows that are missing would be found, but the counts say it already.
            Level::Sample(_) if counts.is_some() => return Ok(counts),
            Level::Sample(rows) => {
                let (draw, of) = ((rows.get(), terms.seed), (before.rows, size));
                let (pairs, sample) =
                    sample::compare(source, copy, draw, of, &mut self.cost).await?;
                self.sample = Some(sample);
                self.differences = pairs.differences;
            }
            Level::Full => {
                let created_at = held.metadata.created_at;
                let milestone = terms.way.reached();
                let milestone = milestone.filter(|milestone| milestone.copy == created_at);
                let from = milestone.as_ref();
                let behind = from.map(|milestone| (&milestone.after, milestone.rows));
                let [mut of_source, mut of_copy] =
                    [(source, before), (copy, held)].map(|(end, seen)| {
                        Pages::of(end, Depth::Whole, seen.rows, size).behind(behind)
                    });
                let sides = (&mut of_source, &mut of_copy);
                let way = (terms.way, created_at);
                let walked = walk::walk(sides, Pairs::behind(from), way, terms.watch).await;
                self.cost += of_source.cost;
                self.cost += of_copy.cost;
                let Pairs {
                    differences,
                    rows,
                    digests,
                    ..
                } = walked?;
                self.digests = Some(digests);
                self.differences = differences;
                let [read, _] = rows;
                if self.differences.is_empty() && counts.is_none() && read != before.rows {
                    let counted = before.rows;
                    return Ok(Some(Mismatch::Unread { counted, read }));
                }
            }
        }
        if self.differences.is_empty() {
            return Ok(counts);
        }
        Ok(Some(Mismatch::Content(self.differences.clone())))
    }

    /// Damage, or drift: that depends on whether a side was written.
    fn judge(
        &mut self,
        suspicion: Mismatch,
        (before, held): (&Observation, &Observation),
        (after, kept): (Option<Observation>, Option<Observation>),
        terms: Terms<'_>,
    ) {
        let (Some(after), Some(kept)) = (after, kept.as_ref()) else {
            let mismatch = if kept.is_none() {
                Mismatch::Missing
            } else {
                let (expected, copied) = (before.rows, held.rows);
                Mismatch::SourceGone { expected, copied }
            };
            self.verdict = Verdict::Differs(mismatch);
            return;
        };
        let copy_written = was_written(held, kept, Timestamp::MAX);
        let source_written = was_written(before, &after, terms.still_since);
        if source_written {
            self.written_at = Some(after.metadata.updated_at);
        }
        if !(source_written || copy_written) {
            self.verdict = Verdict::Differs(suspicion);
            return;
        }
        self.verdict = Verdict::Drifted(Drift {
            fewest: before.rows.min(after.rows),
            most: before.rows.max(after.rows),
            copied: held.rows,
        });
    }
}

/// Whether the service's estimates can't be those of one content.
fn implausible(source: &Metadata, copy: &Metadata) -> Option<Mismatch> {
    let apart = |one: u64, other: u64, of_no_matter: u64| {
        let bound = one.max(other) / ESTIMATES_AGREE_WITHIN_PART;
        one.abs_diff(other) > bound.max(of_no_matter)
    };
    let rows = apart(source.approx_rows, copy.approx_rows, ROWS_OF_NO_MATTER);
    let bytes = apart(source.approx_bytes, copy.approx_bytes, BYTES_OF_NO_MATTER);
    (rows || bytes).then_some(Mismatch::Size {
        rows: source.approx_rows,
        bytes: source.approx_bytes,
        copied_rows: copy.approx_rows,
        copied_bytes: copy.approx_bytes,
    })
}
