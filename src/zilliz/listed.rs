//! Every backup of a plan's clusters, region by region, whoever had it made, and why it stays. It changes nothing.
//!
//! The service says what its policy made; what else is whose, the journal alone knows. What it must never do: call a backup
//! the plan's own that the journal does not, or leave one out because something of it is unknown. So one that the service
//! lists and, asked for, does not know is listed, too, and told with a warning: it is as good as gone, unless the service
//! refused for another reason, and its plain refusals can't be told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::account::Account;
use super::client::{Client, ZillizError};
use super::notes::{Pasts, is_adopted};
use super::run::{World, describe};
use super::tiers::verdicts::{LeftAlone, Whose, reasons};
use super::transport::Transport;
use super::wire::{Backup, Cluster};
use crate::event::Action;
use crate::journal::{Holds, JournalError, Tier};
use crate::name::Class;
use crate::plan::ClusterPlan;
use crate::report::{Bounded, Failure, Outcome};
use crate::service::Region;

/// Backups that are asked for their region at once. The service's limit on requests is what counts.
const AT_ONCE: usize = 16;
/// Ended runs of a plan that are asked what they made by hand: as many as the journal keeps.
const RUNS: usize = 100;
/// Ids of a cluster's backups that are named when describing does not know them.
const VANISHED_SHOWN: usize = 10;

/// How a backup came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By the cluster's policy.
    Automatic,
    /// By hand, by a run of this plan that the journal remembers.
    Manual,
    /// As one of the plan's tiers.
    Tier,
    /// By somebody else: in the console, by another program, or by a run that the journal remembers no more.
    Other,
    /// Not by the policy; by whom, nobody knows, because the journal of the nightly runs can't be read or there is none.
    Unknown,
}

impl Method {
    /// The word that reports use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
            Self::Tier => "tier",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// An original or a copy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackupLine {
    /// The cluster's id.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// Where this file lies; absent when the service does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The service's id for it.
    pub backup: String,
    /// The service's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
    /// How it came to be.
    pub method: Method,
    /// Whether it is of some collections only.
    pub of_collections: bool,
    /// `available`, `creating`, or whatever else the service says.
    pub state: String,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When the service deletes it; absent for one that stays until somebody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Its size; absent when the service does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why it stays, or that it is due.
    pub why: String,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListCounts {
    /// Clusters that have a backup.
    pub clusters: u64,
    /// Backups and copies.
    pub backups: u64,
    /// Of these, made by the policy.
    pub automatic: u64,
    /// By hand, by this plan.
    pub manual: u64,
    /// The plan's tiers.
    pub tiers: u64,
    /// By somebody else, or nobody knows by whom.
    pub others: u64,
    /// Bytes of all that tell them.
    pub bytes: u64,
}

/// What stands of a plan's clusters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterList {
    /// Names this invocation in every log line.
    pub run_id: String,
    /// Always `list`.
    pub action: Action,
    /// Always `zilliz`.
    pub provider: &'static str,
    /// The plan's name.
    pub plan: String,
    /// Whether everything could be read.
    pub outcome: Outcome,
    /// Beginning, UTC.
    pub started_at: Timestamp,
    /// End, UTC.
    pub finished_at: Timestamp,
    /// How many of each.
    pub counts: ListCounts,
    /// Every backup: by cluster and region, oldest first.
    pub backups: Bounded<BackupLine>,
    /// HTTP requests sent, repeats included.
    pub requests: u64,
    /// How many of them were repeats.
    pub retries: u64,
    /// What could not be read.
    pub failures: Bounded<Failure>,
    /// What is worth a look and no failure.
    pub warnings: Bounded<String>,
}

impl ClusterList {
    fn fail(&mut self, cluster: Option<&str>, error: &'static str, message: String) {
        self.failures.push(Failure {
            target: None,
            source: cluster.map(str::to_owned),
            backup: None,
            error,
            message,
        });
    }

    fn add(&mut self, line: BackupLine) {
        let counts = &mut self.counts;
        counts.backups += 1;
        counts.bytes = counts.bytes.saturating_add(line.bytes.unwrap_or_default());
        *match line.method {
            Method::Automatic => &mut counts.automatic,
            Method::Manual => &mut counts.manual,
            Method::Tier => &mut counts.tiers,
            Method::Other | Method::Unknown => &mut counts.others,
        } += 1;
        self.backups.push(line);
    }

    /// One line for an error message.
    #[must_use]
    pub fn summary(&self) -> String {
        let first = self.failures.shown.iter().take(3);
        let first: Vec<&str> = first.map(|failure| failure.message.as_str()).collect();
        format!(
            "{} backups listed; {} failures: {}",
            self.counts.backups,
            self.failures.len(),
            first.join("; ")
        )
    }
}

