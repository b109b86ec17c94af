//! Backups that are made on request, by hand or for a tier: one of each cluster that is asked for, with a copy in every
//! target. They stay until a person deletes them, or, for a tier, `tiers` does.
//!
//! Exactly one original for each cluster and slot, however often events are repeated, die or lose their answers: what a
//! request may have made is written down before it is sent, and looked for before another is sent. It is followed to its
//! end across invocations. What it must never do: send the request again without having looked, or call a copy made that is
//! not in the list.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::account::Account;
use super::client::{Client, ZillizError};
use super::copies::{LISTED_WITHIN, Looks, Record, State};
use super::facts::Facts;
use super::journaled::Journaled;
use super::notes::{ADOPTED, Begun, Intent, Note, Past};
use super::run::{Run, describe};
use super::transport::Transport;
use super::wire::{Backup, Cluster, SentBackup, SentCollections, SentCopy};
use crate::budget::OverBudget;
use crate::clock::Clock;
use crate::event::{Action, ByHand};
use crate::journal::JobLine;
use crate::plan::ClusterPlan;
use crate::service::{Pace, Region};

/// Clusters that are followed at once.
pub(super) const AT_ONCE: usize = 16;
/// From one look to the next.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a `resume` looks after what an earlier invocation began: once more, and not until its end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long the list is asked for what an unanswered request may have made, before it is taken for lost.
/// A list may lag behind, and an attempt that nobody waits for any more may still arrive.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_secs(LISTED_WITHIN.as_secs() + 60);
/// How far the time of an intent and that of what came of it may lie apart the wrong way: the service's are whole seconds.
const SECONDS_APART: SignedDuration = SignedDuration::from_secs(5);
/// Requests that make a backup, in one invocation and for one cluster, each after the last was seen to have made nothing.
const MOST_REQUESTS: u32 = 3;

/// What one cluster came to.
pub(super) struct Made {
    pub(super) lines: Vec<JobLine>,
    pub(super) failures: Vec<(Option<Region>, &'static str, String)>,
    pub(super) warnings: Vec<String>,
}

impl<T: Transport> Run<'_, '_, T> {
    /// Makes the backups that are asked for, or goes on with them.
    pub(super) async fn back_up_by_hand(
        &mut self,
        account: &Account,
        journaled: &Journaled,
        of: &ByHand,
    ) {
        let resumes = self.request.action == Action::Resume;
        let clusters = match chosen(account, self.world.plan, of) {
            Ok(clusters) => clusters,
            Err((word, message)) => return self.report.fail(None, None, word, message),
        };
        self.report.counts.clusters = u64::try_from(clusters.len()).unwrap_or(u64::MAX);
        // What is kept for ever must not be one that a plan lets go.
        let others = match self.ids_of_tiers().await {
            Ok(others) => others,
            Err(error) => {
                let message = format!(
                    "which backups are tiers could not be read, so nothing was done: {error}"
                );
                self.report.fail(None, None, error.word(), message);
                return self.stay_open(journaled);
            }
        };
        let work = clusters.into_iter().map(|cluster| {
            let hand = Hand {
                plan: self.world.plan,
                client: self.world.client,
                clock: &self.world.clock,
                facts: Facts::Run(journaled),
                cluster,
                of,
                others: Others {
                    ids: &others,
                    are_all: self.world.journal.is_some() && self.world.is_shared,
                },
                asks: true,
                until: if resumes {
                    self.until.min(Instant::now() + PATIENCE)
                } else {
                    self.until
                },
                dry_run: self.request.dry_run,
                resumes,
                over_budget: self.over_budget.as_ref(),
            };
            let (refused, notes) = account.against(self.world.plan, self.world.plans, cluster);
            let refused = refused
                .into_iter()
                .map(|refusal| (None, refusal.word, refusal.message));
            let refused: Vec<_> = refused.collect();
            let past = journaled.pasts.of_cluster(&cluster.cluster_id);
            async move {
                if past.begun.is_none() && past.intent.is_none() && !refused.is_empty() {
                    let made = Made {
                        lines: Vec::new(),
                        failures: refused,
                        warnings: notes,
                    };
                    return (cluster, made);
                }
                let mut made = hand.make(past).boxed_local().await;
                made.warnings.extend(notes);
                (cluster, made)
            }
            .boxed_local()
        });
        let made: Vec<_> = stream::iter(work).buffered(AT_ONCE).collect().await;
        for (cluster, made) in made {
            self.add_made(cluster, made);
        }
    }

