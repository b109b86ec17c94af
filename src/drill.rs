//! Drills: backups restored under scratch names, compared with their backups, timed, and their scratches deleted.
//!
//! What a drill shows is that a sealed backup comes back as it is, and how long that takes; the report is the evidence. It
//! is a restore (same choice, copies, comparison and holds) into names that nobody takes for anything else, and hands
//! nothing over.
//!
//! What it must never do: delete anything but the scratches of this plan's drills, or end without saying which of them may
//! still stand. What a killed one leaves is deleted by the invocation that carries on, by the next drill, or, a day
//! later, by the next backup.

mod asked;
mod door;
mod journaled;
mod killed;
mod picking;
mod report;
mod scratches;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{Instrument, info, info_span};

pub use asked::{Amount, Asked, Pick, Share, ShareError, by_age, by_lot};
pub use report::{DrillCounts, DrillReport, DrillState, Drilled};
pub(crate) use scratches::Scratches;

use crate::certificate::ScratchWord;
use crate::clock::Clock;
use crate::journal::{Entry, JobLine, Lease, OpenRun, renew, renew_hold};
use crate::name::{BackupName, Namespace, ScratchName};
use crate::plan::{Plan, Target};
use crate::restore::{
    Chosen, How, Jobs, Order, PATIENCE, Purpose, RestoreError, RestoreRecord, RestoreState, Route,
    World, ended_before, in_flight, moved,
};
use crate::resume::{Notes, Pasts};
use crate::run::{READ_AT_ONCE, Step, Watch};
use crate::service::{Queried, Region, Service};
use crate::slot::Slot;

/// Two terabytes take eleven hours (contract section 6); a drill that is not done after a day is given up.
const LONGEST_DRILL: SignedDuration = SignedDuration::from_hours(24);

/// What the journal remembers of an open drill.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// What was asked for; `None` when the invocation that opened it died at once.
    pub asked: Option<Asked>,
    sources: u64,
    /// Where the backups are, and where they are drilled.
    regions: Option<(Region, Region)>,
    chosen: Vec<Chosen>,
    begun: bool,
    left: bool,
}

impl Remembered {
    /// Reads the entries in their order.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut remembered = Self::default();
        for entry in entries {
            remembered.left = matches!(entry, Entry::DrillLeft);
            match entry {
                Entry::DrillAsked {
                    asked,
                    sources,
                    regions,
                } => {
                    remembered = Self {
                        asked: Some((**asked).clone()),
                        sources: *sources,
                        regions: regions.clone(),
                        ..Self::default()
                    };
                }
                Entry::RestoreChosen { chosen } => remembered.chosen.push(chosen.clone()),
                Entry::RestoreBegun => remembered.begun = true,
                _ => {}
            }
        }
        remembered
    }

    /// What it drills, as far as the names are what they should be, whatever the journal says.
    fn orders<'r>(
        &'r self,
        plan: &'r Plan,
        target: &'r Target,
    ) -> impl Iterator<Item = (Order, ScratchName)> + 'r {
        let read = move |chosen: &Chosen| {
            let backup = BackupName::parse(&target.prefix, &chosen.backup)?;
            let scratch = ScratchName::parse(&plan.name, &chosen.destination)?;
            let ours = backup.source().as_str() == chosen.source && scratch.is_of(&backup);
            ours.then(|| {
                let order = Order::remembered(chosen, backup, scratch.namespace().clone());
                (order, scratch)
            })
        };
        self.chosen.iter().filter_map(read)
    }
}

/// Where a drill restores to if nobody says so: where a restore would, or, if the backups have an organisation of their own,
/// beside them, because a key to the sources' region may write nothing there.
#[must_use]
pub fn region_of<'a>(asked: &'a Asked, plan: &'a Plan, target: &'a Target) -> &'a Region {
    let of_its_own = target.api_key.is_some();
    asked.to.as_ref().unwrap_or(if of_its_own {
        &target.region
    } else {
        &plan.source.region
    })
}

