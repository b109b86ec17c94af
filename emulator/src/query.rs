//! POST `…/query`: which documents, in which order, shown how; and several queries at once.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value as Json, json};

use crate::aggregate;
use crate::bill::QUERY_MINIMUM;
use crate::error::{ApiError, Result};
use crate::filter::Filter;
use crate::metadata::found;
use crate::rank::Rank;
use crate::state::{Context, Reply, State};
use crate::store::Data;
use crate::value::{Id, Row, Shown};

const LARGEST_LIMIT: usize = 10_000;
const DEFAULT_LIMIT: usize = 10;
const MOST_QUERIES: usize = 16;

/// A document found, and its distance if it was ranked by one.
pub(crate) struct Hit<'a> {
    pub(crate) id: &'a Id,
    pub(crate) row: &'a Row,
    pub(crate) distance: Option<f64>,
}

/// Which attributes to show, and how.
struct Projection {
    include: Include,
    base64: bool,
}

enum Include {
    All,
    Only(Vec<String>),
    Except(Vec<String>),
}

impl Projection {
    fn shows(&self, name: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|listed| listed == name);
        match &self.include {
            Include::All => true,
            Include::Only(names) => listed(names),
            Include::Except(names) => !listed(names),
        }
    }
}

/// One query's part of the answer.
enum Found<'a> {
    Rows(Vec<Hit<'a>>, Projection),
    Aggregations(Json),
    Groups(Json),
}

impl Found<'_> {
    fn bytes_returned(&self) -> u64 {
        match self {
            Self::Rows(hits, projection) => hits
                .iter()
                .map(|hit| {
                    let shown = hit.row.iter().filter(|(name, _)| projection.shows(name));
                    hit.id.bytes() + shown.map(|(_, value)| value.bytes()).sum::<u64>()
                })
                .sum(),
            Self::Aggregations(_) | Self::Groups(_) => 8,
        }
    }

    fn entries<M: SerializeMap>(&self, map: &mut M) -> std::result::Result<(), M::Error> {
        match self {
            Self::Rows(hits, projection) => {
                let rows: Vec<_> = hits
                    .iter()
                    .map(|hit| ShownHit { hit, projection })
                    .collect();
                map.serialize_entry("rows", &rows)
            }
            Self::Aggregations(values) => map.serialize_entry("aggregations", values),
            Self::Groups(groups) => map.serialize_entry("aggregation_groups", groups),
        }
    }
}

struct ShownHit<'a> {
    hit: &'a Hit<'a>,
    projection: &'a Projection,
}

impl Serialize for ShownHit<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(distance) = self.hit.distance {
            map.serialize_entry("$dist", &distance)?;
        }
        map.serialize_entry("id", self.hit.id)?;
        for (name, value) in self
            .hit
            .row
            .iter()
            .filter(|(name, _)| self.projection.shows(name))
        {
            let base64 = self.projection.base64;
            map.serialize_entry(name, &Shown { value, base64 })?;
        }
        map.end()
    }
}

/// The whole answer: one query's part, or several under `results`.
struct Response<'a> {
    parts: Vec<Found<'a>>,
    several: bool,
    billing: Json,
    performance: Json,
}

struct Part<'a>(&'a Found<'a>);

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.entries(&mut map)?;
        map.end()
    }
}

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.several {
            let parts: Vec<_> = self.parts.iter().map(Part).collect();
            map.serialize_entry("results", &parts)?;
        } else {
            for part in &self.parts {
                part.entries(&mut map)?;
            }
        }
        map.serialize_entry("billing", &self.billing)?;
        map.serialize_entry("performance", &self.performance)?;
        map.end()
    }
}

pub(crate) fn query(state: &mut State, context: &Context<'_>, body: &Json) -> Result<Reply> {
    let namespace = found(state, context)?;
    let data = Arc::clone(&namespace.data);
    let last_write_at = format!("{:.9}", namespace.last_write_at);
    let several = body.get("queries").filter(|queries| !queries.is_null());
    let parts = match several {
        None => vec![find(&data, body, body)?],
        Some(Json::Array(queries)) if (1..=MOST_QUERIES).contains(&queries.len()) => {
            let parts = queries.iter().map(|query| find(&data, query, body));
            parts.collect::<Result<_>>()?
        }
        Some(Json::Array(_)) => {
            return Err(ApiError::bad(format!(
                "queries must number 1 to {MOST_QUERIES}"
            )));
        }
        Some(_) => return Err(ApiError::shape("queries: expected a sequence")),
    };
    let queried = data.bytes.max(QUERY_MINIMUM);
    let returned = parts.iter().map(Found::bytes_returned).sum();
    state
        .bill
        .queried(&context.key.organisation, queried, returned);
    Ok(Reply::ok(&Response {
        parts,
        several: several.is_some(),
        billing: json!({"billable_logical_bytes_queried": queried, "billable_logical_bytes_returned": returned}),
        performance: json!({
            "approx_namespace_size": data.count(), "cache_hit_ratio": 1.0, "cache_temperature": "hot",
            "exhaustive_search_count": 0, "query_execution_ms": 1, "server_total_ms": 1,
            "last_included_write_at": last_write_at,
        }),
    }))
}