    fn add_made(&mut self, cluster: &Cluster, made: Made) {
        for warning in made.warnings {
            self.report.warn(format!("{}: {warning}", cluster.shown()));
        }
        for (region, word, message) in made.failures {
            self.report
                .fail(Some(&cluster.cluster_id), region.as_deref(), word, message);
        }
        for line in made.lines {
            self.report.counts.made += u64::from(line.state == "available");
            self.lines.push(line.clone());
            self.report.jobs.push(line);
        }
    }
}

/// The clusters that are meant.
fn chosen<'a>(
    account: &'a Account,
    plan: &'a ClusterPlan,
    of: &ByHand,
) -> Result<Vec<&'a Cluster>, (&'static str, String)> {
    let mut clusters: Vec<&Cluster> = account.selected(plan).collect();
    clusters.retain(|cluster| is_meant(of, cluster));
    match (clusters.as_slice(), &of.cluster) {
        ([], Some(wanted)) => Err(("not_found", format!("plan `{}` selects no cluster `{wanted}`; say one of its clusters, by id or name", plan.name))),
        ([], None) => Err(("not_found", format!("plan `{}` selects no cluster; check `clusters`, the project and the key's scope", plan.name))),
        ([_, _, ..], Some(wanted)) => Err(("ambiguous", format!("several clusters are called `{wanted}`; say the id of the one that is meant"))),
        ([_, _, ..], None) if !of.collections.is_empty() => {
            Err(("ambiguous", "collections are of one cluster, and the plan has several; say which, in `cluster` or with --cluster".into()))
        }
        _ => Ok(clusters),
    }
}

/// Whether a cluster of the plan's is meant.
pub(super) fn is_meant(of: &ByHand, cluster: &Cluster) -> bool {
    of.cluster.as_ref().is_none_or(|wanted| {
        cluster.cluster_id == *wanted || cluster.cluster_name.as_ref() == Some(wanted)
    })
}

/// Backups that are known to be another one's, and never the answer to this request.
#[derive(Clone, Copy)]
pub(super) struct Others<'a> {
    pub(super) ids: &'a BTreeSet<String>,
    /// Whether these are all, because the journal is the one of the runs that make tiers.
    pub(super) are_all: bool,
}

/// Whatever is needed for one cluster.
pub(super) struct Hand<'a, T> {
    pub(super) plan: &'a ClusterPlan,
    pub(super) client: &'a Client<T>,
    pub(super) clock: &'a Clock,
    pub(super) facts: Facts<'a>,
    pub(super) cluster: &'a Cluster,
    pub(super) of: &'a ByHand,
    pub(super) others: Others<'a>,
    /// Whether a backup may be asked for; otherwise only what may have been made is looked for and followed.
    pub(super) asks: bool,
    pub(super) until: Instant,
    pub(super) dry_run: bool,
    pub(super) resumes: bool,
    pub(super) over_budget: Option<&'a OverBudget>,
}

