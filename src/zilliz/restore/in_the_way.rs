//! What is in the way of a restore's destination: told all at once, also while no backup is found.
//!
//! Pure, over what was read. It is asked before anything is begun, because the service takes a restore that fails halfway.

use std::collections::BTreeSet;

use super::asked::{IntoCluster, NewCluster, Version};
use super::choose::{Looked, Picking, or_unknown};
use super::notes::Way;
use super::password::{Place, holds_the_key};
use crate::zilliz::refusals::is_dedicated;
use crate::zilliz::wire::{Backup, Cluster};

/// The sizes of a cluster, in compute units (contract section 6).
const CU_SIZES: std::ops::RangeInclusive<u64> = 1..=1024;

impl Picking<'_> {
    /// The new cluster, with everything that is left open settled.
    pub(super) fn new_cluster(
        &self,
        new: &NewCluster,
        backup: Option<&Backup>,
        looked: &mut Looked,
    ) -> Option<Way> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !new.name.bytes().all(legal) {
            looked.refuse(
                "bad_name",
                format!(
                    "`{}` is no name for a cluster: letters, digits and hyphens only",
                    new.name
                ),
            );
        }
        let cu_size = new.cu_size.filter(|size| CU_SIZES.contains(size));
        if cu_size.is_none() {
            let given = new
                .cu_size
                .map_or("missing".to_owned(), |size| size.to_string());
            looked.refuse(
                "cu_size",
                format!(
                    "`cu_size` is {given}; say how large the new cluster shall be, 1 to 1024 CU"
                ),
            );
        }
        let project = self.project(new, backup, looked);
        if let (Some(version), Some(backup)) = (new.version, backup) {
            not_offered(version, backup, looked);
        }
        self.no_place_for_the_password(new, looked);
        Some(Way::NewCluster {
            name: new.name.clone(),
            project: project?,
            cu_size: cu_size?,
            loads: new.loads,
            version: new.version,
            password: new.password.clone()?,
        })
    }

    fn no_place_for_the_password(&self, new: &NewCluster, looked: &mut Looked) {
        match &new.password {
            None => looked.refuse("no_password_place", "the service tells the new cluster's password once, and there is no place for it; say a secret in `password_secret` (--password-secret), or at a terminal --show-password".to_owned()),
            Some(Place::Secret(secret)) if holds_the_key(secret, &self.plan.api_key) => looked.refuse("password_place", format!(
                "the secret `{secret}` holds the plan's API key, which the password would replace; say another in `password_secret`"
            )),
            Some(_) => {}
        }
    }

    /// The new cluster's project, with what speaks against it.
    fn project(
        &self,
        new: &NewCluster,
        backup: Option<&Backup>,
        looked: &mut Looked,
    ) -> Option<String> {
        let of_source =
            backup.and_then(|backup| self.live(backup.cluster_id.as_deref()?)?.project_id.clone());
        let of_backup = backup.and_then(|backup| backup.project_id.clone());
        let project = new.project.clone().or(of_backup).or(of_source);
        let Some(project) = project else {
            if backup.is_some() {
                looked.refuse(
                    "no_project",
                    "the service does not say the backup's project; say one in `project`"
                        .to_owned(),
                );
            }
            return None;
        };
        let taken = self.account.clusters.iter().find(|cluster| {
            cluster.project_id.as_ref() == Some(&project)
                && cluster.cluster_name.as_ref() == Some(&new.name)
        });
        if let Some(taken) = taken {
            looked.refuse("name_taken", format!(
                "project {project} has a cluster `{}` already ({}); choose another name in `new_cluster`",
                new.name, taken.cluster_id
            ));
        }
        let region = backup.and_then(|backup| backup.region_id.as_deref());
        match (self.account.project(&project), region) {
            (None, _) => looked.refuse("no_project", format!("project {project} is not in the key's scope; say another in `project`, or widen the key's scope")),
            (Some(known), Some(region)) => match &known.region_ids {
                Some(bound) if !bound.iter().any(|bound| bound == region) => looked.refuse("not_bound", format!(
                    "project {project} is not bound to {region}, where the backup lies and the new cluster would be; bind the region in the console, say another `project`, or in `from` one of: {}",
                    bound.join(", ")
                )),
                Some(_) => {}
                None => looked.notes.push("the service does not say which regions are bound to the project; if the backup's is not, the restore fails".to_owned()),
            },
            (Some(_), None) => {}
        }
        Some(project)
    }

    /// The cluster that receives collections.
    pub(super) fn existing(
        &self,
        into: &IntoCluster,
        backup: Option<&Backup>,
        looked: &mut Looked,
    ) -> Option<Way> {
        let mut seen = BTreeSet::new();
        for rename in &into.collections {
            if !seen.insert(&rename.to) {
                looked.refuse("twice", format!("the destination `{}` is named twice in `collections`; give one of them another name", rename.to));
            }
        }
        let named = |cluster: &&Cluster| {
            cluster.cluster_id == into.cluster
                || cluster.cluster_name.as_ref() == Some(&into.cluster)
        };
        let found: Vec<&Cluster> = self.account.clusters.iter().filter(named).collect();
        let [cluster] = found.as_slice() else {
            let (word, message) = if found.is_empty() {
                (
                    "not_found",
                    format!(
                        "no cluster `{}` is in the key's scope; check `into`",
                        into.cluster
                    ),
                )
            } else {
                (
                    "ambiguous",
                    format!(
                        "several clusters are called `{}`; say in `into` the id of the one that is meant",
                        into.cluster
                    ),
                )
            };
            looked.refuse(word, message);
            return None;
        };
        let shown = cluster.shown();
        if !is_dedicated(cluster) {
            looked.refuse("not_dedicated", format!("`{shown}` is no Dedicated cluster, and only those receive what is restored; choose another in `into`"));
        }
        let status = or_unknown(cluster.status.as_deref());
        if status != "RUNNING" {
            looked.refuse("not_running", format!("`{shown}` is {status}, not RUNNING; wait until it is, or choose another in `into`"));
        }
        let regions = (
            backup.and_then(|backup| backup.region_id.as_deref()),
            cluster.region_id.as_deref(),
        );
        if let (Some(lies), Some(runs)) = regions
            && lies != runs
        {
            looked.refuse("other_region", format!(
                "`{shown}` is in {runs}, and the backup lies in {lies}; say `from` {runs} if there is a copy, or choose a cluster in {lies}"
            ));
        }
        Some(Way::Into {
            cluster: cluster.cluster_id.clone(),
            collections: into.collections.clone(),
            loaded: into.loaded,
            cu_size: cluster.cu_size,
        })
    }
}

/// Contract section 6: where no choice is told, the version is the latest.
fn not_offered(version: Version, backup: &Backup, looked: &mut Looked) {
    let offered = backup
        .restore_new_instance_policies
        .clone()
        .unwrap_or_default();
    // Contract section 6: where no choice is told, the version is the latest.
    let is_latest = offered.is_empty() && version.sent() == "LATEST";
    if !is_latest && !offered.iter().any(|policy| policy == version.sent()) {
        looked.refuse(
            "version",
            format!(
                "the backup `{}` can't be restored to the version {}; {}",
                backup.backup_id,
                version.sent(),
                if offered.is_empty() {
                    "leave `version` out".to_owned()
                } else {
                    format!("it offers: {}", offered.join(", "))
                }
            ),
        );
    }
}
