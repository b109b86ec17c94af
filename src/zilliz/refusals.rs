//! What Zilliz Cloud can't do for a cluster under a plan, as far as clusters, project and regions show it.
//!
//! Pure, over what was read. It is asked before anything is changed: a policy that the service would take halfway protects
//! less than it says.

use serde::Serialize;

use super::wire::{Cluster, Project, RegionInfo};
use crate::plan::{ClusterPlan, cloud_of};

/// Why a cluster can't be backed up as the plan says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// One short word; stable.
    pub word: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// What is unknown or worth knowing, and no reason to refuse.
pub type Note = String;

/// Everything that speaks against a cluster, and what could not be told.
#[must_use]
pub fn refusals(
    plan: &ClusterPlan,
    cluster: &Cluster,
    project: Option<&Project>,
    regions: &[RegionInfo],
) -> (Vec<Refusal>, Vec<Note>) {
    let mut found = Found::default();
    found.not_dedicated(cluster);
    found.of_regions(plan, cluster, regions);
    found.of_project(plan, cluster, project);
    (found.refusals, found.notes)
}

#[derive(Default)]
struct Found {
    refusals: Vec<Refusal>,
    notes: Vec<Note>,
}

impl Found {
    fn refuse(&mut self, word: &'static str, message: String) {
        self.refusals.push(Refusal { word, message });
    }

    fn not_dedicated(&mut self, cluster: &Cluster) {
        if !is_dedicated(cluster) {
            let kind = cluster
                .deployment_option
                .as_deref()
                .unwrap_or("another kind of");
            self.refuse("not_dedicated", format!(
                "it is a {kind} cluster, and only Dedicated ones have backups; migrate it to a Dedicated cluster, or take it out of the plan"
            ));
        }
    }

    fn of_regions(&mut self, plan: &ClusterPlan, cluster: &Cluster, regions: &[RegionInfo]) {
        let Some(home) = cluster.region_id.as_deref() else {
            return self
                .notes
                .push("the service does not say its region".into());
        };
        if let Some(said) = plan.region.as_deref().filter(|said| *said != home) {
            self.refuse("other_region", format!(
                "it is in {home}, and the plan says `region = \"{said}\"`; correct the region, or give the cluster a plan of its own"
            ));
        }
        let cloud = |region: &str| {
            let known = regions.iter().find(|known| known.region_id == region);
            known.map(|known| known.cloud_id.as_str())
        };
        let home_cloud = cloud(home).unwrap_or_else(|| cloud_of(home));
        if home_cloud == "azure" {
            return self.refuse("azure", format!(
                "it is in {home}, on Azure, where Zilliz Cloud makes no copies to other regions; only AWS and GCP have them"
            ));
        }
        for target in plan.targets.iter().map(|target| target.region.as_str()) {
            let place = match cloud(target) {
                _ if target == home => Err(("own_region", "is the cluster's own region, where the backup itself stands; choose another of its cloud".to_owned())),
                None => Err(("unknown_region", "is no region that Zilliz Cloud tells of; correct it in the plan".to_owned())),
                Some("azure") => Err(("azure", "is on Azure, where no copies can go; choose a region of the cluster's cloud".to_owned())),
                Some(other) if other != home_cloud => Err(("other_cloud", format!(
                    "is on the cloud {other}, and the cluster in {home} on {home_cloud}; copies stay on one cloud, so choose another of its regions"
                ))),
                Some(_) => Ok(()),
            };
            if let Err((word, why)) = place {
                self.refuse(word, format!("the target {target} {why}"));
            }
        }
    }

    /// The cluster says its plan, too, so it is judged whether or not the key sees the project.
    fn of_paid_plan(&mut self, cluster: &Cluster, project: Option<&Project>) {
        let of_project = project.and_then(|project| project.plan.as_ref());
        let org = project.and_then(|project| project.org_type.as_deref());
        match cluster.plan.as_ref().or(of_project).map(String::as_str) {
            // An older page says any Dedicated cluster, the current one and the table of plans say these two.
            _ if org == Some("BYOC") => {}
            Some("BusinessCritical") => {}
            // Whether it is BYOC, only the project says.
            Some(other) if project.is_none() => self.refuse("plan", format!(
                "its plan is {other}, and copies to other regions need Business Critical or BYOC; upgrade the project, or, if it is BYOC, put the project into the key's scope, which alone can tell"
            )),
            Some(other) => self.refuse("plan", format!(
                "its plan is {other}, and copies to other regions need Business Critical or BYOC; upgrade the project, or take the cluster out of the plan"
            )),
            None => self.notes.push("the service does not say its plan, so whether it has copies to other regions can't be told".into()),
        }
    }

