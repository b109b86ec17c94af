//! The control plane under `/_emulator/zilliz`: what the account holds. It needs no key and meets no fault.
//!
//! | call | what it does | needed fields | others |
//! |---|---|---|---|
//! | `POST projects` | makes or replaces | `name` | `id`, `organisation`, `plan`, `org_type`, `regions` |
//! | `POST clusters` | makes or replaces | `name`, `project`, `region` | see below |
//! | `POST keys` | replaces the whole table | `key`, `role` | `organisation`, `projects`, `clusters` |
//!
//! Each POST takes an array and, as `GET` of the same, answers with what there is. Other fields of a cluster are `id`,
//! `plan`, `deployment` (Free, Serverless, Dedicated), `cu_type`, `cu_size`, `bytes`, and `collections`, each with `name`,
//! `database`, `bytes` and `loaded`. Replacing a cluster keeps its policy, so it can grow at any time. A role is
//! `organization_owner`, `project_admin`, `data_admin`, `operator`, `viewer`, or `{"custom": […]}` of `cluster_view`,
//! `cluster_manage`, `backup_view` and `backup_manage`. Without a table every key is an owner's of `default`.
//!
//! `GET backups` and `GET jobs` tell more than the API: deleted backups, whose copy one is, and the jobs of copies.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::call::{Call, Method};
use crate::control::{Outcome, body};
use crate::state::State;
use crate::zilliz::access::{KeyRow, default_organisation};
use crate::zilliz::cluster::{Cluster, Collection, Deployment, RUNNING, database};
use crate::zilliz::envelope::whole;
use crate::zilliz::project::{OrgType, Plan, Project};
use crate::zilliz::{ids, region};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectSeed {
    id: Option<String>,
    name: String,
    #[serde(default = "default_organisation")]
    organisation: String,
    plan: Option<Plan>,
    org_type: Option<OrgType>,
    /// Those of its clusters are bound anyway.
    #[serde(default)]
    regions: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterSeed {
    id: Option<String>,
    name: String,
    /// Its id. A region of the cluster's project decides its cloud.
    project: String,
    region: String,
    /// That of the project where absent.
    plan: Option<Plan>,
    #[serde(default)]
    deployment: Deployment,
    cu_type: Option<String>,
    cu_size: Option<u64>,
    /// The sum of its collections' where absent.
    bytes: Option<u64>,
    #[serde(default)]
    collections: Vec<Collection>,
    /// RUNNING, unless something else is to be seen of it.
    status: Option<String>,
}

/// Answers a call to `/_emulator/zilliz/{name}`.
pub(crate) fn control(state: &mut State, call: &Call, name: &str) -> Outcome {
    match (call.method, name) {
        (Method::Post, "projects") => {
            for seed in body::<Vec<ProjectSeed>>(call)? {
                project(state, seed)?;
            }
        }
        (Method::Post, "clusters") => {
            for seed in body::<Vec<ClusterSeed>>(call)? {
                cluster(state, seed)?;
            }
        }
        (Method::Post, "keys") => state.zilliz.keys.set(body::<Vec<KeyRow>>(call)?),
        (Method::Get, _) => {}
        _ => return Err(unknown(call, name)),
    }
    view(state, name).ok_or_else(|| unknown(call, name))
}

fn unknown(call: &Call, name: &str) -> (u16, String) {
    let method = call.method.name();
    (404, format!("no control `zilliz/{name}` for {method}"))
}

fn view(state: &mut State, name: &str) -> Option<Json> {
    let now = state.clock.now();
    state.settle(now);
    let zilliz = &state.zilliz;
    match name {
        "projects" => Some(json!(zilliz.projects.values().collect::<Vec<_>>())),
        "clusters" => Some(json!(zilliz.clusters.values().collect::<Vec<_>>())),
        "backups" => Some(json!(zilliz.backups.values().collect::<Vec<_>>())),
        "jobs" => Some(json!(zilliz.jobs.values().collect::<Vec<_>>())),
        "keys" => Some(zilliz.keys.view()),
        _ => None,
    }
}

fn known_region(id: &str) -> Result<(), (u16, String)> {
    match region::find(id) {
        Some(_) => Ok(()),
        None => Err((400, format!("no region `{id}`"))),
    }
}

fn project(state: &mut State, seed: ProjectSeed) -> Result<(), (u16, String)> {
    for region in &seed.regions {
        known_region(region)?;
    }
    let now = state.clock.now();
    let zilliz = &mut state.zilliz;
    let id = seed.id.unwrap_or_else(|| ids::project(&mut zilliz.random));
    let project = Project {
        id: id.clone(),
        organisation: seed.organisation,
        name: seed.name,
        plan: seed.plan.unwrap_or(Plan::BusinessCritical),
        org_type: seed.org_type.unwrap_or(OrgType::Saas),
        regions: seed.regions,
        created: whole(now),
    };
    zilliz.projects.insert(id, project);
    Ok(())
}

fn cluster(state: &mut State, seed: ClusterSeed) -> Result<(), (u16, String)> {
    known_region(&seed.region)?;
    let now = state.clock.now();
    let zilliz = &mut state.zilliz;
    let project = zilliz
        .projects
        .get_mut(&seed.project)
        .ok_or_else(|| (400, format!("no project `{}`", seed.project)))?;
    project.regions.insert(seed.region.clone());
    let id = seed
        .id
        .unwrap_or_else(|| ids::cluster(&mut zilliz.random, seed.deployment));
    let mut collections = seed.collections;
    for collection in &mut collections {
        collection.database = database(Some(&collection.database)).to_owned();
    }
    let old = zilliz.clusters.remove(&id);
    let sum = collections.iter().map(|collection| collection.bytes).sum();
    let cluster = Cluster {
        id: id.clone(),
        organisation: project.organisation.clone(),
        project: seed.project,
        name: seed.name,
        region: seed.region,
        plan: seed.plan.unwrap_or(project.plan),
        deployment: seed.deployment,
        cu_type: seed
            .cu_type
            .unwrap_or_else(|| "Performance-optimized".to_owned()),
        cu_size: seed.cu_size.unwrap_or(1),
        bytes: seed.bytes.unwrap_or(sum),
        collections,
        status: seed.status.unwrap_or_else(|| RUNNING.to_owned()),
        created: old.as_ref().map_or(whole(now), |old| old.created),
        named: old.as_ref().map_or(0, |old| old.named),
        policy: old.and_then(|old| old.policy),
        restored_by: None,
    };
    zilliz.clusters.insert(id, cluster);
    Ok(())
}
