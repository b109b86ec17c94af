//! Clusters of Zilliz Cloud: the emulator's control plane in this process, under virtual time. `restoring` brings them back.

mod account;
mod budgets;
mod by_hand;
mod clocks;
mod estimating;
mod histories;
mod holding;
mod listed;
mod listings;
mod omitted;
mod policies;
mod protection;
mod pruning;
mod repeated;
mod restoring;
mod tiers;
mod told;
mod waiting;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use lifeboat::clock::Clock;
use lifeboat::event::{Action, Request};
use lifeboat::journal::{Journal, OpenRun};
use lifeboat::plan::{ClusterPlan, Settings};
use lifeboat::price::Prices;
use lifeboat::report::Size;
use lifeboat::secret::{ApiKey, Key, KeySource};
use lifeboat::slot::SlotError;
use lifeboat::zilliz::ClusterReport;
use lifeboat::zilliz::client::Client;
use lifeboat::zilliz::listed::{ClusterList, list};
use lifeboat::zilliz::run::{World, run};
use lifeboat::zilliz::tiers::Deletable;
use lifeboat::zilliz::transport::{Answer, Call, Lost, Transport};
use lifeboat_emulator::{self as emulator, ClockMode, Delivery, Emulator, Method, Response};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use tokio::time::Instant;

const KEY: &str = "zilliz-key-that-nobody-may-see";
const PROJECT: &str = "proj-5d11c0aa94e27b60f3c9de";
const HOME: &str = "gcp-us-west1";
const NEAR: &str = "gcp-us-east4";
const FAR: &str = "gcp-europe-west3";
const CLUSTER: &str = "in01-4be01c77d20a9f3";
/// A Sunday.
const BEGIN: &str = "2026-11-22T12:00:00Z";
const GB: u64 = 1_000_000_000;
const MINUTES: Duration = Duration::from_mins(14);

/// Every day at two, seven days at home, thirty nearby and seven far away.
const PLAN: &str = r#"[plans.prod]
provider = "zilliz"
clusters = ["*"]
project = "proj-5d11c0aa94e27b60f3c9de"
start = "02:00"
[[plans.prod.targets]]
region = "gcp-us-east4"
retention_days = 30
[[plans.prod.targets]]
region = "gcp-europe-west3"
"#;

/// The emulator, as one process reaches it.
#[derive(Clone, Debug)]
struct Wire {
    emulator: Emulator,
    begin: (Instant, Timestamp),
    /// The journal's objects, to see that nothing is deleted which it does not call the plan's own.
    objects: Option<Arc<InMemory>>,
    /// Backups that lists leave out, and do not count: those of a replica that lags behind.
    unlisted: Arc<Mutex<BTreeSet<String>>>,
}

impl Wire {
    fn now(&self) -> Timestamp {
        self.begin.1 + SignedDuration::try_from(self.begin.0.elapsed()).unwrap()
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        query: &str,
        key: &str,
        body: Vec<u8>,
    ) -> emulator::Answer {
        self.emulator.set_now(self.now());
        self.emulator.call(emulator::Call {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: vec![("authorization".into(), format!("Bearer {key}"))],
            body,
        })
    }
}

impl Transport for Wire {
    async fn send(&self, call: &Call<'_>, key: &Key) -> Result<Answer, Lost> {
        let method = if call.body.is_some() {
            Method::Post
        } else {
            Method::Get
        };
        let query: Vec<String> = call
            .query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.carry(method, call.path, &query.join("&"), key, call.body)
            .await
    }

    async fn delete(&self, backup: &Deletable, key: &Key) -> Result<Answer, Lost> {
        let [_, cluster, _, id] = backup.path();
        let is_owned = self.is_owned(cluster, id).await;
        assert!(
            is_owned,
            "{id} of {cluster} is not the plan's own by the journal"
        );
        self.carry(Method::Delete, &backup.path(), "", key, None)
            .await
    }
}

