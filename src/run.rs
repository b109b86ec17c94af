//! Opens, drives and closes a run: list, copy, compare, seal, and only then prune.
//!
//! One failing source never stops another, and nothing is deleted where this run could not prove a newer good backup.
//! Every run ends in exactly one report.

mod discarding;
mod verifying;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, pending};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, error, info, info_span, warn};

use jiff::Timestamp;

use crate::approval::{DueList, Leave, PlanHash};
use crate::backup::{JobRecord, Jobs};
use crate::clock::Clock;
use crate::event::{Action, Request};
use crate::journal::{
    Entry, JobLine, Journal, Lease, LeaseError, RENEW_EVERY, RunKey, RunLog, RunRecord,
};
use crate::listing::{self, CompleteListing, ListingError};
use crate::name::{BackupName, Class, Namespace};
use crate::plan::{Plan, Target};
use crate::prune::{DueOfSource, Inventory, Mode, Pruning};
use crate::report::{Report, Size};
use crate::resume::{Notes, Pasts};
use crate::retention::{self, Backup, Evidence, Keep, Policy};
use crate::service::{Patient, Progress, Service, ServiceError};
use crate::slot::{Slot, SlotError};

/// How long a `resume` waits for a copy that an earlier invocation started: one more look, not its end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Namespaces that are compared row by row at once. Each takes a few megabytes for its pages.
const READ_AT_ONCE: usize = 4;
/// How far ahead a dry run says what falls due.
const DAYS_AHEAD: u32 = 7;

/// What a run works with. Built once per process, or once per test.
pub struct World<'a, S> {
    /// The plan.
    pub plan: &'a Plan,
    /// The region of the sources.
    pub source: &'a Patient<S>,
    /// The regions of the backups, in the order of the plan's targets.
    pub targets: &'a [Patient<S>],
    /// Where long copies are remembered; without one, a run has one invocation.
    pub journal: Option<&'a Journal>,
    /// The local clock.
    pub clock: Clock,
    /// How long the report may be.
    pub report: Size,
    /// Called with what just happened; for a progress bar.
    pub watch: &'a dyn Fn(Step<'_>),
}

/// What a watcher is told.
#[derive(Debug)]
pub enum Step<'a> {
    /// So many jobs will run.
    Jobs(usize),
    /// One has ended.
    Job(&'a JobRecord),
    /// Pruning looks at the backups of so many sources.
    Pruning(usize),
    /// One of them is done.
    Pruned,
    /// So many backups will be compared.
    Verifying(usize),
    /// One of them is done.
    Verified,
}

/// Why a request can't even begin. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The event names no plan, or one that is not configured.
    #[error(transparent)]
    Event(#[from] crate::event::EventError),
    /// There is no journal to read.
    #[error(
        "no journal is configured, so there is nothing to carry on with or to show; set LIFEBOAT_JOURNAL, such as `s3://bucket/lifeboat`"
    )]
    NoJournal,
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The scheduled time can't be a slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
}

impl Refused {
    /// The error type that Lambda reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Event(_) | Self::Slot(_) => "BadEvent",
            Self::NoJournal => "Configuration",
            Self::Journal(_) => "Journal",
        }
    }
}

/// Carries a request out. `time_left` is how long it may work.
pub async fn run<S: Service>(
    request: &Request,
    world: &World<'_, S>,
    run_id: String,
    time_left: Duration,
) -> Result<Report, Refused> {
    let begun = world.clock.now();
    let slot = match (request.action, request.scheduled_time) {
        (Action::Resume, Some(slot)) => Slot::of(slot)?,
        (_, scheduled) => Slot::of_run(scheduled, begun)?,
    };
    let report = Report::begin(
        request,
        world.plan,
        slot,
        run_id.clone(),
        begun,
        world.report,
    );
    let mut run = Run {
        request,
        world,
        clock: world.clock.for_a_new_run(),
        slot,
        copy_until: Instant::now() + time_left.saturating_sub(time_left / 10),
        until: Instant::now() + time_left,
        lease: None,
        notes: Notes::default(),
        pasts: Pasts::default(),
        compared: BTreeSet::new(),
        report,
    };
    let before = run.attempts();
    let span = info_span!("run", run_id, plan = world.plan.name, slot = %slot.instant());
    let work = async {
        if run.open().await {
            let renewals = renew(run.lease.clone(), run.clock.clone());
            tokio::select! {
                biased;
                () = run.work().boxed_local() => {}
                never = renewals => match never {},
            }
        }
        run.close(before).await
    };
    Ok(work.instrument(span).await)
}

