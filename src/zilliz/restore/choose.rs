//! Which backup is restored, before the first request that restores; what is in the way of its destination is told by
//! `in_the_way`, all at once.
//!
//! It only reads. What it must never do: take a backup of a part for one of the whole, or leave a choice to chance.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use jiff::Timestamp;

use super::asked::{Asked, Collection, Destination, Rename, Source};
use super::notes::{Chosen, ChosenBackup};
use crate::plan::ClusterPlan;
use crate::zilliz::account::Account;
use crate::zilliz::client::{Client, ZillizError};
use crate::zilliz::run::describe_whole;
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::{Backup, Cluster};

/// Backups that are described at once, newest first.
const LOOKS: usize = 8;

/// Something that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// One short, stable word.
    pub word: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// What was found out.
#[derive(Debug, Default)]
pub struct Looked {
    /// The choice; none while anything is in the way.
    pub chosen: Option<Chosen>,
    /// Everything that is in the way.
    pub conflicts: Vec<Conflict>,
    /// What could not be told, and is no reason to refuse.
    pub notes: Vec<String>,
}

impl Looked {
    pub(super) fn refuse(&mut self, word: &'static str, message: String) {
        self.conflicts.push(Conflict { word, message });
    }
}

/// Looks at the account and the backups, and chooses.
///
/// # Errors
/// When they could not be read to the end; then nothing is known.
pub async fn choose<T: Transport>(
    asked: &Asked,
    plan: &ClusterPlan,
    client: &Client<T>,
) -> Result<Looked, ZillizError> {
    let account = Account::read(client).await?;
    let listed = client.all_backups().await?;
    let mut looked = Looked::default();
    let picking = Picking {
        asked,
        plan,
        account: &account,
        listed: &listed,
    };
    let backup = match picking.backup(client, &mut looked.notes).await? {
        Ok(backup) => Some(backup),
        Err(conflict) => {
            looked.conflicts.push(conflict);
            None
        }
    };
    let way = match &asked.destination {
        Destination::NewCluster(new) => picking.new_cluster(new, backup.as_ref(), &mut looked),
        Destination::Into(into) => picking.existing(into, backup.as_ref(), &mut looked),
    };
    if let (Some(backup), Some(way), true) = (backup, way, looked.conflicts.is_empty()) {
        looked.chosen = Some(Chosen {
            backup: picking.chosen(&backup),
            way,
        });
    }
    Ok(looked)
}

/// What is chosen from.
pub(super) struct Picking<'a> {
    asked: &'a Asked,
    pub(super) plan: &'a ClusterPlan,
    pub(super) account: &'a Account,
    listed: &'a [Backup],
}

/// What the backups that were looked at lack, none of which was the one.
#[derive(Default)]
struct Lacking {
    /// Other regions in which one lies that has everything.
    elsewhere: BTreeSet<String>,
    /// Collections that none of them has.
    nowhere: BTreeSet<Collection>,
    looked_at: usize,
}

impl Lacking {
    fn add(&mut self, backup: &Backup, missing: Vec<Collection>) {
        if missing.is_empty() {
            self.elsewhere.extend(backup.region_id.clone());
        }
        let missing = BTreeSet::from_iter(missing);
        if self.looked_at == 0 {
            self.nowhere = missing;
        } else {
            self.nowhere.retain(|one| missing.contains(one));
        }
        self.looked_at += 1;
    }

    /// Of collections that no backup has, so that no other region is a remedy.
    fn told(&self, cluster: &str, at: Option<&Timestamp>) -> String {
        let collections = self.nowhere.iter().map(|one| format!("`{one}`"));
        let collections: Vec<String> = collections.collect();
        let (when, or_later) = match at {
            Some(at) => (
                format!(" from {at} or before"),
                ", or say a later `at` or none",
            ),
            None => (String::new(), ""),
        };
        format!(
            "no backup of cluster {cluster}{when} has {}, in any region; correct `collections`{or_later}",
            collections.join(", ")
        )
    }
}

fn refused(word: &'static str, message: String) -> Conflict {
    Conflict { word, message }
}

/// `Option` as a text for people.
pub(super) fn or_unknown(text: Option<&str>) -> &str {
    text.unwrap_or("unknown")
}