impl Wire {
    /// Whether the journal says that a backup is the plan's own, that a DELETE may be sent, and of an original that no copy
    /// of it is left.
    async fn is_owned(&self, cluster: &str, id: &str) -> bool {
        let objects = self.objects.as_ref().unwrap();
        let tiers = Path::from("journal/clusters/tiers/prod");
        let mut listed = objects.list(Some(&tiers));
        while let Some(object) = listed.next().await {
            let found = objects.get(&object.unwrap().location).await.unwrap();
            let tier: Value = serde_json::from_slice(&found.bytes().await.unwrap()).unwrap();
            let backups = tier["backups"].as_object().cloned().unwrap_or_default();
            let region = backups
                .iter()
                .find(|(_, known)| *known == id)
                .map(|(region, _)| region);
            let leaves = |region: &String| {
                let leaving = tier["leaving"].as_array().unwrap();
                leaving.iter().any(|leaving| leaving == region)
            };
            let is_last = |region: &String| region != HOME || backups.len() == 1;
            if tier["cluster"] == cluster
                && tier["state"] == "owned"
                && region.is_some_and(|region| leaves(region) && is_last(region))
            {
                return true;
            }
        }
        false
    }

    async fn carry(
        &self,
        method: Method,
        path: &[&str],
        query: &str,
        key: &Key,
        body: Option<&[u8]>,
    ) -> Result<Answer, Lost> {
        let path = format!("/zilliz/v2/{}", path.join("/"));
        let body = body.unwrap_or_default().to_vec();
        let answer = self.call(method, &path, query, key.expose(), body);
        tokio::time::sleep(answer.delay).await;
        match answer.delivery {
            Delivery::Whole(response) => Ok(self.lagging(&path, read(response))),
            Delivery::Truncated(_) => Err(Lost::NoAnswer("cut short".into())),
            Delivery::Reset => Err(Lost::NoAnswer("closed".into())),
        }
    }
}

impl Wire {
    /// The answer as a replica gives it that does not know yet what is `unlisted`.
    fn lagging(&self, path: &str, answer: Answer) -> Answer {
        let unlisted = self.unlisted.lock().unwrap();
        if unlisted.is_empty() || path != "/zilliz/v2/backups" {
            return answer;
        }
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        let backups = body["data"]["backups"].as_array_mut().unwrap();
        let all = backups.len();
        backups.retain(|backup| !unlisted.contains(backup["backupId"].as_str().unwrap()));
        let left_out = all - backups.len();
        let count = usize::try_from(body["data"]["count"].as_u64().unwrap()).unwrap();
        body["data"]["count"] = json!(count - left_out);
        let body = serde_json::to_vec(&body).unwrap();
        Answer { body, ..answer }
    }
}

fn read(response: Response) -> Answer {
    let date = response.header("date").unwrap();
    Answer {
        status: response.status,
        request_id: response.header("requestid").map(str::to_owned),
        answered_at: jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(date)
            .ok(),
        retry_after: response
            .header("retry-after")
            .map(|seconds| Duration::from_secs(seconds.parse().unwrap())),
        body: response.body,
    }
}

/// An account, plans, and perhaps a journal.
struct Account {
    wire: Wire,
    plans: Vec<ClusterPlan>,
    journal: Option<Journal>,
    /// Whether it is the nightly runs', too, and not this machine's alone.
    is_shared: bool,
    prices: Prices,
    /// How far this machine's clock is ahead of the service's.
    ahead: SignedDuration,
}

impl Account {
    /// One project on Business Critical with one cluster of 7 GB, and the plan.
    fn new() -> Self {
        Self::with(PLAN)
    }

