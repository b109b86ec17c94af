//! Opens, drives and closes a restore: choose a backup for every source, see that nothing is in the way, hold the
//! backups, copy, compare, hand over.
//!
//! What it must never do: overwrite or delete anything, or start anything while something speaks against any part of it.
//! It needs the regions of the backups and of the destination alone, so it works while the source's region is down, which
//! is only asked what else should come back. Every restore ends in exactly one report.

mod asked;
mod candidates;
mod choose;
mod choosing;
mod destination;
mod door;
mod error;
mod expected;
mod job;
mod journaled;
mod order;
mod record;
mod report;
mod room;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, info, info_span};

pub use asked::{Asked, Template, TemplateError, Which, plan_of};
pub(crate) use candidates::{BySource, Candidates, NotChosen};
pub use choose::{Choice, Lacking, Point, Taken, choose};
pub use destination::{Conflict, name_all};
pub(crate) use door::restores_of;
pub use error::RestoreError;
pub use job::Jobs;
pub use order::{Chosen, Order};
pub use record::{Purpose, RestoreRecord, RestoreState};
pub use report::{RestoreCounts, RestoreFailure, RestoreReport, Restored, Route};

use crate::clock::Clock;
use crate::journal::{
    Entry, Hold, JobLine, Journal, JournalError, Lease, LeaseError, RunKey, RunRecord, renew,
    renew_hold,
};
use crate::name::{BackupName, Namespace};
use crate::plan::{Plan, Target};
use crate::report::Size;
use crate::resume::{Notes, Pasts};
use crate::run::{READ_AT_ONCE, Refused, Step, Watch};
use crate::service::{Patient, Queried, Region, Service};
use crate::slot::{LATEST_START, Slot};
use crate::witness::Witness;

/// How long a `resume` waits for a copy that an earlier invocation started: one more look, not its end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// What a restore works with.
pub struct World<'a, S> {
    /// The plan whose backups are restored.
    pub plan: &'a Plan,
    /// All plans: what is restored must not look like a backup of any.
    pub plans: &'a [Plan],
    /// Which of the plan's targets.
    pub target: &'a Target,
    /// The region of the backups.
    pub backups: &'a Patient<S>,
    /// The region that receives them.
    pub destination: &'a Patient<S>,
    /// The sources' region, which may be out of reach; `None` where nobody need be asked what lives.
    pub sources: Option<&'a Patient<S>>,
    /// Where the restore is remembered; without one, it has one invocation.
    pub kept: Option<Kept<'a>>,
    /// The local clock.
    pub clock: Clock,
    /// How long the report may be.
    pub report: Size,
    /// Told when the restore is to be left as it is, in order.
    pub stop: &'a Notify,
    /// Called with what just happened; for a progress bar.
    pub watch: &'a dyn Fn(Step<'_>),
}

impl<'a, S: Service> World<'a, S> {
    /// What the journal says of the plan's backups.
    pub(crate) fn witness(&self) -> Witness<'a> {
        Witness::of(self.kept.map(|kept| kept.journal), &self.plan.name)
    }
}

impl<S: Service> World<'_, S> {
    /// Where the backups are, and where they are restored to.
    pub(crate) fn regions(&self) -> (Region, Region) {
        let [from, to] = [self.backups, self.destination].map(|side| side.region().to_owned());
        (from, to)
    }
}

impl<S: Service> World<'_, S> {
    /// Attempts made so far in all regions, and how many of them were repeats.
    pub(crate) fn attempts(&self) -> (u64, u64) {
        let sides = [Some(self.backups), Some(self.destination), self.sources];
        let attempts = sides.into_iter().flatten().map(Patient::attempts);
        attempts.fold((0, 0), |so_far, side| {
            (so_far.0 + side.0, so_far.1 + side.1)
        })
    }

    /// What queries have read so far in both.
    pub(crate) fn queried(&self) -> Queried {
        self.backups.queried() + self.destination.queried()
    }

    /// Tells pruning to keep these backups for `identity`, or says why it can't be told. `None` where nothing is remembered.
    /// `words` are those of [`Kept::hold`].
    pub(crate) async fn hold<'b>(
        &self,
        identity: &str,
        backups: impl Iterator<Item = &'b BackupName> + Clone,
        clock: &Clock,
        words: (&str, &str, &str),
    ) -> Option<Result<Hold, String>> {
        let kept = self.kept?;
        self.ask_what_time_it_is(backups.clone().next(), clock)
            .boxed_local()
            .await;
        let region = self.backups.region();
        let telling = kept.journal.hold(identity, region, backups, clock.latest());
        Some(kept.hold(telling, words).await)
    }

    /// Compares the local clock with the service's: a hold written by one that is days behind would have run out for
    /// whoever prunes.
    async fn ask_what_time_it_is(&self, first: Option<&BackupName>, clock: &Clock) {
        if let Some(first) = first
            && let Ok(Some(backup)) = self.backups.metadata(first.namespace()).await
        {
            clock.compare(backup.answered_at);
        }
    }
}

