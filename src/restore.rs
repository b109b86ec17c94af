//! Opens, drives and closes a restore: choose a backup for every source, see that nothing is in the way, hold the
//! backups, copy, compare, hand over.
//!
//! What it must never do: overwrite or delete anything, or start anything while something speaks against any part of it.
//! It needs the regions of the backups and of the destination alone, so it works while the source's region is down. Every
//! restore ends in exactly one report.

mod asked;
mod choose;
mod destination;
mod job;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join_all, pending};
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, error, info, info_span, warn};

pub use asked::{Asked, Template, TemplateError, Which};
pub use choose::{Choice, Lacking, Taken, choose};
pub use destination::{Conflict, name_all};
pub use job::{Chosen, Jobs, Order, RestoreError, RestoreRecord, RestoreState};
pub use report::{RestoreCounts, RestoreFailure, RestoreReport, Restored, Route};

use crate::clock::Clock;
use crate::journal::{
    Entry, Hold, JobLine, Journal, JournalError, Lease, LeaseError, RENEW_EVERY, RENEW_HOLD_EVERY,
    RunKey, RunLog, RunRecord,
};
use crate::listing::{self, ListingError};
use crate::name::{BackupName, Class, Namespace};
use crate::plan::{Plan, Target};
use crate::report::Size;
use crate::resume::{Notes, Past, Pasts};
use crate::retention::{Backup, Evidence};
use crate::run::{READ_AT_ONCE, Refused, Step};
use crate::service::{Patient, Service, ServiceError};
use crate::slot::{CLOCK_MARGIN, LATEST_START, Slot};

/// How long a `resume` waits for a copy that an earlier invocation started: one more look, not its end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Named sources whose backups are listed one by one; for more of them everything is listed once.
const LISTED_APART: usize = 50;

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

/// Where restores are remembered.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The journal.
    pub journal: &'a Journal,
    /// Whether it is the journal of the runs that prune, so that they read what is held.
    pub shared: bool,
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

/// What the journal remembers of an open restore.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The plan's name and what was asked for; `None` when the invocation that opened it died at once.
    pub asked: Option<(String, Asked)>,
    /// The point in time.
    pub at: Option<Timestamp>,
    chosen: Vec<Chosen>,
    begun: bool,
}