    fn with(document: &str) -> Self {
        let begin: Timestamp = BEGIN.parse().unwrap();
        let emulator = Emulator::new(emulator::Settings {
            clock: ClockMode::Manual(begin),
            ..emulator::Settings::default()
        });
        let account = Self {
            wire: Wire {
                emulator,
                begin: (Instant::now(), begin),
                objects: None,
                unlisted: Arc::default(),
            },
            plans: plans(document),
            journal: None,
            is_shared: true,
            prices: Prices::built_in().unwrap(),
            ahead: SignedDuration::ZERO,
        };
        account.seed(
            "projects",
            &json!([{"id": PROJECT, "name": "shop", "regions": [HOME, NEAR, FAR]}]),
        );
        account.add_cluster(CLUSTER, "orders-prod", &json!({}));
        account
    }

    fn with_journal(self) -> Self {
        self.with_journal_in(&Arc::new(InMemory::new()))
    }

    fn with_journal_in(mut self, objects: &Arc<InMemory>) -> Self {
        // As the door hands it down: runs over clusters are a part of the journal that restores have whole.
        let whole = Journal::on(objects.clone(), Path::from("journal"));
        self.journal = Some(whole.of_clusters());
        self.wire.objects = Some(objects.clone());
        self
    }

    /// The journal of which restores have a part; that of a desk is whole.
    fn whole_journal(&self) -> Option<Journal> {
        let objects = self.wire.objects.as_ref();
        objects.map(|objects| Journal::on(objects.clone(), Path::from("journal")))
    }

    fn add_cluster(&self, id: &str, name: &str, more: &Value) {
        let mut cluster =
            json!({"id": id, "name": name, "project": PROJECT, "region": HOME, "bytes": 7 * GB});
        cluster
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.seed("clusters", &json!([cluster]));
    }

    fn seed(&self, what: &str, rows: &Value) {
        self.control(Method::Post, &format!("zilliz/{what}"), rows);
    }