/// Lists every backup of the plan's clusters. `time_left` is how long it may work.
pub async fn list<T: Transport>(
    world: &World<'_, T>,
    run_id: String,
    time_left: Duration,
) -> ClusterList {
    let until = Instant::now() + time_left.saturating_sub(time_left / 20);
    let (started_at, before) = (world.clock.now(), world.client.attempts());
    let longest = world.report.longest_list();
    let mut listed = ClusterList {
        run_id,
        action: Action::List,
        provider: "zilliz",
        plan: world.plan.name.clone(),
        outcome: Outcome::Succeeded,
        started_at,
        finished_at: started_at,
        counts: ListCounts::default(),
        backups: Bounded::of_at_most(longest),
        requests: 0,
        retries: 0,
        failures: Bounded::of_at_most(longest),
        warnings: Bounded::of_at_most(longest),
    };
    let known = match Known::read(world, started_at).await {
        Ok(known) => known,
        Err(error) => {
            listed.fail(
                None,
                error.word(),
                format!("whose backups those are that no policy made is unknown: {error}"),
            );
            None
        }
    };
    match timeout_at(until, Standing::read(world, until))
        .boxed_local()
        .await
    {
        Ok(Ok(standing)) => {
            let plans = (world.plan, world.plans);
            standing.tell(&mut listed, plans, known.as_ref(), started_at);
        }
        Ok(Err(error)) => listed.fail(None, error.word(), error.to_string()),
        Err(_) => listed.fail(
            None,
            "out_of_time",
            "time ran out before the backups were listed; list from a terminal".to_owned(),
        ),
    }
    let after = world.client.attempts();
    (listed.requests, listed.retries) = (after.0 - before.0, after.1 - before.1);
    listed.finished_at = world.clock.now();
    if !listed.failures.is_empty() {
        listed.outcome = Outcome::Failed;
    }
    listed
}

/// What the journal knows of backups.
struct Known {
    tiers: Vec<Tier>,
    holds: Holds,
    /// Ids of what runs of the plan made by hand.
    by_hand: BTreeSet<String>,
    /// Those of them that were found after silence, of which only the runs that make tiers know whether they are tiers.
    in_doubt: BTreeSet<String>,
    /// It is the journal of the nightly runs, so what is not in it is nobody's of them.
    is_shared: bool,
}

impl Known {
    /// `None` without a journal.
    async fn read<T: Transport>(
        world: &World<'_, T>,
        now: Timestamp,
    ) -> Result<Option<Self>, JournalError> {
        let (Some(journal), plan) = (world.journal, world.plan) else {
            return Ok(None);
        };
        let (mut by_hand, mut in_doubt) = (BTreeSet::new(), BTreeSet::new());
        for record in journal.history(&plan.name, RUNS).await? {
            if record.key.class == Class::Manual {
                let adopted = record.jobs.iter().filter(|job| is_adopted(job));
                in_doubt.extend(adopted.filter_map(|job| job.backup.clone()));
                by_hand.extend(record.jobs.into_iter().filter_map(|job| job.backup));
            }
        }
        for open in journal.open_runs().await?.runs {
            if open.key.plan == plan.name && open.key.class == Class::Manual {
                let pasts = Pasts::of(&journal.entries(&open.key).await?, None);
                by_hand.extend(pasts.ids().cloned());
                in_doubt.extend(pasts.adopted_ids().cloned());
            }
        }
        Ok(Some(Self {
            tiers: journal.tiers(&plan.name).await?,
            holds: journal.holds(now).await?,
            by_hand,
            in_doubt,
            is_shared: world.is_shared,
        }))
    }
}

/// What stands, cluster by cluster.
struct Standing {
    account: Account,
    /// By the cluster's id; each backup with its region, if it was told.
    clusters: BTreeMap<String, Vec<Backup>>,
    /// Of each cluster the first reason why the region of a backup is unknown.
    failures: BTreeMap<String, ZillizError>,
    /// Of each cluster the ids of backups that were listed, and that describing does not know.
    vanished: BTreeMap<String, Vec<String>>,
    /// Backups whose region nobody was asked for, because time ran out.
    unasked: usize,
}

