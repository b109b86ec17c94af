//! Backups: listing, describing, deleting and exporting them. They are made in [`super::create`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::route::parameter;
use crate::state::State;
use crate::zilliz::access::{Access, Privilege};
use crate::zilliz::body;
use crate::zilliz::cluster::Collection;
use crate::zilliz::envelope::{Refusal, Result, Undocumented, code, stamp};
use crate::zilliz::job::{Order, Work};
use crate::zilliz::page::Page;
use crate::zilliz::project::{OrgType, Plan};
use crate::zilliz::settings::PermanentExpiry;
use crate::zilliz::{Asked, Zilliz};

/// What it is a backup of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Kind {
    Cluster,
    Collection,
}

impl Kind {
    /// 96029 for anything but the two words.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "CLUSTER" => Ok(Self::Cluster),
            "COLLECTION" => Ok(Self::Collection),
            _ => Err(Refusal::new(
                code::BACKUP_TYPE,
                "backupType must be CLUSTER or COLLECTION.",
            )),
        }
    }
}

/// Who had it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    Manual,
    Auto,
}

impl Method {
    /// 96030 for anything but the two words.
    fn parse(text: &str) -> Result<Self> {
        match text {
            "MANUAL" => Ok(Self::Manual),
            "AUTO" => Ok(Self::Auto),
            _ => Err(Refusal::new(
                code::CREATION_METHOD,
                "creationMethod must be MANUAL or AUTO.",
            )),
        }
    }
}

/// Its state. None says that it failed: that is told by the job alone (inferred).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Creating,
    Available,
    Deleted,
}

/// An original, or a copy of one in another region.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Backup {
    pub(crate) id: String,
    pub(crate) organisation: String,
    pub(crate) project: String,
    pub(crate) cluster: String,
    pub(crate) cluster_name: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) method: Method,
    /// Where this file lies.
    pub(crate) region: String,
    pub(crate) cu_type: String,
    /// What it holds when it is available.
    pub(crate) bytes: u64,
    pub(crate) collections: Vec<Collection>,
    /// A whole second.
    pub(crate) created: Timestamp,
    /// None: kept until somebody deletes it.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) status: Status,
    /// Of a copy: the backup that it is a copy of. No answer of the API says so.
    pub(crate) original: Option<String>,
}

impl Backup {
    /// Whether listings show it.
    pub(crate) fn is_there(&self) -> bool {
        self.status != Status::Deleted
    }
}

/// A backup of this cluster, for something that needs this privilege.
pub(crate) fn find<'z>(
    zilliz: &'z Zilliz,
    asked: &Asked<'_>,
    privilege: Privilege,
) -> Result<&'z Backup> {
    asked.access.cluster(zilliz, asked.cluster, privilege)?;
    zilliz
        .backups
        .get(asked.id)
        .filter(|backup| backup.cluster == asked.cluster)
        .ok_or_else(|| Undocumented::NoBackup.into())
}

/// What a listing is narrowed to.
struct Filter {
    project: Option<String>,
    cluster: Option<String>,
    method: Option<Method>,
    kind: Option<Kind>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Filter {
    fn read(query: &str) -> Result<Self> {
        let text = |name| {
            parameter(query, name)
                .filter(|text| !text.is_empty())
                .map(std::borrow::Cow::into_owned)
        };
        // Inferred from the code's name: the format of the two is undocumented.
        let time = |name| match text(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                Refusal::new(code::TIME, format!("{name} must be an ISO-8601 timestamp."))
            }),
        };
        let (start, end): (Option<Timestamp>, _) = (time("start")?, time("end")?);
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(Refusal::new(code::TIME_RANGE, "start is later than end."));
        }
        Ok(Self {
            project: text("projectId"),
            cluster: text("clusterId"),
            method: text("creationMethod")
                .map(|text| Method::parse(&text))
                .transpose()?,
            kind: text("backupType")
                .map(|text| Kind::parse(&text))
                .transpose()?,
            start,
            end,
        })
    }

    fn fits(&self, backup: &Backup) -> bool {
        let Self {
            project,
            cluster,
            method,
            kind,
            start,
            end,
        } = self;
        project.as_ref().is_none_or(|id| *id == backup.project)
            && cluster.as_ref().is_none_or(|id| *id == backup.cluster)
            && method.is_none_or(|method| method == backup.method)
            && kind.is_none_or(|kind| kind == backup.kind)
            && start.is_none_or(|start| backup.created >= start)
            && end.is_none_or(|end| backup.created <= end)
    }
}

/// GET `/v2/backups`: what is AVAILABLE or CREATING in the key's whole scope.
pub(crate) fn list(state: &State, asked: &Asked<'_>) -> Result {
    let page = Page::read(asked.query)?;
    let filter = Filter::read(asked.query)?;
    if let Some(project) = &filter.project {
        asked.access.project(&state.zilliz, project)?;
    }
    let mut seen: Vec<&Backup> = state
        .zilliz
        .backups
        .values()
        .filter(|backup| backup.is_there() && filter.fits(backup) && sees(asked.access, backup))
        .collect();
    // Unknown: the order. Newest first, so that a backup made between two pages moves all others on by one.
    seen.sort_by_key(|backup| (std::cmp::Reverse(backup.created), backup.id.as_str()));
    let settings = &state.settings.zilliz;
    let items = page.cut(&seen, asked.fault).iter();
    let items = items.map(|backup| Json::Object(summary(backup, settings.permanent_expiry)));
    Ok(page.answer("backups", seen.len(), items))
}

