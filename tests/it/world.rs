//! Two regions of the emulator as [`Service`]s, without sockets, so that time can be virtual.
//!
//! The emulator's clock follows tokio's paused one: a wait of eleven hours takes no time, and a run is the same every
//! time it is played with the same seed.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use lifeboat::certificate::DeletionCertificate;
use lifeboat::clock::Clock;
use lifeboat::drill::{self, DrillReport};
use lifeboat::event::{Action, Request};
use lifeboat::journal::Journal;
use lifeboat::name::Namespace;
use lifeboat::plan::{Plan, Settings};
use lifeboat::price::Prices;
use lifeboat::report::{Report, Size};
use lifeboat::restore::{self, How, Kept, RestoreReport};
use lifeboat::run::{self, Refused};
use lifeboat::service::turbopuffer::refusal;
use lifeboat::service::{
    Copied, CopyOrder, Metadata, Page, Patient, Progress, Row, RowId, Rows, Service, ServiceError,
    Started, Wanted,
};
use lifeboat::slot::Slot;
use lifeboat_emulator::{Answer, Call, ClockMode, Delivery, Emulator, Method, Rule, Standing};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::faulty_store::Requests;

pub(crate) const SOURCE: &str = "aws-us-east-1";
pub(crate) const TARGET: &str = "aws-eu-west-1";
/// A second target, for plans that have one.
pub(crate) const OTHER_TARGET: &str = "gcp-us-central1";
const REGIONS: [&str; 3] = [SOURCE, TARGET, OTHER_TARGET];
pub(crate) const BEGIN: &str = "2026-01-01T00:00:00Z";

/// One region of the emulator, as one invocation sees it.
#[derive(Debug)]
pub(crate) struct Region {
    name: &'static str,
    source: &'static str,
    emulator: Emulator,
    begin: (Instant, Timestamp),
    service_ahead: Arc<AtomicI64>,
    page_size: u32,
    invocation: u64,
    requests: Arc<Requests>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What an invocation asked a region to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Copy,
    Seal,
    Unseal,
    Delete,
}

/// A request that would change something, noted before it was sent, whatever became of it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Timestamp,
    pub(crate) invocation: u64,
    pub(crate) region: &'static str,
    pub(crate) name: String,
    pub(crate) what: Asks,
    /// What a copy is of.
    pub(crate) of: Option<String>,
    /// What stood in the region at that moment; only for a deletion and a seal.
    pub(crate) standing: Vec<Standing>,
}

/// What is different in each process: its number, its journal's client, how wrong its clock is, and what it sends.
pub(crate) struct Process<'a> {
    pub(crate) invocation: u64,
    pub(crate) journal: Option<&'a Journal>,
    pub(crate) skew: SignedDuration,
    pub(crate) requests: Arc<Requests>,
}

/// Everything a test needs: the emulator, the plan, and a clock.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) plan: Plan,
    /// The region that is backed up.
    pub(crate) source: &'static str,
    /// None, unless a test has one.
    pub(crate) journal: Option<Journal>,
    /// Names on one page of a listing.
    pub(crate) page_size: u32,
    /// What things cost.
    pub(crate) prices: Prices,
    /// Every change that was asked for, in order.
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    begin: (Instant, Timestamp),
    skew: SignedDuration,
    /// Seconds.
    service_ahead: Arc<AtomicI64>,
}

impl World {
    /// A world at [`BEGIN`] with the five-variable plan, some variables changed.
    pub(crate) fn new(seed: u64, variables: &[(&str, &str)]) -> Self {
        let begin: Timestamp = BEGIN.parse().unwrap();
        let settings = lifeboat_emulator::Settings {
            seed,
            clock: ClockMode::Manual(begin),
            ..lifeboat_emulator::Settings::default()
        };
        Self {
            emulator: Emulator::new(settings),
            plan: plan(variables),
            source: SOURCE,
            journal: None,
            page_size: 1_000,
            prices: Prices::built_in().unwrap(),
            asked: Arc::default(),
            begin: (Instant::now(), begin),
            skew: SignedDuration::ZERO,
            service_ahead: Arc::default(),
        }
    }