impl Picking<'_> {
    fn needs_the_whole(&self) -> bool {
        match &self.asked.destination {
            Destination::NewCluster(_) => true,
            Destination::Into(into) => into.collections.is_empty(),
        }
    }

    fn wanted_collections(&self) -> &[Rename] {
        match &self.asked.destination {
            Destination::NewCluster(_) => &[],
            Destination::Into(into) => &into.collections,
        }
    }

    /// The backup with its region, or why there is none.
    async fn backup<T: Transport>(
        &self,
        client: &Client<T>,
        notes: &mut Vec<String>,
    ) -> Result<Result<Backup, Conflict>, ZillizError> {
        match &self.asked.source.backup {
            Some(id) => self.named(client, id).await,
            None => self.newest(client, notes).await,
        }
    }

    /// From when the data of a cluster's backups is, by their ids: a copy's is its original's.
    ///
    /// Unknown (contract section 3): what links the two, and whether a copy's time is its original's or its own. Taken for
    /// original and copies here: what is of one name, which the service makes up, kind, method and size, and no more than
    /// the plan has regions. What is not so counts by its own time.
    fn dates(&self, cluster: &str) -> BTreeMap<&str, Timestamp> {
        let mut families: BTreeMap<_, Vec<(&str, Timestamp)>> = BTreeMap::new();
        for backup in self.listed.iter().filter(|backup| stands(backup, cluster)) {
            let of = (
                &backup.backup_name,
                &backup.size,
                &backup.backup_type,
                &backup.creation_method,
            );
            let dated = backup.create_time.map(|at| (backup.backup_id.as_str(), at));
            families.entry(of).or_default().extend(dated);
        }
        let regions = 1 + self.plan.targets.len();
        let mut dates = BTreeMap::new();
        for ((name, size, ..), family) in families {
            let is_one = name.is_some() && size.is_some() && family.len() <= regions;
            let oldest = family.iter().map(|(_, at)| *at).min();
            let of_all = oldest.filter(|_| is_one);
            dates.extend(family.iter().map(|(id, at)| (*id, of_all.unwrap_or(*at))));
        }
        dates
    }

    async fn named<T: Transport>(
        &self,
        client: &Client<T>,
        id: &str,
    ) -> Result<Result<Backup, Conflict>, ZillizError> {
        let Some(listed) = self.listed.iter().find(|listed| listed.backup_id == id) else {
            return Ok(Err(refused(
                "no_backup",
                format!(
                    "there is no backup `{id}` in the key's scope; look at the console's list of backups, or say `cluster` and `at`"
                ),
            )));
        };
        let status = or_unknown(listed.status.as_deref());
        if status != "AVAILABLE" {
            return Ok(Err(refused(
                "not_available",
                format!(
                    "the backup `{id}` is {status}, not AVAILABLE; wait until it is there, or take another"
                ),
            )));
        }
        let cluster = listed.cluster_id.as_deref().unwrap_or_default();
        let Some(backup) = describe_whole(client, cluster, listed).await? else {
            return Ok(Err(refused(
                "no_backup",
                format!("the backup `{id}` was listed and is not there any more; take another"),
            )));
        };
        Ok(self.fits(backup))
    }

    /// What a backup that was named by its id must be.
    fn fits(&self, backup: Backup) -> Result<Backup, Conflict> {
        let id = &backup.backup_id;
        if self.needs_the_whole() && backup.backup_type.as_deref() != Some("CLUSTER") {
            let destination = match &self.asked.destination {
                Destination::NewCluster(_) => {
                    "only one of a whole cluster becomes a cluster; bring its collections `into` one that exists, or take another"
                }
                Destination::Into(_) => {
                    "it has some collections only; name those that shall come back in `collections`, or take another"
                }
            };
            let kind = or_unknown(backup.backup_type.as_deref());
            return Err(refused(
                "wrong_type",
                format!("the backup `{id}` is of type {kind}: {destination}"),
            ));
        }
        if let Some(missing) = missing_in(&backup, self.wanted_collections()).first() {
            return Err(refused(
                "no_collection",
                format!(
                    "the backup `{id}` has no collection `{missing}`; correct its name, or take another backup"
                ),
            ));
        }
        if backup.region_id.is_none() {
            return Err(refused(
                "unknown_region",
                format!("the service does not say where the backup `{id}` lies; take another"),
            ));
        }
        Ok(backup)
    }

    /// The newest that is there, at or before the time, in the region, and has all that is asked for.
    async fn newest<T: Transport>(
        &self,
        client: &Client<T>,
        notes: &mut Vec<String>,
    ) -> Result<Result<Backup, Conflict>, ZillizError> {
        let (cluster, region) = match self.cluster_and_region() {
            Ok(found) => found,
            Err(conflict) => return Ok(Err(conflict)),
        };
        let there: Vec<&Backup> = self
            .listed
            .iter()
            .filter(|backup| {
                stands(backup, &cluster)
                    && (!self.needs_the_whole() || backup.backup_type.as_deref() == Some("CLUSTER"))
            })
            .collect();
        let Source { at, .. } = &self.asked.source;
        let dates = self.dates(&cluster);
        let date = |backup: &Backup| dates.get(backup.backup_id.as_str()).copied();
        let in_time =
            |backup: &&&Backup| at.is_none_or(|at| date(backup).is_some_and(|made| made <= at));
        let mut candidates: Vec<&Backup> = there.iter().filter(in_time).copied().collect();
        candidates.sort_by_key(|backup| std::cmp::Reverse(date(backup)));
        let mut lacking = Lacking::default();
        for some in candidates.chunks(LOOKS) {
            let looks = some
                .iter()
                .map(|listed| describe_whole(client, &cluster, listed));
            for (listed, described) in some.iter().zip(join_all(looks).await) {
                let Some(backup) = described? else {
                    notes.push(passed_over(listed, date(listed)));
                    continue;
                };
                let missing = missing_in(&backup, self.wanted_collections());
                if missing.is_empty() && backup.region_id.as_ref() == Some(&region) {
                    return Ok(Ok(backup));
                }
                lacking.add(&backup, missing);
            }
        }
        let oldest = there.iter().filter_map(|backup| date(backup)).min();
        Ok(Err(self.no_backup(
            &cluster,
            &region,
            oldest,
            candidates.len(),
            &lacking,
        )))
    }

    fn no_backup(
        &self,
        cluster: &str,
        region: &str,
        oldest: Option<Timestamp>,
        in_time: usize,
        lacking: &Lacking,
    ) -> Conflict {
        let what = if self.needs_the_whole() {
            "whole backup"
        } else {
            "backup with these collections"
        };
        let message = match (&self.asked.source.at, oldest) {
            (_, None) => format!(
                "no {what} of cluster {cluster} is there; check the cluster and the key's scope"
            ),
            (Some(at), Some(oldest)) if in_time == 0 => format!(
                "no {what} of cluster {cluster} is from {at} or before; the oldest is from {oldest}: say a later `at`"
            ),
            (at, _) if !lacking.nowhere.is_empty() => {
                return refused("no_collection", lacking.told(cluster, at.as_ref()));
            }
            _ if lacking.elsewhere.is_empty() => format!(
                "no {what} of cluster {cluster} in {region} has all that is asked for; correct `collections`, or say another `at` or `from`"
            ),
            _ => {
                let regions = lacking.elsewhere.iter().map(String::as_str);
                let regions: Vec<&str> = regions.collect();
                format!(
                    "no {what} of cluster {cluster} lies in {region}; say in `from` where one does: {}",
                    regions.join(", ")
                )
            }
        };
        refused("no_backup", message)
    }

    /// Whose backup, and where it shall lie. A cluster that was dropped is known by its backups.
    fn cluster_and_region(&self) -> Result<(String, String), Conflict> {
        let Source {
            cluster, region, ..
        } = &self.asked.source;
        let plan = self.plan;
        let of_plan =
            |id: &str, name: &str, project: Option<&str>| plan.clusters.selects(id, name, project);
        let is_meant = |id: &str, name: &str, project: Option<&str>| match cluster {
            Some(wanted) => wanted == id || wanted == name,
            None => of_plan(id, name, project),
        };
        let live = self.account.clusters.iter().map(|cluster| {
            (
                cluster.cluster_id.as_str(),
                cluster.cluster_name.as_deref().unwrap_or_default(),
                cluster.project_id.as_deref(),
            )
        });
        let backed_up = self.listed.iter().filter_map(|backup| {
            Some((
                backup.cluster_id.as_deref()?,
                backup.cluster_name.as_deref().unwrap_or_default(),
                backup.project_id.as_deref(),
            ))
        });
        let meant: Vec<_> = live
            .chain(backed_up)
            .filter(|(id, name, project)| is_meant(id, name, *project))
            .collect();
        let mut ids: BTreeSet<&str> = meant.iter().map(|(id, ..)| *id).collect();
        let ours: BTreeSet<&str> = meant
            .iter()
            .filter(|(id, name, project)| of_plan(id, name, *project))
            .map(|(id, ..)| *id)
            .collect();
        if ids.len() > 1 && !ours.is_empty() {
            ids = ours;
        }
        let several = ids.len() > 1;
        let all = ids.iter().copied().collect::<Vec<_>>().join(", ");
        let Some(id) = ids.pop_first().filter(|_| !several) else {
            return Err(match cluster {
                _ if several => refused(
                    "ambiguous",
                    format!("several clusters are meant ({all}); say the id of one in `cluster`"),
                ),
                Some(wanted) => refused(
                    "not_found",
                    format!(
                        "neither a cluster nor a backup of one called `{wanted}` is in the key's scope; check `cluster`"
                    ),
                ),
                None => refused(
                    "not_found",
                    format!(
                        "plan `{}` selects no cluster, nor a backup of one; say `cluster`",
                        plan.name
                    ),
                ),
            });
        };
        let own = self.live(id).and_then(|cluster| cluster.region_id.clone());
        let region = region.clone().or(own).or_else(|| plan.region.clone());
        let region = region.ok_or_else(|| refused("unknown_region", format!(
            "cluster {id} is not there any more, so its own region is not known; say in `from` which region's backup is meant"
        )))?;
        Ok((id.to_owned(), region))
    }

    pub(super) fn live(&self, id: &str) -> Option<&Cluster> {
        self.account
            .clusters
            .iter()
            .find(|cluster| cluster.cluster_id == id)
    }

    fn chosen(&self, backup: &Backup) -> ChosenBackup {
        let cluster = backup.cluster_id.clone().unwrap_or_default();
        let dated = self.dates(&cluster).get(backup.backup_id.as_str()).copied();
        ChosenBackup {
            id: backup.backup_id.clone(),
            cu_size: self.live(&cluster).and_then(|cluster| cluster.cu_size),
            cluster,
            cluster_name: backup.cluster_name.clone(),
            region: backup.region_id.clone().unwrap_or_default(),
            created_at: dated.or(backup.create_time),
            kind: or_unknown(backup.backup_type.as_deref()).to_owned(),
            bytes: backup.size,
        }
    }
}

