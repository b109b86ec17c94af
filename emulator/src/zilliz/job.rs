//! Jobs: what runs in the background, its progress, and asking for it.
//!
//! Nothing ticks: when a job starts and finishes is known when it is made, and [`super::timeline`] makes it happen.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::clock;
use crate::fault::Fault;
use crate::route::parameter;
use crate::state::State;
use crate::zilliz::access::{Access, Privilege};
use crate::zilliz::backup::Backup;
use crate::zilliz::cluster::Collection;
use crate::zilliz::envelope::{Refusal, Result, code, stamp};
use crate::zilliz::page::Page;
use crate::zilliz::target::Target;
use crate::zilliz::timeline::Event;
use crate::zilliz::{Asked, ids, route};

/// What a job does when it is done.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// The backup becomes available, and its copies begin.
    Backup {
        backup: String,
        targets: Vec<Target>,
    },
    /// The copy becomes available.
    Copy { backup: String, from: String },
    /// Nothing here.
    Export { backup: String },
    /// The new cluster runs.
    RestoreCluster { cluster: String },
    /// The collections appear in the cluster.
    RestoreCollections {
        cluster: String,
        collections: Vec<Collection>,
    },
}

impl Work {
    /// The `type` of the API. Inferred for copies from the console, which files them under Backup, and for exports,
    /// which have no word of their own.
    fn kind(&self) -> &'static str {
        match self {
            Self::Backup { .. } | Self::Copy { .. } | Self::Export { .. } => "BACKUP",
            Self::RestoreCluster { .. } | Self::RestoreCollections { .. } => "RESTORE",
        }
    }
}

/// How a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    Success,
    Failure,
    /// It does not.
    Never,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    organisation: String,
    project: String,
    cluster: String,
    region: String,
    pub(crate) work: Work,
    created: Timestamp,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// From start to end.
    #[serde(skip)]
    pub(crate) takes: Duration,
    pub(crate) ending: Ending,
    /// Why it failed or will fail; empty otherwise.
    pub(crate) reason: String,
    /// Asking for it answers 96026.
    lost: bool,
}

/// What a job is made of.
pub(crate) struct Order {
    pub(crate) organisation: String,
    pub(crate) project: String,
    pub(crate) cluster: String,
    pub(crate) region: String,
    pub(crate) work: Work,
    pub(crate) takes: Duration,
}

impl Order {
    /// An order that has to do with this backup; what and how long is for the caller to say.
    pub(crate) fn about(backup: &Backup) -> Self {
        Self {
            organisation: backup.organisation.clone(),
            project: backup.project.clone(),
            cluster: backup.cluster.clone(),
            region: backup.region.clone(),
            work: Work::Export {
                backup: backup.id.clone(),
            },
            takes: Duration::ZERO,
        }
    }
}

impl Job {
    fn status(&self) -> &'static str {
        match (self.started, self.ended, self.ending) {
            (_, Some(_), Ending::Failure) => "FAILED",
            (_, Some(_), _) => "SUCCESSFUL",
            (Some(_), None, _) => "IN_PROGRESS",
            (None, None, _) => "PENDING",
        }
    }

    /// In percent; 100 only when it succeeded.
    pub(crate) fn progress(&self, now: Timestamp) -> u128 {
        let Some(started) = self.started else {
            return 0;
        };
        if self.ended.is_some() && self.ending == Ending::Success {
            return 100;
        }
        let until = self.ended.unwrap_or(now);
        let passed = until.duration_since(started).as_millis().max(0);
        (passed.unsigned_abs() * 100 / self.takes.as_millis().max(1)).min(99)
    }

    /// Inferred: `startTime` while it is pending and `endTime` while it runs are null.
    fn view(&self, now: Timestamp) -> Json {
        let reason = if self.ended.is_some() {
            &*self.reason
        } else {
            ""
        };
        json!({
            "jobId": self.id, "type": self.work.kind(), "status": self.status(),
            "progress": self.progress(now).to_string(), "startTime": self.started.map(stamp),
            "endTime": self.ended.map(stamp), "reason": reason,
        })
    }

    /// As the one documented listing of jobs, that of Spark jobs, shows them.
    fn item(&self) -> Json {
        let seconds = self
            .started
            .zip(self.ended)
            .map(|(started, ended)| ended.duration_since(started).as_secs());
        json!({
            "jobId": self.id, "projectId": self.project, "type": self.work.kind(), "description": "",
            "status": self.status(), "regionId": self.region, "clusterId": self.cluster,
            "createdAt": stamp(self.created), "startedAt": self.started.map(stamp),
            "finishedAt": self.ended.map(stamp), "durationSeconds": seconds,
        })
    }

    fn seen_by(&self, access: &Access) -> bool {
        access.sees(
            &self.organisation,
            &self.project,
            &self.cluster,
            Privilege::BackupView,
        )
    }
}

