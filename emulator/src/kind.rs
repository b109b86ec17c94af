//! The types an attribute can have, their names, and turning JSON into values of them.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::ser::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::error::{ApiError, Result};
use crate::value::Value;
use crate::vector::{self, Element};

/// A single value's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Text,
    Int,
    Uint,
    Float,
    Bool,
    Uuid,
    Time,
}

/// An attribute's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    One(Scalar),
    Many(Scalar),
    Vector(usize, Element),
    /// Several vectors of one length, kept as the JSON they came in.
    Vectors(usize, Element),
    /// A sparse vector, kept as JSON.
    Sparse,
    /// Base64, kept as text.
    Bytes,
}

impl Scalar {
    const ALL: [(&'static str, Self); 7] = [
        ("string", Self::Text),
        ("int", Self::Int),
        ("uint", Self::Uint),
        ("float", Self::Float),
        ("bool", Self::Bool),
        ("uuid", Self::Uuid),
        ("datetime", Self::Time),
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, scalar)| *scalar)
    }

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, scalar)| *scalar == self)
            .map_or("string", |(name, _)| *name)
    }

    /// The value of this type that `json` stands for.
    fn read(self, json: &Json) -> Option<Value> {
        match self {
            Self::Text => json.as_str().map(Value::text),
            Self::Int => json.as_i64().map(Value::Int),
            Self::Uint => json.as_u64().map(Value::Uint),
            Self::Float => json.as_f64().map(Value::Float),
            Self::Bool => json.as_bool().map(Value::Bool),
            Self::Uuid => json.as_str().and_then(uuid).map(|id| Value::text(&id)),
            Self::Time => json.as_str().and_then(time).map(Value::Time),
        }
    }

    fn infer(json: &Json) -> Option<Self> {
        match json {
            Json::String(_) => Some(Self::Text),
            Json::Bool(_) => Some(Self::Bool),
            Json::Number(number) if number.is_f64() => Some(Self::Float),
            Json::Number(_) => Some(Self::Int),
            _ => None,
        }
    }
}

/// The canonical form of a UUID.
pub(crate) fn uuid(text: &str) -> Option<String> {
    let well_formed = text.len() == 36
        && text.char_indices().all(|(at, letter)| match at {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        });
    well_formed.then(|| text.to_ascii_lowercase())
}

/// Reads an ISO 8601 instant; without an offset, UTC is meant.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let local: civil::DateTime = text.parse().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

