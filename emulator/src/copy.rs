//! Copies and branches: what may be copied where, how long it takes, and what comes out.
//!
//! Asynchronous ones become an [`crate::operation`]; the rules and the result are the same.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::corrupt;
use crate::encryption::Wish;
use crate::error::{ApiError, Result};
use crate::fault::Corruption;
use crate::keys::Permission;
use crate::route::Op;
use crate::settings::{AsyncErrors, AsyncHint, CopySnapshot};
use crate::state::{Context, Reply, State};
use crate::store::{Data, Extra, Key, Namespace};

/// How long a stalled synchronous copy keeps its caller waiting.
const STALLED: Duration = Duration::from_hours(1);

/// What the body asks for.
struct Wanted<'a> {
    source: &'a str,
    region: Option<&'a str>,
    api_key: Option<&'a str>,
    encryption: Wish,
    shards: Option<u64>,
    branch: bool,
}

/// A copy that may go ahead.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) source: Key,
    pub(crate) destination: Key,
    /// The source as it was when the copy was asked for.
    pub(crate) taken: Namespace,
    pub(crate) start: Timestamp,
    pub(crate) duration: Duration,
    branch: bool,
    encryption: Wish,
    shards: Option<u64>,
    corruption: Option<Corruption>,
}

impl Plan {
    fn crosses(&self) -> bool {
        self.source.region != self.destination.region
    }
}

/// Starts or does a copy or branch, whichever door it came in by.
pub(crate) fn copy(state: &mut State, context: &Context<'_>, body: &Json) -> Result<Reply> {
    let rows_above = |state: &State, plan: &Plan| match state.settings.async_hint {
        AsyncHint::Never => false,
        AsyncHint::Always => true,
        AsyncHint::AboveRows(rows) => plan.taken.data.count() > rows,
    };
    match (context.op, plan(state, context, body)) {
        (Op::StartCopy, Ok(plan)) => Ok(state.start(context, Ok(plan))),
        (Op::StartCopy, Err(error)) if state.settings.async_errors == AsyncErrors::InResult => {
            Ok(state.start(context, Err(error)))
        }
        (_, Err(error)) => Err(error),
        (Op::Copy, Ok(plan)) if prefers_async(context) && rows_above(state, &plan) => {
            Ok(state.start(context, Ok(plan)))
        }
        (_, Ok(plan)) => at_once(state, context, &plan),
    }
}

fn prefers_async(context: &Context<'_>) -> bool {
    let prefer = context.call.header("prefer").unwrap_or_default();
    prefer
        .split(',')
        .any(|part| part.trim().eq_ignore_ascii_case("respond-async"))
}

/// A synchronous copy takes effect at once; its answer arrives when it would have been done.
fn at_once(state: &mut State, context: &Context<'_>, plan: &Plan) -> Result<Reply> {
    if context.fault.stall_operation {
        state.operations.reserve(&plan.destination);
        let error = ApiError::new(504, "💔 the copy did not finish");
        return Ok(Reply {
            delay: STALLED,
            ..error.into()
        });
    }
    if context.fault.fail_operation {
        let mut reply = Reply::from(failed());
        reply.delay = plan.duration / 2;
        return Ok(reply);
    }
    let mut reply = Reply::ok(&finish(state, plan, context.now)?);
    if state.settings.sync_copy_waits {
        reply.delay = plan.duration;
    }
    Ok(reply)
}

/// How an injected failure of an operation reads.
pub(crate) fn failed() -> ApiError {
    ApiError::new(500, "💔 injected fault: the operation failed")
}

/// The error of a destination that is there, or is being written.
pub(crate) fn exists(name: &str) -> ApiError {
    ApiError::bad(format!("Destination namespace `{name}` already exists"))
}