struct Run<'a, 'w, S> {
    request: &'a Request,
    world: &'a World<'w, S>,
    clock: Clock,
    slot: Slot,
    /// When copying ends, so that pruning has its turn.
    copy_until: Instant,
    until: Instant,
    /// The plan's lease; `None` without a journal, or with one out of order.
    lease: Option<Arc<Lease>>,
    notes: Notes,
    pasts: Pasts,
    /// Targets and sources whose backups a job of this invocation has compared.
    compared: BTreeSet<(usize, Namespace)>,
    report: Report,
}

/// Makes the lease last for as long as the run works.
async fn renew(lease: Option<Arc<Lease>>, clock: Clock) -> Infallible {
    let Some(lease) = lease else {
        return pending().await;
    };
    loop {
        sleep(RENEW_EVERY).await;
        if let Err(error) = lease.renew(clock.now()).await {
            warn!(error = error.word(), detail = %error, "the lease was not renewed");
        }
    }
}

/// Sources that a complete listing shows.
type Live = BTreeSet<Namespace>;

/// One target of the plan during a run.
struct Side<'a, S> {
    /// Its place among the plan's targets, and in the report.
    at: usize,
    target: &'a Target,
    service: &'a Patient<S>,
    /// What stands there; `None` when its listing is not complete, so that nothing may be deleted.
    inventory: Option<Inventory>,
    /// Sources without a sealed backup of this slot.
    unsealed: BTreeSet<Namespace>,
}

impl<S> Side<'_, S> {
    fn known(&self, source: &Namespace) -> &[Backup] {
        self.inventory
            .as_ref()
            .map(|inventory| inventory.backups_of(source))
            .unwrap_or_default()
    }

    fn has_backup_of(&self, source: &Namespace, slot: Slot) -> bool {
        let newest = self.known(source).last();
        newest.is_some_and(|newest| newest.name.slot() >= slot)
    }
}

