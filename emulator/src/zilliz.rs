//! The Zilliz Cloud control plane under `/zilliz/v2`: projects, clusters, backups, copies, policies, jobs, restores.
//!
//! It behaves as the vendor's pages and clients say. What no public text states is decided in one function each, whose
//! comment says `Unknown` or `Inferred`, or by a [`ZillizSettings`] field; what is refused without a documented code is
//! one table, [`envelope::Undocumented`].
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | `route`, `body`, `page`, `envelope` | reading a call, and how answers travel |
//! | `access`, `rate` | keys, their scope and role, and how often they may be used |
//! | `region`, `project`, `cluster` | the account |
//! | `create`, `backup`, `target` | backups, and where copies may go |
//! | `policy`, `schedule` | automatic backups, and when they run |
//! | `job`, `timeline` | what runs in the background, and everything that happens as time passes |
//! | `restore` | restores |
//! | `bill`, `ids`, `settings`, `seed` | the rest, and the control plane `/_emulator/zilliz` |

mod access;
mod backup;
mod bill;
mod body;
mod cluster;
mod create;
mod envelope;
mod ids;
mod job;
mod page;
mod policy;
mod project;
mod rate;
mod region;
mod restore;
mod route;
mod schedule;
pub(crate) mod seed;
mod settings;
mod target;
mod timeline;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value as Json;

pub use self::region::Continent;
pub use self::settings::{PermanentExpiry, Prices, StoragePrice, TransferPrice, ZillizSettings};

use self::access::{Access, Keys};
use self::backup::{Backup, Status};
use self::bill::Bill;
use self::cluster::Cluster;
use self::envelope::{Refusal, Result};
use self::job::Job;
use self::page::Page;
use self::project::Project;
use self::rate::Recent;
use self::route::{Op, Route};
use self::timeline::Timeline;
use crate::call::{Answer, Call};
use crate::fault::{Fault, Subject};
use crate::random::Random;
use crate::request;
use crate::route::parameter;
use crate::state::{Reply, State};

/// Where it begins.
pub(crate) const PREFIX: &str = "/zilliz/";

/// Apart from turbopuffer's, so that a call to one moves nothing of the other.
const SEED: u64 = 0x7a69_6c6c_697a_0001;

/// Everything the Zilliz part knows.
#[derive(Debug)]
pub(crate) struct Zilliz {
    random: Random,
    /// Of request ids alone, so that looking at something changes nothing that comes after.
    requests: Random,
    keys: Keys,
    recent: Recent,
    /// By id, as all of these.
    projects: BTreeMap<String, Project>,
    clusters: BTreeMap<String, Cluster>,
    /// Deleted ones too.
    backups: BTreeMap<String, Backup>,
    jobs: BTreeMap<String, Job>,
    policies_set: u64,
    timeline: Timeline,
    pub(crate) bill: Bill,
}

/// What an operation needs to know of the call.
struct Asked<'a> {
    access: &'a Access,
    cluster: &'a str,
    /// Of a project, a backup or a job.
    id: &'a str,
    region: &'a str,
    query: &'a str,
    body: &'a Json,
    now: Timestamp,
    fault: &'a Fault,
}

impl Zilliz {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ SEED),
            requests: Random::new(!seed),
            keys: Keys::default(),
            recent: Recent::default(),
            projects: BTreeMap::new(),
            clusters: BTreeMap::new(),
            backups: BTreeMap::new(),
            jobs: BTreeMap::new(),
            policies_set: 0,
            timeline: Timeline::default(),
            bill: Bill::default(),
        }
    }

    /// Takes a backup away, if it is there.
    fn delete(&mut self, backup: &str, at: Timestamp) {
        if let Some(backup) = self.backups.get_mut(backup) {
            backup.status = Status::Deleted;
        }
        self.bill.released(backup, at);
    }
}