/// Where restores are remembered.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The journal.
    pub journal: &'a Journal,
    /// Whether it is the journal of the runs that prune, so that they read what is held.
    pub shared: bool,
}

impl Kept<'_> {
    /// Has pruning told to keep backups, or says why it can't be told. `work` is for the reader, such as a restore, and
    /// what it does to which `backups` meanwhile.
    pub(crate) async fn hold(
        &self,
        telling: impl Future<Output = Result<Hold, JournalError>>,
        (work, backups, are_used): (&str, &str, &str),
    ) -> Result<Hold, String> {
        if !self.shared {
            return Err(format!(
                "this {work} is remembered on this machine alone, which can't keep pruning away from its {backups}; set LIFEBOAT_JOURNAL to the function's journal for that"
            ));
        }
        telling.await.map_err(|error| {
            format!("nothing keeps pruning away from the {backups} while {are_used}: {error}")
        })
    }
}

/// What to say of something that was begun in other regions than it would be carried on in: there is what was begun, and a
/// look here would take it for gone. `None` where nothing has changed.
pub(crate) fn moved(was: Option<&(Region, Region)>, now: &(Region, Region)) -> Option<String> {
    let (was_from, was_to) = was.filter(|was| *was != now)?;
    let (from, to) = now;
    Some(format!(
        "this was begun from {was_from} to {was_to}, and the plan has it go from {from} to {to} now; put the plan's regions back until it has ended, and carry on then: nothing was changed"
    ))
}

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Say what would be done.
    DryRun,
    /// Do it, or carry on with it.
    Whole,
    /// Carry on with it, and don't wait for long copies.
    OneMoreLook,
}

impl How {
    pub(crate) fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Whole }
    }
}

/// What the journal remembers of an open restore.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The plan's name and what was asked for; `None` when the invocation that opened it died at once.
    pub asked: Option<(String, Asked)>,
    /// The point in time.
    pub at: Option<Timestamp>,
    /// Where the backups are, and where they are restored to.
    regions: Option<(Region, Region)>,
    chosen: Vec<Chosen>,
    missing: Vec<(String, String)>,
    begun: bool,
}

impl Remembered {
    /// Reads the entries in their order.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut remembered = Self::default();
        for entry in entries {
            match entry {
                Entry::RestoreAsked {
                    plan,
                    asked,
                    at,
                    regions,
                } => {
                    remembered = Self {
                        asked: Some((plan.clone(), (**asked).clone())),
                        at: Some(*at),
                        regions: regions.clone(),
                        ..Self::default()
                    };
                }
                Entry::RestoreChosen { chosen } => remembered.chosen.push(chosen.clone()),
                Entry::RestoreMissing { source, why } => {
                    remembered.missing.push((source.clone(), why.clone()));
                }
                Entry::RestoreBegun => remembered.begun = true,
                _ => {}
            }
        }
        remembered
    }
}

/// Carries a restore out, or on. `time_left` is how long it may work.
pub async fn restore<S: Service>(
    asked: &Asked,
    world: &World<'_, S>,
    how: How,
    run_id: String,
    time_left: Duration,
) -> Result<RestoreReport, Refused> {
    let begun_at = world.clock.now();
    let route = Route {
        plan: &world.plan.name,
        target: &world.target.name,
        from: world.backups.region(),
        to: world.destination.region(),
    };
    let dry_run = how == How::DryRun;
    let size = world.report;
    let report = RestoreReport::begin(asked, route, dry_run, run_id.clone(), begun_at, size);
    let mut restore = Restore {
        asked,
        world,
        how,
        clock: world.clock.for_a_new_run(),
        slot: Slot::of(begun_at)?,
        until: Instant::now() + time_left.saturating_sub(time_left / 20),
        lease: None,
        notes: Notes::default(),
        pasts: Pasts::default(),
        opened_at: begun_at,
        begun: false,
        orders: Vec::new(),
        missing: Vec::new(),
        earlier: Vec::new(),
        told: BTreeSet::new(),
        report,
    };
    let before = (world.attempts(), world.queried());
    let span =
        info_span!("restore", run_id, plan = world.plan.name, restore = %restore.report.restore);
    let work = async {
        if restore.open().boxed_local().await {
            let clock = restore.clock.clone();
            let renewals = renew(restore.lease.clone(), move || clock.latest());
            let interrupted = tokio::select! {
                biased;
                () = world.stop.notified() => true,
                () = restore.work().boxed_local() => false,
                never = renewals => match never {},
            };
            if interrupted {
                restore.interrupt().await;
            }
        }
        restore.close(before).boxed_local().await
    };
    Ok(work.instrument(span).await)
}

