//! What is known of a namespace as a whole: metadata, schema, existence, warming; and deleting it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::bill::QUERY_MINIMUM;
use crate::call::Response;
use crate::clock;
use crate::encryption;
use crate::error::{ApiError, Result};
use crate::state::{Context, Reply, State};
use crate::store::{Extra, Namespace};

pub(crate) fn show(state: &mut State, context: &Context<'_>) -> Result<Reply> {
    let view = view(state, context, context.v1)?;
    state
        .bill
        .queried(&context.key.organisation, QUERY_MINIMUM, 0);
    Ok(Reply::ok(&view))
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

fn view(state: &State, context: &Context<'_>, v1: bool) -> Result<Json> {
    let namespace = found(state, context)?;
    let extra = namespace.extra();
    let settings = &state.settings;
    let approximately =
        |exact: u64| exact - exact * settings.approximations_short_by_percent.min(100) / 100;
    let mut view = json!({
        "schema": namespace.data.schema.metadata_view(),
        "approx_row_count": approximately(namespace.data.count()),
        "approx_logical_bytes": approximately(namespace.data.bytes),
        "created_at": namespace.created_at,
        "updated_at": namespace.updated_at,
        "last_write_at": format!("{:.9}", namespace.last_write_at),
        "encryption": encryption::view(extra.encryption.as_ref(), v1),
        "index": index(state, namespace, context),
    });
    if let Json::Object(view) = &mut view {
        add_optional(view, namespace, &extra);
    }
    Ok(view)
}

fn add_optional(view: &mut Map<String, Json>, namespace: &Namespace, extra: &Extra) {
    if namespace.read_only {
        view.insert("read_only".into(), json!(true));
    }
    if let Some(replicas) = extra.replicas {
        let status = json!({
            "ready_replicas": replicas, "replicas": replicas, "utilization": 0.0, "updated_at": extra.pinned_at,
        });
        view.insert(
            "pinning".into(),
            json!({"replicas": replicas, "status": status}),
        );
    }
    if let Some(shards) = extra.shards {
        view.insert("sharding".into(), json!({"num_shards": shards}));
    }
}

fn index(state: &State, namespace: &Namespace, context: &Context<'_>) -> Json {
    let lag = Duration::from_millis(state.settings.index_lag_ms);
    if namespace.half || clock::after(namespace.last_write_at, lag) > context.now {
        let data = &namespace.data;
        return json!({"status": "updating", "unindexed_bytes": data.bytes, "unindexed_rows": data.count()});
    }
    json!({"status": "up-to-date"})
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