impl Standing {
    /// Every backup of clusters that the plan selects, of those that were dropped, too.
    async fn read<T: Transport>(world: &World<'_, T>, until: Instant) -> Result<Self, ZillizError> {
        let (plan, client) = (world.plan, world.client);
        let account = Account::read(client).await?;
        let mut listed = client.all_backups().await?;
        listed.retain(|backup| is_of(plan, &account, backup));
        // Enough is kept back to tell what was seen.
        let left = until.saturating_duration_since(Instant::now());
        let until = until - left / 20;
        let looks = listed.into_iter().map(|backup| {
            async move { (described(until, client, &backup).await, backup) }.boxed_local()
        });
        let mut looks = stream::iter(looks).buffered(AT_ONCE);
        let mut standing = Self {
            account,
            clusters: BTreeMap::new(),
            failures: BTreeMap::new(),
            vanished: BTreeMap::new(),
            unasked: 0,
        };
        while let Some((looked, mut backup)) = looks.next().await {
            let cluster = backup.cluster_id.clone().unwrap_or_default();
            match looked {
                Some(Ok(Some(described))) => backup.region_id = described.region_id,
                Some(Ok(None)) => {
                    let of_it = standing.vanished.entry(cluster.clone()).or_default();
                    of_it.push(backup.backup_id.clone());
                }
                Some(Err(error)) => {
                    standing.failures.entry(cluster.clone()).or_insert(error);
                }
                None => standing.unasked += 1,
            }
            standing.clusters.entry(cluster).or_default().push(backup);
        }
        drop(looks);
        Ok(standing)
    }

    fn tell(
        self,
        told: &mut ClusterList,
        (plan, plans): (&ClusterPlan, &[ClusterPlan]),
        known: Option<&Known>,
        now: Timestamp,
    ) {
        for (cluster, error) in &self.failures {
            let message = format!("the regions of some of its backups are unknown: {error}");
            told.fail(Some(cluster), error.word(), message);
        }
        for (cluster, ids) in &self.vanished {
            told.warnings.push(vanished(cluster, ids));
        }
        if self.unasked > 0 {
            let message = format!(
                "time ran out, so the regions of {} backups are unknown; list from a terminal",
                self.unasked
            );
            told.fail(None, "out_of_time", message);
        }
        for cluster in self.account.selected(plan) {
            if !self.clusters.contains_key(&cluster.cluster_id) {
                told.warnings
                    .push(format!("{} has no backup", cluster.shown()));
            }
        }
        told.counts.clusters = u64::try_from(self.clusters.len()).unwrap_or(u64::MAX);
        for (id, mut backups) in self.clusters {
            let account = &self.account;
            let mut clusters = account.clusters.iter();
            let cluster = clusters.find(|known| known.cluster_id == id);
            let whose = cluster
                .ok_or(LeftAlone::NotSelected)
                .and_then(|known| looked_after(account, (plan, plans), known));
            backups.sort_by_key(|backup| (backup.region_id.clone(), backup.create_time));
            let why = known.map(|known| known.reasons(plan, (&id, whose), &backups, now));
            for backup in backups {
                let (method, why) = method(&backup, known, why.as_ref());
                told.add(line(backup, cluster, method, why));
            }
        }
    }
}

/// A cluster whose tiers a run would look after, or why it would not.
fn looked_after<'c>(
    account: &Account,
    (plan, plans): (&ClusterPlan, &[ClusterPlan]),
    cluster: &'c Cluster,
) -> Result<Whose<'c>, LeftAlone> {
    if account.refuses(plan, plans, cluster) {
        return Err(LeftAlone::Refused);
    }
    let home = cluster.region_id.as_deref();
    Ok(Whose {
        cluster: &cluster.cluster_id,
        home: home.ok_or(LeftAlone::NoRegion)?,
    })
}

/// What is said of backups that the list shows, and that describing does not know.
fn vanished(cluster: &str, ids: &[String]) -> String {
    let shown: Vec<&str> = ids
        .iter()
        .take(VANISHED_SHOWN)
        .map(String::as_str)
        .collect();
    format!(
        "{} backups of {cluster} are in the service's list, and the service knows them no more when it is asked for them, so they may be gone: {}; list again in a while",
        ids.len(),
        shown.join(", ")
    )
}

/// Whether a backup is of a cluster that the plan selects. One that was dropped is known by its backups alone.
fn is_of(plan: &ClusterPlan, account: &Account, backup: &Backup) -> bool {
    let id = backup.cluster_id.as_deref().unwrap_or_default();
    let cluster = account.clusters.iter().find(|known| known.cluster_id == id);
    let name = cluster.and_then(|known| known.cluster_name.as_deref());
    let project = cluster.and_then(|known| known.project_id.as_deref());
    plan.clusters.selects(
        id,
        name.or(backup.cluster_name.as_deref()).unwrap_or_default(),
        project.or(backup.project_id.as_deref()),
    )
}