/// Closes a restore of which the journal remembers nothing but that it was opened.
pub async fn forget(
    journal: &Journal,
    key: &RunKey,
    run_id: &str,
    now: Timestamp,
) -> Result<(), JournalError> {
    let lease = match journal.acquire(&key.plan, run_id, now).await {
        Ok(lease) => lease,
        // Somebody is about to write down what it is, or it is looked at again by the next tick.
        Err(LeaseError::Held { .. } | LeaseError::Corrupt { .. }) => return Ok(()),
        Err(LeaseError::Journal(error)) => return Err(error),
    };
    let log = journal.open_run(&lease, key, now).await?;
    if log.entries().is_empty() {
        let record = RunRecord {
            key: key.clone(),
            run_id: run_id.to_owned(),
            outcome: "failed".to_owned(),
            reason: Some(
                "the invocation that opened it died before it wrote down what it is".to_owned(),
            ),
            opened_at: log.opened_at(),
            closed_at: Some(now),
            asked: None,
            jobs: Vec::new(),
            deleted: 0,
        };
        journal.close_run(log, record).await?;
    }
    lease.release().await
}

struct Restore<'a, 'w, S> {
    asked: &'a Asked,
    world: &'a World<'w, S>,
    how: How,
    clock: Clock,
    /// Names it in the journal, with its identity.
    slot: Slot,
    until: Instant,
    /// This restore's own lease; backups go on meanwhile.
    lease: Option<Arc<Lease>>,
    notes: Notes,
    pasts: Pasts,
    opened_at: Timestamp,
    /// Copies may have been started.
    begun: bool,
    orders: Vec<Order>,
    /// Sources without a backup that could be used, and why.
    missing: Vec<(String, String)>,
    /// How the same request ended when it was last carried out to its end.
    earlier: Vec<JobLine>,
    /// Sources whose end is in the report.
    told: BTreeSet<Namespace>,
    report: RestoreReport,
}

impl<S: Service> Restore<'_, '_, S> {
    async fn work(&mut self) {
        if self.begun && self.how != How::DryRun && self.is_too_old() {
            return self.give_up();
        }
        if !self.begun {
            let Some((taken, seen)) = self.choose_all().boxed_local().await else {
                return;
            };
            let Some(orders) = self.find_room(&taken, &seen) else {
                return;
            };
            self.orders = orders;
        }
        self.warn_about_the_unverified();
        if self.how == How::DryRun {
            return self.show_the_plan().boxed_local().await;
        }
        if self.orders.is_empty() {
            return;
        }
        if !self.begun {
            self.write_down_the_plan().boxed_local().await;
        }
        let hold = self.hold().boxed_local().await;
        if !self.begun {
            self.notes.write(Entry::RestoreBegun).await;
            self.begun = true;
        }
        let clock = self.clock.clone();
        tokio::select! {
            biased;
            () = self.drive().boxed_local() => {}
            never = renew_hold(hold.as_ref(), || clock.latest()) => match never {},
        }
    }

    fn is_too_old(&self) -> bool {
        self.clock.now().duration_since(self.opened_at) > LATEST_START
    }

    fn give_up(&mut self) {
        self.report.fail("abandoned", "this restore was not finished within seven days and is given up; what was restored stands, and what was not is to be asked for anew".to_owned());
        self.leave(RestoreState::Failed, "abandoned", "given up after seven days; look whether its destination stands, delete it if it does, and ask for this source anew");
    }

    async fn interrupt(&mut self) {
        if !self.begun {
            return self.report.fail(
                "interrupted",
                "interrupted before anything was started; ask again".to_owned(),
            );
        }
        self.notes.write_milestones().await;
        self.leave(
            RestoreState::Incomplete,
            "out_of_time",
            "interrupted; `resume`, or the same request once more, carries on",
        );
    }

    /// Reports everything whose end nobody saw.
    fn leave(&mut self, state: RestoreState, error: &str, message: &str) {
        for order in &self.orders {
            let source = order.backup.source();
            let ended = ended_before(&self.pasts, &self.world.target.name, source);
            if ended.is_none() && self.told.insert(source.clone()) {
                self.report.add_left(order, state, error, message);
            }
        }
    }

    async fn show_the_plan(&mut self) {
        let changed = self.changed_since_sealed().boxed_local().await;
        for order in &self.orders {
            match ended_before(&self.pasts, &self.world.target.name, order.backup.source()) {
                Some(line) => self.report.add_earlier(order, line, false),
                None => self.report.add_planned(order),
            }
        }
        for (source, error) in changed {
            self.report
                .fail_source(&source, error.word(), error.to_string());
        }
    }

