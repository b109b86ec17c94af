//! Aggregations: counts and sums, over everything or by group.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::error::{ApiError, Result};
use crate::value::{Id, Row, Shown, Value};

/// One aggregation, as it grows.
#[derive(Debug, Clone)]
enum Sum {
    Count(u64),
    /// Integers are added as such, so that sums are exact.
    Of {
        name: String,
        whole: i128,
        fraction: f64,
        fractional: bool,
    },
}

impl Sum {
    fn read(json: &Json) -> Result<Self> {
        let Json::Array(parts) = json else {
            return Err(ApiError::shape("aggregate_by: expected an array"));
        };
        match parts.as_slice() {
            [Json::String(what), ..] if what == "Count" => Ok(Self::Count(0)),
            [Json::String(what), Json::String(name)] if what == "Sum" => Ok(Self::Of {
                name: name.clone(),
                whole: 0,
                fraction: 0.0,
                fractional: false,
            }),
            _ => Err(ApiError::bad(format!(
                "aggregation {json} is not known to the emulator"
            ))),
        }
    }

    fn add(&mut self, id: &Id, row: &Row) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Of {
                name,
                whole,
                fraction,
                fractional,
            } => match (row.get(name), id) {
                (Some(Value::Int(value)), _) => *whole += i128::from(*value),
                (Some(Value::Uint(value)), _) => *whole += i128::from(*value),
                (Some(Value::Float(value)), _) => {
                    *fraction += value;
                    *fractional = true;
                }
                (None, Id::Uint(id)) if name == "id" => *whole += i128::from(*id),
                _ => {}
            },
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "only mixed or huge sums become floats"
    )]
    fn total(&self) -> Json {
        match self {
            Self::Count(count) => json!(count),
            Self::Of {
                whole,
                fraction,
                fractional: true,
                ..
            } => json!(*fraction + *whole as f64),
            Self::Of { whole, .. } => match i64::try_from(*whole) {
                Ok(whole) => json!(whole),
                Err(_) => u64::try_from(*whole)
                    .map_or_else(|_| json!(*whole as f64), |whole| json!(whole)),
            },
        }
    }
}

fn read(wanted: &Json) -> Result<Vec<(String, Sum)>> {
    let Json::Object(wanted) = wanted else {
        return Err(ApiError::shape("aggregate_by: expected a map"));
    };
    let sums = wanted
        .iter()
        .map(|(label, json)| Ok((label.clone(), Sum::read(json)?)));
    sums.collect()
}

fn totals(sums: &[(String, Sum)]) -> Map<String, Json> {
    sums.iter()
        .map(|(label, sum)| (label.clone(), sum.total()))
        .collect()
}

/// A group's key and its sums by label.
type Group = (Map<String, Json>, Vec<(String, Sum)>);

/// The totals over all rows.
pub(crate) fn aggregate<'a>(
    rows: impl Iterator<Item = (&'a Id, &'a Row)>,
    wanted: &Json,
) -> Result<Json> {
    let mut sums = read(wanted)?;
    for (id, row) in rows {
        for (_, sum) in &mut sums {
            sum.add(id, row);
        }
    }
    Ok(Json::Object(totals(&sums)))
}

/// The totals by the values of some attributes, in the order of those values as JSON.
pub(crate) fn groups<'a>(
    rows: impl Iterator<Item = (&'a Id, &'a Row)>,
    wanted: &Json,
    keys: &Json,
    limit: usize,
) -> Result<Json> {
    let keys: Option<Vec<&str>> = match keys {
        Json::Array(keys) => keys.iter().map(Json::as_str).collect(),
        _ => None,
    };
    let keys =
        keys.ok_or_else(|| ApiError::shape("group_by: expected a list of attribute names"))?;
    let empty = read(wanted)?;
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (id, row) in rows {
        let shown = keys
            .iter()
            .map(|key| ((*key).to_owned(), shown(row.get(key))));
        let key: Map<String, Json> = shown.collect();
        let group = groups
            .entry(serde_json::to_string(&key).unwrap_or_default())
            .or_insert_with(|| (key, empty.clone()));
        for (_, sum) in &mut group.1 {
            sum.add(id, row);
        }
    }
    let groups = groups.into_values().take(limit).map(|(mut key, sums)| {
        key.extend(totals(&sums));
        Json::Object(key)
    });
    Ok(groups.collect())
}

fn shown(value: Option<&Value>) -> Json {
    let shown = value.map(|value| Shown {
        value,
        base64: false,
    });
    serde_json::to_value(shown).unwrap_or_default()
}