    /// Sets the local clock wrong by this much.
    pub(crate) fn skew_local_clock(&mut self, by: SignedDuration) {
        self.skew = by;
    }

    /// The time, which is the service's unless that was set wrong.
    pub(crate) fn now(&self) -> Timestamp {
        self.begin.1 + SignedDuration::try_from(self.begin.0.elapsed()).unwrap()
    }

    /// Sets the service's own clock wrong by so many seconds: what it says the time is, and what it stamps on everything.
    pub(crate) fn skew_service_clock(&self, seconds: i64) {
        self.service_ahead.store(seconds, Ordering::Relaxed);
    }

    /// What is due happens now.
    fn tick(&self) {
        tick(&self.emulator, self.now(), &self.service_ahead);
    }

    /// Waits until an instant.
    pub(crate) async fn sleep_until(&self, instant: Timestamp) {
        let wait = instant.duration_since(self.now());
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
    }

    pub(crate) fn region(&self, name: &'static str) -> Region {
        self.region_of(name, 0, &Arc::default())
    }

    fn region_of(&self, name: &'static str, invocation: u64, requests: &Arc<Requests>) -> Region {
        Region {
            name,
            source: self.source,
            emulator: self.emulator.clone(),
            begin: self.begin,
            service_ahead: Arc::clone(&self.service_ahead),
            page_size: self.page_size,
            invocation,
            requests: Arc::clone(requests),
            asked: Arc::clone(&self.asked),
        }
    }

    /// The clock of the machine that Lifeboat runs on.
    pub(crate) fn local_clock(&self) -> Clock {
        self.clock_off_by(self.skew)
    }

    fn clock_off_by(&self, skew: SignedDuration) -> Clock {
        let begin = self.begin;
        Clock::new(move || begin.1 + SignedDuration::try_from(begin.0.elapsed()).unwrap() + skew)
    }

    /// Carries a request out, as a fresh process would.
    pub(crate) async fn run(
        &self,
        request: Request,
        time_left: Duration,
    ) -> Result<Report, Refused> {
        let process = Process {
            invocation: 0,
            journal: self.journal.as_ref(),
            skew: self.skew,
            requests: Arc::default(),
        };
        self.run_in(&process, request, time_left).await
    }

    /// Carries a request out in a certain process.
    pub(crate) async fn run_in(
        &self,
        process: &Process<'_>,
        request: Request,
        time_left: Duration,
    ) -> Result<Report, Refused> {
        let clock = self.clock_off_by(process.skew);
        let invocation = process.invocation;
        let region = |name| {
            let region = self.region_of(name, invocation, &process.requests);
            Patient::new(region, self.plan.concurrency)
        };
        let source = region(self.source);
        let targets = self.plan.targets.iter().map(|target| {
            let name = REGIONS.iter().find(|name| **name == target.region);
            region(name.unwrap())
        });
        let targets: Vec<_> = targets.collect();
        let world = run::World {
            plan: &self.plan,
            source: &source,
            targets: &targets,
            journal: process.journal,
            prices: &self.prices,
            clock,
            report: Size::Whole,
            watch: &|_| (),
        };
        let run_id = match invocation {
            0 => "test".into(),
            invocation => format!("test-{invocation}"),
        };
        Box::pin(run::run(&request, &world, run_id, time_left)).await
    }

    /// Backs up for a slot.
    pub(crate) async fn back_up(&self, slot: Timestamp) -> Report {
        let request = Request {
            scheduled_time: Some(slot),
            ..Request::default()
        };
        self.run(request, Duration::from_mins(14)).await.unwrap()
    }

    /// Waits for a slot and backs up.
    pub(crate) async fn night(&self, slot: &str) -> Report {
        let slot = slot.parse().unwrap();
        self.sleep_until(slot).await;
        self.back_up(slot).await
    }

    /// Prunes only.
    pub(crate) async fn prune(&self) -> Report {
        let request = Request {
            action: Action::Prune,
            ..Request::default()
        };
        self.run(request, Duration::from_mins(14)).await.unwrap()
    }

