//! Rows chosen at random, every set of so many with the same chance, and compared on both sides.
//!
//! Ids may be sparse, so no row can be drawn without knowing them all: the source's ids are read, without attributes, and
//! drawn from on the way, in memory for the chosen ones alone. So the chance that a share of damaged rows is missed can be
//! said exactly, and none of it rests on how the ids are spread.

use futures_util::future::try_join;
use serde::Serialize;

use super::End;
use super::rows::{Cost, Depth, PageSize, Pages, count};
use super::walk::Pairs;
use crate::service::{Row, RowId, Rows, Service, ServiceError, Wanted};

/// Ids in one request, at most.
const MOST_IDS: u32 = 1_000;
/// The share of damaged rows that the report speaks of: one in a hundred.
const SHARE: f64 = 0.01;

/// What a sample says of the rows that it left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Rows that were compared.
    pub rows: u64,
    /// Rows that they were drawn from.
    pub of: u64,
    /// What they were drawn with: the same seed draws the same places of the same namespace.
    pub seed: u64,
    /// If this share of the source's rows were wrong or missing in the copy…
    pub damaged_share: f64,
    /// …so probable it would be, at the most, that the sample had none of them.
    pub missed_with_probability: f64,
}

impl Sample {
    fn of(rows: u64, of: u64, seed: u64) -> Self {
        Self {
            rows,
            of,
            seed,
            damaged_share: SHARE,
            missed_with_probability: missed(rows, of, SHARE),
        }
    }
}

/// How probable it is, at the most, that `rows` drawn without putting back from `of` rows have none of the damaged share.
#[must_use]
pub fn missed(rows: u64, of: u64, share: f64) -> f64 {
    if rows >= of {
        return 0.0;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a probability needs no more than 53 bits of the number of rows"
    )]
    let rows = rows as f64;
    // Each row after the first is drawn from fewer sound ones, so the truth lies a little below this.
    (1.0 - share).powf(rows)
}

/// So many of a stream of unknown length, every set of them with the same chance (Vitter's algorithm R).
struct Reservoir<T> {
    most: u64,
    seen: u64,
    kept: Vec<T>,
    dice: fastrand::Rng,
}

impl<T> Reservoir<T> {
    fn new(most: u64, seed: u64) -> Self {
        Self {
            most,
            seen: 0,
            kept: Vec::new(),
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    fn offer(&mut self, one: T) {
        let place = if self.seen < self.most {
            self.seen
        } else {
            self.dice.u64(..=self.seen)
        };
        self.seen += 1;
        match usize::try_from(place)
            .ok()
            .and_then(|at| self.kept.get_mut(at))
        {
            Some(kept) => *kept = one,
            None if place < self.most => self.kept.push(one),
            None => {}
        }
    }
}

/// Draws rows of the source and compares them with the copy's. `expected` are the source's rows, counted.
pub(super) async fn compare<S: Service>(
    source: End<'_, S>,
    copy: End<'_, S>,
    (rows, seed): (u32, u64),
    (expected, size): (u64, PageSize),
    cost: &mut Cost,
) -> Result<(Pairs, Sample), ServiceError> {
    let mut drawn = Reservoir::new(u64::from(rows), seed);
    let mut ids = Pages::of(source, Depth::Ids, expected, size);
    while ids.wants_page() {
        let filled = ids.fill().await;
        *cost = ids.cost;
        filled?;
        while let Some(row) = ids.pop() {
            drawn.offer(row.id);
        }
    }
    let sample = Sample::of(count(&drawn.kept), drawn.seen, seed);
    let mut ids = drawn.kept;
    ids.sort_unstable();
    let (mut pairs, mut size, mut rest) = (Pairs::default(), size, ids.as_slice());
    while !rest.is_empty() {
        let most = usize::try_from(size.rows().min(MOST_IDS)).unwrap_or(1);
        let (wanted, later) = rest.split_at(most.min(rest.len()));
        let (of_source, of_copy) = try_join(read(source, wanted), read(copy, wanted)).await?;
        cost.add(&of_source);
        cost.add(&of_copy);
        size.learn(count(&of_source.rows), of_source.bytes_returned);
        pair(&mut pairs, &of_source.rows, &of_copy.rows);
        rest = later;
    }
    Ok((pairs, sample))
}

/// The rows of these ids, as far as they exist. An answer with any other is none.
async fn read<S: Service>(end: End<'_, S>, wanted: &[RowId]) -> Result<Rows, ServiceError> {
    let answer = end.service.rows(end.namespace, Wanted::Of(wanted)).await?;
    let answer = answer.ok_or_else(|| end.gone())?;
    let mut asked = wanted.iter();
    for row in &answer.rows {
        if !asked.any(|id| *id == row.id) {
            let fault = format!("row {} came twice, out of order or unasked", row.id);
            return Err(end.broken(fault));
        }
    }
    Ok(answer)
}

fn pair(pairs: &mut Pairs, source: &[Row], copy: &[Row]) {
    let (mut source, mut copy) = (source.iter().peekable(), copy.iter().peekable());
    while source.peek().is_some() || copy.peek().is_some() {
        let (of_source, of_copy) = pairs.add(source.peek().copied(), copy.peek().copied());
        if of_source {
            source.next();
        }
        if of_copy {
            copy.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(most: u64, of: u64, seed: u64) -> Vec<u64> {
        let mut reservoir = Reservoir::new(most, seed);
        (0..of).for_each(|one| reservoir.offer(one));
        reservoir.kept
    }

    #[test]
    fn every_row_is_drawn_as_often_as_any_other() {
        let (most, of, rounds) = (5_u32, 50_u32, 40_000_u32);
        let mut times = vec![0_u32; 50];
        for seed in 0..u64::from(rounds) {
            let drawn = drawn(most.into(), of.into(), seed);
            assert_eq!(drawn.len(), 5);
            for at in drawn {
                times[usize::try_from(at).unwrap()] += 1;
            }
        }
        // 4,000 each, with a standard deviation of 60: five of them are one chance in a million.
        let fair = rounds * most / of;
        assert!(
            times.iter().all(|times| times.abs_diff(fair) < 300),
            "{times:?}"
        );
    }

    #[test]
    fn a_sample_of_everything_is_everything() {
        let mut all = drawn(10, 7, 1);
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<_>>());
        assert!(missed(7, 7, 0.01).abs() < f64::EPSILON);
    }

    #[test]
    fn damage_is_missed_no_more_often_than_is_said() {
        for (most, of, damaged) in [(100_u64, 2_000_u64, 20_u64), (30, 100, 1), (300, 1_000, 10)] {
            let rounds = 5_000_u32;
            let misses = (0..rounds)
                .filter(|seed| {
                    !drawn(most, of, u64::from(*seed))
                        .iter()
                        .any(|row| *row < damaged)
                })
                .count();
            let share =
                f64::from(u32::try_from(damaged).unwrap()) / f64::from(u32::try_from(of).unwrap());
            let said = missed(most, of, share) * f64::from(rounds);
            let seen = f64::from(u32::try_from(misses).unwrap());
            let deviation = said.sqrt().max(1.0);
            assert!(
                seen <= said + 4.0 * deviation,
                "{most} of {of}: {seen} and {said}"
            );
            // The bound is near the truth, too, where little of the whole is drawn.
            assert!(
                most * 10 > of || seen >= said / 1.3 - 4.0 * deviation,
                "{seen} and {said}"
            );
        }
    }
}
