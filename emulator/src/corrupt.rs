//! Silent damage: the ways a copy can differ from its source without any error.

use std::sync::Arc;

use crate::fault::Corruption;
use crate::random::Random;
use crate::store::Data;
use crate::value::{Id, Row, Value};

pub(crate) fn corrupt(data: &mut Data, how: Corruption, random: &mut Random) {
    match how {
        Corruption::DropRows => drop_rows(data, random),
        Corruption::FlipVectorBit => change_one(data, random, flip_bit),
        Corruption::DropAttribute => change_one(data, random, drop_attribute),
    }
}

fn drop_rows(data: &mut Data, random: &mut Random) {
    let count = data.rows.len();
    if count == 0 {
        return;
    }
    let first = random.below(count.min(100));
    let gone: Vec<Id> = data.rows.keys().skip(first).step_by(100).cloned().collect();
    for id in gone {
        data.replace(id, None);
    }
}

/// Changes the first row from a chance place on that can be changed, or failing that from the beginning.
fn change_one(data: &mut Data, random: &mut Random, change: fn(&Row) -> Option<Row>) {
    let from = random.below(data.rows.len());
    let later = data.rows.iter().skip(from);
    let changed = later
        .chain(data.rows.iter().take(from))
        .find_map(|(id, row)| change(row).map(|row| (id.clone(), row)));
    if let Some((id, row)) = changed {
        data.replace(id, Some(Arc::new(row)));
    }
}

/// The lowest bit of the last element: no tolerance and no rounded display shows it.
fn flip_bit(row: &Row) -> Option<Row> {
    let mut changed = row.clone();
    let vector = changed.values_mut().find_map(|value| match value {
        Value::Vector(elements, _) => elements.last_mut(),
        _ => None,
    })?;
    *vector = f32::from_bits(vector.to_bits() ^ 1);
    Some(changed)
}

fn drop_attribute(row: &Row) -> Option<Row> {
    let victim = row
        .iter()
        .find(|(_, value)| !matches!(value, Value::Vector(..)))?;
    let name = victim.0.to_owned();
    let mut changed = row.clone();
    changed.remove(&name);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn each_damage_changes_something_small() {
        let whole = seed::data(50, 5_000);
        for how in [
            Corruption::DropRows,
            Corruption::FlipVectorBit,
            Corruption::DropAttribute,
        ] {
            let mut damaged = whole.clone();
            corrupt(&mut damaged, how, &mut Random::new(3));
            let differing = whole
                .rows
                .iter()
                .filter(|(id, row)| damaged.rows.get(id) != Some(row))
                .count();
            assert_eq!(differing, 1, "{how:?}");
        }
    }
}