    pub(crate) fn faults(&self, rules: Value) {
        let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
        self.emulator.set_faults(rules);
    }

    /// A call of the test's own, which must succeed.
    pub(crate) fn call(&self, method: Method, region: &str, path: &str, body: &Value) -> Value {
        self.tick();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let answer = self.emulator.call(call(method, region, path, query, body));
        let Delivery::Whole(response) = answer.delivery else {
            panic!("{path}: no answer")
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, 200, "{path}: {body}");
        body
    }

    /// Writes rows `0..rows` of a namespace, some columns each.
    pub(crate) fn write_rows(&self, region: &str, namespace: &str, ids: std::ops::Range<u64>) {
        let rows: Vec<Value> = ids
            .map(|id| json!({"id": id, "title": format!("{namespace} {id}")}))
            .collect();
        self.call(
            Method::Post,
            region,
            &format!("/v2/namespaces/{namespace}"),
            &json!({"upsert_rows": rows}),
        );
    }

    /// A namespace made and perhaps sealed by somebody at an instant of their choice.
    pub(crate) fn plant(&self, namespace: &str, sealed: bool) {
        self.write_rows(TARGET, namespace, 0..3);
        if sealed {
            self.seal(TARGET, namespace, true);
        }
    }

    pub(crate) fn seal(&self, region: &str, namespace: &str, on: bool) {
        self.call(
            Method::Patch,
            region,
            &format!("/v1/namespaces/{namespace}/metadata"),
            &json!({"read_only": on}),
        );
    }

    pub(crate) fn delete(&self, region: &str, namespace: &str) {
        self.call(
            Method::Delete,
            region,
            &format!("/v2/namespaces/{namespace}"),
            &Value::Null,
        );
    }

    /// What stands in a region, faults set aside: names with metadata.
    pub(crate) fn standing(&self, region: &str) -> BTreeMap<String, Value> {
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.call(
                Method::Get,
                region,
                &format!("/v1/namespaces?page_size=1000{cursor}"),
                &Value::Null,
            );
            names.extend(
                page["namespaces"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|entry| entry["id"].as_str().unwrap().to_owned()),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let metadata = |name: &String| {
            self.call(
                Method::Get,
                region,
                &format!("/v2/namespaces/{name}/metadata"),
                &Value::Null,
            )
        };
        names
            .into_iter()
            .map(|name| {
                let metadata = metadata(&name);
                (name, metadata)
            })
            .collect()
    }

    /// The same without a call: names, seals and rows.
    pub(crate) fn seen(&self, region: &str) -> Vec<Standing> {
        self.tick();
        self.emulator.standing(region)
    }

    /// Rows of a namespace.
    pub(crate) fn rows(&self, region: &str, namespace: &str) -> u64 {
        let count = self.call(
            Method::Post,
            region,
            &format!("/v2/namespaces/{namespace}/query"),
            &json!({"aggregate_by": {"rows": ["Count"]}}),
        );
        count["aggregations"]["rows"].as_u64().unwrap()
    }

    /// How many calls of an operation the emulator has seen.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.answers(operation).values().sum()
    }

    /// How many of them it carried out.
    pub(crate) fn accepted(&self, operation: &str) -> u64 {
        let good = |(status, _): &(&String, &u64)| status.starts_with('2');
        let answers = self.answers(operation);
        answers.iter().filter(good).map(|(_, count)| count).sum()
    }

    /// What the emulator has billed so far.
    pub(crate) fn bill(&self) -> Value {
        self.tick();
        let answer = self
            .emulator
            .call(call(Method::Get, "", "/_emulator/bill", "", &Value::Null));
        let Delivery::Whole(response) = answer.delivery else {
            panic!("no bill")
        };
        serde_json::from_slice(&response.body).unwrap()
    }

    /// How many calls the emulator has seen, in all regions.
    pub(crate) fn requests(&self) -> u64 {
        self.log()["total"].as_u64().unwrap()
    }