impl State {
    /// Makes a job, PENDING, that ends as the fault says, and gives its id.
    pub(crate) fn start_job(&mut self, order: Order, fault: &Fault, at: Timestamp) -> String {
        let ending = match (fault.stall_operation, fault.fail_operation) {
            (true, _) => Ending::Never,
            (_, true) => Ending::Failure,
            _ => Ending::Success,
        };
        let reason = match (ending, &fault.reason) {
            (Ending::Failure, Some(reason)) => reason.clone(),
            (Ending::Failure, None) => "Internal error.".to_owned(),
            _ => String::new(),
        };
        let job = Job {
            id: ids::job(&mut self.zilliz.random),
            organisation: order.organisation,
            project: order.project,
            cluster: order.cluster,
            region: order.region,
            work: order.work,
            created: at,
            started: None,
            ended: None,
            takes: order.takes,
            ending,
            reason,
            lost: fault.lose_token,
        };
        let id = job.id.clone();
        let starts = clock::after(at, Duration::from_millis(self.settings.zilliz.queue_ms));
        self.zilliz.timeline.add(starts, Event::Start(id.clone()));
        self.zilliz.jobs.insert(id.clone(), job);
        id
    }
}

/// GET `/v2/jobs/{jobId}`
pub(crate) fn describe(state: &mut State, asked: &Asked<'_>) -> Result {
    let job = state.zilliz.jobs.get_mut(asked.id);
    let job = job.filter(|job| job.seen_by(asked.access));
    if let Some(job) = job {
        job.lost |= asked.fault.lose_token;
        if !job.lost {
            return Ok(job.view(asked.now));
        }
    }
    Err(Refusal::new(code::NO_JOB, "Job not found."))
}

/// GET `/v2/jobs?type=BACKUP`, if it is switched on. Unknown: whether the service lists other jobs than Spark's.
pub(crate) fn list(state: &State, asked: &Asked<'_>) -> Result {
    let kind = parameter(asked.query, "type");
    if !state.settings.zilliz.jobs_can_be_listed || kind.as_deref() != Some("BACKUP") {
        return Err(route::unknown("/v2/jobs"));
    }
    let page = Page::read_with(asked.query, 20)?;
    let text = |name| parameter(asked.query, name).filter(|text| !text.is_empty());
    let (cluster, region) = (text("clusterId"), text("regionId"));
    let mut seen: Vec<&Job> = state
        .zilliz
        .jobs
        .values()
        .filter(|job| job.work.kind() == "BACKUP" && !job.lost && job.seen_by(asked.access))
        .filter(|job| cluster.as_ref().is_none_or(|id| *id == job.cluster))
        .filter(|job| region.as_ref().is_none_or(|id| *id == job.region))
        .collect();
    seen.sort_by_key(|job| (std::cmp::Reverse(job.created), job.id.as_str()));
    let items: Vec<Json> = page
        .cut(&seen, asked.fault)
        .iter()
        .map(|job| job.item())
        .collect();
    Ok(json!({"total": seen.len(), "items": items}))
}
