//! Opens, drives and closes a run: list, copy, compare, seal, and only then prune.
//!
//! One failing source never stops another, and nothing is deleted where this run could not prove a newer good backup.
//! Every run ends in exactly one report.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, error, info, info_span};

use crate::backup::{JobRecord, Jobs};
use crate::clock::Clock;
use crate::event::{Action, EventError, Request};
use crate::listing::{self, CompleteListing, ListingError};
use crate::name::{BackupName, Class, Namespace};
use crate::plan::Plan;
use crate::prune::{Inventory, Mode, Pruning};
use crate::report::{Report, Size};
use crate::retention::{Evidence, Keep};
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
        report,
    };
    let before = run.attempts();
    let span = info_span!("run", run_id, plan = world.plan.name, slot = %slot.instant());
    let work = async {
        match request.action {
            Action::Backup => run.back_up().await,
            Action::Prune => run.prune_only().await,
            Action::List => run.list().await,
            Action::Check => {}
        }
        run.close(before)
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
    report: Report,
}

/// Sources that a complete listing shows.
type Live = BTreeSet<Namespace>;

impl<S: Service> Run<'_, '_, S> {
    /// Lists both sides, runs every job, then prunes.
    async fn back_up(&mut self) {
        let (live, inventory) = self.list_both().await;
        let mut inventory = match inventory {
            Ok(inventory) => Some(inventory),
            // Its names are in doubt, so nothing may be deleted; copying needs no list of what is there.
            Err(error @ ListingError::Broken { .. }) => {
                self.fail_listing(&error);
                None
            }
            Err(error) => return self.fail_listing(&error),
        };
        let Some(live) = live else { return };
        self.warn_about(&live);
        let mut unsealed = BTreeSet::new();
        if !self.request.dry_run {
            unsealed = self.run_jobs(&live, inventory.as_mut()).await;
        }
        match inventory {
            Some(inventory) => self.prune(inventory, &live, &unsealed).await,
            None => self.stop_deletion("the backups could not be listed to the end"),
        }
    }

    async fn prune_only(&mut self) {
        if let (Some(live), Ok(inventory)) = self.list_both_or_fail().await {
            self.prune(inventory, &live, &BTreeSet::new()).await;
        }
    }

    /// Shows every backup with its reasons; deletes nothing, dry run or not.
    async fn list(&mut self) {
        if let (Some(live), Ok(inventory)) = self.list_both_or_fail().await {
            self.report.add_strays(&inventory.strays, true);
            self.pruning(&inventory, &live, &BTreeSet::new(), Mode::Show)
                .await;
        }
    }

    async fn list_both_or_fail(&mut self) -> (Option<Live>, Result<Inventory, ListingError>) {
        let (live, inventory) = self.list_both().await;
        if let Err(error) = &inventory {
            self.fail_listing(error);
        }
        (live, inventory)
    }

    /// Both sides, completely or not at all. What is wrong with the sources is reported here.
    async fn list_both(&mut self) -> (Option<Live>, Result<Inventory, ListingError>) {
        let plan = self.world.plan;
        let backup_prefixes = plan.backup_prefixes();
        let (sources, backups) = futures_util::join!(
            self.list_all(self.world.source, plan.source.selectors.prefixes())
                .boxed_local(),
            self.list_all(self.world.target, &backup_prefixes)
                .boxed_local()
        );
        let inventory = backups.map(|listing| Inventory::of(plan, listing));
        let live = match sources {
            Ok(listing) => self.selected(listing.names),
            Err(error) => {
                self.fail_listing(&error);
                return (None, inventory);
            }
        };
        if let Ok(inventory) = &inventory {
            self.look_for_the_gone(&live, inventory).boxed_local().await;
        }
        (Some(live), inventory)
    }