/// What came of asking for a backup.
enum Asked {
    Begun(Begun),
    /// It could not be asked for yet.
    Waits(String),
    /// What a dry run says.
    Planned(String),
    Failed(&'static str, String),
}

/// What came of one request for a backup.
enum Sent {
    /// It is clear what.
    Answered(Asked),
    /// It was refused, because another backup had begun a moment before.
    Raced,
    /// It may have made a backup.
    Unanswered(Intent),
}

fn failed(error: &ZillizError) -> Asked {
    Asked::Failed(error.word(), error.to_string())
}

/// While a request may have made a backup, nothing is over: the run stays open, so that no repeated event sends another.
fn in_doubt(unanswered: bool, error: &ZillizError) -> Asked {
    if !unanswered {
        return failed(error);
    }
    Asked::Waits(format!(
        "the request for the backup was not answered, and what came of it can't be seen: {error}"
    ))
}

fn planned(other: Option<String>, over: Option<&OverBudget>) -> Asked {
    Asked::Planned(match other {
        _ if over.is_some() => "would not be made, as the budget is used up".into(),
        Some(other) => format!("would wait for the backup that is being made ({other})"),
        None => "would be made now".into(),
    })
}

/// What was seen of a backup in this invocation and before.
struct Seen {
    begun: Begun,
    copies: BTreeMap<Region, String>,
    available_since: Option<Timestamp>,
    /// Regions of backups that were described already.
    regions: BTreeMap<String, Option<Region>>,
    job_is_lost: bool,
    /// Regions whose end is written down.
    told: Vec<Region>,
}

fn had_failed(past: &Past, record: &Record) -> bool {
    let line = past.lines.get(&record.region);
    line.is_some_and(|line| line.state == "failed")
}

impl<T: Transport> Hand<'_, T> {
    pub(super) async fn make(&self, past: Past) -> Made {
        let mut warnings = Vec::new();
        let (asked, past) = match past.begun.clone() {
            Some(begun) => (Asked::Begun(begun), past),
            // What is known of an earlier one that failed is nothing of what is made now.
            None => {
                let asked = self.ask(past.intent, &mut warnings);
                (asked.boxed_local().await, Past::default())
            }
        };
        if let Asked::Begun(begun) = &asked {
            warnings.extend(self.doubt_about(begun));
        }
        let waiting = |word, message: String| Made {
            lines: vec![self.line_before(&message)],
            failures: vec![(None, word, message)],
            warnings: Vec::new(),
        };
        let mut made = match asked {
            Asked::Begun(begun) => self.follow(begun, &past).boxed_local().await,
            Asked::Waits(why) => waiting("being_made", why),
            Asked::Planned(what) => Made {
                lines: self.planned(&what),
                failures: Vec::new(),
                warnings: Vec::new(),
            },
            Asked::Failed(word, message) => Made {
                lines: Vec::new(),
                failures: vec![(None, word, message)],
                warnings: Vec::new(),
            },
        };
        made.warnings.append(&mut warnings);
        made
    }

    /// What is told of a backup that was found after silence. A tier is told of with its record.
    fn doubt_about(&self, begun: &Begun) -> Option<String> {
        if !begun.adopted || matches!(self.facts, Facts::Tier(_)) {
            return None;
        }
        let id = &begun.backup;
        let found = format!(
            "the request for the backup was not answered, and {id} was found after it and taken for what it made; somebody else may have had it made at the same time"
        );
        if self.others.are_all {
            return Some(found);
        }
        Some(format!(
            "{found}, and whether it is a tier, which the plan deletes one day, only the journal of the nightly runs knows: look at `lifeboat list` there before you rely on it, or set LIFEBOAT_JOURNAL and ask again"
        ))
    }

    fn home(&self) -> &str {
        self.cluster.region_id.as_deref().unwrap_or_default()
    }