/// Carries a drill out, or on. `time_left` is how long it may work.
pub async fn drill<S: Service>(
    asked: &Asked,
    world: &World<'_, S>,
    slot: Slot,
    how: How,
    run_id: String,
    time_left: Duration,
) -> DrillReport {
    let begun_at = world.clock.now();
    let route = Route {
        plan: &world.plan.name,
        target: &world.target.name,
        from: world.backups.region(),
        to: world.destination.region(),
    };
    let (dry_run, size) = (how == How::DryRun, world.report);
    let report = DrillReport::begin(asked, route, slot, dry_run, run_id.clone(), begun_at, size);
    let mut drill = Drill {
        asked,
        world,
        how,
        clock: world.clock.for_a_new_run(),
        slot,
        until: Instant::now() + time_left.saturating_sub(time_left / 10),
        clear_until: Instant::now() + time_left.saturating_sub(time_left / 20),
        lease: None,
        notes: Notes::default(),
        pasts: Pasts::default(),
        opened_at: begun_at,
        begun: false,
        begun_in: None,
        orders: Vec::new(),
        earlier: Vec::new(),
        others: Vec::new(),
        done: Vec::new(),
        given_up: false,
        told: BTreeSet::new(),
        report,
    };
    let before = (world.attempts(), world.queried());
    let span = info_span!("drill", run_id, plan = world.plan.name, slot = %slot.instant());
    let work = async {
        if drill.open().boxed_local().await {
            let clock = drill.clock.clone();
            let renewals = renew(drill.lease.clone(), move || clock.latest());
            let interrupted = tokio::select! {
                biased;
                () = world.stop.notified() => true,
                () = drill.work().boxed_local() => false,
                never = renewals => match never {},
            };
            if interrupted {
                drill.interrupt().await;
            }
        }
        drill.close(before).boxed_local().await
    };
    work.instrument(span).await
}

struct Drill<'a, 'w, S> {
    asked: &'a Asked,
    world: &'a World<'w, S>,
    how: How,
    clock: Clock,
    /// Names it in the journal, with its plan.
    slot: Slot,
    /// When copying and comparing end, so that the scratches can still be deleted.
    until: Instant,
    clear_until: Instant,
    /// One drill of a plan at a time; backups and restores go on meanwhile.
    lease: Option<Arc<Lease>>,
    notes: Notes,
    pasts: Pasts,
    opened_at: Timestamp,
    /// Copies may have been started.
    begun: bool,
    /// Where its backups were and where it drilled them when it began.
    begun_in: Option<(Region, Region)>,
    orders: Vec<(Order, ScratchName)>,
    /// How the same request ended when it was last carried out to its end.
    earlier: Vec<JobLine>,
    /// Drills of the plan that are open, too.
    others: Vec<OpenRun>,
    /// What earlier invocations ended, and whether its scratch is gone.
    done: Vec<(Order, JobLine, bool)>,
    given_up: bool,
    /// Sources whose end is in the report.
    told: BTreeSet<Namespace>,
    report: DrillReport,
}

