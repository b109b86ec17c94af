//! The backup policy of a cluster: reading and setting it, and the automatic backups that follow from it.
//!
//! Policies that the console can make since June 2026 (cron, several schedules) can't be set here, as over REST.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::fault::Subject;
use crate::state::State;
use crate::zilliz::access::Privilege;
use crate::zilliz::backup::{Kind, Method};
use crate::zilliz::body;
use crate::zilliz::cluster::Cluster;
use crate::zilliz::create::{self, New};
use crate::zilliz::envelope::{Refusal, Result, Undocumented, code};
use crate::zilliz::region;
use crate::zilliz::schedule::{self, Schedule, Weekdays};
use crate::zilliz::target::{self, RETENTION, Target};
use crate::zilliz::timeline::Event;
use crate::zilliz::{Asked, Zilliz};

/// The product's default.
const DEFAULT_RETENTION_DAYS: u64 = 7;

/// A policy that is enabled; a disabled one is none.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Policy {
    /// Each that is set has its own, so that what was planned for an older one can be told.
    number: u64,
    frequency: String,
    start_time: String,
    #[serde(skip)]
    schedule: Schedule,
    retention_days: u64,
    targets: Vec<Target>,
}

/// GET `…/backups/policy`
pub(crate) fn describe(state: &State, asked: &Asked<'_>) -> Result {
    let zilliz = &state.zilliz;
    let cluster = asked
        .access
        .live_cluster(zilliz, asked.cluster, Privilege::BackupView)?;
    cluster.must_be_dedicated()?;
    Ok(view(cluster))
}

fn view(cluster: &Cluster) -> Json {
    let Some(policy) = &cluster.policy else {
        return json!({
            "clusterId": cluster.id, "status": "DISABLED", "startTime": null, "frequency": null,
            "retentionDays": 0, "crossRegionCopies": [],
        });
    };
    let copies = policy.targets.iter().map(|target| {
        json!({
            "regionId": target.region, "retentionDays": target.retention_days,
            "region": region::bare(&target.region),
        })
    });
    json!({
        "clusterId": cluster.id, "status": "ENABLED", "startTime": policy.start_time,
        "frequency": policy.frequency, "retentionDays": policy.retention_days,
        "crossRegionCopies": copies.collect::<Vec<_>>(),
    })
}

/// POST `…/backups/policy`. Enabling makes one backup at once.
///
/// Unknown: whether leaving `crossRegionCopies` out keeps or clears them. Here it clears them, like `[]`.
pub(crate) fn set(state: &mut State, asked: &Asked<'_>) -> Result {
    let zilliz = &state.zilliz;
    let cluster = asked
        .access
        .live_cluster(zilliz, asked.cluster, Privilege::BackupManage)?;
    cluster.must_be_dedicated()?;
    let enabled = asked.body.get("enabled").and_then(Json::as_bool);
    let enabled = enabled.ok_or(Undocumented::NoEnabled)?;
    let was_enabled = cluster.policy.is_some();
    // Disabling looks at nothing else: one official client sends empty strings and a null with it.
    let policy = if enabled {
        Some(read(zilliz, cluster, asked.body)?)
    } else {
        None
    };
    state.zilliz.policies_set += 1;
    if let Some(cluster) = state.zilliz.clusters.get_mut(asked.cluster) {
        cluster.policy.clone_from(&policy);
    }
    if let Some(policy) = policy {
        // Inferred: only a policy that was not enabled before makes its first backup at once.
        if !was_enabled {
            back_up(state, asked.cluster, asked.now);
        }
        plan(state, asked.cluster, &policy, asked.now);
    }
    let status = if enabled { "ENABLED" } else { "DISABLED" };
    Ok(json!({"clusterId": asked.cluster, "status": status}))
}

fn read(zilliz: &Zilliz, cluster: &Cluster, body: &Json) -> Result<Policy> {
    let frequency = body::required(body, "frequency", code::FREQUENCY)?;
    let days = Weekdays::parse(frequency).ok_or_else(|| {
        let message = "frequency must be weekdays from 1 (Monday) to 7, such as 1,4,7.";
        Refusal::new(code::FREQUENCY, message)
    })?;
    let start_time = body::required(body, "startTime", code::START_TIME)?;
    let begins = schedule::window(start_time).ok_or_else(|| {
        let message = "startTime must be two hours in UTC, such as 22:00-00:00.";
        Refusal::new(code::START_TIME, message)
    })?;
    let days_kept = body::number(body, "retentionDays", RETENTION, code::RETENTION)?;
    Ok(Policy {
        number: zilliz.policies_set + 1,
        frequency: frequency.to_owned(),
        start_time: start_time.to_owned(),
        schedule: Schedule { days, begins },
        retention_days: days_kept.unwrap_or(DEFAULT_RETENTION_DAYS),
        targets: target::read(zilliz, cluster, body, true)?,
    })
}

/// Notes the automatic backup in the first window after `after`.
fn plan(state: &mut State, cluster: &str, policy: &Policy, after: Timestamp) {
    if let Some(begin) = policy.schedule.next(after) {
        let at = schedule::start(begin, state.settings.seed, cluster);
        let event = Event::Automatic {
            cluster: cluster.to_owned(),
            policy: policy.number,
            begin,
        };
        state.zilliz.timeline.add(at, event);
    }
}

/// An automatic backup is due: makes it, and plans the next, unless its policy was replaced or switched off.
pub(crate) fn run(state: &mut State, cluster: &str, number: u64, begin: Timestamp, at: Timestamp) {
    let found = state.zilliz.clusters.get(cluster);
    let policy = found.and_then(|cluster| cluster.policy.clone());
    if let Some(policy) = policy.filter(|policy| policy.number == number) {
        back_up(state, cluster, at);
        plan(state, cluster, &policy, begin);
    }
}

/// Automatic backups start whatever else is running.
fn back_up(state: &mut State, cluster: &str, at: Timestamp) {
    let Some(cluster) = state.zilliz.clusters.get(cluster).cloned() else {
        return;
    };
    let Some(policy) = &cluster.policy else {
        return;
    };
    let subject = Subject {
        operation: "zilliz.automatic_backup",
        region: &cluster.region,
        namespace: &cluster.id,
        source: None,
        has_cursor: false,
        in_background: true,
    };
    let fault = state.faults.pick(&subject, &mut state.random);
    let new = New {
        kind: Kind::Cluster,
        method: Method::Auto,
        collections: cluster.collections.clone(),
        bytes: cluster.bytes,
        retention_days: Some(policy.retention_days),
        targets: policy.targets.clone(),
    };
    create::begin(state, &cluster, new, &fault, at);
}