    /// Sees to it that there is one backup, and no second one, for this cluster and slot.
    async fn ask(&self, mut intent: Option<Intent>, warnings: &mut Vec<String>) -> Asked {
        let mut pace = Pace::new(FIRST_LOOK, LONGEST_WAIT);
        let mut requests = 0;
        loop {
            let listed = match self.client.backups(&self.cluster.cluster_id).await {
                Ok(listed) => listed,
                Err(error) => return in_doubt(intent.is_some(), &error),
            };
            if let Some(lost) = &intent {
                match self.find(lost, &listed).await {
                    Err(error) => return in_doubt(true, &error),
                    Ok(Some(found)) => return Asked::Begun(self.adopted(found).await),
                    Ok(None) if self.client.now().duration_since(lost.at) < SETTLED_AFTER => {
                        if !self.wait(pace.next()).await {
                            return Asked::Waits("the request for the backup was not answered; it is looked for before another is sent".into());
                        }
                        continue;
                    }
                    Ok(None) => {
                        warnings.push(
                            "a request for the backup was not answered and had made nothing".into(),
                        );
                        self.refused().await;
                        intent = None;
                    }
                }
            }
            if !self.asks {
                let message = "nothing came of the request for it, and its time is over";
                return Asked::Failed("no_backup", message.into());
            }
            // What a request has made is followed; what none was sent for is not begun.
            if let (Some(over), false) = (self.over_budget, self.dry_run) {
                let message = format!("no backup was asked for: {over}");
                return Asked::Failed("over_budget", message);
            }
            match (self.busy(&listed).await, self.dry_run) {
                (Err(error), _) => return failed(&error),
                (Ok(other), true) => return planned(other, self.over_budget),
                (Ok(Some(other)), false) => {
                    if !self.wait(pace.next()).await {
                        return Asked::Waits(format!(
                            "another backup of the cluster is being made ({other}), and there is one at a time; this one begins when it is done"
                        ));
                    }
                    continue;
                }
                (Ok(None), false) => {}
            }
            if requests == MOST_REQUESTS {
                return Asked::Failed(
                    "no_backup",
                    format!(
                        "{requests} requests for the backup have made none; try again later, and look at the project's jobs in the console"
                    ),
                );
            }
            requests += 1;
            match self.send(&listed).await {
                Sent::Answered(asked) => return asked,
                Sent::Raced => {
                    requests -= 1;
                    if !self.wait(pace.next()).await {
                        return Asked::Waits(
                            "another backup of the cluster began a moment before; this one begins when it is done".into(),
                        );
                    }
                }
                Sent::Unanswered(next) => intent = Some(next),
            }
        }
    }

    /// Writes down what is about to be asked for, and asks for it, once.
    async fn send(&self, listed: &[Backup]) -> Sent {
        if !self.facts.is_ours(self.clock.now()) {
            let message = "another invocation has the plan's lease now, so no backup was asked for";
            return Sent::Answered(Asked::Failed("lease_lost", message.into()));
        }
        let cluster = &self.cluster.cluster_id;
        let intent = self.intent(listed);
        let note = Note::Intended {
            cluster: cluster.clone(),
            intent: intent.clone(),
        };
        self.facts.write(note).await;
        if let Some(fault) = self.facts.fault() {
            return Sent::Answered(Asked::Failed(
                fault.word(),
                format!(
                    "no backup was asked for, because the journal could not be written, and the same event would make a second one: {fault}"
                ),
            ));
        }
        if !self.facts.is_ours(self.clock.now()) {
            let message = "the plan's lease ran out while the journal was written, so no backup was asked for";
            return Sent::Answered(Asked::Failed("lease_lost", message.into()));
        }
        match self.client.create(cluster, &self.wanted()).await {
            Ok(created) => {
                let begun = Begun {
                    // What stood there before can't be what this request made, whatever the answer says.
                    adopted: listed
                        .iter()
                        .any(|backup| backup.backup_id == created.backup_id),
                    backup: created.backup_id,
                    job: created.job_id,
                    at: intent.at,
                };
                Sent::Answered(Asked::Begun(self.begun(begun).await))
            }
            Err(error) if error.is_a_no() => {
                self.refused().await;
                // Somebody may have been faster by a moment; then it is waited for.
                let refused = matches!(error, ZillizError::Refused { .. });
                if refused && self.is_busy_now().await {
                    return Sent::Raced;
                }
                Sent::Answered(failed(&error))
            }
            Err(error) => {
                warn!(error = error.word(), detail = %error, "the request for a backup was not answered; it is looked for");
                Sent::Unanswered(intent)
            }
        }
    }

    async fn refused(&self) {
        let cluster = self.cluster.cluster_id.clone();
        self.facts.write(Note::Refused { cluster }).await;
    }

    async fn adopted(&self, found: Begun) -> Begun {
        info!(
            backup = found.backup,
            "an unanswered request had made a backup, which is adopted"
        );
        self.begun(found).await
    }

    /// Waits, if that fits into this invocation.
    async fn wait(&self, long: Duration) -> bool {
        if Instant::now() + long > self.until {
            return false;
        }
        sleep(long).await;
        true
    }

    async fn begun(&self, begun: Begun) -> Begun {
        let note = Note::Begun {
            cluster: self.cluster.cluster_id.clone(),
            begun: begun.clone(),
        };
        self.facts.write(note).await;
        begun
    }