fn plan(state: &State, context: &Context<'_>, body: &Json) -> Result<Plan> {
    let wanted = read(body)?;
    let destination = context.key.clone();
    let source = Key {
        organisation: source_organisation(state, context, wanted.api_key)?,
        region: wanted.region.unwrap_or(&destination.region).to_owned(),
        name: wanted.source.to_owned(),
    };
    if source == destination {
        return Err(ApiError::bad(
            "Source and destination namespace can't be the same",
        ));
    }
    if state.settings.is_unknown(&source.region) {
        return Err(ApiError::bad(format!(
            "region '{}' is not available for cross-region copy_from_namespace. available regions: {}",
            source.region,
            state.settings.available_regions.join(", ")
        )));
    }
    if state.store.get(&destination).is_some() || state.operations.is_reserved(&destination) {
        return Err(exists(&destination.name));
    }
    // A half-written namespace is visible, if the settings say so, but nothing to copy from.
    let taken = state.store.get(&source).filter(|namespace| !namespace.half);
    let taken = taken
        .ok_or_else(|| ApiError::missing(&source.name))?
        .clone();
    let extra = taken.extra();
    if wanted.branch && extra.shards.is_some() {
        return Err(ApiError::bad("sharded namespaces can't be branched"));
    }
    if extra.encryption.is_some()
        && source.region != destination.region
        && wanted.encryption == Wish::Unsaid
    {
        return Err(ApiError::bad(
            "copying a namespace with a customer-managed key to another region needs a destination key",
        ));
    }
    Ok(Plan {
        duration: duration(state, &wanted, &source, &destination, taken.data.bytes),
        source,
        destination,
        taken,
        start: context.now,
        branch: wanted.branch,
        encryption: wanted.encryption,
        shards: wanted.shards,
        corruption: context.fault.corrupt_copy,
    })
}

fn duration(
    state: &State,
    wanted: &Wanted<'_>,
    source: &Key,
    destination: &Key,
    bytes: u64,
) -> Duration {
    let settings = &state.settings;
    if wanted.branch {
        return Duration::from_millis(settings.branch_ms);
    }
    let speed = if source.region == destination.region {
        settings.same_region_bytes_per_second
    } else {
        settings.cross_region_bytes_per_second
    };
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(speed.max(1));
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
    Duration::from_nanos(nanoseconds)
        .saturating_add(Duration::from_millis(settings.copy_overhead_ms))
}

/// The organisation of the source, whose key (or the caller's own) must be able to read.
fn source_organisation(
    state: &State,
    context: &Context<'_>,
    api_key: Option<&str>,
) -> Result<String> {
    let key = api_key.unwrap_or(context.api_key);
    state.keys.check(key, Permission::Read).map(str::to_owned)
}

fn read(body: &Json) -> Result<Wanted<'_>> {
    let Json::Object(body) = body else {
        return Err(ApiError::shape("expected a map"));
    };
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let (field, from) = match (given("copy_from_namespace"), given("branch_from_namespace")) {
        (Some(from), None) => ("copy_from_namespace", from),
        (None, Some(from)) => ("branch_from_namespace", from),
        (None, None) => {
            return Err(ApiError::bad(
                "only copy_from_namespace can run asynchronously",
            ));
        }
        (Some(_), Some(_)) => return Err(mixed("copy_from_namespace")),
    };
    let branch = field == "branch_from_namespace";
    let allowed =
        |name: &str| name == field || (!branch && matches!(name, "encryption" | "sharding"));
    if body
        .iter()
        .any(|(name, value)| !allowed(name) && !value.is_null())
    {
        return Err(mixed(field));
    }
    let (source, options) = match from {
        Json::String(source) => (source.as_str(), None),
        Json::Object(options) => match options.get("source_namespace") {
            Some(Json::String(source)) => (source.as_str(), Some(options)),
            Some(other) => {
                return Err(ApiError::shape(format!(
                    "source_namespace: invalid type {other}"
                )));
            }
            None => return Err(ApiError::shape("missing field `source_namespace`")),
        },
        other => return Err(ApiError::shape(format!("{field}: invalid type {other}"))),
    };
    let encryption = match Wish::read(options.and_then(|options| options.get("dest_encryption")))? {
        Wish::Unsaid => Wish::read(body.get("encryption"))?,
        wish => wish,
    };
    Ok(Wanted {
        source,
        region: text(options, "source_region")?,
        api_key: text(options, "source_api_key")?,
        encryption,
        shards: shards(body.get("sharding"))?,
        branch,
    })
}

fn mixed(field: &str) -> ApiError {
    ApiError::bad(format!(
        "{field} cannot be used with other write request fields"
    ))
}