impl<'w, S: Service> Run<'_, 'w, S> {
    /// Takes the plan's lease and opens the run in the journal. `false` when another invocation is at work.
    async fn open(&mut self) -> bool {
        let changes = match self.request.action {
            Action::Backup | Action::Prune | Action::Seal | Action::Discard => {
                !self.request.dry_run
            }
            Action::Resume => true,
            Action::List | Action::Jobs | Action::Check | Action::Verify => false,
        };
        let (Some(journal), true) = (self.world.journal, changes) else {
            return true;
        };
        let now = self.clock.now();
        let lease = journal.acquire(&self.world.plan.name, &self.report.run_id, now);
        let opened = match lease.await {
            Ok(lease) => {
                let lease = self.lease.insert(Arc::new(lease));
                if !matches!(self.request.action, Action::Backup | Action::Resume) {
                    return true;
                }
                let key = RunKey {
                    plan: self.world.plan.name.clone(),
                    slot: self.slot,
                    class: class(self.request),
                };
                journal.open_run(lease, &key, now).await
            }
            Err(held @ LeaseError::Held { .. }) => {
                self.report.fail(held.word(), held.to_string());
                for at in 0..self.world.targets.len() {
                    self.stop_deletion_at(at, "another invocation has the plan's lease");
                }
                return false;
            }
            Err(error) => {
                self.doubt_the_journal(error.word(), error.to_string());
                return true;
            }
        };
        match opened {
            Ok(log) => {
                self.pasts = Pasts::of(log.entries());
                self.notes = Notes::new(Some(log));
            }
            Err(error) => self.doubt_the_journal(error.word(), error.to_string()),
        }
        true
    }

    /// Copying goes on without a journal; but nobody knows now who else is at work, so nothing is deleted.
    fn doubt_the_journal(&mut self, word: &'static str, message: String) {
        error!(error = word, detail = message, "the journal can't be used");
        self.report.fail(word, message);
        for at in 0..self.world.targets.len() {
            self.stop_deletion_at(at, "the journal can't be used");
        }
    }

    async fn work(&mut self) {
        if self.request.action == Action::Resume {
            if self.is_too_late() {
                return self.abandon();
            }
            if self.only_waits().await {
                return;
            }
        }
        match self.request.action {
            Action::Backup | Action::Resume if self.request.manual => self.back_up_for_ever().await,
            Action::Backup | Action::Resume => self.back_up().await,
            Action::Prune => self.prune_only().await,
            Action::List => self.list().await,
            Action::Verify => self.verify().boxed_local().await,
            Action::Seal => self.seal().boxed_local().await,
            Action::Discard => self.discard().boxed_local().await,
            Action::Jobs | Action::Check => {}
        }
    }

    /// Whether a copy made now would show another state than the slot's.
    fn is_too_late(&self) -> bool {
        Slot::of_run(Some(self.slot.instant()), self.clock.now()).is_err()
    }

    fn abandon(&mut self) {
        let slot = self.slot.instant();
        self.report.fail("abandoned", format!(
            "the run of {slot} was not finished within seven days and is given up; what it sealed stands, and the next run copies the rest"
        ));
    }

    /// Whether nothing is left to do but wait for copies, and none has ended. Costs one question for each of them.
    async fn only_waits(&mut self) -> bool {
        if !(self.pasts.only_copies_are_left && self.pasts.all_have_tokens()) {
            return false;
        }
        let world = self.world;
        let mut waiting = Vec::new();
        for (at, (target, service)) in world.plan.targets.iter().zip(world.targets).enumerate() {
            for (source, token) in self.pasts.copying(&target.name) {
                let Ok(name) =
                    BackupName::of(&target.prefix, class(self.request), &source, self.slot)
                else {
                    continue;
                };
                match service.poll_copy(name.namespace(), token).await {
                    Ok(Progress::Running(progress)) => waiting.push((at, name, progress)),
                    _ => return false,
                }
            }
        }
        for (at, name, progress) in &waiting {
            self.report.add_waiting(*at, name, progress.as_deref());
        }
        !waiting.is_empty()
    }

    /// Lists all sides, runs every job, then prunes.
    async fn back_up(&mut self) {
        let (live, mut sides) = self.list_sides(&[Class::Scheduled]).await;
        let Some(live) = live else { return };
        self.warn_about(&live);
        if !self.request.dry_run {
            self.run_jobs(&live, &mut sides).await;
        }
        self.prune(&mut sides, &live).await;
    }

    /// Backups that retention never looks at, so nothing is pruned either.
    async fn back_up_for_ever(&mut self) {
        let (live, mut sides) = self.list_sides(&[Class::Manual]).await;
        let Some(live) = live else { return };
        self.warn_about(&live);
        if !self.request.dry_run {
            self.run_jobs(&live, &mut sides).await;
        }
        for side in &sides {
            self.stop_deletion_at(side.at, "a manual backup deletes nothing");
        }
    }

    async fn prune_only(&mut self) {
        let (live, mut sides) = self.list_sides(&[Class::Scheduled]).await;
        if let Some(live) = live {
            self.prune(&mut sides, &live).await;
        }
    }

    /// Shows every backup with its reasons; deletes nothing, dry run or not.
    async fn list(&mut self) {
        let (live, sides) = self.list_sides(&[Class::Scheduled, Class::Manual]).await;
        let Some(live) = live else { return };
        for side in &sides {
            if let Some(inventory) = &side.inventory {
                self.report.add_strays(side.at, &inventory.strays, true);
                self.decide(side, inventory, &live, Mode::Show).await;
            }
        }
    }

    /// The sources, completely or not at all, and every target that can be used. What is wrong is reported here.
    async fn list_sides(&mut self, classes: &[Class]) -> (Option<Live>, Vec<Side<'w, S>>) {
        let (world, until) = (self.world, self.until);
        let plan = world.plan;
        let targets = plan.targets.iter().zip(world.targets);
        let backups = join_all(targets.map(|(target, service)| {
            let prefixes = plan.backup_prefixes(target, classes);
            async move { list_all(service, &prefixes, until).await }.boxed_local()
        }));
        let (sources, backups) = futures_util::join!(
            list_all(world.source, plan.source.selectors.prefixes(), until).boxed_local(),
            backups
        );
        let targets = plan.targets.iter().zip(world.targets);
        let mut sides = Vec::new();
        for ((at, (target, service)), backups) in targets.enumerate().zip(backups) {
            let inventory = match backups {
                Ok(listing) => Some(Inventory::of(plan, target, listing)),
                Err(error) => {
                    self.fail_listing_at(at, &error);
                    // A listing in doubt forbids deletion; copying needs none. A region that can't even be listed is left alone.
                    if !matches!(error, ListingError::Broken { .. }) {
                        continue;
                    }
                    None
                }
            };
            sides.push(Side {
                at,
                target,
                service,
                inventory,
                unsealed: BTreeSet::new(),
            });
        }
        let live = match sources {
            Ok(listing) => self.selected(listing.names),
            Err(error) => {
                self.fail_listing(&error);
                return (None, sides);
            }
        };
        self.look_for_the_gone(&live, &sides).boxed_local().await;
        (Some(live), sides)
    }

    /// What the plan selects. A prefix that selects nothing is an alarm: it is misspelt, or its namespaces are gone.
    fn selected(&mut self, names: Vec<String>) -> Live {
        let plan = self.world.plan;
        let (selectors, region) = (&plan.source.selectors, &plan.source.region);
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| selectors.selects(name))
            .collect();
        self.report.sources = u64::try_from(names.len()).unwrap_or(u64::MAX);
        for prefix in selectors.prefixes() {
            if !names.iter().any(|name| name.starts_with(prefix.as_str())) {
                self.report.fail("nothing_selected", format!(
                    "no namespace in {region} that begins with `{prefix}` is selected, so nothing of it is protected; check SOURCE_PREFIX, SOURCE_EXCLUDE and SOURCE_REGION (in a document: prefixes, exclude, region), and the key's organisation"
                ));
            }
        }
        let mut live = Live::new();
        for name in names {
            match Namespace::parse(&name) {
                Some(source) => drop(live.insert(source)),
                None => {
                    let message = format!(
                        "{region} lists {name:?}, which is no namespace name; it is not backed up"
                    );
                    self.report.fail("illegal_name", message);
                }
            }
        }
        live
    }

    /// A source that has backups and is not listed is asked for by name: a listing that left it out is not complete.
    async fn look_for_the_gone(&mut self, live: &Live, sides: &[Side<'_, S>]) {
        let mut unlisted: BTreeSet<&Namespace> = BTreeSet::new();
        for side in sides {
            let sources = side.inventory.iter().flat_map(Inventory::sources);
            let gone: Vec<&Namespace> = sources
                .map(|(source, _)| source)
                .filter(|source| !live.contains(*source))
                .collect();
            self.report.add_gone(side.at, gone.len());
            unlisted.extend(gone);
        }
        if unlisted.is_empty() {
            return;
        }
        let source = self.world.source;
        let looks = stream::iter(&unlisted)
            .map(|name| async move {
                source
                    .metadata(name)
                    .await
                    .map(|found| found.map(|_| name.to_string()))
            })
            .buffer_unordered(self.in_flight())
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect::<Vec<String>>();
        let region = self.world.plan.source.region.clone();
        let error = match timeout_at(self.until, looks).await {
            Ok(Ok(found)) if found.is_empty() => None,
            Ok(Ok(found)) => Some(ListingError::Broken {
                prefix: self.world.plan.source.selectors.prefixes().join("*, "),
                region,
                fault: format!("it left out `{}`, which exist", found.join("`, `")),
            }),
            Ok(Err(error)) => Some(ListingError::Service {
                prefix: "sources that are not listed".into(),
                error,
            }),
            Err(_) => Some(ListingError::OutOfTime { region }),
        };
        if let Some(error) = error {
            return self.fail_listing(&error);
        }
        let first = unlisted
            .iter()
            .take(5)
            .map(|source| source.as_str())
            .collect::<Vec<_>>()
            .join("`, `");
        self.report.warn(format!(
            "{} sources with backups no longer exist, such as `{first}`; all their backups stay",
            unlisted.len()
        ));
    }

    /// What a person should know, though nothing failed.
    fn warn_about(&mut self, live: &Live) {
        let lookalikes = live
            .iter()
            .filter(|source| self.world.plan.looks_like_a_backup(source))
            .count();
        if lookalikes > 0 {
            self.report.warn(format!("{lookalikes} of the sources are called like backups themselves; if they are, leave them out (SOURCE_EXCLUDE, or `exclude` in a document)"));
        }
    }

    /// Runs one job per source and target, and notes in each side which sources did not end sealed.
    async fn run_jobs(&mut self, live: &Live, sides: &mut [Side<'_, S>]) {
        let resumes = self.request.action == Action::Resume;
        let readers = Semaphore::new(READ_AT_ONCE);
        let jobs: Vec<(&Side<'_, S>, Jobs<'_, Patient<S>>)> = sides
            .iter()
            .map(|side| {
                let jobs = Jobs {
                    source: self.world.source,
                    target: side.service,
                    target_name: &side.target.name,
                    prefix: &side.target.prefix,
                    class: class(self.request),
                    slot: self.slot,
                    until: self.copy_until,
                    patience: resumes.then_some(PATIENCE),
                    clock: &self.clock,
                    notes: &self.notes,
                    level: self.world.plan.verify,
                    readers: &readers,
                };
                (side, jobs)
            })
            .collect();
        // Whoever has a backup of this slot already can wait for those who have none.
        let (first, then): (Vec<_>, Vec<_>) = live
            .iter()
            .flat_map(|source| jobs.iter().map(move |(side, jobs)| (source, *side, jobs)))
            .partition(|(source, side, _)| !side.has_backup_of(source, self.slot));
        (self.world.watch)(Step::Jobs(first.len() + then.len()));
        let work = first.into_iter().chain(then).map(|(source, side, jobs)| {
            let past = self.pasts.of_job(&side.target.name, source);
            let job = jobs.back_up(source, side.known(source), past);
            job.map(|job| (side.at, job)).boxed_local()
        });
        let copies = usize::try_from(self.world.plan.copies).unwrap_or(1).max(1);
        let mut ended = stream::iter(work).buffer_unordered(copies);
        let mut results = Vec::new();
        while let Some((at, job)) = ended.next().await {
            (self.world.watch)(Step::Job(&job));
            self.report.add_job(at, &job);
            if job.compared {
                self.compared.insert((at, job.source.clone()));
            }
            match (job.is_sealed(), job.backup, job.evidence) {
                (true, Some(name), Some(evidence)) => results.push((at, Ok((name, evidence)))),
                _ => results.push((at, Err(job.source))),
            }
        }
        drop(ended);
        drop(jobs);
        for (at, sealed) in results {
            let Some(side) = sides.iter_mut().find(|side| side.at == at) else {
                continue;
            };
            match (sealed, &mut side.inventory) {
                (Ok((name, evidence)), Some(inventory)) => inventory.add_sealed(&name, evidence),
                (Ok(_), None) => {}
                (Err(source), _) => drop(side.unsealed.insert(source)),
            }
        }
    }

    /// Prunes target after target. An approval is for one list of one target, and nothing else is deleted then.
    async fn prune(&mut self, sides: &mut [Side<'_, S>], live: &Live) {
        let foretells_jobs = self.request.dry_run && self.request.action == Action::Backup;
        if !foretells_jobs {
            self.hold_the_frozen(sides, live).boxed_local().await;
        }
        let mut left = Vec::new();
        for side in sides {
            left.extend(self.prune_side(side, live).await);
        }
        let Some(approved) = &self.request.approve else {
            return;
        };
        if left.iter().any(|(leave, _)| *leave == Leave::Delete) {
            return;
        }
        let now = left
            .iter()
            .map(|(_, hash)| hash.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        self.report.fail("not_approved", format!(
            "`{approved}` is not the hash of what is due now ({now}), so nothing was deleted; run `lifeboat plan`, read it, and approve the hash it prints"
        ));
    }

    /// A copy of a frozen source is born read-only, so even half of one looks sealed. Where no job of this invocation has
    /// compared a frozen source's backups, they are compared here, and one that is not true lets none of them go.
    async fn hold_the_frozen(&self, sides: &mut [Side<'_, S>], live: &Live) {
        for side in sides {
            let doubtful = live.iter().filter(|source| {
                let compared = self.compared.contains(&(side.at, (*source).clone()));
                !compared && side.known(source).len() > 1
            });
            let doubtful: Vec<&Namespace> = doubtful.collect();
            let seen: &Side<'_, S> = side;
            let looks = stream::iter(&doubtful)
                .map(|source| async move { (*source, self.flags_are_true(seen, source).await) })
                .buffer_unordered(self.in_flight())
                .filter_map(|(source, looked)| async move {
                    looked.is_ok_and(|yes| yes).then_some(source)
                })
                .collect::<BTreeSet<&Namespace>>();
            let sound = timeout_at(self.until, looks).await.unwrap_or_default();
            let held = doubtful.iter().filter(|source| !sound.contains(*source));
            let held: Vec<Namespace> = held.map(|source| (*source).clone()).collect();
            side.unsealed.extend(held);
        }
    }

    /// Whether a source is not frozen, or every sealed backup that was made since it was last written is what it is.
    async fn flags_are_true(
        &self,
        side: &Side<'_, S>,
        source: &Namespace,
    ) -> Result<bool, ServiceError> {
        let Some(found) = self.world.source.metadata(source).await? else {
            return Ok(false);
        };
        if !found.read_only {
            return Ok(true);
        }
        let rows = self.world.source.count(source).await?;
        for backup in side.known(source) {
            let name = backup.name.namespace();
            let Some(copy) = side.service.metadata(name).await? else {
                continue;
            };
            if !copy.read_only || copy.created_at <= found.updated_at {
                continue;
            }
            if copy.schema != found.schema || side.service.count(name).await? != rows {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn prune_side(
        &mut self,
        side: &mut Side<'_, S>,
        live: &Live,
    ) -> Option<(Leave, PlanHash)> {
        let Some(inventory) = &mut side.inventory else {
            self.stop_deletion_at(side.at, "the backups could not be listed to the end");
            return None;
        };
        self.report
            .add_inventory(side.at, inventory, self.request.dry_run);
        if self.report.deletion_is_stopped(side.at) || !self.clock.agrees() {
            return None;
        }
        if self.request.dry_run && self.request.action == Action::Backup {
            plan_copies(side.target, live, self.slot, self.clock.now(), inventory);
        }
        let mode = if self.request.dry_run {
            Mode::Show
        } else {
            Mode::Delete
        };
        let side = &*side;
        let inventory = side.inventory.as_ref()?;
        let due = self.decide(side, inventory, live, mode).await;
        let (leave, hash) = self.judge(side, &due);
        if leave == Leave::Delete && mode == Mode::Delete && self.clock.agrees() {
            self.delete(side, inventory, live, &due).await;
        }
        Some((leave, hash))
    }

    /// Decides about every backup of one target, and returns what is due.
    async fn decide(
        &mut self,
        side: &Side<'_, S>,
        inventory: &Inventory,
        live: &Live,
        mode: Mode,
    ) -> Vec<DueOfSource> {
        let hold = |source: &Namespace| hold(side, live, source);
        let pruning = self.pruning(side, &hold, mode);
        let (now, watch) = (self.clock.now(), self.world.watch);
        watch(Step::Pruning(inventory.sources().count()));
        let report = &mut self.report;
        let mut not_reached = 0_u64;
        let due = pruning
            .decide(inventory, |source, backups, decided| {
                watch(Step::Pruned);
                not_reached += u64::from(decided.not_reached);
                report.add_decided(side.at, source, decided);
                if mode == Mode::Show {
                    let soon = soon(backups, &side.target.retention, now);
                    report.show_decisions(side.at, source, &decided.decisions, |name| {
                        soon.get(name.namespace()).copied()
                    });
                }
            })
            .await;
        if not_reached > 0 {
            self.report.fail_target(side.at, "out_of_time", format!("time ran out before the backups of {not_reached} sources were looked at; the next run looks at them"));
        }
        due
    }

    /// Whether what is due in one target may be deleted, and the hash that stands for it.
    fn judge(&mut self, side: &Side<'_, S>, due: &[DueOfSource]) -> (Leave, PlanHash) {
        let names: Vec<&str> = due
            .iter()
            .flat_map(|source| &source.due)
            .map(|(name, _)| name.namespace().as_str())
            .collect();
        let (backups, sealed) = self.report.standing_and_sealed(side.at);
        let list = DueList {
            plan: &self.world.plan.name,
            target: &side.target.name,
            due: &names,
            backups,
            sealed,
        };
        let (leave, hash) = (list.leave(self.request.approve.as_deref()), list.hash());
        self.report.set_deletion_plan(side.at, hash.clone());
        match leave {
            Leave::Delete => {}
            Leave::Braked => {
                self.stop_deletion_at(
                    side.at,
                    "the brake: more is due than one run may delete unread",
                );
                if !self.request.dry_run {
                    self.report.fail_target(side.at, "braked", format!(
                        "{} of {backups} backups are due at once, so nothing was deleted; run `lifeboat plan`, read it, and if it is meant send {{\"action\": \"prune\", \"approve\": \"{hash}\"}}", names.len()
                    ));
                }
            }
            Leave::NotApproved => {
                self.stop_deletion_at(side.at, "another list of deletions was approved");
            }
        }
        (leave, hash)
    }

    async fn delete(
        &mut self,
        side: &Side<'_, S>,
        inventory: &Inventory,
        live: &Live,
        due: &[DueOfSource],
    ) {
        let hold = |source: &Namespace| hold(side, live, source);
        let pruning = self.pruning(side, &hold, Mode::Delete);
        let report = &mut self.report;
        pruning
            .delete(due, inventory, |source, deletions| {
                report.add_deletions(side.at, source, &deletions);
            })
            .await;
    }

    fn pruning<'p>(
        &self,
        side: &'p Side<'_, S>,
        hold: &'p dyn Fn(&Namespace) -> Option<Keep>,
        mode: Mode,
    ) -> Pruning<'p, Patient<S>>
    where
        'w: 'p,
    {
        Pruning {
            plan: self.world.plan,
            target: side.target,
            service: side.service,
            hold,
            clock: self.clock.clone(),
            lease: self.lease.clone(),
            until: self.until,
            mode,
        }
    }

    fn in_flight(&self) -> usize {
        usize::try_from(self.world.plan.concurrency)
            .unwrap_or(1)
            .max(1)
    }

    /// A listing of the sources that can't be used: nothing at all may be deleted.
    fn fail_listing(&mut self, error: &ListingError) {
        error!(error = error.word(), detail = %error, "listing failed");
        self.report.fail(error.word(), error.to_string());
        for at in 0..self.world.targets.len() {
            self.stop_deletion_at(at, "a listing failed");
        }
    }

    fn fail_listing_at(&mut self, at: usize, error: &ListingError) {
        error!(error = error.word(), detail = %error, "listing failed");
        self.report.fail_target(at, error.word(), error.to_string());
        self.stop_deletion_at(at, "a listing failed");
    }

    fn stop_deletion_at(&mut self, at: usize, why: &str) {
        if let Some(target) = self.report.targets.get_mut(at) {
            target.stop_deletion(why);
        }
    }

    fn attempts(&self) -> (u64, u64) {
        let services = self.world.targets.iter().chain([self.world.source]);
        services
            .map(Patient::attempts)
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    async fn close(mut self, before: (u64, u64)) -> Report {
        self.report.clock_difference_seconds = self.clock.worst_difference_seconds();
        if !self.clock.agrees() {
            self.raise_clocks();
        }
        self.close_journal().await;
        let attempts = self.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
        self.report.finish(self.clock.now());
        info!(outcome = ?self.report.outcome, "run ended");
        self.report
    }

    fn raise_clocks(&mut self) {
        for at in 0..self.world.targets.len() {
            self.stop_deletion_at(at, "the clocks disagree");
        }
        let seconds = self.clock.worst_difference_seconds();
        let targets = self.report.targets.iter();
        let deleted: u64 = targets.map(|target| target.pruning.deleted).sum();
        let (apart, way) = (
            seconds.abs(),
            if seconds > 0 { "ahead of" } else { "behind" },
        );
        self.report.fail("clocks_disagree", format!(
            "the local clock is {apart} seconds {way} the service's, more than five minutes, so deletion stopped (after {deleted} backups); set the clock right"
        ));
    }

    /// Leaves the run open for the next invocation, or files it as finished; then gives the lease back.
    async fn close_journal(&mut self) {
        if let Some(fault) = self.notes.fault() {
            self.report.fail(fault.word(), fault.to_string());
        }
        let sound = self.notes.fault().is_none();
        let (log, lines) = std::mem::take(&mut self.notes).into_parts();
        let done = self.report.incomplete_jobs() == 0;
        let closed = match (log, self.world.journal) {
            (Some(log), _) if !done => {
                self.report.stays_open = true;
                if self.report.only_copies_are_left() {
                    log.append(&Entry::Waiting).await
                } else {
                    Ok(())
                }
            }
            (Some(log), Some(journal)) if sound => {
                let record = self.record(&log, lines);
                journal.close_run(log, record).await
            }
            _ => Ok(()),
        };
        let released = match self.lease.take().and_then(Arc::into_inner) {
            Some(lease) => lease.release().await,
            None => Ok(()),
        };
        if let Err(error) = closed.and(released) {
            error!(error = error.word(), detail = %error, "the journal was not closed");
            self.report.fail(error.word(), error.to_string());
        }
    }

    /// What history keeps of this run: the last line of every job, whichever invocation wrote it.
    fn record(&self, log: &RunLog, lines: Vec<JobLine>) -> RunRecord {
        let mut jobs: BTreeMap<(String, String), JobLine> = BTreeMap::new();
        for line in self.pasts.lines().cloned().chain(lines) {
            jobs.insert((line.target.clone(), line.source.clone()), line);
        }
        let targets = self.report.targets.iter();
        RunRecord {
            key: RunKey {
                plan: self.world.plan.name.clone(),
                slot: self.slot,
                class: class(self.request),
            },
            run_id: self.report.run_id.clone(),
            outcome: self.report.outcome_so_far().word().to_owned(),
            opened_at: log.opened_at(),
            closed_at: self.clock.now(),
            jobs: jobs.into_values().collect(),
            deleted: targets.map(|target| target.pruning.deleted).sum(),
        }
    }
}

/// What kind of backup a request makes.
fn class(request: &Request) -> Class {
    if request.manual {
        Class::Manual
    } else {
        Class::Scheduled
    }
}

async fn list_all<S: Service>(
    service: &S,
    prefixes: &[String],
    until: Instant,
) -> Result<CompleteListing, ListingError> {
    let listing = timeout_at(until, listing::list_prefixes(service, prefixes)).await;
    listing.unwrap_or_else(|_| {
        Err(ListingError::OutOfTime {
            region: service.region().to_owned(),
        })
    })
}

/// Why nothing of a source may be deleted in this run.
fn hold<S>(side: &Side<'_, S>, live: &Live, source: &Namespace) -> Option<Keep> {
    match (live.contains(source), side.unsealed.contains(source)) {
        (false, _) => Some(Keep::SourceGone),
        (true, true) => Some(Keep::JobNotSealed),
        (true, false) => None,
    }
}

/// What falls due in how many days, if nothing else changes.
fn soon(backups: &[Backup], policy: &Policy, now: Timestamp) -> BTreeMap<Namespace, u32> {
    let falls_due = retention::falls_due(backups, policy, now, DAYS_AHEAD);
    let later = falls_due.into_iter().filter(|(_, day)| *day > 0);
    later
        .map(|(name, day)| (name.namespace().clone(), day))
        .collect()
}

/// A dry run decides as the run would: after its copies were made and sealed.
fn plan_copies(
    target: &Target,
    live: &Live,
    slot: Slot,
    created_at: Timestamp,
    inventory: &mut Inventory,
) {
    for source in live {
        if let Ok(name) = BackupName::of(&target.prefix, Class::Scheduled, source, slot) {
            let sealed = Evidence {
                created_at,
                sealed: true,
            };
            inventory.add_planned(&name, sealed);
        }
    }
}
