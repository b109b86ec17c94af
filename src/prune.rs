//! Deletes what retention no longer needs from one target, with a certificate for each deletion.
//!
//! First every source is decided about, then the whole list is judged (`approval`), then it is deleted. Sources are
//! independent. Evidence is read only where a name alone can't settle it; right before each DELETE the
//! backup and the siblings that make it superfluous are read again, and after it, whether it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::certificate::{self, Claim, Refusal, Witness};
use crate::clock::Clock;
use crate::journal::{Holds, Journal, JournalError, Lease, leased};
use crate::listing::{CompleteListing, ReadToTheEnd};
use crate::name::{BackupName, Namespace};
use crate::plan::{Plan, Target};
use crate::retention::{self, Backup, Decision, Evidence, Keep, Superseded, Verdict};
use crate::service::{Metadata, Service, ServiceError, decided_anew};

/// Answers that are older than the certificate lets two clocks be apart are no evidence; a minute less tells them from
/// clocks that differ.
const EVIDENCE_LASTS: Duration = Duration::from_mins(4);

/// A target's backups of one plan, by source and then by slot.
#[derive(Debug)]
pub struct Inventory {
    sources: BTreeMap<Namespace, Vec<Backup>>,
    /// Backups that a dry run pretends to have made.
    planned: BTreeSet<Namespace>,
    /// Names under the plan's prefix that are no backups of it. They are shown, and never touched.
    pub strays: Vec<String>,
    complete: ReadToTheEnd,
}

impl Inventory {
    /// Sorts a complete listing. A name belongs to the plan only by the exact grammar and the plan's selectors.
    #[must_use]
    pub fn of(plan: &Plan, target: &Target, listing: CompleteListing) -> Self {
        let mut sources: BTreeMap<Namespace, Vec<Backup>> = BTreeMap::new();
        let mut strays = Vec::new();
        for text in listing.names {
            match BackupName::parse(&target.prefix, &text) {
                Some(name) if plan.source.selectors.selects(name.source().as_str()) => {
                    sources
                        .entry(name.source().clone())
                        .or_default()
                        .push(Backup {
                            name,
                            evidence: None,
                        });
                }
                _ => strays.push(text),
            }
        }
        for backups in sources.values_mut() {
            backups.sort_unstable_by_key(|backup| backup.name.slot());
        }
        Self {
            sources,
            planned: BTreeSet::new(),
            strays,
            complete: listing.complete,
        }
    }

    /// Sources with at least one backup, and their backups, oldest first.
    pub fn sources(&self) -> impl Iterator<Item = (&Namespace, &[Backup])> {
        self.sources
            .iter()
            .map(|(source, backups)| (source, backups.as_slice()))
    }

    /// The proof that nothing is missing here.
    #[must_use]
    pub fn complete(&self) -> &ReadToTheEnd {
        &self.complete
    }

    /// How many backups there are.
    #[must_use]
    pub fn backups(&self) -> usize {
        self.sources.values().map(Vec::len).sum()
    }

    /// A source's backups, oldest first.
    #[must_use]
    pub fn backups_of(&self, source: &Namespace) -> &[Backup] {
        self.sources
            .get(source)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Adds a backup as if it had been made and sealed.
    pub fn add_planned(&mut self, name: &BackupName, evidence: Evidence) {
        if !self
            .backups_of(name.source())
            .iter()
            .any(|backup| backup.name == *name)
        {
            self.add_sealed(name, evidence);
            self.planned.insert(name.namespace().clone());
        }
    }

    /// How many backups a dry run pretends to have made.
    #[must_use]
    pub fn planned(&self) -> u64 {
        u64::try_from(self.planned.len()).unwrap_or(u64::MAX)
    }

    /// Adds a backup that was sealed after the listing, or what its job saw of it.
    pub fn add_sealed(&mut self, name: &BackupName, evidence: Evidence) {
        let backups = self.sources.entry(name.source().clone()).or_default();
        match backups.iter_mut().find(|backup| backup.name == *name) {
            Some(known) => known.evidence = Some(evidence),
            None => {
                backups.push(Backup {
                    name: name.clone(),
                    evidence: Some(evidence),
                });
                backups.sort_unstable_by_key(|backup| backup.name.slot());
            }
        }
    }
}

/// How far pruning may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decide about every backup, from everybody's evidence, and delete nothing.
    Show,
    /// Decide, certify, delete.
    Delete,
}

