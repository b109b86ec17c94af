//! POST `/v2/namespaces/{ns}` with documents: upserts, patches and deletes, all or nothing.
//!
//! Copies and branches use the same path; they are in [`crate::copy`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::bill::WRITE_MINIMUM;
use crate::copy;
use crate::encryption::Wish;
use crate::error::{ApiError, Result};
use crate::filter::Filter;
use crate::kind::Kind;
use crate::rows::{self, Read, Sent};
use crate::schema::Schema;
use crate::state::{Context, Reply, State};
use crate::store::{Data, Namespace};
use crate::value::{Id, Row};

/// What a write asks for.
#[derive(Default)]
struct Work {
    upserts: Option<Vec<Sent>>,
    patches: Option<Vec<Sent>>,
    deletes: Option<Vec<Json>>,
    fields: Map<String, Json>,
}

/// Changes on top of the rows there are, applied only when all of them are known to be valid.
struct Draft<'a> {
    data: &'a Data,
    schema: Schema,
    changes: BTreeMap<Id, Option<Arc<Row>>>,
    written: u64,
    outcome: Outcome,
}

/// The ids affected, by kind of write; `None` when there was no such write.
#[derive(Default)]
struct Outcome {
    upserted: Option<Vec<Id>>,
    patched: Option<Vec<Id>>,
    deleted: Option<Vec<Id>>,
    by_filter: bool,
}

pub(crate) fn write(state: &mut State, context: &Context<'_>, body: Json) -> Result<Reply> {
    let work = Work::read(body)?;
    if state.operations.is_reserved(&context.key) {
        return Err(copy::exists(&context.key.name));
    }
    let held = state.store.get(&context.key);
    if held.is_some_and(|namespace| namespace.read_only) {
        return Err(ApiError::read_only());
    }
    work.check(held.is_some(), &context.key.name)?;
    let empty = Data::default();
    let mut draft = Draft::new(held.map_or(&empty, |namespace| &namespace.data));
    draft.run(&work.fields, work.upserts, work.patches, work.deletes)?;
    let Draft {
        schema,
        changes,
        written,
        outcome,
        ..
    } = draft;
    let mut namespace = match held {
        Some(_) => state.store.remove(&context.key),
        None => None,
    }
    .map_or_else(|| created(context, &work.fields), Ok)?;
    let before = namespace.data.bytes;
    let writes_rows = !changes.is_empty();
    let data = Arc::make_mut(&mut namespace.data);
    data.schema = schema;
    for (id, row) in changes {
        data.replace(id, row);
    }
    namespace.updated_at = context.now;
    if writes_rows {
        namespace.last_write_at = context.now;
    }
    let after = namespace.data.bytes;
    state.store.put(&context.key, namespace);
    let organisation = &context.key.organisation;
    let billed = written.max(WRITE_MINIMUM);
    state.bill.written(organisation, billed);
    state.bill.stored(organisation, before, after, context.now);
    let wants_ids = work.fields.get("return_affected_ids") == Some(&Json::Bool(true));
    Ok(Reply::ok(&outcome.view(billed, wants_ids)))
}

fn created(context: &Context<'_>, fields: &Map<String, Json>) -> Result<Namespace> {
    let mut namespace = Namespace::new(Arc::default(), context.now);
    let mut extra = namespace.extra();
    extra.encryption = Wish::read(fields.get("encryption"))?.or(None);
    extra.shards = copy::shards(fields.get("sharding"))?;
    namespace.set_extra(extra);
    Ok(namespace)
}

impl Work {
    fn read(body: Json) -> Result<Self> {
        let Json::Object(mut fields) = body else {
            return Err(ApiError::shape("expected a map"));
        };
        fields.retain(|_, value| !value.is_null());
        let deletes = match fields.remove("deletes") {
            None => None,
            Some(Json::Array(ids)) => Some(ids),
            Some(_) => return Err(ApiError::shape("deletes: expected a sequence")),
        };
        Ok(Self {
            upserts: rows::take(&mut fields, "upsert")?,
            patches: rows::take(&mut fields, "patch")?,
            deletes,
            fields,
        })
    }