fn find<'a>(data: &'a Data, query: &Json, whole: &Json) -> Result<Found<'a>> {
    if !query.is_object() {
        return Err(ApiError::shape("expected a map"));
    }
    let given = |name: &str| query.get(name).filter(|value| !value.is_null());
    let filter = given("filters")
        .map(|json| Filter::read(json, &data.schema))
        .transpose()?;
    let start = filter.as_ref().and_then(Filter::above);
    let among = filter.as_ref().and_then(Filter::among);
    let rows: Rows<'a, '_> = Rows {
        data,
        filter: filter.as_ref(),
        start,
        among,
    };
    match (given("rank_by"), given("aggregate_by")) {
        (Some(_), Some(_)) => Err(ApiError::shape(
            "rank_by and aggregate_by can't be used together",
        )),
        (None, None) => Err(ApiError::bad("either rank_by or aggregate_by is required")),
        (None, Some(wanted)) => match given("group_by") {
            None => aggregate::aggregate(rows.iter(), wanted).map(Found::Aggregations),
            Some(keys) => {
                aggregate::groups(rows.iter(), wanted, keys, limit(query)?).map(Found::Groups)
            }
        },
        (Some(rank_by), None) => {
            let rank = Rank::read(rank_by, &data.schema)?;
            let (offset, limit) = (offset(query)?, limit(query)?);
            if offset + limit > LARGEST_LIMIT {
                return Err(ApiError::bad(format!(
                    "offset + limit must not exceed {LARGEST_LIMIT}"
                )));
            }
            let hits = rank.first(rows, offset + limit);
            let hits = hits.into_iter().skip(offset).collect();
            Ok(Found::Rows(hits, projection(query, whole)?))
        }
    }
}

/// The rows a filter lets through.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, 'f> {
    data: &'a Data,
    filter: Option<&'f Filter>,
    /// No id up to here passes the filter.
    start: Option<&'f Id>,
    /// No other id passes the filter.
    among: Option<&'f [Id]>,
}

impl<'a, 'f> Rows<'a, 'f> {
    /// In the order of ids; both ends can be walked.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = (&'a Id, &'a Row)> + use<'a, 'f> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.start.map_or(Unbounded, Excluded);
        let all = &self.data.rows;
        let named = self.among.into_iter().flatten();
        let named = named.filter_map(|id| all.get_key_value(id));
        let ranged = self
            .among
            .is_none()
            .then(|| all.range::<Id, _>((from, Unbounded)));
        let rows = named.chain(ranged.into_iter().flatten());
        let passes =
            move |id: &Id, row: &Row| self.filter.is_none_or(|filter| filter.matches(id, row));
        rows.map(|(id, row)| (id, &**row))
            .filter(move |(id, row)| passes(id, row))
    }
}

fn limit(query: &Json) -> Result<usize> {
    let limit = query.get("limit").or_else(|| query.get("top_k"));
    let total = match limit.filter(|limit| !limit.is_null()) {
        None => return Ok(DEFAULT_LIMIT),
        Some(Json::Object(limit)) => limit.get("total").and_then(Json::as_u64),
        Some(limit) => limit.as_u64(),
    };
    let total = total.ok_or_else(|| ApiError::shape("limit: expected an integer"))?;
    usize::try_from(total)
        .ok()
        .filter(|total| (1..=LARGEST_LIMIT).contains(total))
        .ok_or_else(|| {
            ApiError::bad(format!(
                "limit must be between 1 and {LARGEST_LIMIT}, got {total}"
            ))
        })
}

fn offset(query: &Json) -> Result<usize> {
    match query.get("offset").filter(|offset| !offset.is_null()) {
        None => Ok(0),
        Some(offset) => offset
            .as_u64()
            .and_then(|offset| usize::try_from(offset).ok())
            .ok_or_else(|| ApiError::shape("offset: expected an integer")),
    }
}

fn projection(query: &Json, whole: &Json) -> Result<Projection> {
    let encoding = query
        .get("vector_encoding")
        .or_else(|| whole.get("vector_encoding"));
    let base64 = encoding.and_then(Json::as_str) == Some("base64");
    let include = match (
        query.get("include_attributes"),
        query.get("exclude_attributes"),
    ) {
        (None | Some(Json::Null), Some(Json::Array(names))) => Include::Except(strings(names)?),
        (Some(Json::Bool(true)), _) => Include::All,
        (None | Some(Json::Null | Json::Bool(false)), _) => Include::Only(Vec::new()),
        (Some(Json::Array(names)), _) => Include::Only(strings(names)?),
        (Some(other), _) => {
            return Err(ApiError::shape(format!(
                "include_attributes: unexpected {other}"
            )));
        }
    };
    Ok(Projection { include, base64 })
}

fn strings(names: &[Json]) -> Result<Vec<String>> {
    let names = names.iter().map(|name| name.as_str().map(str::to_owned));
    names
        .collect::<Option<_>>()
        .ok_or_else(|| ApiError::shape("expected a list of attribute names"))
}

pub(crate) fn explain(state: &State, context: &Context<'_>) -> Result<Reply> {
    let rows = found(state, context)?.data.count();
    Ok(Reply::ok(
        &json!({"plan_text": format!("scan of {rows} rows in memory")}),
    ))
}

/// Every search here is exhaustive, so recall is perfect.
pub(crate) fn recall(state: &State, context: &Context<'_>) -> Result<Reply> {
    found(state, context)?;
    Ok(Reply::ok(
        &json!({"avg_recall": 1.0, "avg_exhaustive_count": 10.0, "avg_ann_count": 10.0}),
    ))
}