/// What all deletions in one target share.
pub struct Pruning<'a, S> {
    /// The plan whose selectors say what is ours.
    pub plan: &'a Plan,
    /// The target whose retention decides.
    pub target: &'a Target,
    /// The target's region.
    pub service: &'a S,
    /// Why nothing of a source may be deleted in this run, if that is so.
    pub hold: &'a dyn Fn(&Namespace) -> Option<Keep>,
    /// The local clock.
    pub clock: Clock,
    /// The plan's lease, if there is a journal.
    pub lease: Option<Arc<Lease>>,
    /// Where restores say what they hold; without it nobody can.
    pub journal: Option<&'a Journal>,
    /// When to stop working.
    pub until: Instant,
    /// Show or delete.
    pub mode: Mode,
}

/// What was decided about one source.
#[derive(Debug, Default)]
pub struct Decided {
    /// What was decided about each backup.
    pub decisions: Vec<Decision>,
    /// Evidence could not be read, so nothing of this source was decided.
    pub unread: Option<ServiceError>,
    /// Time ran out before this source's turn.
    pub not_reached: bool,
}

/// The due backups of one source, and what they were judged by.
#[derive(Debug)]
pub struct DueOfSource {
    /// The source.
    pub source: Namespace,
    /// Its due backups, oldest first, each with what made it superfluous.
    pub due: Vec<(BackupName, Superseded)>,
    backups: Vec<Backup>,
}

/// What became of one backup that was due.
#[derive(Debug)]
pub enum Deletion {
    /// Deleted, and seen to be gone.
    Deleted(Superseded),
    /// The certificate was refused; it stays.
    Refused(Refusal),
    /// The service failed; it stays, or will be found again by the next run.
    Failed(ServiceError),
    /// The service said yes and still shows it.
    StillThere,
    /// The invocation ends; the next run decides again.
    OutOfTime,
    /// What was read had grown old before all of it was there, so the certificate believed it no more; it stays.
    TooSlow,
}

impl Deletion {
    /// Why the DELETE itself was not carried out, as far as anybody knows.
    fn put_off(&self) -> Option<&ServiceError> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<S: Service> Pruning<'_, S> {
    /// Decides about every source; one that can't be read never stops another. Each decision goes to `report` as it
    /// comes, and what is due comes back. Nothing is deleted.
    pub async fn decide(
        &self,
        holds: &Holds,
        inventory: &Inventory,
        mut report: impl FnMut(&Namespace, &[Backup], &Decided),
    ) -> Vec<DueOfSource> {
        let sources = stream::iter(&inventory.sources);
        let mut decided = sources
            .map(|(source, backups)| {
                let decided = self.decide_source(source, backups, &inventory.planned);
                decided.map(move |decided| (source, decided)).boxed_local()
            })
            .buffer_unordered(self.in_flight());
        let mut due = Vec::new();
        while let Some((source, (backups, mut decided))) = decided.next().await {
            self.keep_what_is_restored(&mut decided.decisions, holds);
            report(source, &backups, &decided);
            due.extend(due_of(source, backups, decided.decisions));
        }
        due
    }

    /// What restores hold in any region, completely or not at all.
    pub async fn holds(&self) -> Result<Holds, JournalError> {
        match self.journal {
            Some(journal) => journal.holds(self.clock.now()).await,
            None => Ok(Holds::default()),
        }
    }

    fn keep_what_is_restored(&self, decisions: &mut [Decision], holds: &Holds) {
        for decision in decisions {
            let name = decision.name.namespace().as_str();
            if let Some(restore) = holds.holder(self.service.region(), name) {
                let restore = restore.to_owned();
                keep_all(
                    std::slice::from_mut(decision),
                    &Keep::BeingRestored { restore },
                );
            }
        }
    }

    /// Deletes what is due, source by source; one that fails never stops another.
    pub async fn delete(
        &self,
        due: &[DueOfSource],
        inventory: &Inventory,
        mut report: impl FnMut(&Namespace, Vec<(BackupName, Deletion)>),
    ) {
        let sources = stream::iter(due);
        let mut deleted = sources
            .map(|due| {
                let deletions = self.delete_due(due, &inventory.complete);
                deletions
                    .map(move |deletions| (&due.source, deletions))
                    .boxed_local()
            })
            .buffer_unordered(self.in_flight());
        while let Some((source, deletions)) = deleted.next().await {
            report(source, deletions);
        }
    }

