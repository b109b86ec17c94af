//! Opens, drives and closes a run: list, copy, compare, seal, and only then prune.
//!
//! One failing source never stops another, and nothing is deleted where this run could not prove a newer good backup.
//! Every run ends in exactly one report.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tracing::{error, info};

use crate::backup::{JobRecord, Jobs};
use crate::clock::Clock;
use crate::event::{Action, EventError, Request};
use crate::listing::{self, ListingError};
use crate::name::Namespace;
use crate::plan::Plan;
use crate::prune::{Inventory, Mode, Pruning};
use crate::report::{Report, Size};
use crate::service::{Patient, Service};
use crate::slot::{Slot, SlotError};

/// What a run works with. Built once per process, or once per test.
pub struct World<'a, S> {
    /// The plan.
    pub plan: &'a Plan,
    /// The region of the sources.
    pub source: &'a Patient<S>,
    /// The region of the backups.
    pub target: &'a Patient<S>,
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
}

/// Why a request can't even begin. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The event makes no sense.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The scheduled time can't be a slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
}

/// Carries a request out. `time_left` is how long it may work.
pub async fn run<S: Service>(
    request: &Request,
    world: &World<'_, S>,
    run_id: String,
    time_left: Duration,
) -> Result<Report, Refused> {
    request.check_plan(&[&world.plan.name])?;
    let begun = world.clock.now();
    let slot = Slot::of_run(request.scheduled_time, begun)?;
    let report = Report::begin(request, world.plan, slot, run_id, begun, world.report);
    let mut run = Run {
        request,
        world,
        clock: world.clock.for_a_new_run(),
        slot,
        until: Instant::now() + time_left,
        report,
    };
    let before = run.attempts();
    match request.action {
        Action::Backup => run.back_up().await,
        Action::Prune => run.prune_only().await,
        Action::List => run.list().await,
        Action::Check => {}
    }
    Ok(run.close(before))
}

struct Run<'a, 'w, S> {
    request: &'a Request,
    world: &'a World<'w, S>,
    clock: Clock,
    slot: Slot,
    until: Instant,
    report: Report,
}

impl<S: Service> Run<'_, '_, S> {
    /// Lists both sides, runs every job, then prunes.
    async fn back_up(&mut self) {
        let (sources, inventory) = futures_util::join!(
            self.list_sources().boxed_local(),
            self.list_backups().boxed_local()
        );
        let sources = self.selected(sources);
        let mut inventory = match inventory {
            Ok(inventory) => Some(inventory),
            // Its names are in doubt, so nothing may be deleted; copying needs no list of what is there.
            Err(error @ ListingError::Broken { .. }) => {
                self.fail_listing(&error);
                None
            }
            Err(error) => return self.fail_listing(&error),
        };
        let Some(sources) = sources else {
            return self.stop_deletion("the sources could not be listed");
        };
        self.warn_about(&sources, inventory.as_ref());
        let mut unsealed = BTreeSet::new();
        if !self.request.dry_run {
            unsealed = self.run_jobs(&sources, inventory.as_mut()).await;
        }
        match inventory {
            Some(inventory) => self.prune(&inventory, &unsealed).await,
            None => self.stop_deletion("the backups could not be listed to the end"),
        }
    }

    async fn prune_only(&mut self) {
        match self.list_backups().boxed_local().await {
            Ok(inventory) => self.prune(&inventory, &BTreeSet::new()).await,
            Err(error) => self.fail_listing(&error),
        }
    }

    /// Shows every backup with its reasons; deletes nothing, dry run or not.
    async fn list(&mut self) {
        match self.list_backups().boxed_local().await {
            Ok(inventory) => {
                self.report.add_strays(&inventory.strays, true);
                self.pruning(&inventory, &BTreeSet::new(), Mode::Show).await;
            }
            Err(error) => self.fail_listing(&error),
        }
    }

    async fn list_sources(&self) -> Result<Vec<String>, ListingError> {
        let selectors = &self.world.plan.source.selectors;
        let listing = listing::list_prefixes(self.world.source, selectors.prefixes()).await?;
        Ok(listing
            .names
            .into_iter()
            .filter(|name| selectors.selects(name))
            .collect())
    }

    async fn list_backups(&self) -> Result<Inventory, ListingError> {
        let prefixes = self.world.plan.backup_prefixes();
        let listing = listing::list_prefixes(self.world.target, &prefixes).await?;
        Ok(Inventory::of(self.world.plan, listing))
    }

    /// The sources, if the listing can be used and selects anything.
    fn selected(&mut self, listed: Result<Vec<String>, ListingError>) -> Option<Vec<Namespace>> {
        let names = match listed {
            Ok(names) => names,
            Err(error) => {
                self.fail_listing(&error);
                return None;
            }
        };
        self.report.sources = u64::try_from(names.len()).unwrap_or(u64::MAX);
        let (plan, region) = (self.world.plan, &self.world.plan.source.region);
        if names.is_empty() {
            let prefixes = plan.source.selectors.prefixes().join("`, `");
            self.report.fail(None, None, "nothing_selected", format!(
                "no namespace in {region} begins with `{prefixes}`, so nothing is protected; check SOURCE_PREFIX, SOURCE_EXCLUDE, SOURCE_REGION and the key's organisation"
            ));
            return None;
        }
        let mut sources = Vec::with_capacity(names.len());
        for name in names {
            match Namespace::parse(&name) {
                Some(source) => sources.push(source),
                None => self.report.fail(
                    None,
                    None,
                    "illegal_name",
                    format!(
                        "{region} lists {name:?}, which is no namespace name; it is not backed up"
                    ),
                ),
            }
        }
        Some(sources)
    }

