//! A value that stands for all rows of a namespace, whatever order they come in: the sum, modulo 2^256, of the SHA-256
//! of every row in one canonical form.
//!
//! Two namespaces with one digest hold the same rows, as far as accidents go; it is no proof against somebody who makes
//! rows up until their hashes sum as they wish. An attribute that is null and one that is absent are the same, as they
//! are to the service; `3` and `3.0` are too, because the type is the schema's to say.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use crate::service::{Row, RowId};

/// The sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);

impl Digest {
    /// That of a single row, in its canonical form.
    pub(super) fn of(canonical: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(canonical).into();
        let mut digest = Self::default();
        let (words, _) = hash.as_chunks::<8>();
        for (own, word) in digest.0.iter_mut().zip(words) {
            *own = u64::from_le_bytes(*word);
        }
        digest
    }

    /// Adds the rows that another digest stands for.
    pub(super) fn add(&mut self, other: Self) {
        let mut carry = false;
        for (sum, word) in self.0.iter_mut().zip(other.0) {
            let (partial, one) = sum.overflowing_add(word);
            let (total, two) = partial.overflowing_add(u64::from(carry));
            (*sum, carry) = (total, one || two);
        }
    }
}

impl fmt::Display for Digest {
    /// 64 hexadecimal digits, the highest first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .rev()
            .try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let mut digest = Self::default();
        let exact = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let words = digest.0.iter_mut().rev().enumerate();
        for (at, word) in words.filter(|_| exact) {
            let digits = text.get(at * 16..(at + 1) * 16).ok_or(NoDigest)?;
            *word = u64::from_str_radix(digits, 16).map_err(|_| NoDigest)?;
        }
        if exact { Ok(digest) } else { Err(NoDigest) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no digest of 64 hexadecimal digits")]
pub struct NoDigest;

/// Writes a row in the form that is hashed and compared, in place of what `to` held. Every part says its kind and its
/// length, so no two rows have one form.
pub(super) fn write_row(row: &Row, to: &mut Vec<u8>) {
    to.clear();
    match &row.id {
        RowId::Number(number) => {
            to.push(0);
            to.extend(number.to_le_bytes());
        }
        RowId::Text(text) => {
            to.push(1);
            write_bytes(text, to);
        }
    }
    for (name, value) in row.attributes.iter().filter(|(_, value)| !value.is_null()) {
        write_bytes(name, to);
        write_value(value, to);
    }
}

/// Whether two attributes are one and the same to the last bit.
pub(super) fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    let form = |value: Option<&Value>| {
        let mut form = Vec::new();
        write_value(value.unwrap_or(&Value::Null), &mut form);
        form
    };
    form(one) == form(other)
}

fn write_value(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Null => to.push(0),
        Value::Bool(false) => to.push(1),
        Value::Bool(true) => to.push(2),
        Value::Number(number) => write_number(number, to),
        Value::String(text) => {
            to.push(5);
            write_bytes(text, to);
        }
        Value::Array(items) => {
            to.push(6);
            write_length(items.len(), to);
            for item in items {
                write_value(item, to);
            }
        }
        Value::Object(entries) => {
            to.push(7);
            write_length(entries.len(), to);
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(name, _)| name.as_str());
            for (name, value) in entries {
                write_bytes(name, to);
                write_value(value, to);
            }
        }
    }
}

/// Whole numbers as such, however they were written; any other by its bits, `-0.0` too.
fn write_number(number: &Number, to: &mut Vec<u8>) {
    let whole = number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from));
    let float = number.as_f64().unwrap_or(f64::NAN);
    match whole.or_else(|| exact_whole(float)) {
        Some(whole) => {
            to.push(3);
            to.extend(whole.to_le_bytes());
        }
        None => {
            to.push(4);
            to.extend(float.to_bits().to_le_bytes());
        }
    }
}

/// The whole number that a float is, if it is one that says no more than that.
fn exact_whole(float: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let plain = float.fract() == 0.0 && float.abs() <= EXACT;
    let negative_zero = float == 0.0 && float.is_sign_negative();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number of at most 53 bits"
    )]
    (plain && !negative_zero).then_some(float as i128)
}

fn write_bytes(text: &str, to: &mut Vec<u8>) {
    write_length(text.len(), to);
    to.extend(text.as_bytes());
}

