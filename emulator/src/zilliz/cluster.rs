//! Clusters: listing, describing and dropping them, and the collections in them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::route::parameter;
use crate::state::State;
use crate::zilliz::access::{Access, Privilege};
use crate::zilliz::backup::Method;
use crate::zilliz::envelope::{Refusal, Result, code, stamp};
use crate::zilliz::page::Page;
use crate::zilliz::policy::Policy;
use crate::zilliz::project::Plan;
use crate::zilliz::{Asked, Zilliz};

pub(crate) const RUNNING: &str = "RUNNING";
pub(crate) const CREATING: &str = "CREATING";
pub(crate) const DELETED: &str = "DELETED";

/// How it is hosted. Only dedicated clusters have backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) enum Deployment {
    Free,
    Serverless,
    #[default]
    Dedicated,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) organisation: String,
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) plan: Plan,
    pub(crate) deployment: Deployment,
    pub(crate) cu_type: String,
    pub(crate) cu_size: u64,
    pub(crate) bytes: u64,
    pub(crate) collections: Vec<Collection>,
    pub(crate) status: String,
    pub(crate) created: Timestamp,
    /// How many backups were named after it.
    pub(crate) named: u64,
    pub(crate) policy: Option<Policy>,
    /// The job of the restore that it comes from.
    pub(crate) restored_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collection {
    /// Empty for the default database, as in the service's answers.
    #[serde(default)]
    pub(crate) database: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) bytes: u64,
    /// Whether it is in memory, ready for searches.
    #[serde(default)]
    pub(crate) loaded: bool,
}

/// The name of a database as it is kept: the default one has several.
pub(crate) fn database(name: Option<&str>) -> &str {
    match name {
        None | Some("default") => "",
        Some(other) => other,
    }
}

impl Cluster {
    /// Whether it was not dropped.
    pub(crate) fn is_live(&self) -> bool {
        self.status != DELETED
    }

    /// Refuses what only dedicated clusters can do.
    pub(crate) fn must_be_dedicated(&self) -> Result<()> {
        match self.deployment {
            Deployment::Dedicated => Ok(()),
            Deployment::Free => Err(Refusal::new(
                code::FREE,
                "This operation is not allowed for free clusters.",
            )),
            Deployment::Serverless => Err(Refusal::new(
                code::SERVERLESS,
                "This operation is not allowed for serverless clusters.",
            )),
        }
    }

    /// The collection of this name.
    pub(crate) fn collection(&self, database: &str, name: &str) -> Option<&Collection> {
        self.collections
            .iter()
            .find(|collection| collection.database == database && collection.name == name)
    }
}

/// GET `/v2/clusters`
pub(crate) fn list(zilliz: &Zilliz, asked: &Asked<'_>) -> Result {
    let page = Page::read(asked.query)?;
    let region = parameter(asked.query, "region").filter(|region| !region.is_empty());
    let seen: Vec<&Cluster> = zilliz
        .clusters
        .values()
        .filter(|cluster| cluster.is_live() && seen_by(asked.access, cluster))
        .filter(|cluster| {
            region
                .as_ref()
                .is_none_or(|region| *region == cluster.region)
        })
        .collect();
    let items = page.cut(&seen, asked.fault);
    let items = items
        .iter()
        .map(|cluster| listed(view(zilliz, cluster, asked.now)));
    Ok(page.answer("clusters", seen.len(), items))
}

fn seen_by(access: &Access, cluster: &Cluster) -> bool {
    access.sees(
        &cluster.organisation,
        &cluster.project,
        &cluster.id,
        Privilege::ClusterView,
    )
}

/// GET `/v2/clusters/{clusterId}`
pub(crate) fn describe(zilliz: &Zilliz, asked: &Asked<'_>) -> Result {
    let access = asked.access;
    let cluster = access.live_cluster(zilliz, asked.cluster, Privilege::ClusterView)?;
    Ok(view(zilliz, cluster, asked.now))
}

/// A listing is not documented to tell what a cluster stores.
fn listed(mut view: Json) -> Json {
    if let Some(fields) = view.as_object_mut() {
        fields.remove("storageSize");
    }
    view
}

fn view(zilliz: &Zilliz, cluster: &Cluster, now: Timestamp) -> Json {
    let snapshots = zilliz
        .backups
        .values()
        .filter(|backup| backup.cluster == cluster.id && backup.is_there());
    let progress = cluster
        .restored_by
        .as_ref()
        .and_then(|job| zilliz.jobs.get(job))
        .map_or(100, |job| job.progress(now));
    let (id, region) = (&cluster.id, &cluster.region);
    json!({
        "clusterId": id, "clusterName": cluster.name, "projectId": cluster.project, "description": "",
        "regionId": region, "cuType": cluster.cu_type, "plan": cluster.plan, "cuSize": cluster.cu_size,
        "replica": 1, "status": cluster.status, "createTime": stamp(cluster.created),
        "connectAddress": format!("https://{id}.{region}.vectordb.zillizcloud.com:19530"),
        "privateLinkAddress": "", "storageSize": cluster.bytes, "snapshotNumber": snapshots.count(),
        "createProgress": progress, "deploymentOption": cluster.deployment,
    })
}

/// DELETE `/v2/clusters/{clusterId}/drop`. Its automatic backups go with it; manual ones and their copies stay.
///
/// Unknown: what becomes of automatic copies in other regions. Here they are automatic backups like any.
pub(crate) fn drop(state: &mut State, asked: &Asked<'_>) -> Result {
    let access = asked.access;
    access.live_cluster(&state.zilliz, asked.cluster, Privilege::ClusterManage)?;
    if let Some(cluster) = state.zilliz.clusters.get_mut(asked.cluster) {
        DELETED.clone_into(&mut cluster.status);
        cluster.policy = None;
    }
    let automatic: Vec<String> = state
        .zilliz
        .backups
        .values()
        .filter(|backup| backup.cluster == asked.cluster && backup.method == Method::Auto)
        .map(|backup| backup.id.clone())
        .collect();
    for id in automatic {
        state.zilliz.delete(&id, asked.now);
    }
    Ok(json!({"clusterId": asked.cluster, "prompt": "The cluster was dropped."}))
}
