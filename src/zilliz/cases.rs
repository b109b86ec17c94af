//! What the tests of several rooms begin with: one plan, one cluster, one account.

use super::wire::{Cluster, Project, RegionInfo};
use crate::plan::{ClusterPlan, Settings};

/// A plan `prod` over one cluster with two targets, some lines added.
pub(super) fn plan(lines: &str) -> ClusterPlan {
    let document = format!(
        r#"
[plans.prod]
provider = "zilliz"
clusters = ["in01-4be01c77d20a9f3"]
{lines}
[[plans.prod.targets]]
region = "gcp-us-east4"
retention_days = 30
[[plans.prod.targets]]
region = "gcp-europe-west3"
"#
    );
    let environment = [
        ("LIFEBOAT_CONFIG", document.as_str()),
        ("ZILLIZ_API_KEY", "key"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::from_environment(&environment)
        .unwrap()
        .clusters
        .remove(0)
}

pub(super) fn cluster() -> Cluster {
    Cluster {
        cluster_id: "in01-4be01c77d20a9f3".into(),
        cluster_name: Some("orders-prod".into()),
        project_id: Some("proj-5d11".into()),
        region_id: Some("gcp-us-west1".into()),
        plan: Some("BusinessCritical".into()),
        deployment_option: Some("Dedicated".into()),
        cu_type: Some("Performance-optimized".into()),
        status: Some("RUNNING".into()),
        ..Cluster::default()
    }
}

pub(super) fn project() -> Project {
    Project {
        project_id: "proj-5d11".into(),
        plan: Some("BusinessCritical".into()),
        org_type: Some("SAAS".into()),
        region_ids: Some(
            ["gcp-us-west1", "gcp-us-east4", "gcp-europe-west3"]
                .map(str::to_owned)
                .into(),
        ),
    }
}

pub(super) fn regions() -> Vec<RegionInfo> {
    let region = |cloud: &str, region: &str| RegionInfo {
        cloud_id: cloud.into(),
        region_id: region.into(),
    };
    vec![
        region("gcp", "gcp-us-west1"),
        region("gcp", "gcp-us-east4"),
        region("gcp", "gcp-us-central1"),
        region("gcp", "gcp-europe-west3"),
        region("aws", "aws-us-east-1"),
        region("azure", "az-eastus"),
    ]
}