    /// What a person should know, though nothing failed.
    fn warn_about(&mut self, sources: &[Namespace], inventory: Option<&Inventory>) {
        let lookalikes = sources
            .iter()
            .filter(|source| self.world.plan.looks_like_a_backup(source))
            .count();
        if lookalikes > 0 {
            let prefix = self.world.plan.target.prefix.as_str();
            self.report.warn(format!("{lookalikes} of the sources are called like backups themselves; if they are, add `{prefix}*` to SOURCE_EXCLUDE"));
        }
        let Some(inventory) = inventory else { return };
        let live: BTreeSet<&Namespace> = sources.iter().collect();
        let gone: Vec<&Namespace> = inventory
            .sources()
            .map(|(source, _)| source)
            .filter(|source| !live.contains(source))
            .collect();
        self.report.pruning.gone_sources = u64::try_from(gone.len()).unwrap_or(u64::MAX);
        if !gone.is_empty() {
            let first = gone
                .iter()
                .take(5)
                .map(|source| source.as_str())
                .collect::<Vec<_>>()
                .join("`, `");
            self.report.warn(format!("{} sources with backups no longer exist, such as `{first}`; their newest backups stay", gone.len()));
        }
    }

    /// Runs one job per source and returns the sources that did not end sealed.
    async fn run_jobs(
        &mut self,
        sources: &[Namespace],
        inventory: Option<&mut Inventory>,
    ) -> BTreeSet<Namespace> {
        let plan = self.world.plan;
        let jobs = Jobs {
            source: self.world.source,
            target: self.world.target,
            prefix: &plan.target.prefix,
            slot: self.slot,
            until: self.until,
            clock: &self.clock,
        };
        (self.world.watch)(Step::Jobs(sources.len()));
        let listed = inventory.as_deref();
        let known = |source: &Namespace| {
            listed
                .map(|inventory| inventory.backups_of(source))
                .unwrap_or_default()
        };
        let in_flight = usize::try_from(plan.copies).unwrap_or(1).max(1);
        let work = sources
            .iter()
            .map(|source| jobs.back_up(source, known(source)).boxed_local());
        let mut ended = stream::iter(work).buffer_unordered(in_flight);
        let (mut sealed, mut unsealed) = (Vec::new(), BTreeSet::new());
        while let Some(job) = ended.next().await {
            (self.world.watch)(Step::Job(&job));
            self.report.add_job(&job);
            match (job.backup, job.evidence) {
                (Some(name), Some(evidence)) => sealed.push((name, evidence)),
                _ => drop(unsealed.insert(job.source)),
            }
        }
        drop(ended);
        if let Some(inventory) = inventory {
            sealed
                .iter()
                .for_each(|(name, evidence)| inventory.add_sealed(name, *evidence));
        }
        unsealed
    }

    async fn prune(&mut self, inventory: &Inventory, unsealed: &BTreeSet<Namespace>) {
        self.report
            .add_strays(&inventory.strays, self.request.dry_run);
        if !self.clock.agrees() {
            return;
        }
        let mode = if self.request.dry_run {
            Mode::Show
        } else {
            Mode::Delete
        };
        self.pruning(inventory, unsealed, mode).await;
    }

    async fn pruning(&mut self, inventory: &Inventory, unsealed: &BTreeSet<Namespace>, mode: Mode) {
        let pruning = Pruning {
            plan: self.world.plan,
            target: self.world.target,
            unsealed_jobs: unsealed,
            clock: &self.clock,
            until: self.until,
            mode,
        };
        self.report.pruning.backups = u64::try_from(inventory.backups()).unwrap_or(u64::MAX);
        (self.world.watch)(Step::Pruning(inventory.sources().count()));
        let (report, watch) = (&mut self.report, self.world.watch);
        let mut not_reached = 0_u64;
        pruning
            .prune(inventory, |source, pruned| {
                watch(Step::Pruned);
                not_reached += u64::from(pruned.not_reached);
                report.add_pruned(source, &pruned, mode == Mode::Show);
            })
            .await;
        if not_reached > 0 {
            self.report.fail(None, None, "out_of_time", format!("time ran out before the backups of {not_reached} sources were looked at; the next run prunes them"));
        }
    }

    fn fail_listing(&mut self, error: &ListingError) {
        error!(error = error.word(), detail = %error, "listing failed");
        self.report
            .fail(None, None, error.word(), error.to_string());
        self.stop_deletion("a listing failed");
    }

    fn stop_deletion(&mut self, why: &str) {
        self.report
            .deletion_stopped
            .get_or_insert_with(|| why.to_owned());
    }

    fn attempts(&self) -> (u64, u64) {
        let ((source, source_retries), (target, target_retries)) =
            (self.world.source.attempts(), self.world.target.attempts());
        (source + target, source_retries + target_retries)
    }

    fn close(mut self, before: (u64, u64)) -> Report {
        if !self.clock.agrees() {
            let seconds = self.clock.worst_difference_seconds();
            self.stop_deletion("the clocks disagree");
            self.report.fail(None, None, "clocks_disagree", format!(
                "the local clock is {seconds} seconds ahead of the service's (negative: behind), more than five minutes apart, so nothing was deleted; set the clock right"
            ));
        }
        let attempts = self.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
        self.report.clock_difference_seconds = self.clock.worst_difference_seconds();
        self.report.finish(self.clock.now());
        info!(outcome = ?self.report.outcome, "run ended");
        self.report
    }
}