    /// Whether there is anything to do, and the namespace to do it in.
    fn check(&self, exists: bool, name: &str) -> Result<()> {
        let create = self.fields.get("create_namespace").and_then(Json::as_bool);
        let filled = |list: &Option<Vec<Sent>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let upserts = filled(&self.upserts);
        let touches = filled(&self.patches)
            || self.deletes.as_ref().is_some_and(|list| !list.is_empty())
            || self.fields.contains_key("delete_by_filter")
            || self.fields.contains_key("patch_by_filter");
        let schema = self.fields.contains_key("schema");
        match (exists, create) {
            (false, Some(false)) => Err(ApiError::missing(name)),
            (false, Some(true)) if !upserts => match self
                .fields
                .get("schema")
                .and_then(|schema| schema.get("id"))
            {
                Some(_) => Ok(()),
                None => Err(ApiError::bad(
                    "creating an empty namespace needs a schema with the type of `id`",
                )),
            },
            (false, _) if !upserts && touches => Err(ApiError::missing(name)),
            (true, _) if schema || create == Some(true) => Ok(()),
            _ if !upserts && !touches => Err(ApiError::bad("no writes provided")),
            _ => Ok(()),
        }
    }
}

impl<'a> Draft<'a> {
    fn new(data: &'a Data) -> Self {
        Self {
            data,
            schema: data.schema.clone(),
            changes: BTreeMap::new(),
            written: 0,
            outcome: Outcome::default(),
        }
    }

    fn run(
        &mut self,
        fields: &Map<String, Json>,
        upserts: Option<Vec<Sent>>,
        patches: Option<Vec<Sent>>,
        deletes: Option<Vec<Json>>,
    ) -> Result<()> {
        if let Some(metric) = fields.get("distance_metric") {
            let metric = metric
                .as_str()
                .ok_or_else(|| ApiError::shape("distance_metric: expected a string"))?;
            self.schema.set_metric(metric)?;
        }
        if let Some(schema) = fields.get("schema") {
            self.schema.declare(schema)?;
        }
        if let Some(filter) = fields.get("delete_by_filter") {
            self.delete_by_filter(filter)?;
        }
        if let Some(patch) = fields.get("patch_by_filter") {
            self.patch_by_filter(patch)?;
        }
        let mut seen = BTreeSet::new();
        if let Some(upserts) = upserts {
            self.upsert(upserts, fields.get("upsert_condition"), &mut seen)?;
        }
        if let Some(patches) = patches {
            self.patch(patches, fields.get("patch_condition"), &mut seen)?;
        }
        if let Some(deletes) = deletes {
            self.delete(&deletes, fields.get("delete_condition"), &mut seen)?;
        }
        Ok(())
    }

    fn current(&self, id: &Id) -> Option<&Arc<Row>> {
        match self.changes.get(id) {
            Some(changed) => changed.as_ref(),
            None => self.data.rows.get(id),
        }
    }

    fn condition(&self, json: Option<&Json>) -> Result<Option<Filter>> {
        json.map(|json| Filter::read(json, &self.schema))
            .transpose()
    }

    fn allows(&self, condition: Option<&Filter>, id: &Id) -> bool {
        match (condition, self.current(id)) {
            (Some(condition), Some(row)) => condition.matches(id, row),
            _ => true,
        }
    }

    fn matching(&self, filter: &Json) -> Result<Vec<Id>> {
        let filter = Filter::read(filter, &self.schema)?;
        let rows = self.data.rows.keys();
        let matching =
            rows.filter(|id| self.current(id).is_some_and(|row| filter.matches(id, row)));
        Ok(matching.cloned().collect())
    }

    fn delete_by_filter(&mut self, filter: &Json) -> Result<()> {
        let ids = self.matching(filter)?;
        self.changes.extend(ids.iter().map(|id| (id.clone(), None)));
        self.outcome.deleted.get_or_insert_default().extend(ids);
        self.outcome.by_filter = true;
        Ok(())
    }

    fn patch_by_filter(&mut self, patch: &Json) -> Result<()> {
        let (Some(filters), Some(Json::Object(patch))) = (patch.get("filters"), patch.get("patch"))
        else {
            return Err(ApiError::shape(
                "patch_by_filter: expected `filters` and `patch`",
            ));
        };
        for id in self.matching(filters)? {
            let mut sent = patch.clone();
            let json = serde_json::to_value(&id).unwrap_or_default();
            sent.insert("id".to_owned(), json);
            let read = rows::read(&mut self.schema, sent)?;
            self.patch_one(read)?;
        }
        self.outcome.patched.get_or_insert_default();
        self.outcome.by_filter = true;
        Ok(())
    }

