//! API keys: whose they are, which projects and clusters they reach, and what their role may do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::keys::{DEFAULT_ORGANISATION, suffix};
use crate::zilliz::Zilliz;
use crate::zilliz::cluster::Cluster;
use crate::zilliz::envelope::{Refusal, Result, code};
use crate::zilliz::project::Project;

/// What a role may do, by the names of the vendor's table of privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Privilege {
    ClusterView,
    ClusterManage,
    BackupView,
    BackupManage,
}

/// The role of a key in every project that it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    OrganizationOwner,
    ProjectAdmin,
    DataAdmin,
    Operator,
    Viewer,
    Custom(BTreeSet<Privilege>),
}

impl Role {
    /// Inferred: the guides let an organization owner back up, the table of privileges of September 2026 gives it
    /// nothing in projects. The emulator follows the guides; a custom role without privileges is the other reading.
    fn may(&self, privilege: Privilege) -> bool {
        match self {
            Self::OrganizationOwner | Self::ProjectAdmin => true,
            Self::DataAdmin | Self::Operator | Self::Viewer => {
                matches!(privilege, Privilege::ClusterView | Privilege::BackupView)
            }
            Self::Custom(privileges) => privileges.contains(&privilege),
        }
    }
}

/// One row of the table of keys, as the control plane takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRow {
    key: String,
    #[serde(default = "default_organisation")]
    organisation: String,
    role: Role,
    /// By id; all of the organisation where absent.
    projects: Option<BTreeSet<String>>,
    /// By id; all of those projects where absent.
    clusters: Option<BTreeSet<String>>,
}

/// What a key reaches.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Access {
    pub(crate) organisation: String,
    role: Role,
    projects: Option<BTreeSet<String>>,
    clusters: Option<BTreeSet<String>>,
}

pub(crate) fn default_organisation() -> String {
    DEFAULT_ORGANISATION.to_owned()
}

impl Access {
    /// A project of the key's scope.
    pub(crate) fn project<'z>(&self, zilliz: &'z Zilliz, id: &str) -> Result<&'z Project> {
        let project = zilliz
            .projects
            .get(id)
            .ok_or_else(|| Refusal::new(code::PROJECT, format!("Bad projectId: {id:?}.")))?;
        if project.organisation != self.organisation {
            let message = "The project belongs to another organization than the API key.";
            return Err(Refusal::new(code::OTHERS_PROJECT, message));
        }
        if !self.reaches_project(id) {
            let message = "The project is not in the scope of the API key.";
            return Err(Refusal::new(code::PROJECT_SCOPE, message));
        }
        Ok(project)
    }

    /// As [`Access::project`], where something may be made in it.
    pub(crate) fn project_to_change<'z>(
        &self,
        zilliz: &'z Zilliz,
        id: &str,
    ) -> Result<&'z Project> {
        let project = self.project(zilliz, id)?;
        if self.role.may(Privilege::ClusterManage) {
            return Ok(project);
        }
        let message = "Organization owner or project owner is needed for this project.";
        Err(Refusal::new(code::PROJECT_ROLE, message))
    }

    /// A cluster of the key's scope with which it may do this. Dropped ones too, for their backups outlive them.
    pub(crate) fn cluster<'z>(
        &self,
        zilliz: &'z Zilliz,
        id: &str,
        privilege: Privilege,
    ) -> Result<&'z Cluster> {
        if id.trim().is_empty() {
            return Err(Refusal::new(code::EMPTY_CLUSTER, "clusterId is empty."));
        }
        let well_formed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !id.bytes().all(well_formed) {
            return Err(Refusal::new(
                code::MALFORMED_CLUSTER,
                "clusterId is malformed.",
            ));
        }
        let cluster = zilliz.clusters.get(id).ok_or_else(no_cluster)?;
        if cluster.organisation != self.organisation {
            let message = "The cluster belongs to another organization than the API key.";
            return Err(Refusal::new(code::OTHERS_CLUSTER, message));
        }
        if !self.reaches(&cluster.project, id) {
            let message = "The cluster is not in the scope of the API key.";
            return Err(Refusal::new(code::CLUSTER_SCOPE, message));
        }
        if !self.role.may(privilege) {
            let message = "Organization owner or project owner is needed for this cluster.";
            return Err(Refusal::new(code::CLUSTER_ROLE, message));
        }
        Ok(cluster)
    }

    /// As [`Access::cluster`], if it was not dropped.
    pub(crate) fn live_cluster<'z>(
        &self,
        zilliz: &'z Zilliz,
        id: &str,
        privilege: Privilege,
    ) -> Result<&'z Cluster> {
        let cluster = self.cluster(zilliz, id, privilege)?;
        if cluster.is_live() {
            Ok(cluster)
        } else {
            Err(no_cluster())
        }
    }

    fn reaches_project(&self, project: &str) -> bool {
        self.projects
            .as_ref()
            .is_none_or(|scope| scope.contains(project))
    }

    /// Whether something of this cluster is in scope.
    pub(crate) fn reaches(&self, project: &str, cluster: &str) -> bool {
        self.reaches_project(project)
            && self
                .clusters
                .as_ref()
                .is_none_or(|scope| scope.contains(cluster))
    }

    /// Whether a listing shows something of this organisation, project and cluster.
    pub(crate) fn sees(
        &self,
        organisation: &str,
        project: &str,
        cluster: &str,
        privilege: Privilege,
    ) -> bool {
        self.organisation == organisation
            && self.reaches(project, cluster)
            && self.role.may(privilege)
    }

    /// Whether a listing shows this project.
    pub(crate) fn sees_project(&self, project: &Project) -> bool {
        self.organisation == project.organisation && self.reaches_project(&project.id)
    }
}

fn no_cluster() -> Refusal {
    Refusal::new(code::NO_CLUSTER, "Cluster not found.")
}

/// The table of keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    table: BTreeMap<String, Access>,
    revoked: BTreeSet<String>,
}

impl Keys {
    pub(crate) fn set(&mut self, rows: Vec<KeyRow>) {
        let access = |row: KeyRow| Access {
            organisation: row.organisation,
            role: row.role,
            projects: row.projects,
            clusters: row.clusters,
        };
        self.table = rows
            .into_iter()
            .map(|mut row| (std::mem::take(&mut row.key), access(row)))
            .collect();
        self.revoked.clear();
    }

    pub(crate) fn revoke(&mut self, key: &str) {
        self.revoked.insert(key.to_owned());
    }

    /// What `key` reaches. With an empty table every key is that of an owner of organisation `default`.
    pub(crate) fn check(&self, key: &str) -> Result<Access> {
        if key.is_empty() || self.revoked.contains(key) {
            return Err(Refusal::key());
        }
        if self.table.is_empty() {
            return Ok(Access {
                organisation: default_organisation(),
                role: Role::OrganizationOwner,
                projects: None,
                clusters: None,
            });
        }
        self.table.get(key).cloned().ok_or_else(Refusal::key)
    }

    /// The table without the keys themselves.
    pub(crate) fn view(&self) -> Json {
        let rows = self.table.iter().map(|(key, access)| {
            json!({"key_suffix": suffix(key), "access": access, "revoked": self.revoked.contains(key)})
        });
        json!({"keys": rows.collect::<Vec<_>>()})
    }
}
