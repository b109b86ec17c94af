//! From method and path to the operation meant. Knows nothing of what the operations do.

use std::borrow::Cow;

use crate::call::Method;
use crate::route::decode;
use crate::zilliz::envelope::{Refusal, Result};

/// What is asked for. The names are those of fault rules, the bill and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    ListClouds,
    ListRegions,
    ListProjects,
    DescribeProject,
    BindRegions,
    UnbindRegion,
    ListClusters,
    DescribeCluster,
    DropCluster,
    CreateBackup,
    ListBackups,
    DescribeBackup,
    DeleteBackup,
    ExportBackup,
    RestoreCluster,
    RestoreCollection,
    DescribePolicy,
    SetPolicy,
    DescribeJob,
    ListJobs,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ListClouds => "zilliz.list_clouds",
            Self::ListRegions => "zilliz.list_regions",
            Self::ListProjects => "zilliz.list_projects",
            Self::DescribeProject => "zilliz.describe_project",
            Self::BindRegions => "zilliz.bind_regions",
            Self::UnbindRegion => "zilliz.unbind_region",
            Self::ListClusters => "zilliz.list_clusters",
            Self::DescribeCluster => "zilliz.describe_cluster",
            Self::DropCluster => "zilliz.drop_cluster",
            Self::CreateBackup => "zilliz.create_backup",
            Self::ListBackups => "zilliz.list_backups",
            Self::DescribeBackup => "zilliz.describe_backup",
            Self::DeleteBackup => "zilliz.delete_backup",
            Self::ExportBackup => "zilliz.export_backup",
            Self::RestoreCluster => "zilliz.restore_cluster",
            Self::RestoreCollection => "zilliz.restore_collection",
            Self::DescribePolicy => "zilliz.describe_policy",
            Self::SetPolicy => "zilliz.set_policy",
            Self::DescribeJob => "zilliz.describe_job",
            Self::ListJobs => "zilliz.list_jobs",
        }
    }
}

/// A request's destination inside the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    pub(crate) op: Op,
    /// Empty where the path has none.
    pub(crate) cluster: Cow<'a, str>,
    /// Of a project, a backup or a job; empty where the path has none.
    pub(crate) id: Cow<'a, str>,
    /// Empty where the path has none.
    pub(crate) region: Cow<'a, str>,
}

/// Reads a path such as `/zilliz/v2/clusters/in01-0/backups/create`. Empty segments count: an empty cluster id is
/// refused with a code of its own.
pub(crate) fn route(method: Method, path: &str) -> Result<Route<'_>> {
    use Method::{Delete, Get, Post};
    let inside = path.trim_start_matches('/').strip_prefix("zilliz/v2/");
    let segments: Vec<&str> = inside
        .map(|inside| inside.trim_end_matches('/').split('/').collect())
        .unwrap_or_default();
    if let (Delete, ["projects", id, "regions", region]) = (method, segments.as_slice()) {
        return Ok(Route {
            op: Op::UnbindRegion,
            cluster: Cow::Borrowed(""),
            id: decode(id, false),
            region: decode(region, false),
        });
    }
    let (op, cluster, id) = match (method, segments.as_slice()) {
        (Get, ["clouds"]) => (Op::ListClouds, "", ""),
        (Get, ["regions"]) => (Op::ListRegions, "", ""),
        (Get, ["projects"]) => (Op::ListProjects, "", ""),
        (Get, ["projects", id]) => (Op::DescribeProject, "", *id),
        (Post, ["projects", id, "regions"]) => (Op::BindRegions, "", *id),
        (Get, ["clusters"]) => (Op::ListClusters, "", ""),
        (Get, ["clusters", cluster]) => (Op::DescribeCluster, *cluster, ""),
        (Delete, ["clusters", cluster, "drop"]) => (Op::DropCluster, *cluster, ""),
        (Get, ["backups"]) => (Op::ListBackups, "", ""),
        // The literal words before the backup's id.
        (Post, ["clusters", cluster, "backups", "create"]) => (Op::CreateBackup, *cluster, ""),
        (Get, ["clusters", cluster, "backups", "policy"]) => (Op::DescribePolicy, *cluster, ""),
        (Post, ["clusters", cluster, "backups", "policy"]) => (Op::SetPolicy, *cluster, ""),
        (Get, ["clusters", cluster, "backups", id]) => (Op::DescribeBackup, *cluster, *id),
        (Delete, ["clusters", cluster, "backups", id]) => (Op::DeleteBackup, *cluster, *id),
        (Post, ["clusters", cluster, "backups", id, what]) => {
            (on_backup(what, path)?, *cluster, *id)
        }
        (Get, ["jobs"]) => (Op::ListJobs, "", ""),
        (Get, ["jobs", id]) => (Op::DescribeJob, "", *id),
        _ => return Err(unknown(path)),
    };
    Ok(Route {
        op,
        cluster: decode(cluster, false),
        id: decode(id, false),
        region: Cow::Borrowed(""),
    })
}

fn on_backup(what: &str, path: &str) -> Result<Op> {
    match what {
        "export" => Ok(Op::ExportBackup),
        "restoreCluster" => Ok(Op::RestoreCluster),
        "restoreCollection" => Ok(Op::RestoreCollection),
        _ => Err(unknown(path)),
    }
}

/// Also the answer of routes that are switched off.
pub(crate) fn unknown(path: &str) -> Refusal {
    Refusal::plain(404, format!("no such path: {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_path_is_known() {
        for (method, path, op) in [
            (Method::Get, "clouds", Op::ListClouds),
            (Method::Get, "regions", Op::ListRegions),
            (Method::Get, "projects", Op::ListProjects),
            (Method::Get, "projects/p", Op::DescribeProject),
            (Method::Post, "projects/p/regions", Op::BindRegions),
            (Method::Delete, "projects/p/regions/r", Op::UnbindRegion),
            (Method::Get, "clusters", Op::ListClusters),
            (Method::Get, "clusters/c", Op::DescribeCluster),
            (Method::Delete, "clusters/c/drop", Op::DropCluster),
            (Method::Post, "clusters/c/backups/create", Op::CreateBackup),
            (Method::Get, "backups", Op::ListBackups),
            (Method::Get, "clusters/c/backups/b", Op::DescribeBackup),
            (Method::Delete, "clusters/c/backups/b", Op::DeleteBackup),
            (
                Method::Post,
                "clusters/c/backups/b/export",
                Op::ExportBackup,
            ),
            (
                Method::Post,
                "clusters/c/backups/b/restoreCluster",
                Op::RestoreCluster,
            ),
            (
                Method::Post,
                "clusters/c/backups/b/restoreCollection",
                Op::RestoreCollection,
            ),
            (Method::Get, "jobs", Op::ListJobs),
            (Method::Get, "jobs/j", Op::DescribeJob),
        ] {
            let path = format!("/zilliz/v2/{path}");
            assert_eq!(route(method, &path).unwrap().op, op, "{path}");
        }
        assert_eq!(
            route(Method::Get, "/zilliz/v2/nothing").unwrap_err().status,
            404
        );
    }

    #[test]
    fn policy_is_a_word_and_not_a_backup() {
        let of = |method| {
            route(method, "/zilliz/v2/clusters/c/backups/policy")
                .unwrap()
                .op
        };
        assert_eq!(of(Method::Get), Op::DescribePolicy);
        assert_eq!(of(Method::Post), Op::SetPolicy);
    }
}