    fn control(&self, method: Method, what: &str, body: &Value) -> Value {
        let (what, query) = what.split_once('?').unwrap_or((what, ""));
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body).unwrap()
        };
        let answer = self
            .wire
            .call(method, &format!("/_emulator/{what}"), query, KEY, body);
        let Delivery::Whole(response) = answer.delivery else {
            panic!("{what}: no answer")
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, 200, "{what}: {body}");
        body
    }

    fn known(&self, what: &str) -> Vec<Value> {
        let known = self.control(Method::Get, &format!("zilliz/{what}"), &Value::Null);
        let Value::Array(known) = known else {
            panic!("{what}: {known}")
        };
        known
    }

    fn faults(&self, rules: Value) {
        // What is due happens before, as of its own time.
        self.wire.emulator.set_now(self.wire.now());
        self.wire
            .emulator
            .set_faults(serde_json::from_value(rules).unwrap());
    }

    /// From now on lists leave out these backups, and only these.
    fn leave_out(&self, ids: impl IntoIterator<Item = String>) {
        *self.wire.unlisted.lock().unwrap() = ids.into_iter().collect();
    }

    /// How often an operation was asked for.
    fn calls(&self, operation: &str) -> u64 {
        let log = self.control(Method::Get, "log?summary=1", &Value::Null);
        let answers = log["operations"][operation]
            .as_object()
            .cloned()
            .unwrap_or_default();
        answers.values().map(|count| count.as_u64().unwrap()).sum()
    }

    /// What somebody else does to a cluster's policy.
    fn set_policy(&self, cluster: &str, policy: &Value) {
        let path = format!("/zilliz/v2/clusters/{cluster}/backups/policy");
        let answer = self.wire.call(
            Method::Post,
            &path,
            "",
            KEY,
            serde_json::to_vec(policy).unwrap(),
        );
        let Delivery::Whole(response) = answer.delivery else {
            panic!("no answer")
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["code"], 0, "{body}");
    }

    /// A cluster's policy: days, window, retention, regions with theirs; nothing when there is none.
    fn policy(&self, cluster: &str) -> String {
        let clusters = self.known("clusters");
        let cluster = clusters
            .iter()
            .find(|known| known["id"] == cluster)
            .unwrap();
        let policy = &cluster["policy"];
        if policy.is_null() {
            return String::new();
        }
        let mut copies: Vec<String> = policy["targets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|target| {
                format!(
                    " {}:{}",
                    target["region"].as_str().unwrap(),
                    target["retention_days"]
                )
            })
            .collect();
        copies.sort();
        let text = |field: &str| policy[field].as_str().unwrap().to_owned();
        format!(
            "{} {} {}{}",
            text("frequency"),
            text("start_time"),
            policy["retention_days"],
            copies.concat()
        )
    }

    async fn sleep(&self, hours: u64) {
        tokio::time::sleep(Duration::from_hours(hours)).await;
    }

    /// Carries a request out, as a fresh process would.
    async fn run(&self, request: Request) -> ClusterReport {
        self.run_within(request, MINUTES).await
    }

    async fn run_within(&self, request: Request, time_left: Duration) -> ClusterReport {
        self.try_within(request, time_left).await.unwrap()
    }

    async fn try_within(
        &self,
        request: Request,
        time_left: Duration,
    ) -> Result<ClusterReport, SlotError> {
        let client = self.client();
        let world = self.world(&client);
        let report = Box::pin(run(&request, &world, "test".into(), time_left)).await?;
        let shown = serde_json::to_string(&report).unwrap();
        assert!(!shown.contains(KEY), "the key is in the report");
        Ok(report)
    }

    fn clock(&self) -> Clock {
        let (wire, ahead) = (self.wire.clone(), self.ahead);
        Clock::new(move || wire.now() + ahead)
    }

    fn client(&self) -> Client<Wire> {
        let key = Arc::new(ApiKey::new(KeySource::Given(KEY.into())));
        Client::new(self.wire.clone(), key, self.clock())
    }

    fn world<'a>(&'a self, client: &'a Client<Wire>) -> World<'a, Wire> {
        World {
            plan: &self.plans[0],
            plans: &self.plans,
            client,
            journal: self.journal.as_ref(),
            is_shared: self.is_shared,
            prices: &self.prices.zilliz,
            clock: self.clock(),
            report: Size::Whole,
        }
    }

    async fn list(&self) -> ClusterList {
        let client = self.client();
        Box::pin(list(&self.world(&client), "test".into(), MINUTES)).await
    }

    async fn back_up(&self) -> ClusterReport {
        self.run(Request::default()).await
    }

    async fn open_runs(&self) -> Vec<OpenRun> {
        let journal = self.journal.as_ref().unwrap();
        journal.open_runs().await.unwrap().runs
    }

    /// Carries on with the only run that is open.
    async fn resume(&self) -> ClusterReport {
        let open = self.open_runs().await;
        let [open] = open.as_slice() else {
            panic!("{open:?}")
        };
        let request = Request {
            action: Action::Resume,
            scheduled_time: Some(open.key.slot.instant()),
            manual: open.key.class == lifeboat::name::Class::Manual,
            ..Request::default()
        };
        self.run(request).await
    }
}

fn plans(document: &str) -> Vec<ClusterPlan> {
    let environment = [("LIFEBOAT_CONFIG", document), ("ZILLIZ_API_KEY", KEY)];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::from_environment(&environment).unwrap().clusters
}

/// A document with a second plan for the same clusters, which are then refused.
fn two_plans(document: &str) -> String {
    let second = PLAN.replace("plans.prod", "plans.second");
    format!("{document}{second}")
}

/// The states of all regions, in the report's order.
fn states(report: &ClusterReport) -> String {
    let states = report.regions.shown.iter().map(|line| line.state.word());
    states.collect::<Vec<_>>().join(" ")
}

/// The words of all failures, in the report's order.
fn failures(report: &ClusterReport) -> String {
    let words = report.failures.shown.iter().map(|failure| failure.error);
    words.collect::<Vec<_>>().join(" ")
}
