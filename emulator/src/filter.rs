//! Filters: read against the schema once, then asked of each row.
//!
//! The operators are those a backup tool and the SDKs' smoke tests need; others are refused with 400, never ignored.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::error::{ApiError, Result};
use crate::kind::{Kind, Scalar};
use crate::rows;
use crate::schema::Schema;
use crate::value::{Id, Row, Value};

/// A condition on a document.
#[derive(Debug)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// The id compares like this with one of these, which are sorted.
    Id(Test, Vec<Id>),
    /// The attribute compares like this with one of these; no value stands for null.
    Attribute(String, Test, Vec<Option<Value>>),
    Glob {
        name: String,
        pattern: Vec<char>,
        fold: bool,
    },
}

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    /// Equal to any.
    In,
    Lt,
    Lte,
    Gt,
    Gte,
    /// A list holding any.
    Contains,
}

impl Test {
    fn holds(self, ordering: Option<Ordering>) -> bool {
        let Some(ordering) = ordering else {
            return false;
        };
        match self {
            Self::In | Self::Contains => ordering.is_eq(),
            Self::Lt => ordering.is_lt(),
            Self::Lte => ordering.is_le(),
            Self::Gt => ordering.is_gt(),
            Self::Gte => ordering.is_ge(),
        }
    }
}

impl Filter {
    /// Reads `["And", […]]`, `["Not", …]` or `[attribute, operator, operand]`.
    pub(crate) fn read(json: &Json, schema: &Schema) -> Result<Self> {
        let Json::Array(parts) = json else {
            return Err(ApiError::shape("filters: expected an array"));
        };
        match parts.as_slice() {
            [Json::String(op), Json::Array(parts)] if op == "And" || op == "Or" => {
                let parts = parts.iter().map(|part| Self::read(part, schema));
                let parts = parts.collect::<Result<Vec<_>>>()?;
                Ok(if op == "And" {
                    Self::And(parts)
                } else {
                    Self::Or(parts)
                })
            }
            [Json::String(op), part] if op == "Not" => Self::read(part, schema).map(negate),
            [Json::String(name), Json::String(op), operand] => leaf(name, op, operand, schema),
            _ => Err(ApiError::shape(format!("filters: unexpected {json}"))),
        }
    }

    pub(crate) fn matches(&self, id: &Id, row: &Row) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(id, row)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(id, row)),
            Self::Not(part) => !part.matches(id, row),
            Self::Id(Test::In, operands) => operands.binary_search(id).is_ok(),
            Self::Id(test, operands) => operands
                .iter()
                .any(|operand| test.holds(Some(id.cmp(operand)))),
            Self::Attribute(name, test, operands) => {
                let held = row.get(name);
                operands
                    .iter()
                    .any(|operand| compare(*test, held, operand.as_ref()))
            }
            Self::Glob {
                name,
                pattern,
                fold,
            } => match row.get(name) {
                Some(Value::Text(text)) if *fold => glob(pattern, &letters(&text.to_lowercase())),
                Some(Value::Text(text)) => glob(pattern, &letters(text)),
                _ => false,
            },
        }
    }

    /// The only ids that this filter can let through, sorted, so that rows asked for by id are looked up.
    pub(crate) fn among(&self) -> Option<&[Id]> {
        match self {
            Self::Id(Test::In, ids) => Some(ids),
            Self::And(parts) => parts.iter().find_map(Self::among),
            _ => None,
        }
    }

    /// The largest id that this filter certainly excludes together with all smaller ones, so that paging by id
    /// starts where the last page ended.
    pub(crate) fn above(&self) -> Option<&Id> {
        match self {
            Self::Id(Test::Gt, ids) => ids.first(),
            Self::And(parts) => parts.iter().filter_map(Self::above).max(),
            _ => None,
        }
    }
}