fn sees(access: &Access, backup: &Backup) -> bool {
    access.sees(
        &backup.organisation,
        &backup.project,
        &backup.cluster,
        Privilege::BackupView,
    )
}

/// An item of the listing: no region, and no link between a copy and its original.
fn summary(backup: &Backup, permanent: PermanentExpiry) -> Map<String, Json> {
    let policies: &[&str] = match backup.kind {
        Kind::Cluster => &["LATEST"],
        Kind::Collection => &[],
    };
    let size = match backup.status {
        Status::Creating => 0,
        Status::Available | Status::Deleted => backup.bytes,
    };
    let fields = json!({
        "projectId": backup.project, "backupId": backup.id, "backupName": backup.name,
        "backupType": backup.kind, "creationMethod": backup.method, "size": size,
        "clusterId": backup.cluster, "clusterName": backup.cluster_name, "createTime": stamp(backup.created),
        "status": backup.status, "restoreNewInstancePolicies": policies,
    });
    let mut fields = match fields {
        Json::Object(fields) => fields,
        _ => Map::new(),
    };
    let expires = match (backup.expires, permanent) {
        (Some(at), _) => Some(json!(stamp(at))),
        (None, PermanentExpiry::Null) => Some(Json::Null),
        (None, PermanentExpiry::Empty) => Some(json!("")),
        (None, PermanentExpiry::Absent) => None,
    };
    if let Some(expires) = expires {
        fields.insert("expireTime".to_owned(), expires);
    }
    fields
}

/// GET `…/backups/{backupId}`
pub(crate) fn describe(state: &mut State, asked: &Asked<'_>) -> Result {
    let settings = &state.settings.zilliz;
    let (permanent, deleted_too) = (settings.permanent_expiry, settings.deleted_can_be_described);
    find(&state.zilliz, asked, Privilege::BackupView)?;
    if asked.fault.vanish {
        state.zilliz.delete(asked.id, asked.now);
    }
    let backup = find(&state.zilliz, asked, Privilege::BackupView)?;
    // Unknown: whether a deleted backup can be described.
    if !backup.is_there() && !deleted_too {
        return Err(Undocumented::NoBackup.into());
    }
    let mut fields = summary(backup, permanent);
    fields.insert("regionId".to_owned(), json!(backup.region));
    fields.insert("dbCollections".to_owned(), contents(&backup.collections));
    Ok(Json::Object(fields))
}

/// Collections by database.
fn contents(collections: &[Collection]) -> Json {
    let mut databases: Vec<&str> = collections
        .iter()
        .map(|collection| collection.database.as_str())
        .collect();
    databases.sort_unstable();
    databases.dedup();
    databases
        .into_iter()
        .map(|database| {
            let inside = collections
                .iter()
                .filter(|collection| collection.database == database);
            let inside = inside.map(|collection| {
                let status = if collection.loaded {
                    "LOADED"
                } else {
                    "UNLOADED"
                };
                json!({"collectionName": collection.name, "description": "", "status": status})
            });
            json!({"dbName": database, "collections": inside.collect::<Vec<_>>()})
        })
        .collect()
}

/// DELETE `…/backups/{backupId}`. Unknown: whether copies go with their original. Here they stay.
pub(crate) fn delete(state: &mut State, asked: &Asked<'_>) -> Result {
    let backup = available(&state.zilliz, asked, Privilege::BackupManage)?;
    let answer = json!({"backupId": backup.id, "backupName": backup.name});
    if !asked.fault.delete_lies {
        state.zilliz.delete(asked.id, asked.now);
    }
    Ok(answer)
}

/// As [`find`], if it is AVAILABLE.
fn available<'z>(
    zilliz: &'z Zilliz,
    asked: &Asked<'_>,
    privilege: Privilege,
) -> Result<&'z Backup> {
    let backup = find(zilliz, asked, privilege)?;
    match backup.status {
        Status::Available => Ok(backup),
        Status::Creating => Err(Undocumented::StillCreating.into()),
        Status::Deleted => Err(Undocumented::NoBackup.into()),
    }
}

/// POST `…/backups/{backupId}/export`. Nothing is written anywhere: only the job can be watched.
pub(crate) fn export(state: &mut State, asked: &Asked<'_>) -> Result {
    let backup = available(&state.zilliz, asked, Privilege::BackupManage)?;
    let project = asked.access.project(&state.zilliz, &backup.project)?;
    let plan = matches!(project.plan, Plan::Enterprise | Plan::BusinessCritical);
    if !plan && project.org_type != OrgType::Byoc {
        return Err(Refusal::new(
            code::ENTERPRISE,
            "Exporting needs an enterprise-plan cluster.",
        ));
    }
    let integration = body::text(asked.body, "integrationId", code::BACKUP_FAILED)?;
    if integration.is_none_or(str::is_empty) {
        return Err(Undocumented::NoIntegration.into());
    }
    let settings = &state.settings.zilliz;
    let order = Order {
        takes: settings.takes(backup.bytes, settings.backup_bytes_per_second),
        work: Work::Export {
            backup: backup.id.clone(),
        },
        ..Order::about(backup)
    };
    let job = state.start_job(order, asked.fault, asked.now);
    Ok(json!({"jobId": job}))
}