    fn of_project(&mut self, plan: &ClusterPlan, cluster: &Cluster, project: Option<&Project>) {
        self.of_paid_plan(cluster, project);
        let Some(project) = project else {
            return self.notes.push("its project is not in the key's scope, so whether the targets are bound to it can't be told".into());
        };
        match &project.region_ids {
            Some(bound) => {
                for target in plan
                    .targets
                    .iter()
                    .filter(|target| !bound.contains(&target.region))
                {
                    self.refuse("not_bound", format!(
                        "the target {} is not bound to its project {}; add the region to the project in the console, or choose one of: {}",
                        target.region, project.project_id, bound.join(", ")
                    ));
                }
            }
            None => self
                .notes
                .push("the service does not say which regions are bound to its project".into()),
        }
    }
}

/// Inferred (contract section 2): older answers don't say how a cluster is hosted; then its id or its compute unit tells.
pub(super) fn is_dedicated(cluster: &Cluster) -> bool {
    match &cluster.deployment_option {
        Some(option) => option == "Dedicated",
        None => cluster.cluster_id.starts_with("in01-") || cluster.cu_type.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zilliz::cases;

    fn words(change: impl FnOnce(&mut ClusterPlan, &mut Cluster, &mut Project)) -> String {
        let (mut plan, mut cluster, mut project) = (
            cases::plan("start = \"02:00\""),
            cases::cluster(),
            cases::project(),
        );
        change(&mut plan, &mut cluster, &mut project);
        let (refusals, notes) = refusals(&plan, &cluster, Some(&project), &cases::regions());
        let mut words: Vec<&str> = refusals.iter().map(|refusal| refusal.word).collect();
        words.extend(notes.iter().map(|_| "note"));
        words.join(" ")
    }

    #[test]
    fn a_cluster_that_can_be_backed_up_is_not_refused() {
        assert_eq!(words(|_, _, _| ()), "");
        assert_eq!(
            words(|plan, _, _| plan.region = Some("gcp-us-west1".into())),
            ""
        );
        assert_eq!(
            words(|_, cluster, project| {
                cluster.plan = Some("Enterprise".into());
                project.org_type = Some("BYOC".into());
            }),
            ""
        );
        assert_eq!(words(|_, cluster, _| cluster.deployment_option = None), "");
    }

    #[test]
    fn a_plan_without_copies_is_refused_though_the_key_does_not_see_the_project() {
        let plan = cases::plan("start = \"02:00\"");
        for (paid, words) in [
            ("BusinessCritical", ""),
            ("Standard", "plan"),
            ("Enterprise", "plan"),
        ] {
            let mut cluster = cases::cluster();
            cluster.plan = Some(paid.into());
            let (refused, notes) = refusals(&plan, &cluster, None, &cases::regions());
            let told: Vec<&str> = refused.iter().map(|refusal| refusal.word).collect();
            assert_eq!((told.join(" ").as_str(), notes.len()), (words, 1), "{paid}");
        }
    }

    #[test]
    fn each_reason_has_its_word() {
        let to = |region: &'static str| {
            move |plan: &mut ClusterPlan, _: &mut Cluster, project: &mut Project| {
                plan.targets[0].region = region.into();
                project
                    .region_ids
                    .get_or_insert_default()
                    .push(region.into());
            }
        };
        assert_eq!(words(to("aws-us-east-1")), "other_cloud");
        assert_eq!(words(to("gcp-us-west1")), "own_region");
        assert_eq!(words(to("az-eastus")), "azure");
        assert_eq!(words(to("gcp-moon1")), "unknown_region");
        assert_eq!(
            words(|_, cluster, _| cluster.region_id = Some("az-eastus".into())),
            "azure"
        );
        assert_eq!(
            words(|plan, _, _| plan.region = Some("gcp-us-central1".into())),
            "other_region"
        );
        assert_eq!(
            words(|_, cluster, _| cluster.deployment_option = Some("Serverless".into())),
            "not_dedicated"
        );
        assert_eq!(
            words(|_, cluster, _| {
                cluster.deployment_option = None;
                cluster.cluster_id = "in05-1".into();
                cluster.cu_type = None;
            }),
            "not_dedicated"
        );
        assert_eq!(
            words(|_, cluster, _| cluster.plan = Some("Enterprise".into())),
            "plan"
        );
        assert_eq!(
            words(|_, _, project| project.region_ids = Some(vec!["gcp-us-east4".into()])),
            "not_bound"
        );
        assert_eq!(
            words(|_, cluster, project| {
                (cluster.plan, project.plan, project.region_ids) = (None, None, None);
            }),
            "note note"
        );
    }
}