    fn upsert(
        &mut self,
        sent: Vec<Sent>,
        condition: Option<&Json>,
        seen: &mut BTreeSet<Id>,
    ) -> Result<()> {
        let mut done = Vec::with_capacity(sent.len());
        let mut reads = Vec::with_capacity(sent.len());
        for document in sent {
            let read = rows::read(&mut self.schema, document)?;
            once(seen, &read.id)?;
            reads.push(read);
        }
        let condition = self.condition(condition)?;
        for Read { id, row, .. } in reads {
            if self.allows(condition.as_ref(), &id) {
                self.written += id.bytes() + row.bytes();
                done.push(id.clone());
                self.changes.insert(id, Some(Arc::new(row)));
            }
        }
        self.outcome.upserted = Some(done);
        Ok(())
    }

    fn patch(
        &mut self,
        sent: Vec<Sent>,
        condition: Option<&Json>,
        seen: &mut BTreeSet<Id>,
    ) -> Result<()> {
        let condition = self.condition(condition)?;
        self.outcome.patched.get_or_insert_default();
        for document in sent {
            let read = rows::read(&mut self.schema, document)?;
            once(seen, &read.id)?;
            if self.allows(condition.as_ref(), &read.id) {
                self.patch_one(read)?;
            }
        }
        Ok(())
    }

    /// Patches a document there is; one there is not stays away.
    fn patch_one(&mut self, read: Read) -> Result<()> {
        let is_vector = |name: &str| matches!(self.schema.kind(name), Some(Kind::Vector(..)));
        let nulls = read.nulls.iter().map(String::as_str);
        if let Some(name) = read
            .row
            .iter()
            .map(|(name, _)| name)
            .chain(nulls)
            .find(|name| is_vector(name))
        {
            return Err(ApiError::bad(format!(
                "vector attribute `{name}` can't be patched"
            )));
        }
        let Some(current) = self.current(&read.id) else {
            return Ok(());
        };
        let mut row = Row::clone(current);
        self.written += read.id.bytes() + read.row.bytes();
        for (name, value) in read.row.into_attributes() {
            row.set(name, value);
        }
        for name in &read.nulls {
            row.remove(name);
        }
        self.outcome
            .patched
            .get_or_insert_default()
            .push(read.id.clone());
        self.changes.insert(read.id, Some(Arc::new(row)));
        Ok(())
    }

    /// Deleting what is not there counts all the same.
    fn delete(
        &mut self,
        ids: &[Json],
        condition: Option<&Json>,
        seen: &mut BTreeSet<Id>,
    ) -> Result<()> {
        let condition = self.condition(condition)?;
        let mut done = Vec::with_capacity(ids.len());
        for id in ids {
            let id = rows::read_id(&mut self.schema, id)?;
            once(seen, &id)?;
            if self.allows(condition.as_ref(), &id) {
                self.changes.insert(id.clone(), None);
                done.push(id);
            }
        }
        self.outcome.deleted.get_or_insert_default().extend(done);
        Ok(())
    }
}

fn once(seen: &mut BTreeSet<Id>, id: &Id) -> Result<()> {
    if seen.insert(id.clone()) {
        return Ok(());
    }
    let id = serde_json::to_string(id).unwrap_or_default();
    Err(ApiError::bad(format!(
        "duplicate document id {id} in one request"
    )))
}

impl Outcome {
    fn view(&self, billed: u64, wants_ids: bool) -> Json {
        let kinds = [
            ("upserted", &self.upserted),
            ("patched", &self.patched),
            ("deleted", &self.deleted),
        ];
        let mut view = Map::new();
        let mut affected = 0;
        for (kind, ids) in kinds {
            let Some(ids) = ids else { continue };
            affected += ids.len();
            view.insert(format!("rows_{kind}"), json!(ids.len()));
            if wants_ids && !ids.is_empty() {
                view.insert(format!("{kind}_ids"), json!(ids));
            }
        }
        if self.by_filter {
            view.insert("rows_remaining".to_owned(), json!(false));
        }
        view.insert("status".to_owned(), json!("OK"));
        view.insert("message".to_owned(), json!("rows written successfully"));
        view.insert("rows_affected".to_owned(), json!(affected));
        view.insert(
            "billing".to_owned(),
            json!({"billable_logical_bytes_written": billed}),
        );
        view.insert("performance".to_owned(), json!({"server_total_ms": 1}));
        Json::Object(view)
    }
}
