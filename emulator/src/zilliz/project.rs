//! Projects: their plan, and the regions that are bound to them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::state::State;
use crate::zilliz::access::Access;
use crate::zilliz::envelope::{Refusal, Result, Undocumented, code, stamp};
use crate::zilliz::{Asked, Zilliz, body, region};

/// What is paid for; also that of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plan {
    Free,
    Serverless,
    Standard,
    Enterprise,
    BusinessCritical,
}

/// Whose cloud account the clusters are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum OrgType {
    Saas,
    Byoc,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) organisation: String,
    pub(crate) name: String,
    pub(crate) plan: Plan,
    pub(crate) org_type: OrgType,
    /// Those that its clusters may be in and its backups may be copied to.
    pub(crate) regions: BTreeSet<String>,
    pub(crate) created: Timestamp,
}

/// GET `/v2/projects`: all of them, unpaged.
pub(crate) fn list(zilliz: &Zilliz, access: &Access) -> Json {
    let seen = zilliz.projects.values();
    seen.filter(|project| access.sees_project(project))
        .map(|project| view(zilliz, project))
        .collect()
}

/// GET `/v2/projects/{projectId}`
pub(crate) fn describe(zilliz: &Zilliz, asked: &Asked<'_>) -> Result {
    Ok(view(zilliz, asked.access.project(zilliz, asked.id)?))
}

/// POST `/v2/projects/{projectId}/regions`: binds more regions, for Business Critical alone.
///
/// Sources disagree on the answer: documented is this object, and the Terraform provider reads a plain list. A guide calls
/// the field `regions`.
pub(crate) fn bind(state: &mut State, asked: &Asked<'_>) -> Result {
    let project = asked.access.project_to_change(&state.zilliz, asked.id)?;
    if project.plan != Plan::BusinessCritical {
        return Err(Undocumented::RegionsNeedPlan.into());
    }
    let mut more = BTreeSet::new();
    for field in ["regionIds", "regions"] {
        for id in body::list(asked.body, field)? {
            let id = id
                .as_str()
                .ok_or_else(|| Refusal::new(code::REGION, "A regionId must be a string."))?;
            more.insert(region::known(id)?.id.to_owned());
        }
    }
    if more.is_empty() {
        return Err(Undocumented::NoRegions.into());
    }
    let project = state.zilliz.projects.get_mut(asked.id);
    let regions = project.map(|project| {
        project.regions.extend(more);
        project.regions.clone()
    });
    Ok(json!({"projectId": asked.id, "regionIds": regions}))
}

/// DELETE `/v2/projects/{projectId}/regions/{regionId}`: answers with those that are left.
///
/// Inferred: a region with clusters in it stays bound. Unknown: what becomes of copies there, and of policies that send some;
/// here nothing does.
pub(crate) fn unbind(state: &mut State, asked: &Asked<'_>) -> Result {
    let project = asked.access.project_to_change(&state.zilliz, asked.id)?;
    if !project.regions.contains(asked.region) {
        return Err(Undocumented::RegionNotBound(asked.region).into());
    }
    let mut clusters = state.zilliz.clusters.values();
    let is_there = |id: &str, region: &str| id == asked.id && region == asked.region;
    if clusters.any(|cluster| cluster.is_live() && is_there(&cluster.project, &cluster.region)) {
        return Err(Undocumented::RegionInUse(asked.region).into());
    }
    let project = state.zilliz.projects.get_mut(asked.id);
    let left = project.map(|project| {
        project.regions.remove(asked.region);
        project.regions.clone()
    });
    Ok(json!(left))
}

fn view(zilliz: &Zilliz, project: &Project) -> Json {
    let instances = zilliz
        .clusters
        .values()
        .filter(|cluster| cluster.is_live() && cluster.project == project.id);
    json!({
        "projectId": project.id, "projectName": project.name, "regionIds": project.regions,
        "instanceCount": instances.count(), "createTime": stamp(project.created), "plan": project.plan,
        "orgType": project.org_type, "description": "",
    })
}