    fn intent(&self, listed: &[Backup]) -> Intent {
        let at = self.client.now();
        let could_be_it = |backup: &&Backup| {
            backup
                .create_time
                .is_none_or(|made| made + SECONDS_APART + SECONDS_APART >= at)
        };
        Intent {
            at,
            there: listed
                .iter()
                .filter(could_be_it)
                .map(|backup| backup.backup_id.clone())
                .collect(),
        }
    }

    /// What an unanswered request has made: the first original that was made by hand since, and was not there before.
    async fn find(&self, intent: &Intent, listed: &[Backup]) -> Result<Option<Begun>, ZillizError> {
        let kind = self.wanted().backup_type;
        let could_be_it = |backup: &&Backup| {
            backup.creation_method.as_deref() == Some("MANUAL")
                && backup.backup_type.as_deref() == Some(kind)
                && backup
                    .create_time
                    .is_some_and(|at| at + SECONDS_APART >= intent.at)
                && !intent.there.contains(&backup.backup_id)
                && !self.others.ids.contains(&backup.backup_id)
        };
        let mut candidates: Vec<&Backup> = listed.iter().filter(could_be_it).collect();
        candidates.sort_by_key(|backup| backup.create_time);
        for candidate in candidates {
            let described = describe(self.client, &self.cluster.cluster_id, candidate).await?;
            if described.is_some_and(|backup| backup.region_id.as_deref() == Some(self.home())) {
                return Ok(Some(Begun {
                    backup: candidate.backup_id.clone(),
                    job: None,
                    at: candidate.create_time.unwrap_or(intent.at),
                    adopted: true,
                }));
            }
        }
        Ok(None)
    }

    /// A backup of the cluster that is being made, whoever had it made. Copies hold nobody up (inferred).
    async fn busy(&self, listed: &[Backup]) -> Result<Option<String>, ZillizError> {
        for backup in listed
            .iter()
            .filter(|backup| backup.status.as_deref() == Some("CREATING"))
        {
            let described = describe(self.client, &self.cluster.cluster_id, backup).await?;
            if described.is_some_and(|backup| backup.region_id.as_deref() == Some(self.home())) {
                let how = backup.creation_method.as_deref().unwrap_or("unknown");
                return Ok(Some(format!("{}, {how}", backup.backup_id)));
            }
        }
        Ok(None)
    }

    async fn is_busy_now(&self) -> bool {
        match self.client.backups(&self.cluster.cluster_id).await {
            Ok(listed) => self.busy(&listed).await.is_ok_and(|busy| busy.is_some()),
            Err(_) => false,
        }
    }

    fn wanted(&self) -> SentBackup {
        let copies = self.plan.targets.iter().map(|target| SentCopy {
            region_id: target.region.clone(),
            retention_days: None,
        });
        let collections = self
            .of
            .in_database()
            .map(|(database, names)| SentCollections {
                db_name: database.map(str::to_owned),
                collection_names: names.into_iter().map(str::to_owned).collect(),
            });
        SentBackup {
            backup_type: if collections.is_some() {
                "COLLECTION"
            } else {
                "CLUSTER"
            },
            db_collections: collections.map(|one| vec![one]),
            cross_region_copies: copies.collect(),
        }
    }

    /// Looks until original and copies have come to an end, or this invocation has.
    async fn follow(&self, begun: Begun, past: &Past) -> Made {
        let available = past
            .lines
            .get(self.home())
            .filter(|line| line.state == "available");
        let mut seen = Seen {
            begun,
            copies: past.copies.clone(),
            available_since: available.and_then(|line| line.ended_at),
            regions: BTreeMap::new(),
            job_is_lost: false,
            told: Vec::new(),
        };
        let mut pace = Pace::new(FIRST_LOOK, LONGEST_WAIT);
        loop {
            let looked = self.look(&mut seen).boxed_local().await;
            let (records, passing) = match looked {
                Ok(records) => (records, None),
                Err(error) if error.passes() => (Vec::new(), Some(error)),
                Err(error) => {
                    // The run stays open, so that what was begun is never forgotten.
                    let message = format!(
                        "the backup {} was begun, and can't be followed: {error}",
                        seen.begun.backup
                    );
                    let open = format!(
                        "the backup {} was begun; `resume` looks again",
                        seen.begun.backup
                    );
                    return Made {
                        lines: Vec::new(),
                        failures: vec![(None, error.word(), message), (None, "being_made", open)],
                        warnings: Vec::new(),
                    };
                }
            };
            self.remember(&mut seen, &records, past).await;
            let open = records
                .iter()
                .any(|record| matches!(record.state, State::InMaking(_)));
            if (!open && passing.is_none()) || !self.wait(pace.next()).await {
                let made = self.told(&seen, &records, past, passing.as_ref());
                for line in made
                    .lines
                    .iter()
                    .filter(|line| !past.lines.contains_key(&line.region))
                {
                    if line.state == "incomplete" {
                        self.facts.ended(line.clone()).await;
                    }
                }
                return made;
            }
        }
    }