    /// What is to be restored and has other rows than it was sealed with. What can't be counted now, the restore counts.
    async fn changed_since_sealed(&self) -> Vec<(Namespace, RestoreError)> {
        let known = self.orders.iter();
        let known = known.filter(|order| order.testimony.sealed_with.is_some());
        let counts = stream::iter(known).map(|order| async move {
            let counted = self.world.backups.count(order.backup.namespace());
            let rows = timeout_at(self.until, counted).await.ok()?.ok()??;
            let error = order.hold_to_what_was_sealed(rows).err()?;
            Some((order.backup.source().clone(), error))
        });
        let counts = counts.buffered(in_flight(self.world.plan.concurrency));
        counts
            .filter_map(|found| async move { found })
            .collect()
            .await
    }

    /// What is to be restored, so that whoever carries on restores the same.
    async fn write_down_the_plan(&self) {
        let asked = Entry::RestoreAsked {
            plan: self.world.plan.name.clone(),
            asked: Box::new(self.asked.clone()),
            at: self.report.at,
            regions: Some(self.world.regions()),
        };
        self.notes.write(asked).await;
        let missing = self.missing.iter().map(|(source, why)| {
            let (source, why) = (source.clone(), why.clone());
            self.notes.write(Entry::RestoreMissing { source, why })
        });
        join_all(missing).await;
        let chosen = self.orders.iter().map(|order| {
            let chosen = order.chosen();
            self.notes.write(Entry::RestoreChosen { chosen })
        });
        join_all(chosen).await;
    }

    /// Tells pruning to keep the backups, and says when it can't be told.
    async fn hold(&mut self) -> Option<Hold> {
        let backups = self.orders.iter().map(|order| &order.backup);
        let words = ("restore", "backups", "they are restored");
        let identity = &self.report.restore;
        let hold = self.world.hold(identity, backups, &self.clock, words);
        let hold = hold.boxed_local().await?;
        self.report.held |= hold.is_ok();
        hold.map_err(|why| self.report.warn(why)).ok()
    }

    /// Restores everything that no earlier invocation has ended.
    async fn drive(&mut self) {
        let target = self.world.target.name.as_str();
        let jobs = Jobs {
            backups: self.world.backups,
            destination: self.world.destination,
            target_name: target,
            level: self.asked.level,
            purpose: Purpose::Restore,
            readers: &Semaphore::new(READ_AT_ONCE),
            until: self.until,
            patience: (self.how == How::OneMoreLook).then_some(PATIENCE),
            clock: &self.clock,
            notes: &self.notes,
            watch: Watch(self.world.watch),
        };
        let open =
            |order: &&Order| ended_before(&self.pasts, target, order.backup.source()).is_none();
        let open: Vec<&Order> = self.orders.iter().filter(open).collect();
        (self.world.watch)(Step::Restores(open.len()));
        let (jobs, pasts) = (&jobs, &self.pasts);
        let work = open.into_iter().map(|order| {
            let past = pasts.of_job(target, order.backup.source());
            async move { jobs.restore(order, past).await }.boxed_local()
        });
        let copies = in_flight(self.world.plan.copies);
        let mut ended = stream::iter(work).buffer_unordered(copies);
        while let Some(record) = ended.next().await {
            (self.world.watch)(Step::Restored(&record));
            self.told.insert(record.order.backup.source().clone());
            self.report.add(&record);
        }
    }

    async fn close(mut self, (before, queried): ((u64, u64), Queried)) -> RestoreReport {
        if self.how != How::DryRun {
            self.add_what_ended_before();
        }
        for (source, why) in std::mem::take(&mut self.missing) {
            self.report.add_missing(&source, why);
        }
        self.close_journal().await;
        let attempts = self.world.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
        self.report.queried = self.world.queried() - queried;
        self.report.finish(self.clock.now());
        info!(outcome = ?self.report.outcome, "restore ended");
        self.report
    }

    /// What earlier invocations ended belongs into the report, too; once nothing is open any more, also what failed.
    fn add_what_ended_before(&mut self) {
        let closes = self.report.counts.incomplete == 0;
        for order in &self.orders {
            let source = order.backup.source();
            let line = ended_before(&self.pasts, &self.world.target.name, source);
            if let Some(line) = line {
                self.report.add_earlier(order, line, closes);
            }
        }
    }
}

pub(crate) fn in_flight(most: u32) -> usize {
    usize::try_from(most).unwrap_or(1).max(1)
}

/// How an earlier invocation ended the restore of a source, if one did.
pub(crate) fn ended_before<'p>(
    pasts: &'p Pasts,
    target: &str,
    source: &Namespace,
) -> Option<&'p JobLine> {
    let past = pasts.of_job(target, source)?;
    past.ended.as_ref().filter(|_| !past.is_open())
}