    fn answers(&self, operation: &str) -> BTreeMap<String, u64> {
        serde_json::from_value(self.log()["operations"][operation].clone()).unwrap_or_default()
    }

    /// The emulator's log in brief.
    fn log(&self) -> Value {
        let answer = self.emulator.call(Call {
            query: "summary=1".into(),
            ..call(Method::Get, "", "/_emulator/log", "", &Value::Null)
        });
        let Delivery::Whole(response) = answer.delivery else {
            panic!("no log")
        };
        serde_json::from_slice(&response.body).unwrap()
    }
}

/// The five-variable plan, some variables changed.
pub(crate) fn plan(variables: &[(&str, &str)]) -> Plan {
    let mut environment = BTreeMap::from([
        ("SOURCE_REGION", SOURCE),
        ("BACKUP_REGION", TARGET),
        ("SOURCE_PREFIX", "acme-"),
        ("TURBOPUFFER_API_KEY", "tpuf_test"),
    ]);
    environment.extend(variables.iter().copied());
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    Settings::from_environment(&environment)
        .unwrap()
        .plans
        .remove(0)
}

/// Sets the emulator's clock, which may be wrong.
fn tick(emulator: &Emulator, now: Timestamp, ahead: &AtomicI64) {
    let ahead = SignedDuration::from_secs(ahead.load(Ordering::Relaxed));
    emulator.set_now(now + ahead);
}

fn call(method: Method, region: &str, path: &str, query: &str, body: &Value) -> Call {
    let path = match region {
        "" => path.into(),
        region => format!("/{region}{path}"),
    };
    let body = match body {
        Value::Null => Vec::new(),
        body => serde_json::to_vec(body).unwrap(),
    };
    call_of(method, path, query.into(), body)
}

fn call_of(method: Method, path: String, query: String, body: Vec<u8>) -> Call {
    Call {
        method,
        path,
        query,
        headers: vec![("authorization".into(), "Bearer tpuf_test".into())],
        body,
    }
}

impl Region {
    /// Notes a change before it is asked for.
    fn note(&self, what: Asks, name: &Namespace, of: Option<&Namespace>) {
        let elapsed = SignedDuration::try_from(self.begin.0.elapsed()).unwrap();
        let at = self.begin.1 + elapsed;
        tick(&self.emulator, at, &self.service_ahead);
        let standing = match what {
            Asks::Copy | Asks::Unseal => Vec::new(),
            Asks::Seal | Asks::Delete => self.emulator.standing(self.name),
        };
        self.asked.lock().unwrap().push(Asked {
            at,
            invocation: self.invocation,
            region: self.name,
            name: name.to_string(),
            what,
            of: of.map(ToString::to_string),
            standing,
        });
    }

    /// One request: the emulator's answer after its delay, in the words of a [`ServiceError`].
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: Arguments<'_>,
        query: String,
        body: Vec<u8>,
    ) -> Result<(T, Option<Timestamp>), ServiceError> {
        let number = self.requests.sends().await;
        let (answer, only_looks) = {
            let elapsed = SignedDuration::try_from(self.begin.0.elapsed()).unwrap();
            let now = self.begin.1 + elapsed;
            tick(&self.emulator, now, &self.service_ahead);
            let path = format!("/{}{path}", self.name);
            let only_looks = method == Method::Get || path.ends_with("/query");
            let answer = self.emulator.call(call_of(method, path, query, body));
            (answer, only_looks)
        };
        if !only_looks {
            self.requests.changed(number).await;
        }
        let Answer { delay, delivery } = answer;
        tokio::time::sleep(delay.max(Duration::from_millis(5))).await;
        let region = || self.name.to_owned();
        match delivery {
            Delivery::Reset => Err(ServiceError::NoAnswer {
                region: region(),
                message: "connection reset".into(),
            }),
            Delivery::Truncated(_) => Err(ServiceError::Unreadable {
                region: region(),
                message: "cut short".into(),
            }),
            Delivery::Whole(response) if (200..300).contains(&response.status) => {
                let date = response
                    .headers
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case("date"));
                let date = date.and_then(|(_, date)| {
                    rfc2822::DateTimeParser::new().parse_timestamp(&**date).ok()
                });
                let body = serde_json::from_slice(&response.body);
                body.map(|body| (body, date))
                    .map_err(|error| ServiceError::Unreadable {
                        region: region(),
                        message: error.to_string(),
                    })
            }
            Delivery::Whole(response) => {
                let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                let message = body["error"].as_str().unwrap_or("no JSON").to_owned();
                let mut error =
                    turbopuffer::ApiError::new(response.status.try_into().unwrap(), message);
                error.body = body.is_object().then_some(body);
                for (name, value) in response.headers {
                    if let (Ok(name), Ok(value)) =
                        (reqwest::header::HeaderName::try_from(name), value.parse())
                    {
                        error.headers.insert(name, value);
                    }
                }
                Err(refusal(region(), &error))
            }
        }
    }
}

