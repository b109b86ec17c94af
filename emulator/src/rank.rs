//! The order of a query's answer: by an attribute, or by distance to a vector (always exhaustively).

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::error::{ApiError, Result};
use crate::kind::Kind;
use crate::query::{Hit, Rows};
use crate::schema::Schema;
use crate::value::{self, Row, Value};
use crate::vector::{self, Element};

#[derive(Debug)]
pub(crate) enum Rank {
    Id {
        descending: bool,
    },
    Attribute {
        name: String,
        descending: bool,
    },
    Distance {
        name: String,
        to: Vec<f32>,
        cosine: bool,
    },
}

impl Rank {
    pub(crate) fn read(json: &Json, schema: &Schema) -> Result<Self> {
        let Json::Array(parts) = json else {
            return Err(ApiError::shape("rank_by: expected an array"));
        };
        match parts.as_slice() {
            [Json::String(name), Json::String(order)] if order == "asc" || order == "desc" => {
                let descending = order == "desc";
                let name = name.clone();
                Ok(if name == "id" {
                    Self::Id { descending }
                } else {
                    Self::Attribute { name, descending }
                })
            }
            [Json::String(name), Json::String(how), to] if how == "ANN" || how == "kNN" => {
                let to = vector::read(to, Element::F32)?;
                match schema.kind(name) {
                    Some(Kind::Vector(dims, _)) if dims == to.len() => {}
                    _ => {
                        return Err(ApiError::bad(format!(
                            "`{name}` is no vector of {} dimensions",
                            to.len()
                        )));
                    }
                }
                let cosine = schema.metric_of(name) == "cosine_distance";
                let name = name.clone();
                Ok(Self::Distance { name, to, cosine })
            }
            _ => Err(ApiError::bad(format!(
                "rank_by {json} is not known to the emulator"
            ))),
        }
    }

    /// The first `count` rows in this order. Ties go by id.
    pub(crate) fn first<'a>(&self, rows: Rows<'a, '_>, count: usize) -> Vec<Hit<'a>> {
        let plain = |(id, row): (&'a value::Id, &'a Row)| Hit {
            id,
            row,
            distance: None,
        };
        match self {
            Self::Id { descending: false } => rows.iter().take(count).map(plain).collect(),
            Self::Id { descending: true } => rows.iter().rev().take(count).map(plain).collect(),
            Self::Attribute { name, descending } => {
                // Documents without the attribute come last.
                let mut hits: Vec<Hit<'a>> = rows.iter().map(plain).collect();
                hits.sort_by(|a, b| by_attribute(a.row.get(name), b.row.get(name), *descending));
                hits.truncate(count);
                hits
            }
            Self::Distance { name, to, cosine } => {
                let distance = |(id, row): (&'a value::Id, &'a Row)| match row.get(name) {
                    Some(Value::Vector(vector, _)) => {
                        let distance = Some(distance(vector, to, *cosine));
                        Some(Hit { id, row, distance })
                    }
                    _ => None,
                };
                let mut hits: Vec<Hit<'a>> = rows.iter().filter_map(distance).collect();
                hits.sort_by(|a, b| {
                    a.distance
                        .partial_cmp(&b.distance)
                        .unwrap_or(Ordering::Equal)
                });
                hits.truncate(count);
                hits
            }
        }
    }
}

fn by_attribute(a: Option<&Value>, b: Option<&Value>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => {
            let ordering = a.compare(b).unwrap_or(Ordering::Equal);
            if descending {
                ordering.reverse()
            } else {
                ordering
            }
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn distance(a: &[f32], b: &[f32], cosine: bool) -> f64 {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    if !cosine {
        return pairs().map(|(a, b)| (a - b).powi(2)).sum();
    }
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let norms = pairs().fold((0.0, 0.0), |(x, y), (a, b)| (x + a * a, y + b * b));
    let norm = (norms.0 * norms.1).sqrt();
    if norm == 0.0 { 1.0 } else { 1.0 - dot / norm }
}