impl Remembered {
    /// Reads the entries in their order.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut remembered = Self::default();
        for entry in entries {
            match entry {
                Entry::RestoreAsked { plan, asked, at } => {
                    remembered = Self {
                        asked: Some((plan.clone(), (**asked).clone())),
                        at: Some(*at),
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
        carried_on: false,
        orders: Vec::new(),
        earlier: Vec::new(),
        told: BTreeSet::new(),
        report,
    };
    let before = restore.attempts();
    let span =
        info_span!("restore", run_id, plan = world.plan.name, restore = %restore.report.restore);
    let work = async {
        if restore.open().boxed_local().await {
            let renewals = renew(restore.lease.clone(), restore.clock.clone());
            let interrupted = tokio::select! {
                biased;
                () = world.stop.notified() => true,
                () = restore.work().boxed_local() => false,
                never = renewals => match never {},
            };
            if interrupted {
                restore.interrupt();
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
            opened_at: log.opened_at(),
            closed_at: now,
            jobs: Vec::new(),
            deleted: 0,
        };
        journal.close_run(log, record).await?;
    }
    lease.release().await
}

/// Makes the lease last for as long as the restore is worked at.
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

/// Makes the hold last for as long as the restore is worked at.
async fn renew_hold(hold: Option<&Hold>, clock: &Clock) -> Infallible {
    let Some(hold) = hold else {
        return pending().await;
    };
    loop {
        sleep(RENEW_HOLD_EVERY).await;
        if let Err(error) = hold.renew(clock.now()).await {
            warn!(error = error.word(), detail = %error, "the hold on the backups was not renewed");
        }
    }
}

/// Open runs by slot and whether they make manual backups, and what they wrote down.
#[derive(Default)]
struct Unfinished {
    target: String,
    runs: BTreeMap<(Slot, bool), Pasts>,
}

impl Unfinished {
    /// Whether a backup belongs to a run that is open and did not seal it yet.
    fn holds(&self, name: &BackupName) -> bool {
        let run = (name.slot(), name.class() == Class::Manual);
        let sealed = |pasts: &Pasts| {
            let past = pasts.of_job(&self.target, name.source());
            past.is_some_and(Past::is_sealed)
        };
        self.runs.get(&run).is_some_and(|pasts| !sealed(pasts))
    }
}

/// A target's backups by source, oldest first.
type BySource = BTreeMap<Namespace, Vec<Backup>>;

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
    /// By an earlier invocation.
    carried_on: bool,
    orders: Vec<Order>,
    /// How the same request ended when it was last carried out to its end.
    earlier: Vec<JobLine>,
    /// Sources whose end is in the report.
    told: BTreeSet<Namespace>,
    report: RestoreReport,
}

impl<S: Service> Restore<'_, '_, S> {
    /// Opens the restore in the journal, or finds it there. `false` when another invocation is at work at it.
    async fn open(&mut self) -> bool {
        let Some(kept) = self.world.kept else {
            if self.how != How::DryRun {
                self.report.warn("no journal is configured, so nothing remembers this restore if it is cut short, and nothing keeps pruning away from its backups; set LIFEBOAT_JOURNAL".to_owned());
            }
            return true;
        };
        let journal = kept.journal.of_restores();
        let opened = if self.how == How::DryRun {
            self.look_into(&journal).await.map_err(LeaseError::from)
        } else {
            self.open_in(&journal).await
        };
        match opened {
            Ok(open) => open,
            Err(held @ LeaseError::Held { .. }) if self.how == How::OneMoreLook => {
                self.report.fail("busy", held.to_string());
                self.report.stays_open = true;
                false
            }
            Err(held @ LeaseError::Held { .. }) => {
                self.report.fail(held.word(), held.to_string());
                false
            }
            Err(error) => {
                error!(error = error.word(), detail = %error, "the journal can't be used");
                self.report.warn(format!("nothing remembers this restore if it is cut short, and nothing keeps pruning away from its backups: {error}"));
                true
            }
        }
    }

    async fn find_open(&self, journal: &Journal) -> Result<Option<RunKey>, JournalError> {
        let open = journal.open_runs().await?;
        let ours = open
            .runs
            .into_iter()
            .find(|run| run.key.plan == self.report.restore);
        Ok(ours.map(|run| run.key))
    }

    /// Reads what an open restore has written down, for a dry run.
    async fn look_into(&mut self, journal: &Journal) -> Result<bool, JournalError> {
        self.earlier = self.ended_earlier(journal).await?;
        if let Some(key) = self.find_open(journal).await? {
            let entries = journal.entries(&key).await?;
            self.remember(&entries);
        }
        Ok(true)
    }

    /// What history says of the same request.
    async fn ended_earlier(&self, journal: &Journal) -> Result<Vec<JobLine>, JournalError> {
        let records = journal.history(&self.report.restore, 1).await?;
        Ok(records.into_iter().flat_map(|record| record.jobs).collect())
    }

    /// The same request's own work, if a destination that stands is that: restored from the same backup.
    fn restored_earlier(&self, backup: &BackupName) -> Option<&JobLine> {
        let (backup, restored) = (backup.to_string(), RestoreState::Restored.word());
        self.earlier
            .iter()
            .find(|line| line.state == restored && line.backup.as_deref() == Some(&backup))
    }

    /// `false` when there is nothing to carry on with any more.
    async fn open_in(&mut self, journal: &Journal) -> Result<bool, LeaseError> {
        let now = self.clock.now();
        let lease = journal.acquire(&self.report.restore, &self.report.run_id, now);
        let lease = Arc::new(lease.await?);
        self.lease = Some(Arc::clone(&lease));
        match self.find_open(journal).await? {
            Some(key) => self.slot = key.slot,
            None if self.how == How::OneMoreLook => return Ok(false),
            None => {}
        }
        self.earlier = self.ended_earlier(journal).await?;
        let log = journal.open_run(&lease, &self.key(), now).await?;
        self.opened_at = log.opened_at();
        self.remember(log.entries());
        self.notes = Notes::new(Some(log));
        Ok(true)
    }

    fn key(&self) -> RunKey {
        RunKey {
            plan: self.report.restore.clone(),
            slot: self.slot,
            class: Class::Scheduled,
        }
    }

    /// Takes over what earlier invocations wrote down.
    fn remember(&mut self, entries: &[Entry]) {
        let remembered = Remembered::of(entries);
        if !remembered.begun {
            return;
        }
        (self.begun, self.carried_on) = (true, true);
        self.pasts = Pasts::of(entries);
        self.report.at = remembered.at.unwrap_or(self.report.at);
        for chosen in &remembered.chosen {
            match self.read(chosen) {
                Some(order) => self.orders.push(order),
                None => self.report.add_missing(&chosen.source, format!(
                    "the journal says that it is restored from `{}`, which is no backup of this plan; ask for this source anew",
                    chosen.backup
                )),
            }
        }
    }

    /// What is restored must have the name of one of the target's backups, whatever the journal says.
    fn read(&self, chosen: &Chosen) -> Option<Order> {
        let backup = BackupName::parse(&self.world.target.prefix, &chosen.backup)?;
        let destination = Namespace::parse(&chosen.destination)?;
        (backup.source().as_str() == chosen.source).then_some(Order {
            backup,
            sealed: chosen.sealed,
            passed_over: chosen.passed_over,
            destination,
        })
    }

    async fn work(&mut self) {
        if self.begun && self.how != How::DryRun && self.is_too_old() {
            return self.give_up();
        }
        if !self.begun {
            let Some(taken) = self.choose_all().boxed_local().await else {
                return;
            };
            let Some(orders) = self.find_room(taken).boxed_local().await else {
                return;
            };
            self.orders = orders;
        }
        self.warn_about_the_unverified();
        if self.how == How::DryRun {
            return self.show_the_plan();
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
            never = renew_hold(hold.as_ref(), &clock) => match never {},
        }
    }

    fn is_too_old(&self) -> bool {
        self.clock.now().duration_since(self.opened_at) > LATEST_START
    }

    fn give_up(&mut self) {
        self.report.fail("abandoned", "this restore was not finished within seven days and is given up; what was restored stands, and what was not is to be asked for anew".to_owned());
        self.leave(RestoreState::Failed, "abandoned", "given up after seven days; look whether its destination stands, delete it if it does, and ask for this source anew");
    }

    fn interrupt(&mut self) {
        if !self.begun {
            return self.report.fail(
                "interrupted",
                "interrupted before anything was started; ask again".to_owned(),
            );
        }
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

    /// Chooses a backup for every source that is asked for. `None` when the backups could not be listed.
    async fn choose_all(&mut self) -> Option<Vec<Taken>> {
        let by_source = match self.list_backups().boxed_local().await {
            Ok(by_source) => by_source,
            Err(error) => {
                error!(error = error.word(), detail = %error, "listing failed");
                self.report.fail(error.word(), error.to_string());
                return None;
            }
        };
        let named = matches!(self.asked.which, Which::Names(_));
        if by_source.is_empty() && !named {
            let (prefix, region) = (
                self.world.target.prefix.as_str(),
                self.world.backups.region(),
            );
            self.report.fail("nothing_to_restore", format!(
                "no backup `{prefix}…` of what is asked for stands in {region}; `lifeboat list` shows what there is"
            ));
        }
        // What is dated later than now says nothing about any time.
        let at = self.report.at.min(
            self.clock
                .now()
                .saturating_add(CLOCK_MARGIN)
                .unwrap_or(self.report.at),
        );
        let unfinished = self.unfinished().await;
        let (backups, until, unfinished) = (self.world.backups, self.until, &unfinished);
        let choices = stream::iter(by_source)
            .map(|(source, known)| async move {
                let chosen = choose_one(backups, known, at, unfinished).boxed_local();
                (source, timeout_at(until, chosen).await)
            })
            .buffered(in_flight(self.world.plan.concurrency))
            .collect::<Vec<_>>();
        let mut taken = Vec::new();
        for (source, choice) in choices.await {
            match choice {
                Ok(Ok(Ok(chosen))) => taken.push(chosen),
                Ok(Ok(Err(lacking))) if named => self
                    .report
                    .add_missing(source.as_str(), lacking.to_string()),
                Ok(Ok(Err(lacking))) => {
                    self.report.warn(format!("{source} is left out: {lacking}"));
                }
                Ok(Err(error)) => self.report.fail_source(
                    &source,
                    error.word(),
                    format!("its backups could not be read, so it is not restored: {error}"),
                ),
                Err(_) => self.report.fail_source(
                    &source,
                    "out_of_time",
                    "time ran out before a backup was chosen; nothing was started".to_owned(),
                ),
            }
        }
        Some(taken)
    }

    /// Runs of the plan that are still open. A copy of a frozen source is born read-only, so what they have not sealed
    /// themselves may look sealed and be half a copy. When that can't be read, nothing is known of any.
    async fn unfinished(&self) -> Unfinished {
        let Some(kept) = self.world.kept else {
            return Unfinished::default();
        };
        let mut unfinished = Unfinished::default();
        for open in kept.journal.open_runs().await.unwrap_or_default().runs {
            if open.key.plan == self.world.plan.name {
                let entries = kept.journal.entries(&open.key).await.unwrap_or_default();
                let run = (open.key.slot, open.key.class == Class::Manual);
                unfinished.runs.insert(run, Pasts::of(&entries));
            }
        }
        unfinished.target.clone_from(&self.world.target.name);
        unfinished
    }

    /// The backups of everything that is asked for; of a named source that has none, an empty list.
    async fn list_backups(&self) -> Result<BySource, ListingError> {
        let (plan, target, backups) = (self.world.plan, self.world.target, self.world.backups);
        let classes = [Class::Scheduled, Class::Manual];
        let begins = classes.map(|class| target.prefix.of_class(class));
        let below = |with: &str| begins.each_ref().map(|begin| format!("{begin}{with}"));
        let prefixes: Vec<String> = match &self.asked.which {
            Which::Names(names) if names.len() <= LISTED_APART => names
                .iter()
                .flat_map(|name| below(&format!("{name}-")))
                .collect(),
            Which::Names(_) => begins.to_vec(),
            Which::Prefix(prefix) => below(prefix).to_vec(),
            Which::All => plan.backup_prefixes(target, &classes),
        };
        let listing = timeout_at(self.until, listing::list_prefixes(backups, &prefixes)).await;
        let listing = listing.unwrap_or_else(|_| {
            let region = backups.region().to_owned();
            Err(ListingError::OutOfTime { region })
        })?;
        let mut by_source = BySource::new();
        if let Which::Names(names) = &self.asked.which {
            let names = names.iter().filter_map(|name| Namespace::parse(name));
            by_source.extend(names.map(|name| (name, Vec::new())));
        }
        for text in listing.names {
            let Some(name) = BackupName::parse(&target.prefix, &text) else {
                continue;
            };
            let source = name.source().clone();
            let wanted = match &self.asked.which {
                Which::Names(_) => by_source.contains_key(&source),
                Which::Prefix(prefix) => source.as_str().starts_with(prefix.as_str()),
                Which::All => plan.source.selectors.selects(source.as_str()),
            };
            if wanted {
                let backup = Backup {
                    name,
                    evidence: None,
                };
                by_source.entry(source).or_default().push(backup);
            }
        }
        for backups in by_source.values_mut() {
            backups.sort_unstable_by_key(|backup| backup.name.slot());
        }
        Ok(by_source)
    }

    /// Names what will be restored, and looks whether it stands already. `None` when anything is in the way of anything.
    async fn find_room(&mut self, taken: Vec<Taken>) -> Option<Vec<Order>> {
        let sources = taken.iter().map(|taken| taken.backup.source());
        let region = self.world.destination.region();
        let named = name_all(&self.asked.template, sources, self.world.plans, region);
        let (destination, until) = (self.world.destination, self.until);
        let looks = stream::iter(named)
            .map(|(_, named)| look(destination, named, until).boxed_local())
            .buffered(in_flight(self.world.plan.concurrency))
            .collect::<Vec<_>>();
        let looks = looks.await;
        let (mut orders, mut done) = (Vec::new(), Vec::new());
        let mut in_the_way = Vec::new();
        for (taken, look) in taken.iter().zip(looks) {
            let order = |destination| Order {
                backup: taken.backup.clone(),
                sealed: taken.sealed,
                passed_over: taken.passed_over,
                destination,
            };
            match (look, self.restored_earlier(&taken.backup)) {
                (Look::Free(name), _) => orders.push(order(name)),
                (Look::Stands(name), Some(line)) => done.push((order(name), line.clone())),
                (Look::Stands(name), None) => {
                    let (name, region) = (name.to_string(), region.to_owned());
                    let exists = Conflict::Exists { name, region };
                    in_the_way.push((taken, exists.word(), exists.to_string()));
                }
                (Look::No(error, message), _) => in_the_way.push((taken, error, message)),
            }
        }
        for (order, line) in &done {
            self.report.add_earlier(order, line, true);
        }
        if in_the_way.is_empty() {
            return Some(orders);
        }
        for (taken, error, message) in in_the_way {
            let message = format!("{message}; nothing was started");
            self.report
                .fail_source(taken.backup.source(), error, message);
        }
        None
    }

    fn warn_about_the_unverified(&mut self) {
        let unverified: Vec<&Order> = self.orders.iter().filter(|order| !order.sealed).collect();
        if let Some(first) = unverified.first() {
            let message = format!(
                "{} of the backups were never verified, such as `{}`, because their sources have no other; look at what comes back before you rely on it",
                unverified.len(),
                first.backup
            );
            self.report.warn(message);
        }
        let passed_over = self.orders.iter().filter(|order| order.passed_over > 0);
        let passed_over: Vec<&Order> = passed_over.collect();
        if let Some(first) = passed_over.first() {
            let message = format!(
                "of {} sources, such as {}, there are newer backups that were never verified; the newest verified ones are restored",
                passed_over.len(),
                first.backup.source()
            );
            self.report.warn(message);
        }
    }

    fn show_the_plan(&mut self) {
        for order in &self.orders {
            match ended_before(&self.pasts, &self.world.target.name, order.backup.source()) {
                Some(line) => self.report.add_earlier(order, line, false),
                None => self.report.add_planned(order),
            }
        }
    }

    /// What is to be restored, so that whoever carries on restores the same.
    async fn write_down_the_plan(&self) {
        let asked = Entry::RestoreAsked {
            plan: self.world.plan.name.clone(),
            asked: Box::new(self.asked.clone()),
            at: self.report.at,
        };
        self.notes.write(asked).await;
        let chosen = self.orders.iter().map(|order| {
            let chosen = order.chosen();
            self.notes.write(Entry::RestoreChosen { chosen })
        });
        join_all(chosen).await;
    }

    /// Tells pruning to keep the backups, and says when it can't be told.
    async fn hold(&mut self) -> Option<Hold> {
        let kept = self.world.kept?;
        if !kept.shared {
            self.report.warn("this restore is remembered on this machine alone, which can't keep pruning away from its backups; set LIFEBOAT_JOURNAL to the function's journal for that".to_owned());
            return None;
        }
        let backups = self.orders.iter().map(|order| &order.backup);
        let region = self.world.backups.region();
        let hold = kept
            .journal
            .hold(&self.report.restore, region, backups, self.clock.now());
        match hold.await {
            Ok(hold) => {
                self.report.held = true;
                Some(hold)
            }
            Err(error) => {
                self.report.warn(format!(
                    "nothing keeps pruning away from the backups while they are restored: {error}"
                ));
                None
            }
        }
    }

    /// Restores everything that no earlier invocation has ended.
    async fn drive(&mut self) {
        let target = self.world.target.name.as_str();
        let jobs = Jobs {
            backups: self.world.backups,
            destination: self.world.destination,
            target_name: target,
            level: self.asked.level,
            readers: &Semaphore::new(READ_AT_ONCE),
            until: self.until,
            patience: (self.how == How::OneMoreLook).then_some(PATIENCE),
            clock: &self.clock,
            notes: &self.notes,
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

    fn attempts(&self) -> (u64, u64) {
        let (one, other) = (
            self.world.backups.attempts(),
            self.world.destination.attempts(),
        );
        (one.0 + other.0, one.1 + other.1)
    }

    async fn close(mut self, before: (u64, u64)) -> RestoreReport {
        if self.how != How::DryRun {
            self.add_what_ended_before();
        }
        self.close_journal().await;
        let attempts = self.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
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
        let Which::Names(names) = &self.asked.which else {
            return;
        };
        if !self.carried_on || !closes {
            return;
        }
        for name in names {
            let chosen = |order: &Order| order.backup.source().as_str() == name;
            let restored = RestoreState::Restored.word();
            let earlier = |line: &JobLine| line.source == *name && line.state == restored;
            if !self.orders.iter().any(chosen) && !self.earlier.iter().any(earlier) {
                let message = "it had no backup that could be used when this restore was begun";
                self.report.add_missing(name, message.to_owned());
            }
        }
    }

    /// Leaves the restore open for the next invocation, or files it as finished; then gives the lease back.
    async fn close_journal(&mut self) {
        if let Some(fault) = self.notes.fault() {
            self.report
                .warn(format!("the restore went on without its journal: {fault}"));
        }
        let sound = self.notes.are_kept();
        let (log, lines) = std::mem::take(&mut self.notes).into_parts();
        let closed = match (log, self.world.kept) {
            (Some(_), _) if self.report.counts.incomplete > 0 => {
                self.report.stays_open = sound;
                Ok(())
            }
            (Some(log), Some(kept)) if sound => self.file(kept, log, lines).await,
            _ => Ok(()),
        };
        let released = match self.lease.take().and_then(Arc::into_inner) {
            Some(lease) => lease.release().await,
            None => Ok(()),
        };
        if let Err(error) = closed.and(released) {
            error!(error = error.word(), detail = %error, "the journal was not closed");
            self.report
                .warn(format!("the journal was not closed: {error}"));
        }
    }

    async fn file(
        &self,
        kept: Kept<'_>,
        log: RunLog,
        lines: Vec<JobLine>,
    ) -> Result<(), JournalError> {
        // What the same request restored earlier is remembered for the next time it comes.
        let restored = RestoreState::Restored.word();
        let earlier = self.earlier.iter().filter(|line| line.state == restored);
        let jobs: BTreeMap<String, JobLine> = earlier
            .chain(self.pasts.lines())
            .cloned()
            .chain(lines)
            .map(|line| (line.source.clone(), line))
            .collect();
        let record = RunRecord {
            key: self.key(),
            run_id: self.report.run_id.clone(),
            outcome: self.report.outcome_so_far().word().to_owned(),
            opened_at: log.opened_at(),
            closed_at: self.clock.now(),
            jobs: jobs.into_values().collect(),
            deleted: 0,
        };
        kept.journal.of_restores().close_run(log, record).await?;
        if kept.shared {
            kept.journal.let_go(&self.report.restore).await?;
        }
        Ok(())
    }
}

fn in_flight(most: u32) -> usize {
    usize::try_from(most).unwrap_or(1).max(1)
}

/// How an earlier invocation ended the restore of a source, if one did.
fn ended_before<'p>(pasts: &'p Pasts, target: &str, source: &Namespace) -> Option<&'p JobLine> {
    let past = pasts.of_job(target, source)?;
    past.ended.as_ref().filter(|_| !past.is_open())
}

/// Asks about one source's backups until one can be chosen. Those of an unfinished run count as unsealed.
async fn choose_one<S: Service>(
    service: &S,
    mut backups: Vec<Backup>,
    at: Timestamp,
    unfinished: &Unfinished,
) -> Result<Result<Taken, Lacking>, ServiceError> {
    loop {
        let place = match choose(&backups, at) {
            Choice::Take(taken) => return Ok(Ok(taken)),
            Choice::Nothing(lacking) => return Ok(Err(lacking)),
            Choice::Ask(place) => place,
        };
        let Some(backup) = backups.get_mut(place) else {
            return Ok(Err(Lacking::NoBackup));
        };
        match service.metadata(backup.name.namespace()).await? {
            Some(shown) => {
                backup.evidence = Some(Evidence {
                    created_at: shown.created_at,
                    sealed: shown.read_only && !unfinished.holds(&backup.name),
                });
            }
            None => drop(backups.remove(place)),
        }
    }
}

/// What stands under a name.
enum Look {
    /// Nothing.
    Free(Namespace),
    /// Something.
    Stands(Namespace),
    /// The name can't be used, or it can't be seen what stands there: a stable word and a sentence.
    No(&'static str, String),
}

async fn look<S: Service>(service: &S, named: Result<Namespace, Conflict>, until: Instant) -> Look {
    let name = match named {
        Ok(name) => name,
        Err(conflict) => return Look::No(conflict.word(), conflict.to_string()),
    };
    match timeout_at(until, service.metadata(&name)).await {
        Ok(Ok(None)) => Look::Free(name),
        Ok(Ok(Some(_))) => Look::Stands(name),
        Ok(Err(error)) => Look::No(
            error.word(),
            format!("whether `{name}` stands already can't be seen: {error}"),
        ),
        Err(_) => Look::No(
            "out_of_time",
            format!("time ran out before it was seen whether `{name}` stands"),
        ),
    }
}
