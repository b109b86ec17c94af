//! The service: the emulator with so many sources, so late with every answer.

use std::time::Duration;

use lifeboat::service::turbopuffer::http_client;
use lifeboat_emulator::{Call, Emulator, Fault, Match, Method, Rule, Settings, serve};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::child::{self, Running};

pub(crate) const SOURCE_REGION: &str = "aws-us-east-1";
pub(crate) const BACKUP_REGION: &str = "aws-eu-west-1";
pub(crate) const SOURCE_PREFIX: &str = "acme-";
pub(crate) const BACKUP_PREFIX: &str = "backup-";
pub(crate) const API_KEY: &str = "tpuf_figures";
/// Elements of a wide row's vector, four bytes each.
pub(crate) const DIMENSIONS: u64 = 256;

/// What the service is like.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Namespaces in the source region.
    pub(crate) sources: u64,
    /// Or, instead of them, a sealed backup of each.
    pub(crate) lost: bool,
    /// How late every answer is.
    pub(crate) latency: Duration,
    /// How long every copy takes.
    pub(crate) copy: Duration,
}

/// The name of a source.
pub(crate) fn source(index: u64) -> String {
    format!("{SOURCE_PREFIX}tenant-{index:06}")
}

/// A service in a process of its own.
pub(crate) struct Service {
    _process: Running,
    /// With a place for the region.
    pub(crate) base_url: String,
    root: String,
}

impl Service {
    pub(crate) fn start(setup: Setup) -> Self {
        Self::in_role("service", &setup)
    }

    /// One with so many sources of so many rows each, every row with a vector of [`DIMENSIONS`] elements.
    pub(crate) fn start_wide(sources: u64, rows: u64) -> Self {
        Self::in_role("wide", &(sources, rows))
    }

    fn in_role(role: &str, setup: &impl Serialize) -> Self {
        let mut process = Running::start(role, setup);
        let root: String = process.line();
        Self {
            _process: process,
            base_url: format!("{root}/{{region}}"),
            root,
        }
    }

    /// Requests so far in each region: (source, target). The log holds the newest hundred thousand; what it dropped are a
    /// restore's first requests, which list the backups.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let log = self.ask("log");
        let calls = log.get("calls").and_then(Value::as_array).unwrap();
        let total = log.get("total").and_then(Value::as_u64).unwrap();
        let dropped = total - u64::try_from(calls.len()).unwrap();
        assert!(dropped < 100, "the service's log is not whole");
        let of = |region: &str| {
            let of_region = |call: &&Value| {
                let path = call.get("path").and_then(Value::as_str).unwrap_or_default();
                path.starts_with(&format!("/{region}/"))
            };
            u64::try_from(calls.iter().filter(of_region).count()).unwrap()
        };
        (of(SOURCE_REGION), of(BACKUP_REGION) + dropped)
    }

    /// All requests so far.
    pub(crate) fn total(&self) -> u64 {
        let summary = self.ask("log?summary=1");
        summary.get("total").and_then(Value::as_u64).unwrap()
    }

    /// How long one request takes, alone, in the middle of a hundred; what is above the latency is the machine's.
    pub(crate) fn one_request(&self) -> Duration {
        let url = format!("{}/{SOURCE_REGION}/v1/namespaces?prefix=none", self.root);
        child::one_thread().block_on(async {
            let http = http_client().unwrap();
            let mut took = Vec::new();
            for _ in 0..101 {
                let begun = std::time::Instant::now();
                let answer = http.get(&url).bearer_auth(API_KEY).send().await.unwrap();
                assert!(answer.status().is_success());
                answer.bytes().await.unwrap();
                took.push(begun.elapsed());
            }
            took.sort_unstable();
            *took.get(took.len() / 2).unwrap()
        })
    }

    fn ask(&self, what: &str) -> Value {
        let url = format!("{}/_emulator/{what}", self.root);
        child::one_thread().block_on(async {
            let answer = http_client().unwrap().get(url).send().await.unwrap();
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
        })
    }
}

/// The service's own process: serves until it is ended from outside.
pub(crate) fn play(setup: &Setup) {
    let emulator = Emulator::new(Settings {
        copy_overhead_ms: milliseconds(setup.copy),
        ..Settings::default()
    });
    if setup.lost {
        seed_backups(&emulator, setup.sources);
    } else {
        emulator.seed_namespaces(SOURCE_REGION, (0..setup.sources).map(source), 10, 1_000);
    }
    let late = Fault {
        latency_ms: Some(milliseconds(setup.latency)),
        ..Fault::default()
    };
    if !setup.latency.is_zero() {
        emulator.set_faults(vec![Rule::new(Match::operation("any"), late)]);
    }
    serve_until_killed(emulator);
}

/// A sealed backup of each source, and no request that tells of it.
fn seed_backups(emulator: &Emulator, sources: u64) {
    let slot = emulator.now().as_second();
    let backup = |index| format!("{BACKUP_PREFIX}{}-{slot:010}", source(index));
    emulator.seed_namespaces(BACKUP_REGION, (0..sources).map(backup), 10, 1_000);
    let call = |method, path, body: &Value| {
        let _ = emulator.call(Call {
            method,
            path,
            query: String::new(),
            headers: vec![("authorization".into(), format!("Bearer {API_KEY}"))],
            body: serde_json::to_vec(body).unwrap(),
        });
    };
    for index in 0..sources {
        let path = format!("/{BACKUP_REGION}/v1/namespaces/{}/metadata", backup(index));
        call(Method::Patch, path, &json!({"read_only": true}));
    }
    call(Method::Delete, "/_emulator/log".to_owned(), &Value::Null);
}

/// The same with a few sources of many rows.
pub(crate) fn play_wide((sources, rows): (u64, u64)) {
    let emulator = Emulator::new(Settings::default());
    let id_and_row = |id: u64| {
        let element = |at: u64| Value::from((id * 31 + at) % 1_000);
        let vector: Vec<Value> = (0..DIMENSIONS).map(element).collect();
        json!({"id": id, "title": format!("row {id}"), "vector": vector})
    };
    let pages = (0..sources).flat_map(|at| (0..rows).step_by(1_000).map(move |row| (at, row)));
    for (at, first) in pages {
        let page: Vec<Value> = (first..rows.min(first + 1_000)).map(id_and_row).collect();
        let body = json!({"upsert_rows": page, "distance_metric": "cosine_distance"});
        let _ = emulator.call(Call {
            method: Method::Post,
            path: format!("/{SOURCE_REGION}/v2/namespaces/{}", source(at)),
            query: String::new(),
            headers: vec![("authorization".into(), format!("Bearer {API_KEY}"))],
            body: serde_json::to_vec(&body).unwrap(),
        });
    }
    serve_until_killed(emulator);
}

fn serve_until_killed(emulator: Emulator) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        child::say(&format!("http://{}", listener.local_addr().unwrap()));
        serve(emulator, listener, std::future::pending())
            .await
            .unwrap();
    });
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap()
}