    fn in_flight(&self) -> usize {
        usize::try_from(self.plan.concurrency).unwrap_or(1).max(1)
    }

    async fn decide_source(
        &self,
        source: &Namespace,
        backups: &[Backup],
        planned: &BTreeSet<Namespace>,
    ) -> (Vec<Backup>, Decided) {
        let not_reached = || Decided {
            not_reached: true,
            ..Decided::default()
        };
        if Instant::now() >= self.until {
            return (Vec::new(), not_reached());
        }
        let backups = match timeout_at(self.until, self.with_evidence(backups)).await {
            Ok(Ok(backups)) => backups,
            Ok(Err(error)) => {
                warn!(job = source.as_str(), region = self.service.region(), error = error.word(), detail = %error, "evidence unread; nothing of this source is deleted");
                let unread = Decided {
                    unread: Some(error),
                    ..Decided::default()
                };
                return (Vec::new(), unread);
            }
            Err(_) => return (Vec::new(), not_reached()),
        };
        let mut decisions = retention::plan(&backups, &self.target.retention, self.clock.now());
        if let Some(reason) = (self.hold)(source) {
            keep_all(&mut decisions, &reason);
        }
        for decision in decisions
            .iter_mut()
            .filter(|decision| planned.contains(decision.name.namespace()))
        {
            decision.verdict = Verdict::Keep(vec![Keep::Planned]);
        }
        let decided = Decided {
            decisions,
            ..Decided::default()
        };
        (backups, decided)
    }

    /// Reads what the planner needs to know, or everything when everything is to be shown. A backup that is gone by
    /// now is left out.
    async fn with_evidence(&self, backups: &[Backup]) -> Result<Vec<Backup>, ServiceError> {
        let mut backups = backups.to_vec();
        loop {
            let unasked = match self.mode {
                Mode::Show => (0..backups.len())
                    .filter(|at| {
                        backups
                            .get(*at)
                            .is_some_and(|backup| backup.evidence.is_none())
                    })
                    .collect(),
                Mode::Delete => {
                    retention::unasked(&backups, &self.target.retention, self.clock.now())
                }
            };
            if unasked.is_empty() {
                return Ok(backups);
            }
            let mut gone = Vec::new();
            for at in unasked {
                let Some(backup) = backups.get_mut(at) else {
                    continue;
                };
                match self.read(backup.name.namespace()).await? {
                    Some(metadata) => {
                        backup.evidence = Some(Evidence {
                            created_at: metadata.created_at,
                            sealed: metadata.read_only,
                        });
                    }
                    None => gone.push(backup.name.clone()),
                }
            }
            backups.retain(|backup| !gone.contains(&backup.name));
        }
    }

    async fn read(&self, namespace: &Namespace) -> Result<Option<Metadata>, ServiceError> {
        let metadata = self.service.metadata(namespace).await?;
        self.clock
            .compare(metadata.as_ref().and_then(|metadata| metadata.answered_at));
        Ok(metadata)
    }

    /// Deletes one source's due backups, oldest first, one after the other.
    async fn delete_due(
        &self,
        due: &DueOfSource,
        complete: &ReadToTheEnd,
    ) -> Vec<(BackupName, Deletion)> {
        let mut deletions = Vec::new();
        for (name, superseded) in &due.due {
            let decide = async || {
                self.decide_and_delete(name, superseded, &due.backups, complete)
                    .await
            };
            let deletion = decided_anew(decide, Deletion::put_off);
            let deletion = match timeout_at(self.until, deletion).await {
                Ok(Ok(deletion)) => deletion,
                Ok(Err(error)) => Deletion::Failed(error),
                Err(_) => Deletion::OutOfTime,
            };
            log(name, self.service.region(), &deletion);
            deletions.push((name.clone(), deletion));
        }
        deletions
    }