// What a run reads of the answers; they are so many that the rest is not even parsed.

#[derive(serde::Deserialize)]
struct Listed {
    namespaces: Vec<Entry>,
    next_cursor: Option<String>,
}

#[derive(serde::Deserialize)]
struct Entry {
    id: String,
}

#[derive(serde::Deserialize)]
struct Counted {
    aggregations: HowMany,
}

#[derive(serde::Deserialize)]
struct HowMany {
    rows: u64,
}

#[derive(serde::Deserialize)]
struct Accepted {
    token: String,
}

#[derive(serde::Deserialize)]
struct Operation {
    status: String,
    progress: Option<String>,
    #[serde(default)]
    result: Value,
}

#[derive(serde::Deserialize)]
struct Shown {
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default)]
    read_only: bool,
    schema: Value,
    approx_row_count: u64,
    approx_logical_bytes: u64,
}

/// A row of an answer, as the real client hands it over.
fn row(row: Value) -> Row {
    let Value::Object(mut attributes) = row else {
        panic!("{row} is no row")
    };
    let id = match attributes.remove("id").unwrap() {
        Value::String(text) => RowId::Text(text),
        id => RowId::Number(id.as_u64().unwrap()),
    };
    let attributes = attributes.into_iter().collect();
    Row { id, attributes }
}

fn copied(result: &Value) -> Copied {
    Copied {
        rows: result["rows_affected"].as_u64().unwrap(),
        bytes_written: result["billing"]["billable_logical_bytes_written"]
            .as_u64()
            .unwrap(),
        bytes_returned: result["billing"]["query"]["billable_logical_bytes_returned"]
            .as_u64()
            .unwrap_or(0),
    }
}

