//! Reading the fields of a body. Null counts as absent, and unknown fields are left alone, as the service does.

use serde_json::Value as Json;

use crate::zilliz::envelope::{Refusal, Result, Undocumented};

/// A field that is there and not null.
fn field<'b>(body: &'b Json, name: &str) -> Option<&'b Json> {
    body.get(name).filter(|value| !value.is_null())
}

/// A string, refused with `code` if it is something else.
pub(crate) fn text<'b>(body: &'b Json, name: &str, code: u32) -> Result<Option<&'b str>> {
    let Some(value) = field(body, name) else {
        return Ok(None);
    };
    match value.as_str() {
        Some(text) => Ok(Some(text)),
        None => Err(Refusal::new(code, format!("{name} must be a string."))),
    }
}

/// A string that is there and not empty.
pub(crate) fn required<'b>(body: &'b Json, name: &str, code: u32) -> Result<&'b str> {
    text(body, name, code)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::new(code, format!("{name} is required.")))
}

/// A whole number within bounds, refused with `code` if it is something else.
pub(crate) fn number(
    body: &Json,
    name: &str,
    (least, most): (u64, u64),
    code: u32,
) -> Result<Option<u64>> {
    let Some(value) = field(body, name) else {
        return Ok(None);
    };
    match value
        .as_u64()
        .filter(|number| (least..=most).contains(number))
    {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::new(
            code,
            format!("{name} must be a whole number from {least} to {most}."),
        )),
    }
}

/// An array; an absent one is empty.
pub(crate) fn list<'b>(body: &'b Json, name: &str) -> Result<&'b [Json]> {
    let Some(value) = field(body, name) else {
        return Ok(&[]);
    };
    match value.as_array() {
        Some(items) => Ok(items),
        None => Err(Undocumented::NotAList(name).into()),
    }
}
