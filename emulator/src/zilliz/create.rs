//! Making backups: POST `…/backups/create`, what it refuses, and the begin of manual and automatic ones alike.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use crate::clock;
use crate::fault::Fault;
use crate::state::State;
use crate::zilliz::access::Privilege;
use crate::zilliz::backup::{Backup, Kind, Method, Status};
use crate::zilliz::cluster::{Cluster, Collection, database};
use crate::zilliz::envelope::{Result, Undocumented, code, whole};
use crate::zilliz::job::{Order, Work};
use crate::zilliz::target::{self, Target};
use crate::zilliz::timeline::Event;
use crate::zilliz::{Asked, Zilliz, body, ids};

/// What is made.
pub(crate) struct New {
    pub(crate) kind: Kind,
    pub(crate) method: Method,
    pub(crate) collections: Vec<Collection>,
    pub(crate) bytes: u64,
    /// Of the original; none: for ever.
    pub(crate) retention_days: Option<u64>,
    pub(crate) targets: Vec<Target>,
}

/// What the answer names. Jobs of copies are never named: they do not exist yet.
pub(crate) struct Begun {
    backup: String,
    name: String,
    job: String,
}

/// POST `…/backups/create`
pub(crate) fn create(state: &mut State, asked: &Asked<'_>) -> Result {
    let zilliz = &state.zilliz;
    let cluster = asked
        .access
        .live_cluster(zilliz, asked.cluster, Privilege::BackupManage)?;
    cluster.must_be_dedicated()?;
    let kind = body::required(asked.body, "backupType", code::BACKUP_TYPE).and_then(Kind::parse)?;
    let (collections, bytes) = match kind {
        Kind::Cluster => (cluster.collections.clone(), cluster.bytes),
        Kind::Collection => {
            let chosen = chosen(cluster, asked.body)?;
            let bytes = chosen.iter().map(|collection| collection.bytes).sum();
            (chosen, bytes)
        }
    };
    let new = New {
        kind,
        method: Method::Manual,
        collections,
        bytes,
        retention_days: None,
        targets: target::read(zilliz, cluster, asked.body, false)?,
    };
    must_be_idle(zilliz, cluster)?;
    let cluster = cluster.clone();
    let begun = begin(state, &cluster, new, asked.fault, asked.now);
    Ok(json!({"backupId": begun.backup, "backupName": begun.name, "jobId": begun.job}))
}

/// The collections that a COLLECTION backup names: some, of one database.
fn chosen(cluster: &Cluster, body: &Json) -> Result<Vec<Collection>> {
    let mut found: Vec<Collection> = Vec::new();
    for item in body::list(body, "dbCollections")? {
        let database = database(body::text(item, "dbName", code::BACKUP_FAILED)?);
        for name in body::list(item, "collectionNames")? {
            let name = name.as_str().unwrap_or_default();
            let collection = cluster
                .collection(database, name)
                .ok_or(Undocumented::NoCollection(name))?;
            if found.iter().any(|other| other.database != database) {
                return Err(Undocumented::TwoDatabases.into());
            }
            if !found.contains(collection) {
                found.push(collection.clone());
            }
        }
    }
    if found.is_empty() {
        return Err(Undocumented::NoCollections.into());
    }
    Ok(found)
}

/// One manual backup per cluster at a time, and none while an automatic one runs. Inferred: that copies, which run
/// after their original, hold nobody up.
fn must_be_idle(zilliz: &Zilliz, cluster: &Cluster) -> Result<()> {
    let running = zilliz.backups.values().find(|backup| {
        backup.cluster == cluster.id
            && backup.status == Status::Creating
            && backup.original.is_none()
    });
    match running.map(|backup| backup.method) {
        None => Ok(()),
        Some(Method::Manual) => Err(Undocumented::SecondManualBackup.into()),
        Some(Method::Auto) => Err(Undocumented::WhileAutomaticRuns.into()),
    }
}

/// Makes the record, CREATING, and its job, PENDING.
pub(crate) fn begin(
    state: &mut State,
    cluster: &Cluster,
    new: New,
    fault: &Fault,
    at: Timestamp,
) -> Begun {
    let zilliz = &mut state.zilliz;
    let named = zilliz.clusters.get_mut(&cluster.id).map_or(0, |cluster| {
        cluster.named += 1;
        cluster.named
    });
    // Inferred from examples; one collection gives its own name.
    let of = match (new.kind, new.collections.as_slice()) {
        (Kind::Collection, [only]) => &only.name,
        _ => &cluster.name,
    };
    let created = whole(at);
    let backup = Backup {
        id: ids::backup(&mut zilliz.random),
        organisation: cluster.organisation.clone(),
        project: cluster.project.clone(),
        cluster: cluster.id.clone(),
        cluster_name: cluster.name.clone(),
        name: format!("{of}_backup{named}"),
        kind: new.kind,
        method: new.method,
        region: cluster.region.clone(),
        cu_type: cluster.cu_type.clone(),
        bytes: new.bytes,
        collections: new.collections,
        created,
        expires: expiry(created, new.retention_days),
        status: Status::Creating,
        original: None,
    };
    let settings = &state.settings.zilliz;
    let order = Order {
        takes: settings.takes(backup.bytes, settings.backup_bytes_per_second),
        work: Work::Backup {
            backup: backup.id.clone(),
            targets: new.targets,
        },
        ..Order::about(&backup)
    };
    let (id, name) = (backup.id.clone(), backup.name.clone());
    keep(zilliz, backup);
    let job = state.start_job(order, fault, at);
    Begun {
        backup: id,
        name,
        job,
    }
}

/// Begins the copies of a backup that has just become available, one record and one job per region.
///
/// Unknown: what a copy looks like. Inferred here: a record with an id of its own, its original's cluster and name, and
/// the target's region, which only describing it shows.
pub(crate) fn begin_copies(
    state: &mut State,
    original: &Backup,
    targets: &[Target],
    at: Timestamp,
) {
    for target in targets {
        let created = whole(at);
        let copy = Backup {
            id: ids::backup(&mut state.zilliz.random),
            region: target.region.clone(),
            created,
            expires: expiry(created, target.retention_days),
            status: Status::Creating,
            original: Some(original.id.clone()),
            ..original.clone()
        };
        let fault = state.background_fault("zilliz.copy", &target.region, original);
        let settings = &state.settings.zilliz;
        let order = Order {
            takes: settings.takes(copy.bytes, settings.copy_bytes_per_second),
            work: Work::Copy {
                backup: copy.id.clone(),
                from: original.region.clone(),
            },
            ..Order::about(&copy)
        };
        keep(&mut state.zilliz, copy);
        state.start_job(order, &fault, at);
    }
}

fn keep(zilliz: &mut Zilliz, backup: Backup) {
    if let Some(expires) = backup.expires {
        zilliz
            .timeline
            .add(expires, Event::Expire(backup.id.clone()));
    }
    zilliz.backups.insert(backup.id.clone(), backup);
}

fn expiry(created: Timestamp, retention_days: Option<u64>) -> Option<Timestamp> {
    let hours = i64::try_from(retention_days?).ok()?.checked_mul(24)?;
    Some(clock::shift(created, SignedDuration::from_hours(hours)))
}