    /// One look at the list, at regions that were not told yet, and at the job.
    async fn look(&self, seen: &mut Seen) -> Result<Vec<Record>, ZillizError> {
        let id = &self.cluster.cluster_id;
        let mut listed = self.client.backups(id).await?;
        let begun_at = seen.begun.at;
        // What is older has nothing to do with it, and a cluster may have many.
        listed.retain(|backup| {
            backup
                .create_time
                .is_none_or(|at| at + SECONDS_APART >= begun_at)
                || backup.backup_id == seen.begun.backup
        });
        let unknown: Vec<&Backup> = listed
            .iter()
            .filter(|backup| !seen.regions.contains_key(&backup.backup_id))
            .collect();
        let described = join_all(
            unknown
                .iter()
                .map(|backup| describe(self.client, id, backup)),
        )
        .await;
        let unknown: Vec<String> = unknown
            .iter()
            .map(|backup| backup.backup_id.clone())
            .collect();
        for (backup, described) in unknown.into_iter().zip(described) {
            let region = described?.and_then(|backup| backup.region_id);
            seen.regions.insert(backup, region);
        }
        for backup in &mut listed {
            backup.region_id = seen.regions.get(&backup.backup_id).cloned().flatten();
        }
        let job = match &seen.begun.job {
            Some(job) if !seen.job_is_lost && seen.available_since.is_none() => {
                self.client.job(job).await?
            }
            _ => None,
        };
        seen.job_is_lost |= job.is_none();
        let failed = self.failed_copies(seen, &listed).await?;
        let looks = Looks {
            begun: &seen.begun,
            home: self.home(),
            listed: &listed,
            job: job.as_ref(),
            available_since: seen.available_since,
            seen: &seen.copies,
            failed: &failed,
            grace: SignedDuration::from_hours(self.plan.grace_hours.into()),
            now: self.client.now(),
        };
        Ok(looks.records(
            self.plan
                .targets
                .iter()
                .map(|target| target.region.as_str()),
        ))
    }

    /// Why copies failed, as far as the service tells: asked only when the original is there and a copy is not.
    async fn failed_copies(
        &self,
        seen: &Seen,
        listed: &[Backup],
    ) -> Result<BTreeMap<Region, String>, ZillizError> {
        let has = |region: &str| {
            listed
                .iter()
                .any(|backup| backup.region_id.as_deref() == Some(region))
        };
        let all_there = self.plan.targets.iter().all(|target| has(&target.region));
        if seen.available_since.is_none() || all_there {
            return Ok(BTreeMap::new());
        }
        let jobs = self
            .client
            .failed_jobs(&self.cluster.cluster_id, seen.begun.at)
            .await?;
        let told = jobs.into_iter().map(|job| {
            let reason = job.reason;
            let reason = reason.unwrap_or_else(|| "the service gives no reason".into());
            (job.region, reason)
        });
        Ok(told.collect())
    }