impl State {
    /// Answers one call to the Zilliz control plane.
    pub(crate) fn serve_zilliz(&mut self, call: &Call) -> Answer {
        let now = self.clock.now();
        self.settle(now);
        let key = request::key(call);
        let route = match route::route(call.method, &call.path) {
            Ok(route) => route,
            Err(refusal) => {
                let reply = Reply::from(envelope::response(Err(refusal)));
                return self.answer(call, ("none", key), &Fault::default(), reply.into());
            }
        };
        let fault = self.zilliz_fault(call, &route, key);
        let outcome = self.meet(&fault, envelope::injected, |state| {
            let result = state.zilliz_answer(call, &route, (key, now), &fault);
            let id = ids::request(&mut state.zilliz.requests);
            Reply::from(envelope::response(result).with("requestid", id))
        });
        self.answer(call, (route.op.name(), key), &fault, outcome)
    }

    /// To rules, a cluster's id is the namespace, and that of a backup or job the source.
    fn zilliz_fault(&mut self, call: &Call, route: &Route<'_>, key: &str) -> Fault {
        let asked = parameter(&call.query, "clusterId").unwrap_or_default();
        let cluster = if route.cluster.is_empty() {
            &asked
        } else {
            &route.cluster
        };
        let found = self.zilliz.clusters.get(&**cluster);
        let subject = Subject {
            operation: route.op.name(),
            region: found.map_or("", |cluster| &cluster.region),
            namespace: cluster,
            source: Some(&route.id).filter(|id| !id.is_empty()).map(|id| &**id),
            has_cursor: Page::is_later(&call.query),
            in_background: false,
        };
        let fault = self.faults.pick(&subject, &mut self.random);
        if fault.revoke_key {
            self.zilliz.keys.revoke(key);
        }
        fault
    }

    fn zilliz_answer(
        &mut self,
        call: &Call,
        route: &Route<'_>,
        (key, now): (&str, Timestamp),
        fault: &Fault,
    ) -> Result {
        let access = self.zilliz.keys.check(key)?;
        if let Some(limit) = self.settings.zilliz.rate_limit
            && !self.zilliz.recent.takes(key, route.op, limit, now)
        {
            return Err(Refusal::too_many());
        }
        self.zilliz.bill.request(&access.organisation, route.op);
        let body = match call.body.as_slice() {
            [] => Json::Null,
            bytes => serde_json::from_slice(bytes)
                .map_err(|error| Refusal::plain(400, format!("the body is no JSON: {error}")))?,
        };
        let asked = Asked {
            access: &access,
            cluster: &route.cluster,
            id: &route.id,
            region: &route.region,
            query: &call.query,
            body: &body,
            now,
            fault,
        };
        self.zilliz_operation(route.op, &asked)
    }

    fn zilliz_operation(&mut self, op: Op, asked: &Asked<'_>) -> Result {
        let zilliz = &self.zilliz;
        match op {
            Op::ListClouds => Ok(region::clouds()),
            Op::ListRegions => region::regions(asked.query),
            Op::ListProjects => Ok(project::list(zilliz, asked.access)),
            Op::DescribeProject => project::describe(zilliz, asked),
            Op::BindRegions => project::bind(self, asked),
            Op::UnbindRegion => project::unbind(self, asked),
            Op::ListClusters => cluster::list(zilliz, asked),
            Op::DescribeCluster => cluster::describe(zilliz, asked),
            Op::DropCluster => cluster::drop(self, asked),
            Op::CreateBackup => create::create(self, asked),
            Op::ListBackups => backup::list(self, asked),
            Op::DescribeBackup => backup::describe(self, asked),
            Op::DeleteBackup => backup::delete(self, asked),
            Op::ExportBackup => backup::export(self, asked),
            Op::RestoreCluster => restore::cluster(self, asked),
            Op::RestoreCollection => restore::collections(self, asked),
            Op::DescribePolicy => policy::describe(self, asked),
            Op::SetPolicy => policy::set(self, asked),
            Op::DescribeJob => job::describe(self, asked),
            Op::ListJobs => job::list(self, asked),
        }
    }
}