fn if_there<T>(answer: Result<T, ServiceError>) -> Result<Option<T>, ServiceError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ServiceError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Service for Region {
    fn region(&self) -> &str {
        self.name
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, ServiceError> {
        let cursor = cursor
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        let size = self.page_size;
        let query = format!("prefix={prefix}&page_size={size}{cursor}");
        let path = format_args!("/v1/namespaces");
        let (page, _): (Listed, _) = self.ask(Method::Get, path, query, Vec::new()).await?;
        Ok(Page {
            names: page.namespaces.into_iter().map(|entry| entry.id).collect(),
            next: page.next_cursor,
        })
    }

    async fn metadata(&self, namespace: &Namespace) -> Result<Option<Metadata>, ServiceError> {
        let path = format_args!("/v2/namespaces/{namespace}/metadata");
        let answer = self.ask(Method::Get, path, String::new(), Vec::new()).await;
        Ok(
            if_there(answer)?.map(|(shown, answered_at): (Shown, _)| Metadata {
                created_at: shown.created_at,
                updated_at: shown.updated_at,
                read_only: shown.read_only,
                schema: shown.schema,
                approx_rows: shown.approx_row_count,
                approx_bytes: shown.approx_logical_bytes,
                answered_at,
            }),
        )
    }

    async fn count(&self, namespace: &Namespace) -> Result<Option<u64>, ServiceError> {
        let path = format_args!("/v2/namespaces/{namespace}/query");
        let count = br#"{"aggregate_by": {"rows": ["Count"]}}"#.to_vec();
        let answer = self.ask(Method::Post, path, String::new(), count).await;
        Ok(if_there(answer)?.map(|(answer, _): (Counted, _)| answer.aggregations.rows))
    }

    async fn rows(
        &self,
        namespace: &Namespace,
        wanted: Wanted<'_>,
    ) -> Result<Option<Rows>, ServiceError> {
        let mut query = json!({"rank_by": ["id", "asc"], "vector_encoding": "base64"});
        match wanted {
            Wanted::Whole { after, limit } | Wanted::Ids { after, limit } => {
                query["limit"] = json!(limit);
                query["include_attributes"] = json!(matches!(wanted, Wanted::Whole { .. }));
                if let Some(after) = after {
                    query["filters"] = json!(["id", "Gt", after]);
                }
            }
            Wanted::Of(ids) => {
                query["limit"] = json!(ids.len());
                query["include_attributes"] = json!(true);
                query["filters"] = json!(["id", "In", ids]);
            }
        }
        let path = format_args!("/v2/namespaces/{namespace}/query");
        let query = serde_json::to_vec(&query).unwrap();
        let answer = if_there(self.ask(Method::Post, path, String::new(), query).await)?;
        Ok(answer.map(|(mut answer, _): (Value, _)| {
            let billed = |what: &str| answer["billing"][what].as_u64().unwrap();
            let bytes_queried = billed("billable_logical_bytes_queried");
            let bytes_returned = billed("billable_logical_bytes_returned");
            let rows = answer["rows"].take();
            Rows {
                rows: rows.as_array().unwrap().iter().cloned().map(row).collect(),
                bytes_queried,
                bytes_returned,
            }
        }))
    }

    async fn start_copy(&self, order: &CopyOrder<'_>) -> Result<Started, ServiceError> {
        self.note(Asks::Copy, order.destination, Some(order.source));
        let path = format_args!("/v2/namespaces/{}/async", order.destination);
        let mut copy = json!({"source_namespace": order.source.as_str()});
        if self.name != self.source {
            copy["source_region"] = json!(self.source);
        }
        let copy = serde_json::to_vec(&json!({"copy_from_namespace": copy})).unwrap();
        let (answer, _): (Accepted, _) = self.ask(Method::Post, path, String::new(), copy).await?;
        Ok(Started::Running(answer.token))
    }

    async fn poll_copy(
        &self,
        destination: &Namespace,
        token: &str,
    ) -> Result<Progress, ServiceError> {
        let path = format_args!("/v1/namespaces/{destination}/operations/{token}");
        let (operation, _): (Operation, _) = self
            .ask(Method::Get, path, String::new(), Vec::new())
            .await?;
        if operation.status == "running" {
            return Ok(Progress::Running(operation.progress));
        }
        let result = &operation.result;
        Ok(match result.get("success") {
            Some(success) => Progress::Finished(copied(success)),
            None => {
                let status =
                    u16::try_from(result["error"]["status_code"].as_u64().unwrap()).unwrap();
                let message = result["error"]["detail"]["error"].as_str().unwrap();
                Progress::Failed(refusal(
                    self.name.into(),
                    &turbopuffer::ApiError::new(status.try_into().unwrap(), message),
                ))
            }
        })
    }

    async fn set_read_only(&self, namespace: &Namespace, on: bool) -> Result<bool, ServiceError> {
        self.note(if on { Asks::Seal } else { Asks::Unseal }, namespace, None);
        let path = format_args!("/v1/namespaces/{namespace}/metadata");
        let seal = format!("{{\"read_only\": {on}}}").into_bytes();
        let (shown, _): (Shown, _) = self.ask(Method::Patch, path, String::new(), seal).await?;
        Ok(shown.read_only)
    }

    async fn delete(&self, certificate: &DeletionCertificate) -> Result<(), ServiceError> {
        let namespace = Namespace::parse(certificate.namespace()).unwrap();
        self.note(Asks::Delete, &namespace, None);
        let path = format_args!("/v2/namespaces/{namespace}");
        let answer: Result<(IgnoredAny, _), _> = self
            .ask(Method::Delete, path, String::new(), Vec::new())
            .await;
        if_there(answer).map(|_| ())
    }
}

/// Restores.
impl World {
    /// Restores as a fresh process would, with all the time that it needs.
    pub(crate) async fn restore(&self, asked: &restore::Asked) -> RestoreReport {
        let whole = self.restore_as(asked, How::Whole, Duration::from_mins(14));
        whole.await
    }

    /// The same in one way or another, within a time.
    pub(crate) async fn restore_as(
        &self,
        asked: &restore::Asked,
        how: How,
        time_left: Duration,
    ) -> RestoreReport {
        let journal = self.journal.as_ref();
        self.restore_in(journal, &Notify::new(), asked, how, time_left)
            .await
    }

    /// The same in a process whose journal is another client, and which may be interrupted.
    pub(crate) async fn restore_in(
        &self,
        journal: Option<&Journal>,
        stop: &Notify,
        asked: &restore::Asked,
        how: How,
        time_left: Duration,
    ) -> RestoreReport {
        let to = asked.to.as_deref().unwrap_or(self.source);
        let (backups, destination) = self.backups_and_destination(to);
        let sources = Patient::new(self.region(self.source), self.plan.concurrency);
        let world = restore::World {
            sources: Some(&sources),
            ..self.of_restores(journal, stop, (&backups, &destination))
        };
        let restored = restore::restore(asked, &world, how, "restore".into(), time_left);
        Box::pin(restored).await.unwrap()
    }

    /// The first target, and a region that copies come to from there.
    fn backups_and_destination(&self, to: &str) -> (Patient<Region>, Patient<Region>) {
        let region = |name: &str| REGIONS.into_iter().find(|known| *known == name).unwrap();
        let from = region(&self.plan.targets[0].region);
        let destination = Region {
            source: from,
            ..self.region(region(to))
        };
        let patient = |region| Patient::new(region, self.plan.concurrency);
        (patient(self.region(from)), patient(destination))
    }

    fn of_restores<'a>(
        &'a self,
        journal: Option<&'a Journal>,
        stop: &'a Notify,
        (backups, destination): (&'a Patient<Region>, &'a Patient<Region>),
    ) -> restore::World<'a, Region> {
        restore::World {
            plan: &self.plan,
            plans: std::slice::from_ref(&self.plan),
            target: &self.plan.targets[0],
            backups,
            destination,
            sources: None,
            kept: journal.map(|journal| Kept {
                journal,
                shared: true,
            }),
            clock: self.local_clock(),
            report: Size::Whole,
            stop,
            watch: &|_| (),
        }
    }
}

