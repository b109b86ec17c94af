//! What is known of a namespace as a whole: metadata, schema, existence, warming; and deleting it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::bill::QUERY_MINIMUM;
use crate::call::Response;
use crate::clock;
use crate::encryption;
use crate::error::{ApiError, Result};
use crate::schema::MetadataView;
use crate::state::{Context, Reply, State};
use crate::store::{Extra, Namespace};

pub(crate) fn show(state: &mut State, context: &Context<'_>) -> Result<Reply> {
    let shown = Reply::ok(&view(state, context, context.v1)?);
    state
        .bill
        .queried(&context.key.organisation, QUERY_MINIMUM, 0);
    Ok(shown)
}

pub(crate) fn patch(state: &mut State, context: &Context<'_>, body: &Json) -> Result<Reply> {
    let Json::Object(body) = body else {
        return Err(ApiError::shape("expected a map"));
    };
    let read_only = match body.get("read_only") {
        None => None,
        Some(Json::Bool(read_only)) => Some(*read_only),
        Some(other) => {
            return Err(ApiError::shape(format!(
                "read_only: invalid type {other}, expected a boolean"
            )));
        }
    };
    let replicas = body.get("pinning").map(replicas).transpose()?;
    let namespace = found_mut(state, context)?;
    namespace.read_only = read_only.unwrap_or(namespace.read_only);
    if let Some(replicas) = replicas {
        let extra = Extra {
            replicas,
            pinned_at: replicas.map(|_| context.now),
            ..namespace.extra()
        };
        namespace.set_extra(extra);
    }
    Ok(Reply::ok(&view(state, context, true)?))
}

fn replicas(pinning: &Json) -> Result<Option<u64>> {
    match pinning {
        Json::Null | Json::Bool(false) => Ok(None),
        Json::Bool(true) => Ok(Some(1)),
        Json::Object(config) => match config.get("replicas") {
            None => Ok(Some(1)),
            Some(replicas) => match replicas.as_u64() {
                Some(replicas) if replicas > 0 => Ok(Some(replicas)),
                _ => Err(ApiError::shape(
                    "pinning.replicas: expected a positive integer",
                )),
            },
        },
        _ => Err(ApiError::shape("pinning: expected a boolean or a map")),
    }
}

/// Metadata as it is shown.
#[derive(Serialize)]
struct View<'a> {
    schema: MetadataView<'a>,
    approx_row_count: u64,
    approx_logical_bytes: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    last_write_at: String,
    encryption: Json,
    index: Index,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinning: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sharding: Option<Json>,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
enum Index {
    UpToDate,
    #[serde(rename_all = "snake_case")]
    Updating {
        unindexed_bytes: u64,
        unindexed_rows: u64,
    },
}

fn view<'a>(state: &'a State, context: &Context<'_>, v1: bool) -> Result<View<'a>> {
    let namespace = found(state, context)?;
    let extra = namespace.extra();
    let settings = &state.settings;
    let approximately =
        |exact: u64| exact - exact * settings.approximations_short_by_percent.min(100) / 100;
    Ok(View {
        schema: namespace.data.schema.metadata_view(),
        approx_row_count: approximately(namespace.data.count()),
        approx_logical_bytes: approximately(namespace.data.bytes),
        created_at: namespace.created_at,
        updated_at: namespace.updated_at,
        last_write_at: format!("{:.9}", namespace.last_write_at),
        encryption: encryption::view(extra.encryption.as_ref(), v1),
        index: index(state, namespace, context),
        read_only: namespace.read_only,
        pinning: extra
            .replicas
            .map(|replicas| pinning(replicas, extra.pinned_at)),
        sharding: extra.shards.map(|shards| json!({"num_shards": shards})),
    })
}

fn pinning(replicas: u64, since: Option<Timestamp>) -> Json {
    let status = json!({
        "ready_replicas": replicas, "replicas": replicas, "utilization": 0.0, "updated_at": since,
    });
    json!({"replicas": replicas, "status": status})
}

fn index(state: &State, namespace: &Namespace, context: &Context<'_>) -> Index {
    let lag = Duration::from_millis(state.settings.index_lag_ms);
    if namespace.half || clock::after(namespace.last_write_at, lag) > context.now {
        return Index::Updating {
            unindexed_bytes: namespace.data.bytes,
            unindexed_rows: namespace.data.count(),
        };
    }
    Index::UpToDate
}

pub(crate) fn schema(state: &State, context: &Context<'_>) -> Result<Reply> {
    Ok(Reply::ok(&found(state, context)?.data.schema.view()))
}

pub(crate) fn update_schema(
    state: &mut State,
    context: &Context<'_>,
    body: &Json,
) -> Result<Reply> {
    let namespace = found_mut(state, context)?;
    if namespace.read_only {
        return Err(ApiError::read_only());
    }
    let mut schema = namespace.data.schema.clone();
    schema.declare(body)?;
    let view = schema.view();
    Arc::make_mut(&mut namespace.data).schema = schema;
    namespace.updated_at = context.now;
    Ok(Reply::ok(&view))
}

pub(crate) fn exists(state: &State, context: &Context<'_>) -> Result<Reply> {
    found(state, context)?;
    Ok(Reply::ok(&json!({"status": "OK"})))
}

pub(crate) fn warm(state: &State, context: &Context<'_>) -> Result<Reply> {
    found(state, context)?;
    let body = json!({"status": "ACCEPTED", "message": "cache warm hint accepted"});
    Ok(Response::json(202, &body).into())
}

/// Read-only namespaces are deleted like any other.
pub(crate) fn delete(state: &mut State, context: &Context<'_>) -> Result<Reply> {
    found(state, context)?;
    if !context.fault.delete_lies
        && let Some(gone) = state.store.remove(&context.key)
    {
        let organisation = &context.key.organisation;
        state
            .bill
            .stored(organisation, gone.data.bytes, 0, context.now);
    }
    Ok(Reply::ok(&json!({"status": "OK"})))
}

pub(crate) fn found<'a>(state: &'a State, context: &Context<'_>) -> Result<&'a Namespace> {
    state
        .store
        .get(&context.key)
        .ok_or_else(|| ApiError::missing(&context.key.name))
}

fn found_mut<'a>(state: &'a mut State, context: &Context<'_>) -> Result<&'a mut Namespace> {
    state
        .store
        .get_mut(&context.key)
        .ok_or_else(|| ApiError::missing(&context.key.name))
}
