//! From the rows and columns of a write to ids and typed rows, teaching the schema on the way.

use serde_json::{Map, Value as Json};

use crate::error::{ApiError, Result};
use crate::kind::{self, Kind, Scalar};
use crate::schema::Schema;
use crate::value::{Id, Row};

/// A document as sent, without its id.
pub(crate) type Sent = Map<String, Json>;

/// A document read against the schema.
pub(crate) struct Read {
    pub(crate) id: Id,
    pub(crate) row: Row,
    /// Attributes sent as null.
    pub(crate) nulls: Vec<String>,
}

/// The documents of `{kind}_rows` and `{kind}_columns`, or `None` when the request has neither.
pub(crate) fn take(body: &mut Sent, kind: &str) -> Result<Option<Vec<Sent>>> {
    let rows_name = format!("{kind}_rows");
    let columns_name = format!("{kind}_columns");
    let rows = present(body.remove(&rows_name));
    let columns = present(body.remove(&columns_name));
    if rows.is_none() && columns.is_none() {
        return Ok(None);
    }
    let mut documents = Vec::new();
    match rows {
        None => {}
        Some(Json::Array(rows)) => {
            for row in rows {
                match row {
                    Json::Object(row) => documents.push(row),
                    _ => return Err(ApiError::shape(format!("{rows_name}: expected a map"))),
                }
            }
        }
        Some(_) => return Err(ApiError::shape(format!("{rows_name}: expected a sequence"))),
    }
    match columns {
        None => {}
        Some(Json::Object(columns)) => documents.extend(pivot(columns, &columns_name)?),
        Some(_) => return Err(ApiError::shape(format!("{columns_name}: expected a map"))),
    }
    Ok(Some(documents))
}

fn present(json: Option<Json>) -> Option<Json> {
    json.filter(|json| !json.is_null())
}

fn pivot(mut columns: Sent, name: &str) -> Result<Vec<Sent>> {
    let Some(Json::Array(ids)) = columns.remove("id") else {
        return Err(ApiError::shape(format!("{name}: missing field `id`")));
    };
    let count = ids.len();
    let mut documents: Vec<Sent> = ids
        .into_iter()
        .map(|id| Sent::from_iter([("id".to_owned(), id)]))
        .collect();
    for (attribute, values) in columns {
        let Json::Array(mut values) = values else {
            return Err(ApiError::shape(format!(
                "{name}.{attribute}: expected a sequence"
            )));
        };
        if attribute == "vector" && values.first().is_some_and(Json::is_number) {
            values = split(&values, count)?;
        }
        if values.len() != count {
            return Err(ApiError::bad(format!(
                "column `{attribute}` has {} values for {count} ids",
                values.len()
            )));
        }
        for (document, value) in documents.iter_mut().zip(values) {
            document.insert(attribute.clone(), value);
        }
    }
    Ok(documents)
}

/// One long array holds the elements of all documents' vectors back to back.
fn split(elements: &[Json], count: usize) -> Result<Vec<Json>> {
    let dims = elements.len() / count.max(1);
    if dims == 0 || dims * count != elements.len() {
        return Err(ApiError::bad(
            "column `vector` does not divide into the ids",
        ));
    }
    Ok(elements
        .chunks(dims)
        .map(|vector| Json::Array(vector.to_vec()))
        .collect())
}

/// Reads one document.
pub(crate) fn read(schema: &mut Schema, mut sent: Sent) -> Result<Read> {
    let id = sent
        .remove("id")
        .ok_or_else(|| ApiError::shape("missing field `id`"))?;
    let id = read_id(schema, &id)?;
    let mut row = Row::default();
    let mut nulls = Vec::new();
    for (name, value) in sent {
        if value.is_null() {
            nulls.push(name);
            continue;
        }
        let (shared, kind) = schema.learn(&name, &value)?;
        row.set(shared, kind.read(&name, &value)?);
    }
    row.shrink();
    Ok(Read { id, row, nulls })
}

/// Reads an id, which fixes the type of the ids when it is the first.
pub(crate) fn read_id(schema: &mut Schema, json: &Json) -> Result<Id> {
    let kind = schema.learn_id(json.is_string());
    id_of(kind, json)
}

/// Reads an id of the known type.
pub(crate) fn id_of(kind: Kind, json: &Json) -> Result<Id> {
    let id = match (kind, json) {
        (Kind::One(Scalar::Uuid), Json::String(text)) => {
            kind::uuid(text).map(|id| Id::Text(id.into()))
        }
        (Kind::One(Scalar::Text), Json::String(text)) => {
            (!text.is_empty() && text.len() <= 64).then(|| Id::Text(text.as_str().into()))
        }
        (Kind::One(Scalar::Uint | Scalar::Int), json) => json.as_u64().map(Id::Uint),
        _ => None,
    };
    id.ok_or_else(|| ApiError::bad(format!("invalid document id {json}: expected {kind}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(json: Json) -> Sent {
        match json {
            Json::Object(map) => map,
            _ => Sent::new(),
        }
    }

    #[test]
    fn columns_become_rows() {
        let mut body =
            sent(json!({"upsert_columns": {"id": [1, 2], "vector": [1, 2, 3, 4], "n": [5, null]}}));
        let rows = take(&mut body, "upsert").unwrap().unwrap();
        assert_eq!(
            Json::from(rows[0].clone()),
            json!({"id": 1, "vector": [1, 2], "n": 5})
        );
        assert_eq!(rows[1]["vector"], json!([3, 4]));
        let mut short = sent(json!({"upsert_columns": {"id": [1, 2], "n": [5]}}));
        assert_eq!(take(&mut short, "upsert").unwrap_err().status, 400);
    }

    #[test]
    fn ids_are_of_one_type() {
        let mut schema = Schema::default();
        assert!(read_id(&mut schema, &json!(7)).is_ok());
        assert_eq!(read_id(&mut schema, &json!("x")).unwrap_err().status, 400);
        assert_eq!(read_id(&mut schema, &json!(-7)).unwrap_err().status, 400);
    }
}