/// Drills.
impl World {
    /// Drills for a slot, at that time or later, as a fresh process would, with all the time that it needs.
    pub(crate) async fn drill(&self, asked: &drill::Asked, slot: Timestamp) -> DrillReport {
        self.drill_as(asked, slot, How::Whole, Duration::from_mins(14))
            .await
    }

    /// The same in one way or another, within a time.
    pub(crate) async fn drill_as(
        &self,
        asked: &drill::Asked,
        slot: Timestamp,
        how: How,
        time_left: Duration,
    ) -> DrillReport {
        let journal = self.journal.as_ref();
        self.drill_in(journal, &Notify::new(), asked, (slot, how), time_left)
            .await
    }

    /// The same in a process whose journal is another client, and which may be interrupted.
    pub(crate) async fn drill_in(
        &self,
        journal: Option<&Journal>,
        stop: &Notify,
        asked: &drill::Asked,
        (slot, how): (Timestamp, How),
        time_left: Duration,
    ) -> DrillReport {
        self.sleep_until(slot).await;
        let to = drill::region_of(asked, &self.plan, &self.plan.targets[0]);
        let (backups, destination) = self.backups_and_destination(to);
        let world = self.of_restores(journal, stop, (&backups, &destination));
        let slot = Slot::of(slot).unwrap();
        let drilled = drill::drill(asked, &world, slot, how, "drill".into(), time_left);
        Box::pin(drilled).await
    }
}
