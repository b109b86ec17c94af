//! Where copies of a backup may go: reading `crossRegionCopies` and refusing what the product's rules forbid.

use serde::Serialize;
use serde_json::Value as Json;

use crate::zilliz::Zilliz;
use crate::zilliz::body;
use crate::zilliz::cluster::Cluster;
use crate::zilliz::envelope::{Refusal, Result, Undocumented, code};
use crate::zilliz::project::{OrgType, Plan, Project};
use crate::zilliz::region::{self, AZURE};

/// Days that an automatic backup may be kept.
pub(crate) const RETENTION: (u64, u64) = (1, 30);

/// A region that gets a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Target {
    pub(crate) region: String,
    /// None: for ever.
    pub(crate) retention_days: Option<u64>,
}

/// Reads the field `crossRegionCopies`, of a policy with a retention each. Absent and null mean none.
pub(crate) fn read(
    zilliz: &Zilliz,
    cluster: &Cluster,
    body: &Json,
    of_policy: bool,
) -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    for item in body::list(body, "crossRegionCopies")? {
        let region = body::text(item, "regionId", code::REGION)?
            .filter(|region| !region.is_empty())
            .ok_or(Undocumented::CopyWithoutRegion)?;
        allowed(zilliz, cluster, region)?;
        if targets.iter().any(|target| target.region == region) {
            return Err(Undocumented::CopyTwice(region).into());
        }
        let retention_days = if of_policy {
            Some(retention(item)?)
        } else {
            None
        };
        targets.push(Target {
            region: region.to_owned(),
            retention_days,
        });
    }
    Ok(targets)
}

/// Documented as 1 to 30 each; no default is documented for copies, so there is none.
fn retention(item: &Json) -> Result<u64> {
    let days = body::number(item, "retentionDays", RETENTION, code::RETENTION)?;
    days.ok_or_else(|| Refusal::new(code::RETENTION, "retentionDays is required."))
}

fn allowed(zilliz: &Zilliz, cluster: &Cluster, target: &str) -> Result<()> {
    let home = region::known(&cluster.region)?;
    let target = region::known(target)?;
    if home.cloud == AZURE {
        return Err(Undocumented::CopyOnAzure.into());
    }
    if target.cloud != home.cloud {
        return Err(Undocumented::CopyToOtherCloud(target.id).into());
    }
    if target == home {
        return Err(Undocumented::CopyHome(target.id).into());
    }
    let project = zilliz.projects.get(&cluster.project);
    if !project.is_some_and(|project| plan_allows(cluster, project)) {
        return Err(Undocumented::CopyNeedsPlan.into());
    }
    if !project.is_some_and(|project| project.regions.contains(target.id)) {
        return Err(Undocumented::CopyToUnboundRegion(target.id).into());
    }
    Ok(())
}

/// The current page and the table of plans say Business Critical and BYOC; an older page says any dedicated cluster.
fn plan_allows(cluster: &Cluster, project: &Project) -> bool {
    cluster.plan == Plan::BusinessCritical || project.org_type == OrgType::Byoc
}