impl<S: Service> Drill<'_, '_, S> {
    async fn work(&mut self) {
        if self.how == How::Whole {
            self.end_the_killed().boxed_local().await;
            self.sweep().boxed_local().await;
        }
        if self.begun && self.is_too_old() {
            return self.give_up().boxed_local().await;
        }
        if !self.begun {
            let picked = self.pick().boxed_local().await;
            let plan = &self.world.plan.name;
            let orders = picked.into_iter().map(|taken| {
                let scratch = ScratchName::of(plan, self.slot, &taken.backup);
                let order = Order::of(taken, scratch.namespace().clone());
                (order, scratch)
            });
            self.orders = orders.collect();
            self.leave_out_the_proven();
        }
        if self.how == How::DryRun {
            for (order, _) in &self.orders {
                self.report.add_planned(order);
            }
            return;
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

    /// What the same request proved already is told, and not drilled again.
    fn leave_out_the_proven(&mut self) {
        let proven = |order: &Order, line: &&JobLine| {
            let same = line.backup.as_deref() == Some(order.backup.namespace().as_str());
            same && line.state == DrillState::Proven.word()
        };
        let (earlier, report) = (&self.earlier, &mut self.report);
        self.orders.retain(|(order, _)| {
            let line = earlier.iter().find(|line| proven(order, line));
            if let Some(line) = line {
                report.add_earlier(order, line, true, true);
            }
            line.is_none()
        });
    }

    fn is_too_old(&self) -> bool {
        self.clock.now().duration_since(self.opened_at) > LONGEST_DRILL
    }

    /// Ends a drill that nobody finished, and deletes its scratches, of which no copy is being made any more.
    async fn give_up(&mut self) {
        self.given_up = true;
        let message = "this drill was not finished within a day and is given up; drill again, with a level or a namespace that takes less time";
        self.report.fail(None, "abandoned", message.to_owned());
        let there = &self.begun_in;
        if let (Some((_, region)), Some(_)) = (there, moved(there.as_ref(), &self.world.regions()))
        {
            for (order, _) in &self.orders {
                let message = format!(
                    "given up after a day; the plan had other regions when it began, and its scratch `{}` may still stand in {region}: delete it there by hand",
                    order.destination
                );
                let state = DrillState::Failed;
                self.report.add_left(order, state, "moved", &message);
            }
            return;
        }
        let scratches = scratches(
            self.world,
            &self.clock,
            self.lease.clone(),
            self.clear_until,
        );
        for (order, scratch) in &self.orders {
            let cleared = scratches.clear(scratch, word_of(order)).await;
            let gone = self.report.add_cleared(order, &cleared);
            match ended_before(&self.pasts, &self.world.target.name, order.backup.source()) {
                Some(line) => self.done.push((order.clone(), line.clone(), gone)),
                None => {
                    let state = DrillState::Failed;
                    let message = "given up after a day";
                    self.report.add_left(order, state, "abandoned", message);
                }
            }
        }
    }

    async fn interrupt(&mut self) {
        if !self.begun {
            let message = "interrupted before anything was started; drill again";
            return self.report.fail(None, "interrupted", message.to_owned());
        }
        self.notes.write_milestones().await;
        let kept = self.notes.are_kept();
        let message = if kept {
            "interrupted; `resume` carries on and deletes the scratch"
        } else {
            "interrupted; its scratch may stand, and a backup or another drill deletes it a day later"
        };
        for (order, _) in &self.orders {
            let source = order.backup.source();
            if self.told.insert(source.clone()) {
                self.report.counts.scratches_left += 1;
                let state = DrillState::Incomplete;
                self.report.add_left(order, state, "out_of_time", message);
            }
        }
    }

    /// Drills everything that no earlier invocation has ended, and deletes every scratch that has served.
    async fn drive(&mut self) {
        let target = self.world.target.name.as_str();
        let jobs = Jobs {
            backups: self.world.backups,
            destination: self.world.destination,
            target_name: target,
            level: self.asked.level,
            purpose: Purpose::Drill,
            readers: &Semaphore::new(READ_AT_ONCE),
            until: self.until,
            patience: (self.how == How::OneMoreLook).then_some(PATIENCE),
            clock: &self.clock,
            notes: &self.notes,
            watch: Watch(self.world.watch),
        };
        let scratches = scratches(
            self.world,
            &self.clock,
            self.lease.clone(),
            self.clear_until,
        );
        let kept = self.notes.are_kept();
        (self.world.watch)(Step::Restores(self.orders.len()));
        let (jobs, pasts, scratches) = (&jobs, &self.pasts, &scratches);
        let work = self.orders.iter().map(|drilled| {
            let (order, scratch) = drilled;
            let past = pasts.of_job(target, order.backup.source());
            let ended = ended_before(pasts, target, order.backup.source());
            async move {
                let drilled = match ended {
                    Some(line) => Err(line),
                    None => Ok(jobs.restore(order, past).await),
                };
                let stays = drilled
                    .as_ref()
                    .is_ok_and(|record| scratch_stays(record, kept));
                let cleared = if stays {
                    None
                } else {
                    Some(scratches.clear(scratch, word_of(order)).await)
                };
                (order, drilled, cleared)
            }
            .boxed_local()
        });
        let copies = in_flight(self.world.plan.copies);
        let mut ended = stream::iter(work).buffer_unordered(copies);
        while let Some((order, drilled, cleared)) = ended.next().await {
            let gone = match &cleared {
                Some(cleared) => self.report.add_cleared(order, cleared),
                None => false,
            };
            self.told.insert(order.backup.source().clone());
            match drilled {
                Ok(record) => {
                    (self.world.watch)(Step::Restored(&record));
                    self.report.add(&record, gone, kept);
                }
                Err(line) => self.done.push((order.clone(), line.clone(), gone)),
            }
        }
    }

    async fn close(mut self, (before, queried): ((u64, u64), Queried)) -> DrillReport {
        let closes = !self.is_left_open();
        for (order, line, gone) in std::mem::take(&mut self.done) {
            self.report.add_earlier(&order, &line, gone, closes);
        }
        self.close_journal().await;
        let attempts = self.world.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
        self.report.queried = self.world.queried() - queried;
        self.report.finish(self.clock.now());
        info!(outcome = ?self.report.outcome, "drill ended");
        self.report
    }

    /// Whether there is work left that a later invocation can do.
    fn is_left_open(&self) -> bool {
        let left = self.report.counts.incomplete > 0 || self.report.a_scratch_may_yet_go();
        left && self.notes.are_kept() && !self.given_up
    }
}

/// The scratches of the world's plan in the region that receives them.
fn scratches<'s, S>(
    world: &'s World<'_, S>,
    clock: &'s Clock,
    lease: Option<Arc<Lease>>,
    until: Instant,
) -> Scratches<'s, S> {
    Scratches {
        plan: &world.plan.name,
        region: world.destination,
        clock,
        lease,
        until,
    }
}

/// This drill says itself what its scratch is a copy of.
fn word_of(order: &Order) -> ScratchWord<'_> {
    ScratchWord::Ours(order.backup.namespace().as_str())
}

/// Whether a scratch is not to be deleted now: it is somebody else's, or its copy goes on, or it is carried on with.
fn scratch_stays(record: &RestoreRecord, kept: bool) -> bool {
    let incomplete = record.state == RestoreState::Incomplete;
    let others = matches!(record.error, Some(RestoreError::Occupied(_)));
    others || (incomplete && (kept || record.copying.is_none()))
}