    /// Writes down what is new: copies that were seen, and what has come to an end.
    async fn remember(&self, seen: &mut Seen, records: &[Record], past: &Past) {
        let now = self.client.now();
        for (at, record) in records.iter().enumerate() {
            let region = &record.region;
            if let (1.., Some(backup)) = (at, &record.backup)
                && seen.copies.get(region) != Some(backup)
            {
                seen.copies.insert(region.clone(), backup.clone());
                let note = Note::CopySeen {
                    cluster: self.cluster.cluster_id.clone(),
                    region: region.clone(),
                    backup: backup.clone(),
                };
                self.facts.write(note).await;
            }
            if at == 0 && record.state == State::Available {
                seen.available_since.get_or_insert(now);
            }
            let line = self.line(&seen.begun, record, now);
            let known = past
                .lines
                .get(region)
                .is_some_and(|known| known.state == line.state);
            if line.state != "incomplete" && !known && !seen.told.contains(region) {
                seen.told.push(region.clone());
                self.facts.ended(line).await;
            }
        }
    }

    fn told(
        &self,
        seen: &Seen,
        records: &[Record],
        past: &Past,
        passing: Option<&ZillizError>,
    ) -> Made {
        let now = self.client.now();
        let mut made = Made {
            lines: records
                .iter()
                .map(|record| self.line(&seen.begun, record, now))
                .collect(),
            failures: Vec::new(),
            warnings: Vec::new(),
        };
        if let Some(line) = made
            .lines
            .first_mut()
            .filter(|line| line.state == "available")
        {
            line.ended_at = seen.available_since.or(line.ended_at);
        }
        if let Some(error) = passing {
            made.failures.push((
                None,
                "being_made",
                format!(
                    "the backup {} was begun; how far it is could not be asked: {error}",
                    seen.begun.backup
                ),
            ));
        }
        let in_making = |record: &Record| matches!(record.state, State::InMaking(_));
        // What is known of a tier's failures goes with its record, once all has ended; whoever told them before may have died.
        let is_last_look = matches!(self.facts, Facts::Tier(_)) && !records.iter().any(in_making);
        for record in records {
            let region = Some(record.region.clone());
            match &record.state {
                State::Available => {}
                State::InMaking(shown) => made.failures.push((
                    region,
                    "being_made",
                    format!("not done yet ({shown}); `resume` looks again"),
                )),
                // An invocation that carries on tells a failure once, so that nobody is woken every five minutes.
                State::Failed(..) if self.resumes && !is_last_look && had_failed(past, record) => {}
                State::Failed(word, message) => made.failures.push((region, word, message.clone())),
            }
        }
        made
    }

    fn line(&self, begun: &Begun, record: &Record, now: Timestamp) -> JobLine {
        let (state, progress, error) = match &record.state {
            State::Available => ("available", None, None),
            State::InMaking(shown) => ("incomplete", Some(shown.clone()), None),
            State::Failed(word, message) => ("failed", None, Some((*word, message.clone()))),
        };
        JobLine {
            target: record.region.clone(),
            region: record.region.clone(),
            source: self.cluster.cluster_id.clone(),
            backup: record.backup.clone(),
            state: state.to_owned(),
            rows: 0,
            bytes_written: record.size.unwrap_or(0),
            bytes_returned: 0,
            started_at: Some(begun.at),
            ended_at: (state != "incomplete").then_some(now),
            progress,
            error: error.as_ref().map(|(word, _)| (*word).to_owned()),
            message: error
                .map(|(_, message)| message)
                .or_else(|| begun.adopted.then(|| ADOPTED.to_owned())),
        }
    }

    /// What a dry run shows: the original, and then a copy for each target.
    fn planned(&self, what: &str) -> Vec<JobLine> {
        let targets = self
            .plan
            .targets
            .iter()
            .map(|target| target.region.as_str());
        let regions = std::iter::once(self.home()).chain(targets);
        let planned = regions.map(|region| JobLine {
            target: region.to_owned(),
            region: region.to_owned(),
            state: "planned".into(),
            ..self.line_before(what)
        });
        planned.collect()
    }

    /// The original's line while there is no backup yet.
    fn line_before(&self, why: &str) -> JobLine {
        JobLine {
            target: self.home().to_owned(),
            region: self.home().to_owned(),
            source: self.cluster.cluster_id.clone(),
            backup: None,
            state: "incomplete".into(),
            rows: 0,
            bytes_written: 0,
            bytes_returned: 0,
            started_at: None,
            ended_at: None,
            progress: Some(why.to_owned()),
            error: None,
            message: None,
        }
    }
}
