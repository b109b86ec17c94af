//! Restores: of a whole backup into a new cluster, and of collections into one that exists.

use serde_json::{Value as Json, json};

use crate::state::State;
use crate::zilliz::access::Privilege;
use crate::zilliz::backup::{self, Backup, Kind, Status};
use crate::zilliz::cluster::{CREATING, Cluster, Collection, Deployment, RUNNING, database};
use crate::zilliz::envelope::{Refusal, Result, code, whole};
use crate::zilliz::job::{Order, Work};
use crate::zilliz::project::Project;
use crate::zilliz::{Asked, Zilliz, body, ids};

const CU_SIZES: (u64, u64) = (1, 1_024);

/// A backup that can be restored. Undocumented refusals carry the code of the failed restore.
fn restorable<'z>(zilliz: &'z Zilliz, asked: &Asked<'_>, code: u32) -> Result<&'z Backup> {
    let backup = backup::find(zilliz, asked, Privilege::BackupManage).map_err(|refusal| {
        if refusal.code == code::BACKUP_FAILED {
            Refusal { code, ..refusal }
        } else {
            refusal
        }
    })?;
    match backup.status {
        Status::Available => Ok(backup),
        Status::Creating => Err(Refusal::new(code, "The backup is still being created.")),
        Status::Deleted => Err(Refusal::new(code, "Backup not found.")),
    }
}

/// POST `…/backups/{backupId}/restoreCluster`. The password in the answer is shown once.
pub(crate) fn cluster(state: &mut State, asked: &Asked<'_>) -> Result {
    let zilliz = &state.zilliz;
    let project = body::required(asked.body, "projectId", code::PROJECT)?;
    let project = asked.access.project_to_change(zilliz, project)?;
    let name = name(zilliz, project, asked.body)?;
    let cu_size = body::number(asked.body, "cuSize", CU_SIZES, code::CU_SIZE)?
        .ok_or_else(|| Refusal::new(code::CU_SIZE, "cuSize is required."))?;
    let loaded = keeps_loaded(asked.body, state.settings.zilliz.old_collection_status)?;
    version(asked.body)?;
    let backup = restorable(zilliz, asked, code::RESTORE_CLUSTER_FAILED)?;
    if backup.kind != Kind::Cluster {
        let message = "Only a backup of type CLUSTER can be restored to a new cluster.";
        return Err(Refusal::new(code::RESTORE_CLUSTER_FAILED, message));
    }
    let region = region(backup, project)?;
    let mut collections = backup.collections.clone();
    for collection in &mut collections {
        collection.loaded &= loaded;
    }
    let backup = backup.clone();
    let mut cluster = Cluster {
        id: String::new(),
        organisation: project.organisation.clone(),
        project: project.id.clone(),
        name: name.to_owned(),
        region: region.to_owned(),
        plan: project.plan,
        deployment: Deployment::Dedicated,
        cu_type: backup.cu_type.clone(),
        cu_size,
        bytes: backup.bytes,
        collections,
        status: CREATING.to_owned(),
        created: whole(asked.now),
        named: 0,
        policy: None,
        restored_by: None,
    };
    cluster.id = ids::cluster(&mut state.zilliz.random, cluster.deployment);
    let password = ids::password(&mut state.zilliz.random);
    let settings = &state.settings.zilliz;
    let order = Order {
        project: cluster.project.clone(),
        takes: settings.takes(backup.bytes, settings.restore_bytes_per_second),
        work: Work::RestoreCluster {
            cluster: cluster.id.clone(),
        },
        ..Order::about(&backup)
    };
    let job = state.start_job(order, asked.fault, asked.now);
    cluster.restored_by = Some(job.clone());
    let id = cluster.id.clone();
    state.zilliz.clusters.insert(id.clone(), cluster);
    Ok(json!({"clusterId": id, "username": "db_admin", "password": password, "jobId": job}))
}

/// The new cluster's name: letters, digits and hyphens, and not another's in the project.
fn name<'b>(zilliz: &Zilliz, project: &Project, body: &'b Json) -> Result<&'b str> {
    let name = body::required(body, "clusterName", code::CLUSTER_NAME)?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !name.bytes().all(good) {
        let message = "clusterName may hold letters, digits and hyphens only.";
        return Err(Refusal::new(code::CLUSTER_NAME, message));
    }
    let taken = zilliz
        .clusters
        .values()
        .any(|cluster| cluster.is_live() && cluster.project == project.id && cluster.name == name);
    if taken {
        return Err(Refusal::new(
            code::NAME_TAKEN,
            format!("Cluster name {name} is already used in the project."),
        ));
    }
    Ok(name)
}