fn negate(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

fn leaf(name: &str, op: &str, operand: &Json, schema: &Schema) -> Result<Filter> {
    if schema
        .get(name)
        .is_some_and(|attribute| !attribute.is_filterable())
    {
        return Err(ApiError::bad(format!(
            "attribute `{name}` is not filterable"
        )));
    }
    if let Some(positive) = op.strip_prefix("Not") {
        return leaf(name, positive, operand, schema).map(negate);
    }
    let test = match op {
        "Eq" | "In" => Test::In,
        "Lt" => Test::Lt,
        "Lte" => Test::Lte,
        "Gt" => Test::Gt,
        "Gte" => Test::Gte,
        "Contains" | "ContainsAny" => Test::Contains,
        "Glob" | "IGlob" => return glob_leaf(name, operand, op == "IGlob"),
        _ => {
            return Err(ApiError::bad(format!(
                "filter operator `{op}` is not known to the emulator"
            )));
        }
    };
    let operands = match (op, operand) {
        ("In" | "ContainsAny", Json::Array(items)) => items.iter().collect(),
        ("In" | "ContainsAny", _) => return Err(ApiError::bad(format!("{op} takes an array"))),
        _ => vec![operand],
    };
    if name == "id" {
        let kind = schema.kind("id").unwrap_or(Kind::One(Scalar::Uint));
        let ids = operands
            .into_iter()
            .map(|operand| rows::id_of(kind, operand));
        let mut ids = ids.collect::<Result<Vec<_>>>()?;
        ids.sort_unstable();
        ids.dedup();
        return Ok(Filter::Id(test, ids));
    }
    let values = operands
        .into_iter()
        .map(|operand| constant(name, test, operand, schema));
    Ok(Filter::Attribute(
        name.to_owned(),
        test,
        values.collect::<Result<_>>()?,
    ))
}

fn glob_leaf(name: &str, operand: &Json, fold: bool) -> Result<Filter> {
    let pattern = operand
        .as_str()
        .ok_or_else(|| ApiError::bad("Glob takes a string"))?;
    let pattern = if fold {
        pattern.to_lowercase()
    } else {
        pattern.to_owned()
    };
    Ok(Filter::Glob {
        name: name.to_owned(),
        pattern: letters(&pattern),
        fold,
    })
}

fn constant(name: &str, test: Test, operand: &Json, schema: &Schema) -> Result<Option<Value>> {
    if operand.is_null() {
        return Ok(None);
    }
    let kind = match schema.kind(name) {
        Some(kind) => kind,
        None => Kind::infer("", operand)?,
    };
    let kind = if test == Test::Contains {
        kind.item()
    } else {
        kind
    };
    kind.read(name, operand).map(Some)
}

fn compare(test: Test, held: Option<&Value>, operand: Option<&Value>) -> bool {
    match (test, held, operand) {
        (Test::In, None, None) => true,
        (Test::In, Some(held), Some(operand)) => held == operand,
        (Test::Contains, Some(Value::List(items)), Some(operand)) => items.contains(operand),
        (_, Some(held), Some(operand)) => test.holds(held.compare(operand)),
        _ => false,
    }
}

fn letters(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// Unix-style matching: `*`, `?` and classes such as `[a-z]` and `[^0-9]`.
fn glob(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => {
            (0..=text.len()).any(|skip| text.get(skip..).is_some_and(|text| glob(rest, text)))
        }
        Some((first, rest)) => {
            let Some((letter, text)) = text.split_first() else {
                return false;
            };
            match (first, class(rest)) {
                ('?', _) => glob(rest, text),
                ('[', Some((members, rest))) => in_class(members, *letter) && glob(rest, text),
                _ => first == letter && glob(rest, text),
            }
        }
    }
}

/// The members of a class and what follows its `]`.
fn class(after_bracket: &[char]) -> Option<(&[char], &[char])> {
    let end = after_bracket
        .iter()
        .skip(1)
        .position(|letter| *letter == ']')?
        + 1;
    Some((after_bracket.get(..end)?, after_bracket.get(end + 1..)?))
}

fn in_class(members: &[char], letter: char) -> bool {
    let (negated, members) = match members.split_first() {
        Some(('^' | '!', rest)) => (true, rest),
        _ => (false, members),
    };
    let mut rest = members;
    let mut found = false;
    loop {
        rest = match rest {
            [low, '-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&letter);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == letter;
                rest
            }
            [] => return found != negated,
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators_mean_what_they_say() {
        let mut schema = Schema::default();
        let sent = json!({"id": 5, "n": 3, "tags": ["a", "b"], "title": "blue kettle", "f": 1.5});
        let Json::Object(sent) = sent else {
            unreachable!()
        };
        let read = rows::read(&mut schema, sent).unwrap();
        for (filter, expected) in [
            (json!(["id", "Gt", 4]), true),
            (json!(["id", "In", [1, 5]]), true),
            (json!(["n", "Eq", 3]), true),
            (json!(["n", "NotEq", 3]), false),
            (json!(["n", "Lte", 2]), false),
            (json!(["n", "NotIn", [1, 2]]), true),
            (json!(["f", "Gte", 1]), true),
            (json!(["none", "Eq", null]), true),
            (json!(["n", "NotEq", null]), true),
            (json!(["tags", "Contains", "b"]), true),
            (json!(["tags", "ContainsAny", ["x", "a"]]), true),
            (json!(["tags", "NotContains", "a"]), false),
            (json!(["title", "Glob", "bl?e *[a-l]e"]), true),
            (json!(["title", "NotIGlob", "BLUE*"]), false),
            (
                json!(["And", [["n", "Eq", 3], ["Not", ["id", "Lt", 5]]]]),
                true,
            ),
            (json!(["Or", [["n", "Eq", 4], ["id", "Lt", 5]]]), false),
        ] {
            let compiled = Filter::read(&filter, &schema).unwrap();
            assert_eq!(compiled.matches(&read.id, &read.row), expected, "{filter}");
        }
        assert_eq!(
            Filter::read(&json!(["n", "Eq", "x"]), &schema)
                .unwrap_err()
                .status,
            400
        );
        assert_eq!(
            Filter::read(&json!(["n", "Near", 1]), &schema)
                .unwrap_err()
                .status,
            400
        );
        assert_eq!(
            Filter::read(&json!({"n": 1}), &schema).unwrap_err().status,
            422
        );
    }

    #[test]
    fn paging_filters_say_where_to_start() {
        let schema = Schema::default();
        let filter = json!(["And", [["n", "Eq", 3], ["id", "Gt", 9]]]);
        let filter = Filter::read(&filter, &schema).unwrap();
        assert_eq!(filter.above(), Some(&Id::Uint(9)));
    }

    #[test]
    fn rows_asked_for_by_id_are_looked_up() {
        let schema = Schema::default();
        let filter = json!(["And", [["n", "Eq", 3], ["id", "In", [9, 2, 9]]]]);
        let filter = Filter::read(&filter, &schema).unwrap();
        assert_eq!(filter.among(), Some([Id::Uint(2), Id::Uint(9)].as_slice()));
    }
}