/// A backup with its region, which only describing is documented to tell; `None` when there is no time for it. What can't be
/// asked for any more must not begin to wait for its turn: the limit would count it all the same, and keep whoever asks next
/// with the same key waiting.
async fn described<T: Transport>(
    until: Instant,
    client: &Client<T>,
    backup: &Backup,
) -> Option<Result<Option<Backup>, ZillizError>> {
    if Instant::now() >= until {
        return None;
    }
    let cluster = backup.cluster_id.as_deref().unwrap_or_default();
    let describing = describe(client, cluster, backup);
    timeout_at(until, describing).await.ok()
}

impl Known {
    /// Why each tier of a cluster stays.
    fn reasons(
        &self,
        plan: &ClusterPlan,
        (id, whose): (&str, Result<Whose<'_>, LeftAlone>),
        listed: &[Backup],
        now: Timestamp,
    ) -> BTreeMap<String, String> {
        let of_it = self.tiers.iter().filter(|tier| tier.cluster == id);
        let tiers: Vec<Tier> = of_it.cloned().collect();
        let held = |backup: &str| self.holds.holder_anywhere(backup).map(str::to_owned);
        reasons(whose, plan, &tiers, listed, now, held)
    }
}

/// How a backup came to be, and why it stays. What the policy makes is never a tier, whatever the journal says.
fn method(
    backup: &Backup,
    known: Option<&Known>,
    tiers: Option<&BTreeMap<String, String>>,
) -> (Method, String) {
    let id = &backup.backup_id;
    if backup.creation_method.as_deref() == Some("AUTO") {
        return (
            Method::Automatic,
            "the service deletes it when it expires".to_owned(),
        );
    }
    let Some(known) = known else {
        let why = "not the policy's; whose it is, only a journal knows";
        return (Method::Unknown, why.to_owned());
    };
    if let Some(why) = tiers.and_then(|tiers| tiers.get(id)) {
        return (Method::Tier, why.clone());
    }
    if !known.is_shared && known.in_doubt.contains(id) {
        let why = "found after a request that was not answered; whether it is a tier, only the journal of the nightly runs knows: set LIFEBOAT_JOURNAL to it";
        return (Method::Unknown, why.to_owned());
    }
    if known.by_hand.contains(id) {
        return (Method::Manual, "made by hand, kept for ever".to_owned());
    }
    if !known.is_shared {
        let why = "not made from this machine; whose it is, only the journal of the nightly runs knows: set LIFEBOAT_JOURNAL to it";
        return (Method::Unknown, why.to_owned());
    }
    let why =
        "not made by this plan as far as the journal knows, so it stays until somebody deletes it";
    (Method::Other, why.to_owned())
}

fn line(backup: Backup, cluster: Option<&Cluster>, method: Method, why: String) -> BackupLine {
    let id = backup.cluster_id.unwrap_or_default();
    let name = cluster.map(|known| known.shown().to_owned());
    BackupLine {
        name: name.or(backup.cluster_name).unwrap_or_else(|| id.clone()),
        cluster: id,
        region: backup.region_id,
        backup: backup.backup_id,
        backup_name: backup.backup_name,
        method,
        of_collections: backup.backup_type.as_deref() == Some("COLLECTION"),
        state: backup
            .status
            .unwrap_or_else(|| "unknown".to_owned())
            .to_lowercase(),
        created_at: backup.create_time,
        expires_at: backup.expire_time,
        bytes: backup.size,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Owned, TierState};
    use crate::slot::Slot;
    use crate::zilliz::cases;

    #[test]
    fn of_a_cluster_whose_region_is_not_told_the_list_says_just_that() {
        let plan = cases::plan("start = \"02:00\"");
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let why = |cluster: &Cluster| {
            let account = Account::with(cluster);
            let whose = looked_after(&account, (&plan, &[]), cluster);
            let tier = Tier {
                plan: "prod".into(),
                cluster: cluster.cluster_id.clone(),
                slot: Slot::of(now).unwrap(),
                state: TierState::Owned(Owned {
                    backups: BTreeMap::from([("home".to_owned(), "b".to_owned())]),
                    ..Owned::default()
                }),
            };
            let reasons = reasons(whose, &plan, &[tier], &[], now, |_| None);
            reasons["b"].clone()
        };
        let nowhere = Cluster {
            region_id: None,
            ..cases::cluster()
        };
        let told = why(&nowhere);
        assert!(told.contains("does not say its cluster's region"), "{told}");
        assert_ne!(why(&cases::cluster()), told);
    }
}