/// Whether collections keep their load state.
fn keeps_loaded(body: &Json, old_words: bool) -> Result<bool> {
    match body::text(body, "collectionStatus", code::COLLECTION_STATUS)? {
        Some("KEEP") => Ok(true),
        Some("RELEASE") => Ok(false),
        Some("LOADED") if old_words => Ok(true),
        Some("NOT_LOADED") if old_words => Ok(false),
        _ => Err(Refusal::new(
            code::COLLECTION_STATUS,
            "collectionStatus must be KEEP or RELEASE.",
        )),
    }
}

/// Both versions are the same here.
fn version(body: &Json) -> Result<()> {
    let code = code::RESTORE_CLUSTER_FAILED;
    match body::text(body, "restoreVersionPolicy", code)? {
        None | Some("LATEST" | "ORIGINAL") => Ok(()),
        Some(_) => Err(Refusal::new(
            code,
            "restoreVersionPolicy must be LATEST or ORIGINAL.",
        )),
    }
}

/// Where the new cluster lies. Documented for originals; inferred for copies: where the file lies.
fn region<'b>(backup: &'b Backup, project: &Project) -> Result<&'b str> {
    if project.regions.contains(&backup.region) {
        return Ok(&backup.region);
    }
    Err(Refusal::new(
        code::RESTORE_CLUSTER_FAILED,
        format!("Region {} is not bound to the project.", backup.region),
    ))
}

/// POST `…/backups/{backupId}/restoreCollection`
pub(crate) fn collections(state: &mut State, asked: &Asked<'_>) -> Result {
    let zilliz = &state.zilliz;
    let id = body::text(asked.body, "destClusterId", code::EMPTY_CLUSTER)?.unwrap_or_default();
    let into = asked
        .access
        .live_cluster(zilliz, id, Privilege::ClusterManage)?;
    into.must_be_dedicated()?;
    // Inferred: nothing public says what a cluster that is being made answers.
    if into.status != RUNNING {
        return Err(refused(format!("Cluster {} is not running.", into.id)));
    }
    let backup = restorable(zilliz, asked, code::RESTORE_COLLECTION_FAILED)?;
    let collections = wanted(backup, asked.body)?;
    if let Some(there) = collections
        .iter()
        .find(|one| into.collection(&one.database, &one.name).is_some())
    {
        return Err(refused(format!(
            "Collection {} exists in the destination.",
            there.name
        )));
    }
    let bytes = collections.iter().map(|collection| collection.bytes).sum();
    let settings = &state.settings.zilliz;
    let order = Order {
        project: into.project.clone(),
        region: into.region.clone(),
        takes: settings.takes(bytes, settings.restore_bytes_per_second),
        work: Work::RestoreCollections {
            cluster: into.id.clone(),
            collections,
        },
        ..Order::about(backup)
    };
    let job = state.start_job(order, asked.fault, asked.now);
    Ok(json!({"jobId": job}))
}

/// The collections as they will be in the destination: the one named, or all of them, unloaded.
fn wanted(backup: &Backup, body: &Json) -> Result<Vec<Collection>> {
    let mut wanted = Vec::new();
    for item in body::list(body, "dbCollections")? {
        let from = database(text(item, "dbName")?);
        let into = text(item, "destDbName")?.map_or(from, |name| database(Some(name)));
        for one in body::list(item, "collections")? {
            let name = text(one, "collectionName")?.unwrap_or_default();
            let found = backup
                .collections
                .iter()
                .find(|collection| collection.database == from && collection.name == name)
                .ok_or_else(|| refused(format!("Collection {name} is not in the backup.")))?;
            wanted.push(Collection {
                database: into.to_owned(),
                name: text(one, "destCollectionName")?.unwrap_or(name).to_owned(),
                bytes: found.bytes,
                loaded: loaded(one)?,
            });
        }
    }
    match wanted.len() {
        0 => Ok(backup
            .collections
            .iter()
            .map(|collection| Collection {
                loaded: false,
                ..collection.clone()
            })
            .collect()),
        1 => Ok(wanted),
        _ => Err(refused(
            "Only one collection can be restored per call.".to_owned(),
        )),
    }
}

fn text<'b>(body: &'b Json, name: &str) -> Result<Option<&'b str>> {
    body::text(body, name, code::RESTORE_COLLECTION_FAILED)
}

fn loaded(collection: &Json) -> Result<bool> {
    match body::text(collection, "destCollectionStatus", code::TARGET_STATUS)? {
        Some("LOADED") => Ok(true),
        None | Some("UNLOADED") => Ok(false),
        Some(_) => Err(Refusal::new(
            code::TARGET_STATUS,
            "destCollectionStatus must be LOADED or UNLOADED.",
        )),
    }
}

fn refused(message: String) -> Refusal {
    Refusal::new(code::RESTORE_COLLECTION_FAILED, message)
}
