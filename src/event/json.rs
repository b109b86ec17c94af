//! Events as JSON: fields that are given twice are seen, and values are read strictly.
//!
//! What it must never do: take a value for another type's, or a word for its neighbour; it only says which is nearest.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::EventError;

/// An event as it came: its JSON, and whether a field was given twice, which the JSON alone would hide.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub(super) value: Value,
    pub(super) repeated: Option<String>,
}

impl From<Value> for Event {
    fn from(value: Value) -> Self {
        Self {
            value,
            repeated: None,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Entries(entries) = match Either::deserialize(deserializer)? {
            Either::Fields(entries) => entries,
            Either::Other(value) => return Ok(value.into()),
        };
        let mut repeated = None;
        let mut object = Map::new();
        for (field, value) in entries {
            if object.insert(field.clone(), value).is_some() {
                repeated = Some(field);
            }
        }
        Ok(Self {
            value: Value::Object(object),
            repeated,
        })
    }
}

/// An object's fields in their order, or anything else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Fields(Entries),
    Other(Value),
}

struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

pub(super) fn object(value: &Value) -> Result<&Map<String, Value>, EventError> {
    let found = match value {
        Value::Object(object) => return Ok(object),
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::String(_) => "a text",
        Value::Bool(_) | Value::Number(_) => "a bare value",
    };
    Err(EventError::NotAnObject(found))
}

pub(super) fn text(
    field: &'static str,
    value: &Value,
    wanted: &'static str,
) -> Result<String, EventError> {
    let text = value.as_str().filter(|text| !text.trim().is_empty());
    text.map(|text| text.trim().to_owned())
        .ok_or_else(|| wrong(field, value, wanted))
}

pub(super) fn yes_or_no(field: &'static str, value: &Value) -> Result<bool, EventError> {
    value
        .as_bool()
        .ok_or_else(|| wrong(field, value, "it should be true or false, without quotes"))
}

pub(super) fn instant(field: &'static str, value: &Value) -> Result<Timestamp, EventError> {
    let text = value.as_str().ok_or_else(|| {
        wrong(
            field,
            value,
            "it should be a time such as \"2026-11-21T02:00:00Z\"",
        )
    })?;
    instant_of(text.trim()).map_err(|wanted| wrong(field, value, wanted))
}

/// The instant that a text is, or what it should be. A day alone is none: nobody could say which end of it is meant.
pub fn instant_of(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| {
        if text.contains("<aws.scheduler") {
            "EventBridge Scheduler fills this in, other senders don't: write a time such as \"2026-11-21T02:00:00Z\""
        } else if text.len() == 10 && text.parse::<Date>().is_ok() {
            "that is a whole day: write the instant, with its zone, such as \"2026-11-21T00:00:00Z\" for the day's beginning or \"2026-11-21T23:59:59Z\" for its end, in UTC"
        } else {
            "it should be a time with its zone, such as \"2026-11-21T02:00:00Z\""
        }
    })
}

pub(super) fn wrong(field: &'static str, value: &Value, wanted: &'static str) -> EventError {
    EventError::WrongValue {
        field,
        found: value.to_string(),
        wanted,
    }
}

pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .min_by_key(|known| strsim::damerau_levenshtein(word, known))
}