    async fn list_all(
        &self,
        service: &Patient<S>,
        prefixes: &[String],
    ) -> Result<CompleteListing, ListingError> {
        let listing = timeout_at(self.until, listing::list_prefixes(service, prefixes)).await;
        listing.unwrap_or_else(|_| {
            Err(ListingError::OutOfTime {
                region: service.region().to_owned(),
            })
        })
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
                self.report.fail(None, None, "nothing_selected", format!(
                    "no namespace in {region} that begins with `{prefix}` is selected, so nothing of it is protected; check SOURCE_PREFIX, SOURCE_EXCLUDE, SOURCE_REGION and the key's organisation"
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
                    self.report.fail(None, None, "illegal_name", message);
                }
            }
        }
        live
    }

    /// A source that has backups and is not listed is asked for by name: a listing that left it out is not complete.
    async fn look_for_the_gone(&mut self, live: &Live, inventory: &Inventory) {
        let unlisted = inventory
            .sources()
            .map(|(source, _)| source)
            .filter(|source| !live.contains(*source));
        let unlisted: Vec<&Namespace> = unlisted.collect();
        if unlisted.is_empty() {
            return;
        }
        let (source, in_flight) = (
            self.world.source,
            usize::try_from(self.world.plan.concurrency)
                .unwrap_or(1)
                .max(1),
        );
        let looks = stream::iter(&unlisted)
            .map(|name| async move {
                source
                    .metadata(name)
                    .await
                    .map(|found| found.map(|_| name.to_string()))
            })
            .buffer_unordered(in_flight)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect::<Vec<String>>();
        let region = &self.world.plan.source.region;
        match timeout_at(self.until, looks).await {
            Ok(Ok(found)) if found.is_empty() => {}
            Ok(Ok(found)) => {
                let fault = format!("it left out `{}`, which exist", found.join("`, `"));
                let prefix = self.world.plan.source.selectors.prefixes().join("*, ");
                return self.fail_listing(&ListingError::Broken {
                    prefix,
                    region: region.clone(),
                    fault,
                });
            }
            Ok(Err(error)) => {
                return self.fail_listing(&ListingError::Service {
                    prefix: "sources that are not listed".into(),
                    error,
                });
            }
            Err(_) => {
                return self.fail_listing(&ListingError::OutOfTime {
                    region: region.clone(),
                });
            }
        }
        self.report.pruning.gone_sources = u64::try_from(unlisted.len()).unwrap_or(u64::MAX);
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
            let prefix = self.world.plan.first_target().prefix.as_str();
            self.report.warn(format!("{lookalikes} of the sources are called like backups themselves; if they are, add `{prefix}*` to SOURCE_EXCLUDE"));
        }
    }

    /// Runs one job per source and returns the sources that did not end sealed.
    async fn run_jobs(
        &mut self,
        sources: &Live,
        inventory: Option<&mut Inventory>,
    ) -> BTreeSet<Namespace> {
        let plan = self.world.plan;
        let jobs = Jobs {
            source: self.world.source,
            target: self.world.target,
            prefix: &plan.first_target().prefix,
            slot: self.slot,
            until: self.copy_until,
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
        // Whoever has a backup of this slot already can wait for those who have none.
        let (first, then): (Vec<_>, Vec<_>) = sources.iter().partition(|source| {
            known(source)
                .last()
                .is_none_or(|newest| newest.name.slot() < self.slot)
        });
        let sources = first.into_iter().chain(then);
        let work = sources.map(|source| jobs.back_up(source, known(source)).boxed_local());
        let mut ended = stream::iter(work).buffer_unordered(in_flight);
        let (mut sealed, mut unsealed) = (Vec::new(), BTreeSet::new());
        while let Some(job) = ended.next().await {
            (self.world.watch)(Step::Job(&job));
            self.report.add_job(&job);
            match (job.is_sealed(), job.backup, job.evidence) {
                (true, Some(name), Some(evidence)) => sealed.push((name, evidence)),
                _ => drop(unsealed.insert(job.source)),
            }
        }
        drop(ended);
        if let Some(inventory) = inventory {
            for (name, evidence) in &sealed {
                inventory.add_sealed(name, *evidence);
            }
        }
        unsealed
    }

    async fn prune(
        &mut self,
        mut inventory: Inventory,
        live: &Live,
        unsealed: &BTreeSet<Namespace>,
    ) {
        self.report
            .add_strays(&inventory.strays, self.request.dry_run);
        self.report.pruning.backups = u64::try_from(inventory.backups()).unwrap_or(u64::MAX);
        if self.report.deletion_stopped.is_some() || !self.clock.agrees() {
            return;
        }
        if !self.request.dry_run {
            return self.pruning(&inventory, live, unsealed, Mode::Delete).await;
        }
        if self.request.action == Action::Backup {
            self.plan_copies(live, &mut inventory);
        }
        self.pruning(&inventory, live, unsealed, Mode::Show).await;
    }

    /// A dry run decides as the run would: after its copies were made and sealed.
    fn plan_copies(&self, live: &Live, inventory: &mut Inventory) {
        let created_at = self.clock.now();
        for source in live {
            let name = BackupName::of(
                &self.world.plan.first_target().prefix,
                Class::Scheduled,
                source,
                self.slot,
            );
            if let Ok(name) = name.map_err(drop) {
                inventory.add_planned(
                    &name,
                    Evidence {
                        created_at,
                        sealed: true,
                    },
                );
            }
        }
    }

    async fn pruning(
        &mut self,
        inventory: &Inventory,
        live: &Live,
        unsealed: &BTreeSet<Namespace>,
        mode: Mode,
    ) {
        let hold = |source: &Namespace| match (live.contains(source), unsealed.contains(source)) {
            (false, _) => Some(Keep::SourceGone),
            (true, true) => Some(Keep::JobNotSealed),
            (true, false) => None,
        };
        let pruning = Pruning {
            plan: self.world.plan,
            target: self.world.target,
            hold: &hold,
            clock: &self.clock,
            until: self.until,
            mode,
        };
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
            self.report.fail(None, None, "out_of_time", format!("time ran out before the backups of {not_reached} sources were looked at; the next run looks at them"));
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
            let (apart, way) = (
                seconds.abs(),
                if seconds > 0 { "ahead of" } else { "behind" },
            );
            self.stop_deletion("the clocks disagree");
            self.report.fail(None, None, "clocks_disagree", format!(
                "the local clock is {apart} seconds {way} the service's, more than five minutes, so deletion stopped (after {} backups); set the clock right",
                self.report.pruning.deleted
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