fn text<'a>(options: Option<&'a Map<String, Json>>, name: &str) -> Result<Option<&'a str>> {
    match options.and_then(|options| options.get(name)) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(ApiError::shape(format!(
            "{name}: invalid type {other}, expected a string"
        ))),
    }
}

pub(crate) fn shards(json: Option<&Json>) -> Result<Option<u64>> {
    let Some(json) = json.filter(|json| !json.is_null()) else {
        return Ok(None);
    };
    match json.get("num_shards").and_then(Json::as_u64) {
        Some(shards) if (1..=256).contains(&shards) => Ok(Some(shards)),
        _ => Err(ApiError::shape(
            "sharding.num_shards: expected an integer from 1 to 256",
        )),
    }
}

/// Makes the destination appear, bills it, and gives the `WriteResult`.
pub(crate) fn finish(state: &mut State, plan: &Plan, now: Timestamp) -> Result<Json> {
    let source = match state.settings.copy_snapshot {
        CopySnapshot::AtStart => &plan.taken,
        CopySnapshot::AtFinish => state
            .store
            .get(&plan.source)
            .ok_or_else(|| ApiError::missing(&plan.source.name))?,
    };
    let (rows, bytes) = (source.data.count(), source.data.bytes);
    let mut namespace = destination(source, plan);
    if let Some(corruption) = plan.corruption {
        corrupt::corrupt(
            Arc::make_mut(&mut namespace.data),
            corruption,
            &mut state.random,
        );
    }
    let stored = namespace.data.bytes;
    let before = state
        .store
        .get(&plan.destination)
        .map_or(0, |half| half.data.bytes);
    state.store.put(&plan.destination, namespace);
    let organisation = &plan.destination.organisation;
    state.bill.stored(organisation, before, stored, now);
    state.bill.copied(organisation, plan.branch);
    Ok(if plan.branch {
        result(
            "namespace branch successful",
            0,
            &json!({"billable_logical_bytes_written": 0}),
            plan,
        )
    } else {
        let billing = billing(state, plan, bytes);
        result("namespace cloned successfully", rows, &billing, plan)
    })
}

fn result(message: &str, rows: u64, billing: &Json, plan: &Plan) -> Json {
    let milliseconds = u64::try_from(plan.duration.as_millis()).unwrap_or(u64::MAX);
    json!({
        "status": "OK", "message": message, "rows_affected": rows, "billing": billing,
        "performance": {"server_total_ms": milliseconds},
    })
}

/// Writes are billed at half; bytes returned only when they leave their region.
fn billing(state: &mut State, plan: &Plan, bytes: u64) -> Json {
    let organisation = &plan.destination.organisation;
    state.bill.written(organisation, bytes / 2);
    let mut billing = json!({"billable_logical_bytes_written": bytes / 2});
    if plan.crosses() {
        state.bill.queried(organisation, 0, bytes);
        if let Json::Object(billing) = &mut billing {
            let query = json!({"billable_logical_bytes_queried": 0, "billable_logical_bytes_returned": bytes});
            billing.insert("query".to_owned(), query);
        }
    }
    billing
}

/// The namespace a copy makes of `source`: its rows, schema, sharding and `read_only`, but not its pinning.
pub(crate) fn destination(source: &Namespace, plan: &Plan) -> Namespace {
    let held = source.extra();
    let mut namespace = Namespace {
        created_at: plan.start,
        updated_at: plan.start,
        extra: None,
        ..source.clone()
    };
    namespace.set_extra(Extra {
        encryption: plan.encryption.or(held.encryption),
        shards: plan.shards.or(held.shards),
        ..Extra::default()
    });
    namespace
}

/// The same with the first half of the rows, for destinations that can be seen while they are written.
pub(crate) fn half(plan: &Plan) -> Namespace {
    let mut data = Data {
        schema: plan.taken.data.schema.clone(),
        ..Data::default()
    };
    let half = plan.taken.data.rows.len() / 2;
    for (id, row) in plan.taken.data.rows.iter().take(half) {
        data.replace(id.clone(), Some(Arc::clone(row)));
    }
    Namespace {
        data: Arc::new(data),
        half: true,
        ..destination(&plan.taken, plan)
    }
}