/// Whether it is of the cluster, and can be restored.
fn stands(backup: &Backup, cluster: &str) -> bool {
    backup.cluster_id.as_deref() == Some(cluster) && backup.status.as_deref() == Some("AVAILABLE")
}

/// What is said of a backup that would have been looked at first. The service's plain refusals can't be told apart, so it may
/// be there all the same.
fn passed_over(listed: &Backup, date: Option<Timestamp>) -> String {
    let id = &listed.backup_id;
    let of = date.map_or(String::new(), |at| format!(" of {at}"));
    format!(
        "the backup {id}{of} is in the list, and the service does not know it when it is asked for it, so it was passed over; if an older one is not what is wanted, ask again in a while, or say its id in `backup`"
    )
}

/// The collections that a described backup does not have. Where it does not say what it has, nothing is missing: the service
/// refuses what is not there.
fn missing_in(backup: &Backup, wanted: &[Rename]) -> Vec<Collection> {
    let Some(databases) = &backup.db_collections else {
        return Vec::new();
    };
    let has: BTreeSet<Collection> = databases
        .iter()
        .flat_map(|database| {
            let collections = database.collections.iter().flatten();
            collections.filter_map(|collection| {
                let name = collection.collection_name.as_deref()?;
                Some(Collection::told(database.db_name.as_deref(), name))
            })
        })
        .collect();
    let missing = wanted
        .iter()
        .map(|rename| &rename.from)
        .filter(|from| !has.contains(from));
    missing.cloned().collect()
}
