//! Projects: their plan, and the regions that are bound to them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::zilliz::access::Access;
use crate::zilliz::envelope::{Result, stamp};
use crate::zilliz::{Asked, Zilliz};

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