    /// Looks at everything once more, and sends one DELETE if the certificate is given.
    async fn decide_and_delete(
        &self,
        name: &BackupName,
        superseded: &Superseded,
        backups: &[Backup],
        complete: &ReadToTheEnd,
    ) -> Result<Deletion, ServiceError> {
        let began = Instant::now();
        let Some(candidate) = self.witness(name.namespace()).await? else {
            return Ok(Deletion::Deleted(superseded.clone()));
        };
        let mut siblings = Vec::new();
        let policy = &self.target.retention;
        for sibling in retention::vouching(name, backups, policy, self.clock.now()) {
            siblings.extend(self.witness(sibling.namespace()).await?);
        }
        let holds = self.holds().await.ok();
        let holder = |holds: &Holds| {
            holds
                .holder(self.service.region(), name.namespace().as_str())
                .is_some()
        };
        let (now, latest) = (self.clock.now(), self.clock.latest());
        let lease = leased(self.lease.as_deref(), now, latest).await;
        let certified = certificate::certify(&Claim {
            candidate: &candidate,
            siblings: &siblings,
            prefix: self.target.prefix.as_str(),
            selects: &|source| self.plan.source.selectors.selects(source),
            window_days: policy.days.map_or(0, NonZeroU32::get),
            daily: policy.periods.daily,
            weekly: policy.periods.weekly,
            monthly: policy.periods.monthly,
            yearly: policy.periods.yearly,
            zone: &policy.zone,
            min: policy.min.get(),
            held: &|name| policy.hold.contains(name),
            being_restored: holds.as_ref().map(holder),
            lease,
            listing: complete,
            now: self.clock.now(),
        });
        let certificate = match certified {
            Ok(certificate) => certificate,
            Err(Refusal::ClocksDisagree) if began.elapsed() > EVIDENCE_LASTS => {
                return Ok(Deletion::TooSlow);
            }
            Err(refusal) => return Ok(Deletion::Refused(refusal)),
        };
        if !self.clock.agrees() {
            return Ok(Deletion::Refused(Refusal::ClocksDisagree));
        }
        if let Err(error) = self.service.delete(&certificate).await {
            return Ok(Deletion::Failed(error));
        }
        let gone = self.read(name.namespace()).await?.is_none();
        Ok(if gone {
            Deletion::Deleted(superseded.clone())
        } else {
            Deletion::StillThere
        })
    }

    async fn witness(&self, namespace: &Namespace) -> Result<Option<Witness>, ServiceError> {
        let metadata = self.read(namespace).await?;
        Ok(metadata.map(|metadata| Witness {
            namespace: namespace.to_string(),
            created_at: metadata.created_at,
            read_only: metadata.read_only,
            answered_at: metadata.answered_at,
        }))
    }
}

/// What of a source's decisions is due, if anything.
fn due_of(
    source: &Namespace,
    backups: Vec<Backup>,
    decisions: Vec<Decision>,
) -> Option<DueOfSource> {
    let due = decisions
        .into_iter()
        .filter_map(|decision| match decision.verdict {
            Verdict::Due(superseded) => Some((decision.name, superseded)),
            Verdict::Keep(_) => None,
        });
    let due: Vec<_> = due.collect();
    (!due.is_empty()).then(|| DueOfSource {
        source: source.clone(),
        due,
        backups,
    })
}

/// Adds a reason to keep to every decision.
fn keep_all(decisions: &mut [Decision], reason: &Keep) {
    for decision in decisions {
        match &mut decision.verdict {
            Verdict::Keep(reasons) => reasons.push(reason.clone()),
            verdict @ Verdict::Due(_) => *verdict = Verdict::Keep(vec![reason.clone()]),
        }
    }
}

fn log(name: &BackupName, region: &str, deletion: &Deletion) {
    let (job, backup) = (name.source().as_str(), name.namespace().as_str());
    match deletion {
        Deletion::Deleted(superseded) => {
            info!(job, backup, region, superseded_by = superseded.by, superseded_at = %superseded.at, "backup deleted");
        }
        Deletion::Refused(refusal) => {
            warn!(job, backup, region, detail = %refusal, "deletion refused; the backup stays");
        }
        Deletion::Failed(error) => {
            warn!(job, backup, region, error = error.word(), detail = %error, "deletion not confirmed; the next run looks again");
        }
        Deletion::OutOfTime => warn!(
            job,
            backup, region, "time ran out during this deletion; the next run looks again"
        ),
        Deletion::TooSlow => warn!(
            job,
            backup,
            region,
            "the service answered too slowly for this deletion to be decided; the next run decides"
        ),
        Deletion::StillThere => warn!(
            job,
            backup, region, "the service answered a deletion and still shows the backup"
        ),
    }
}