impl Kind {
    /// The type of this name, such as `[]string` or `[4]f32`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "{}f16" => return Some(Self::Sparse),
            "bytes" => return Some(Self::Bytes),
            _ => {}
        }
        let Some(rest) = name.strip_prefix('[') else {
            return Scalar::parse(name).map(Self::One);
        };
        let Some(of) = rest.strip_prefix(']') else {
            return dimensions(rest).map(|(dims, element)| Self::Vector(dims, element));
        };
        if let Some(inner) = of.strip_prefix('[') {
            return dimensions(inner).map(|(dims, element)| Self::Vectors(dims, element));
        }
        Scalar::parse(of).map(Self::Many)
    }

    /// The type turbopuffer gives an attribute that was not declared. Integers are `int`; UUIDs and datetimes
    /// are only ever declared. The attribute `vector` may be base64.
    pub(crate) fn infer(name: &str, json: &Json) -> Result<Self> {
        if name == "vector" {
            return Ok(Self::Vector(
                vector::read(json, Element::F32)?.len(),
                Element::F32,
            ));
        }
        let inferred = match json {
            Json::Array(items) => match items.first() {
                Some(Json::Array(inner)) => Some(Self::Vectors(inner.len(), Element::F32)),
                Some(_) if items.iter().any(Json::is_f64) => Some(Self::Many(Scalar::Float)),
                Some(first) => Scalar::infer(first).map(Self::Many),
                None => Some(Self::Many(Scalar::Text)),
            },
            other => Scalar::infer(other).map(Self::One),
        };
        inferred.ok_or_else(|| ApiError::bad(format!("can't infer the type of attribute `{name}`")))
    }

    /// The value of this type that `json` stands for.
    pub(crate) fn read(self, name: &str, json: &Json) -> Result<Value> {
        let value = match (self, json) {
            (Self::One(scalar), json) => scalar.read(json),
            (Self::Many(scalar), Json::Array(items)) => items
                .iter()
                .map(|item| scalar.read(item))
                .collect::<Option<Box<[Value]>>>()
                .map(Value::List),
            (Self::Vector(dims, element), json) => {
                let vector = vector::read(json, element)?;
                if vector.len() != dims {
                    return Err(ApiError::bad(format!(
                        "vector attribute `{name}` must have {dims} dimensions, got {}",
                        vector.len()
                    )));
                }
                Some(Value::Vector(vector.into_boxed_slice(), element))
            }
            (Self::Bytes, Json::String(text)) => Some(Value::text(text)),
            (Self::Sparse, Json::Object(_)) | (Self::Vectors(..), Json::Array(_)) => {
                Some(Value::Json(Box::new(json.clone())))
            }
            _ => None,
        };
        value.ok_or_else(|| {
            ApiError::bad(format!(
                "invalid value for attribute `{name}`: expected {self}"
            ))
        })
    }

    /// The type of this list's items, or the type itself.
    pub(crate) fn item(self) -> Self {
        match self {
            Self::Many(scalar) => Self::One(scalar),
            other => other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(scalar) => f.write_str(scalar.name()),
            Self::Many(scalar) => write!(f, "[]{}", scalar.name()),
            Self::Vector(dims, element) => write!(f, "[{dims}]{}", element.name()),
            Self::Vectors(dims, element) => write!(f, "[][{dims}]{}", element.name()),
            Self::Sparse => f.write_str("{}f16"),
            Self::Bytes => f.write_str("bytes"),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads `4]f32`.
fn dimensions(text: &str) -> Option<(usize, Element)> {
    let (dims, element) = text.split_once(']')?;
    let element = match element {
        "f32" => Element::F32,
        "f16" => Element::F16,
        "i8" => Element::I8,
        _ => return None,
    };
    dims.parse().ok().map(|dims| (dims, element))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_survive() {
        for name in [
            "string",
            "uint",
            "[]uuid",
            "[]datetime",
            "[4]f32",
            "[2]i8",
            "[][2]f32",
            "{}f16",
            "bytes",
        ] {
            assert_eq!(Kind::parse(name).unwrap().to_string(), name);
        }
        assert!(Kind::parse("text").is_none() && Kind::parse("[x]f32").is_none());
    }

    #[test]
    fn types_are_inferred_as_the_service_does() {
        for (json, name) in [
            (json!("x"), "string"),
            (json!(3), "int"),
            (json!(-1), "int"),
            (json!(1.5), "float"),
            (json!(true), "bool"),
            (json!([1]), "[]int"),
            (json!(["a"]), "[]string"),
            (json!([1, 1.5]), "[]float"),
            (json!([[0.1, 0.2]]), "[][2]f32"),
            (json!("6f1c1a2e-9b7a-4c55-8d1e-1a2b3c4d5e6f"), "string"),
        ] {
            assert_eq!(Kind::infer("a", &json).unwrap().to_string(), name);
        }
        assert_eq!(
            Kind::infer("vector", &json!("AACAPwAAAEA="))
                .unwrap()
                .to_string(),
            "[2]f32"
        );
    }

    #[test]
    fn datetimes_are_read_with_and_without_an_offset() {
        for text in [
            "2026-01-01T01:00:00+01:00",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
        ] {
            assert_eq!(time(text).unwrap().to_string(), "2026-01-01T00:00:00Z");
        }
    }
}
