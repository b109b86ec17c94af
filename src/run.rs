//! Opens, drives and closes a run: list, copy, compare, seal, and only then prune.
//!
//! One failing source never stops another, and nothing is deleted where this run could not prove a newer good backup.
//! Every run ends in exactly one report.

mod comparing;
mod deleting;
mod discarding;
mod journaled;
mod sides;
mod spending;
mod sweeping;
mod timing;
mod verifying;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{Instrument, info, info_span};

use self::sides::{Live, Side};
use crate::backup::{JobRecord, Jobs};
use crate::budget::OverBudget;
use crate::clock::Clock;
use crate::event::{Action, Request};
use crate::journal::{Journal, Lease, renew};
use crate::name::{Class, Namespace};
use crate::plan::Plan;
use crate::price::Prices;
use crate::prune::{Inventory, Mode};
use crate::report::{Report, Size};
use crate::restore::RestoreRecord;
use crate::resume::{Notes, Pasts};
use crate::service::{Patient, Queried, Service};
use crate::slot::{Slot, SlotError};
use crate::witness::Witness;

/// How long a `resume` waits for a copy that an earlier invocation started: one more look, not its end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Namespaces that are compared row by row at once. Each takes a few megabytes for its pages.
pub(crate) const READ_AT_ONCE: usize = 4;

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
    /// What its cost is told with.
    pub prices: &'a Prices,
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
    /// The copy of this namespace goes on, and the service says how far it is. Its own words are all that it says: a text,
    /// such as `38%`, and no bytes before the end (contract section 6).
    Copying(&'a Namespace, &'a str),
    /// So many rows of this namespace were compared with what it should be like, of so many.
    Comparing(&'a Namespace, u64, u64),
    /// So many namespaces will be restored.
    Restores(usize),
    /// One has ended.
    Restored(&'a RestoreRecord),
}

/// A watcher, for those who work at one namespace.
#[derive(Clone, Copy)]
pub struct Watch<'a>(pub &'a dyn Fn(Step<'_>));

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
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
    /// There is no journal to read, and nothing is open of what this machine remembers without one.
    #[error(
        "no journal is configured, so runs of backups can't be looked for, and of the restores that this machine remembers none is open; set LIFEBOAT_JOURNAL, such as `s3://bucket/lifeboat`"
    )]
    OnlyOwnMemory,
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
            Self::NoJournal | Self::OnlyOwnMemory => "Configuration",
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
    let until = Instant::now() + time_left;
    let clock = world.clock.for_a_new_run();
    let begun = clock.now();
    let slot = timing::slot_of(request, world, &clock, time_left);
    let slot = slot.boxed_local().await?;
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
        clock,
        slot,
        copy_until: until.checked_sub(time_left / 10).unwrap_or(until),
        until,
        lease: None,
        notes: Notes::default(),
        pasts: Pasts::default(),
        given_up: false,
        unlisted: false,
        compared: BTreeSet::new(),
        witness: Witness::of(world.journal, &world.plan.name),
        over_budget: None,
        report,
    };
    let before = (run.attempts(), run.queried());
    let span = info_span!("run", run_id, plan = world.plan.name, slot = %slot.instant());
    let work = async {
        if run.open().await {
            let clock = run.clock.clone();
            let renewals = renew(run.lease.clone(), move || clock.latest());
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
    /// It is too late to carry on.
    given_up: bool,
    /// A region could not be listed for a reason that passes, so nobody knows which jobs there are.
    unlisted: bool,
    /// Targets and sources whose backups a job of this invocation has compared.
    compared: BTreeSet<(usize, Namespace)>,
    /// What the journal says of what is verified now.
    witness: Witness<'w>,
    /// Why nothing new may be copied, if that is so.
    over_budget: Option<OverBudget>,
    report: Report,
}

impl<S: Service> Run<'_, '_, S> {
    async fn work(&mut self) {
        if self.request.action == Action::Resume {
            if self.is_too_late().boxed_local().await {
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
            Action::Jobs | Action::Check | Action::Estimate | Action::Restore | Action::Drill => {}
        }
    }

    /// Lists all sides, runs every job, then prunes.
    async fn back_up(&mut self) {
        let (live, mut sides) = self.list_sides(&[Class::Scheduled]).await;
        let Some(live) = live else { return };
        self.warn_about(&live);
        self.look_at_the_cost().boxed_local().await;
        if !self.request.dry_run {
            self.run_jobs(&live, &mut sides).await;
        }
        self.prune(&mut sides, &live).await;
        self.sweep_scratches().boxed_local().await;
    }

    /// Backups that retention never looks at, so nothing is pruned either.
    async fn back_up_for_ever(&mut self) {
        let (live, mut sides) = self.list_sides(&[Class::Manual]).await;
        let Some(live) = live else { return };
        self.warn_about(&live);
        self.look_at_the_cost().boxed_local().await;
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
            self.sweep_scratches().boxed_local().await;
        }
    }

    /// Shows every backup with its reasons; deletes nothing, dry run or not.
    async fn list(&mut self) {
        let (live, sides) = self.list_sides(&[Class::Scheduled, Class::Manual]).await;
        let live = if let Some(live) = live {
            let sources: Vec<&Namespace> = live.iter().collect();
            self.warn_about_the_unprotected(&sources, sides.iter());
            live
        } else {
            self.report.warn("the sources' region could not be listed, so nobody knows which of them still live; this is what stands of them in the targets".to_owned());
            let known = sides.iter().filter_map(|side| side.inventory.as_ref());
            let sources = known.flat_map(Inventory::sources);
            sources.map(|(source, _)| source.clone()).collect()
        };
        for side in &sides {
            if let Some(inventory) = &side.inventory {
                self.report.add_strays(side.at, &inventory.strays, true);
                self.decide(side, inventory, &live, Mode::Show).await;
            }
        }
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
                    skip_unchanged: self.world.plan.skip_unchanged,
                    until: self.copy_until,
                    patience: resumes.then_some(PATIENCE),
                    clock: &self.clock,
                    notes: &self.notes,
                    watch: Watch(self.world.watch),
                    level: self.world.plan.verify,
                    readers: &readers,
                    over_budget: self.over_budget.as_ref(),
                };
                (side, jobs)
            })
            .collect();
        let sources = self.live_and_begun(live);
        // Whoever has a backup of this slot already can wait for those who have none.
        let (first, then): (Vec<_>, Vec<_>) = sources
            .iter()
            .flat_map(|source| jobs.iter().map(move |(side, jobs)| (source, *side, jobs)))
            .filter(|(source, side, _)| self.has_its_turn(source, side, live))
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
        for side in sides.iter_mut() {
            let failed = live
                .iter()
                .filter(|source| self.failed_before(source, side.target));
            let failed: Vec<Namespace> = failed.cloned().collect();
            side.unsealed.extend(failed);
        }
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

    fn in_flight(&self) -> usize {
        usize::try_from(self.world.plan.concurrency)
            .unwrap_or(1)
            .max(1)
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

    fn queried(&self) -> Queried {
        let services = self.world.targets.iter().chain([self.world.source]);
        let sums = services.map(Patient::queried);
        sums.fold(Queried::default(), |all, one| all + one)
    }

    async fn close(mut self, (before, queried): ((u64, u64), Queried)) -> Report {
        self.report.clock_difference_seconds = self.clock.worst_difference_seconds();
        if !self.clock.agrees() {
            self.raise_clocks();
        }
        self.close_journal().await;
        let attempts = self.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
        self.report.queried = self.queried() - queried;
        let price = self.world.prices.turbopuffer.returned_gb;
        let returned = self.report.queried.bytes_returned;
        self.report.queried_costs = price.map(|price| price.of_bytes(returned));
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
}

/// What kind of backup a request makes.
fn class(request: &Request) -> Class {
    if request.manual {
        Class::Manual
    } else {
        Class::Scheduled
    }
}