fn write_length(length: usize, to: &mut Vec<u8>) {
    to.extend(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(id: u64, attributes: Value) -> Row {
        let Value::Object(attributes) = attributes else {
            panic!("{attributes}")
        };
        Row {
            id: RowId::Number(id),
            attributes: attributes.into_iter().collect(),
        }
    }

    fn form(row: &Row) -> Vec<u8> {
        let mut form = vec![9];
        write_row(row, &mut form);
        form
    }

    fn digest(rows: &[Row]) -> Digest {
        let mut digest = Digest::default();
        for row in rows {
            digest.add(Digest::of(&form(row)));
        }
        digest
    }

    #[test]
    fn the_order_of_rows_means_nothing_and_everything_else_does() {
        let rows: Vec<Row> = (0..100).map(|id| row(id, json!({"n": id}))).collect();
        let mut turned = rows.clone();
        turned.reverse();
        assert_eq!(digest(&rows), digest(&turned));
        assert_ne!(digest(&rows), digest(&rows[1..]));
        turned[7].attributes.insert("n".into(), json!(1_000));
        assert_ne!(digest(&rows), digest(&turned));
        assert_eq!(Digest::default().to_string(), "0".repeat(64));
    }

    #[test]
    fn the_sum_carries_over_all_its_words() {
        let mut sum = Digest([u64::MAX; 4]);
        let one = Digest::of(b"x");
        sum.add(one);
        // 2^256 - 1 + h is h - 1.
        assert_eq!(sum.0[0], one.0[0].wrapping_sub(1));
        assert_eq!(sum.0[1..], one.0[1..]);
    }

    #[test]
    fn a_digest_reads_back_as_itself() {
        let digest = digest(&[row(1, json!({"a": 1})), row(2, json!({}))]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        for text in ["", "0", &"g".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
            assert_eq!(text.parse::<Digest>(), Err(NoDigest), "{text}");
        }
    }

    #[test]
    fn no_two_different_rows_have_one_form() {
        let rows = [
            json!({}),
            json!({"a": 0}),
            json!({"a": -0.0}),
            json!({"a": 0.5}),
            json!({"a": false}),
            json!({"a": ""}),
            json!({"a": "0"}),
            json!({"a": []}),
            json!({"a": {}}),
            json!({"a": [null]}),
            json!({"a": ["b", "c"]}),
            json!({"a": ["bc"]}),
            json!({"a": [["b"], "c"]}),
            json!({"a": {"b": "c"}}),
            json!({"a": "", "b": ""}),
            json!({"ab": ""}),
            json!({"a": 18_446_744_073_709_551_615_u64}),
            json!({"a": -1}),
            json!({"a": 0.1}),
            json!({"a": 0.1_f64.next_up()}),
            json!({"a": "AACAPwAAAAA="}),
            json!({"a": "AACAPwAAAIA="}), // the second element is -0.0
        ];
        for (at, one) in rows.iter().enumerate() {
            for other in &rows[at + 1..] {
                assert_ne!(
                    form(&row(1, one.clone())),
                    form(&row(1, other.clone())),
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn ids_of_two_kinds_are_two_ids() {
        let text = Row {
            id: RowId::Text("1".into()),
            ..row(1, json!({}))
        };
        assert_ne!(form(&row(1, json!({}))), form(&text));
    }

    #[test]
    fn null_is_absent_and_the_way_a_number_is_written_says_nothing() {
        let one = row(1, json!({"a": null, "b": 3, "c": {"x": 1, "y": 2}}));
        let other: Value = serde_json::from_str(r#"{"b": 3.0, "c": {"y": 2, "x": 1}}"#).unwrap();
        assert_eq!(form(&one), form(&row(1, other)));
        assert!(same(None, Some(&Value::Null)));
        assert!(!same(Some(&json!(1)), None));
    }

    #[test]
    fn a_float_is_read_to_its_last_bit() {
        // Without `float_roundtrip`, serde_json reads some of these as their neighbours.
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..100_000 {
            let float = f64::from_bits(dice.u64(..));
            if float.is_finite() {
                let read: f64 = serde_json::from_str(&float.to_string()).unwrap();
                assert_eq!(read.to_bits(), float.to_bits());
            }
        }
    }
}
