//! Ids, attribute values and rows: how they are kept, compared, measured and shown.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::vector::{self, Element};

/// A document's id. UUIDs are kept in canonical text, whose order is theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Id {
    Uint(u64),
    Text(Box<str>),
}

impl Id {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Uint(_) => 8,
            Self::Text(text) => length(text),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Uint(id) => serializer.serialize_u64(*id),
            Self::Text(id) => serializer.serialize_str(id),
        }
    }
}

/// An attribute's value. There is no null: such an attribute is absent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(Box<str>),
    Time(Timestamp),
    List(Box<[Value]>),
    Vector(Box<[f32]>, Element),
    Json(Box<serde_json::Value>),
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Logical bytes, as billed.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Uint(_) | Self::Float(_) | Self::Time(_) => 8,
            Self::Text(text) => length(text),
            Self::List(items) => items.iter().map(Self::bytes).sum(),
            Self::Vector(items, element) => {
                u64::try_from(items.len()).unwrap_or(u64::MAX) * element.size()
            }
            Self::Json(json) => length(&json.to_string()),
        }
    }

    /// How two values of one type compare; `None` when they can't be compared.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// A value on its way out; vectors are written in the encoding asked for.
pub(crate) struct Shown<'a> {
    pub(crate) value: &'a Value,
    pub(crate) base64: bool,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Uint(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(value) => serializer.serialize_str(value),
            Value::Time(value) => serializer.collect_str(value),
            Value::Json(value) => value.serialize(serializer),
            Value::Vector(items, element) if self.base64 => {
                serializer.serialize_str(&vector::to_base64(items, *element))
            }
            Value::Vector(items, _) => serializer.collect_seq(items.iter()),
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for value in items {
                    list.serialize_element(&Shown {
                        value,
                        base64: self.base64,
                    })?;
                }
                list.end()
            }
        }
    }
}

/// A document without its id: attributes in the order of their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Row {
    attributes: Vec<(Arc<str>, Value)>,
}

impl Row {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.position(name)
            .ok()
            .and_then(|at| self.attributes.get(at))
            .map(|(_, value)| value)
    }

    pub(crate) fn set(&mut self, name: Arc<str>, value: Value) {
        match self.position(&name) {
            Ok(at) => {
                if let Some((_, held)) = self.attributes.get_mut(at) {
                    *held = value;
                }
            }
            Err(at) => self.attributes.insert(at, (name, value)),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Ok(at) = self.position(name) {
            self.attributes.remove(at);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.attributes.iter().map(|(name, value)| (&**name, value))
    }

    pub(crate) fn into_attributes(self) -> Vec<(Arc<str>, Value)> {
        self.attributes
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.attributes.iter_mut().map(|(_, value)| value)
    }

    /// Gives back the room left over from building.
    pub(crate) fn shrink(&mut self) {
        self.attributes.shrink_to_fit();
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.attributes.iter().map(|(_, value)| value.bytes()).sum()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.attributes
            .binary_search_by(|(held, _)| (**held).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_attributes_in_order() {
        let mut row = Row::default();
        for name in ["b", "a", "c", "a"] {
            row.set(name.into(), Value::text(name));
        }
        row.remove("c");
        assert_eq!(
            row.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(row.bytes(), 2);
    }

    #[test]
    fn floats_are_shown_in_the_fewest_digits_that_say_them() {
        let value = Value::Vector(Box::new([0.1, 2.0]), Element::F32);
        let shown = |base64| {
            serde_json::to_string(&Shown {
                value: &value,
                base64,
            })
            .unwrap()
        };
        assert_eq!(shown(false), "[0.1,2.0]");
        assert_eq!(shown(true), "\"zczMPQAAAEA=\"");
    }
}
