//! Lifeboat: scheduled, verified, cross-region backups for vector databases.
//!
//! The product is trust: the copy is there, it is complete, nothing needed was deleted, it comes back.
//!
//! # Layout
//! What is asked for, and what is answered:
//! - [`event`] an event becomes a request; [`plan`] the environment, or a document, becomes plans; [`report`] what a run
//!   says of itself; [`preflight`] what could keep the first one from working.
//!
//! Deciding, without network or clock:
//! - [`slot`] the scheduled instant; [`name`] the codec of backup names; [`retention`] what is due and why the rest stays;
//!   [`approval`] whether all of it may go at once; [`certificate`] the second opinion before each DELETE;
//!   [`limiter`] requests in flight; [`mod@estimate`] and [`price`] what it will cost, [`budget`] what it may.
//!
//! Doing:
//! - [`mod@run`] drives [`listing`], [`backup`] (copy, compare, seal), [`coverage`] (whether to copy at all), [`verify`] and
//!   [`prune`]; [`mod@restore`] brings backups back, and [`mod@drill`] tries whether it would; all copy by [`copying`].
//!   Would it have deleted that backup, and why? The beginning of `run/deleting.rs` lists all that a backup passes first.
//! - [`journal`] what a later invocation must know of a run, who works on a plan, how runs ended; [`witness`] what that says
//!   against a backup.
//! - [`zilliz`] clusters of Zilliz Cloud, whose native backups a plan drives: a provider of its own, with its own map.
//! - [`service`] what a vector database must offer, and turbopuffer; [`secret`] API keys; [`clock`] and [`telemetry`].
//!
//! The doors are `main.rs` (Lambda) and `bin/lifeboat.rs` (a terminal); both build the same [`event::Request`] and hand
//! it to [`Lifeboat`], which reaches the regions of each plan (`connected`), carries on with what is open (`resuming`) and
//! gives an [`Answer`]; what restores and drills need beside that stands in a `door` of theirs.
//!
//! Comments that cite a "contract section" mean `docs/contracts.md`: what the code relies on of each service, and how certain
//! that is. In `zilliz` and what belongs to it that is Zilliz Cloud's, everywhere else turbopuffer's.

pub mod approval;
pub mod backup;
pub mod budget;
pub mod certificate;
pub mod clock;
pub mod copying;
pub mod coverage;
pub mod drill;
pub mod estimate;
pub mod event;
pub mod journal;
pub mod limiter;
pub mod listing;
pub mod name;
pub mod plan;
pub mod preflight;
pub mod price;
pub mod prune;
pub mod report;
pub mod restore;
pub mod resume;
pub mod retention;
pub mod run;
pub mod secret;
pub mod service;
pub mod slot;
pub mod telemetry;
pub mod verify;
pub mod witness;
pub mod zilliz;

mod answer;
#[cfg(test)]
mod cases;
mod connected;
#[cfg(feature = "terminal")]
pub mod demo;
mod held_in_vain;
mod resuming;
#[cfg(feature = "terminal")]
pub mod terminal;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all, join3};
use tokio::sync::Notify;
use tokio::time::timeout;

pub use crate::answer::{Answer, Checked, JobList, NotCarriedOn, Resumed};
use crate::clock::Clock;
use crate::connected::{Connected, connect};
use crate::estimate::{Estimated, estimate};
use crate::event::{Action, EventError, Request};
use crate::journal::{Journal, JournalUrl};
use crate::plan::{Plan, Settings};
use crate::preflight::journal::{WhoseJournal, look_at_journal, out_of_time};
use crate::preflight::{Finding, look_at, look_at_budget};
use crate::report::{Report, Size};
use crate::restore::{How, Kept};
use crate::run::{Refused, Step, World, run};
use crate::service::turbopuffer::http_client;
use crate::slot::Slot;
use crate::zilliz::restore::password::SecretsManager;

/// Finished runs of a plan that `jobs` shows.
const RUNS_SHOWN: usize = 20;

/// Every plan with its regions, connected once per process.
#[derive(Debug)]
pub struct Lifeboat {
    settings: Settings,
    connected: BTreeMap<String, Connected>,
    clients: zilliz::Clients,
    /// Where one-time passwords go.
    vault: SecretsManager,
    journal: Option<Journal>,
    /// Where restores, and runs over clusters, are remembered if there is no such journal.
    restores: Option<Journal>,
    http: reqwest::Client,
    /// Told when a restore is to be left as it is.
    stop: Notify,
    clock: Clock,
}

impl Lifeboat {
    /// Builds the clients; sends nothing yet.
    pub fn connect(settings: Settings, clock: Clock) -> Result<Self, String> {
        let http = http_client()?;
        let connected = settings
            .plans
            .iter()
            .map(|plan| Ok((plan.name.clone(), connect(plan, &http)?)));
        Ok(Self {
            connected: connected.collect::<Result<_, String>>()?,
            clients: zilliz::connect(&settings, &http, &clock)?,
            vault: SecretsManager::default(),
            journal: settings.journal.as_ref().map(Journal::open),
            restores: None,
            http,
            stop: Notify::new(),
            settings,
            clock,
        })
    }

    /// Remembers restores and runs over clusters in a directory of this machine's, if no journal is configured.
    #[must_use]
    pub fn keeping_restores_in(mut self, directory: &JournalUrl) -> Self {
        if self.journal.is_none() {
            self.restores = Some(Journal::open(directory));
        }
        self
    }

    /// The request of an event that may come more than once under the same id. A backup without a `scheduled_time` is of the
    /// moment at which its event came first, if there is a journal that remembers it, so a repeated event makes no second one.
    ///
    /// # Errors
    /// When that can't be told for backups by hand, which stay for ever.
    pub async fn as_first_delivered(
        &self,
        request: Request,
        event: &str,
    ) -> Result<Request, Refused> {
        let names_none = request.scheduled_time.is_none() && !request.dry_run;
        let (Some(journal), true) = (
            &self.journal,
            names_none && request.action == Action::Backup,
        ) else {
            return Ok(request);
        };
        match journal.first_delivery(event, self.clock.now()).await {
            Ok(first) => Ok(Request {
                scheduled_time: Some(first),
                ..request
            }),
            Err(error) if request.manual => Err(error.into()),
            Err(error) => {
                tracing::warn!(error = error.word(), detail = %error, "whether the event came before can't be told");
                Ok(request)
            }
        }
    }

    /// Has the restore that is worked at left as it is, in order, so that the same request carries on with it.
    pub fn interrupt(&self) {
        self.stop.notify_one();
    }

    /// Carries a request out within `time_left`, and calls `watch` with what happens.
    ///
    /// Boxed here, so that all of it is compiled once, in this crate, and not again with every door.
    pub fn handle<'a>(
        &'a self,
        request: &'a Request,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &'a dyn Fn(Step<'_>),
    ) -> LocalBoxFuture<'a, Result<Answer, Refused>> {
        self.answer(request, run_id, time_left, size, watch)
            .boxed_local()
    }

    async fn answer(
        &self,
        request: &Request,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Answer, Refused> {
        let for_clusters = self.answer_for_clusters(request, &run_id, time_left, size);
        if let Some(answer) = for_clusters.boxed_local().await? {
            return Ok(answer);
        }
        match request.action {
            Action::Resume => {
                let resumed = self.resume(request, run_id, time_left, size, watch);
                resumed.boxed_local().await.map(Answer::Resumed)
            }
            Action::Jobs => {
                let jobs = self.jobs(request).boxed_local().await?;
                Ok(Answer::Jobs(match size {
                    Size::Bounded => jobs.bounded(),
                    Size::Whole => jobs,
                }))
            }
            Action::Restore => {
                let how = How::of(request.dry_run);
                let plan = request.choose(&self.settings.plans)?;
                let asked = self.asked(request)?;
                let report = self.restore(&asked, plan, how, run_id, time_left, size, watch);
                Ok(Answer::Restored(Box::new(report.await?)))
            }
            Action::Check => {
                let (of_plans, of_clusters, of_journal) = join3(
                    self.check(request, time_left).boxed_local(),
                    self.check_clusters(request, time_left).boxed_local(),
                    self.check_journal(request, time_left).boxed_local(),
                )
                .await;
                let mut findings = of_plans?;
                findings.extend(of_clusters.into_iter().chain(of_journal?));
                Ok(Answer::Checked(Checked {
                    action: Action::Check,
                    run_id,
                    findings,
                }))
            }
            Action::Estimate => {
                let estimated = self.estimate(request, run_id, time_left);
                Ok(Answer::Estimated(estimated.boxed_local().await?))
            }
            Action::Drill => {
                let how = How::of(request.dry_run);
                let plan = request.choose(&self.settings.plans)?;
                let slot = Slot::of_run(request.scheduled_time, self.clock.now())?;
                let asked = request.drill.clone().unwrap_or_default();
                let asked = asked.with_a_target(plan, slot);
                let report = self.drill(&asked, plan, (slot, how), run_id, time_left, size, watch);
                Ok(Answer::Drilled(Box::new(report.await?)))
            }
            _ => {
                let plan = request.choose(&self.settings.plans)?;
                let report = self.run(request, plan, run_id, time_left, size, watch);
                Ok(Answer::Run(Box::new(report.await?)))
            }
        }
    }

    /// The plan of turbopuffer that is named, or all of them; none when a plan of Zilliz Cloud is named.
    fn chosen(&self, request: &Request) -> Result<&[Plan], EventError> {
        let Some(name) = &request.plan else {
            return Ok(&self.settings.plans);
        };
        if self.settings.clusters.iter().any(|plan| plan.name == *name) {
            return Ok(&[]);
        }
        let plan = request.choose(&self.settings.plans)?;
        Ok(std::slice::from_ref(plan))
    }

    /// Plays the next nights of the plan that is named, or of every plan, all at once.
    async fn estimate(
        &self,
        request: &Request,
        run_id: String,
        time_left: Duration,
    ) -> Result<Estimated, Refused> {
        let tonight = Slot::of_run(request.scheduled_time, self.clock.now())?;
        let prices = &self.settings.prices;
        let looks = self.chosen(request)?.iter().map(async |plan| {
            let connected = self.connected(plan);
            let (source, targets) = (&connected.source, &connected.targets);
            let estimated = estimate(plan, source, targets, prices, tonight).boxed_local();
            match timeout(time_left, estimated).await {
                Ok(Ok(estimate)) => Ok(estimate),
                Ok(Err(error)) => Err(format!("{}: {error}", plan.name)),
                Err(_) => Err(format!(
                    "{}: time ran out while sizes were read; estimate from a terminal",
                    plan.name
                )),
            }
        });
        let mut estimated = Estimated {
            action: Action::Estimate,
            run_id,
            prices_as_of: prices.as_of,
            plans: Vec::new(),
            clusters: Vec::new(),
            failures: Vec::new(),
        };
        for look in join_all(looks).await {
            match look {
                Ok(estimate) => estimated.plans.push(estimate),
                Err(failure) => estimated.failures.push(failure),
            }
        }
        for look in self
            .estimate_clusters(request, time_left)
            .boxed_local()
            .await
        {
            match look {
                Ok(estimate) => estimated.clusters.push(estimate),
                Err(failure) => estimated.failures.push(failure),
            }
        }
        Ok(estimated)
    }

    /// Asks every region of the plan that is named, or of every plan, all at once.
    async fn check(&self, request: &Request, time_left: Duration) -> Result<Vec<Finding>, Refused> {
        let looks = self.chosen(request)?.iter().map(|plan| {
            let connected = self.connected(plan);
            let look = look_at(plan, &connected.source, &connected.targets, &self.clock);
            async move {
                let looked = timeout(time_left, look).boxed_local().await;
                let mut found = looked.unwrap_or_else(|_| vec![Finding::out_of_time(&plan.name)]);
                found.extend(look_at_budget(plan, &self.settings.prices.turbopuffer));
                found
            }
        });
        Ok(join_all(looks).await.into_iter().flatten().collect())
    }

    /// Looks at the journal that the plans share; without one, at this machine's own, if a plan of clusters uses that.
    async fn check_journal(
        &self,
        request: &Request,
        time_left: Duration,
    ) -> Result<Vec<Finding>, Refused> {
        let clusters = self.clusters_meant(request);
        let own = self.kept().filter(|_| !clusters.is_empty());
        let whose = WhoseJournal {
            journal: self.journal.as_ref().or(own.map(|kept| kept.journal)),
            configured: self.journal.is_some(),
            plans: self.chosen(request)?,
            clusters: &clusters,
        };
        let looked = timeout(time_left, look_at_journal(whose, &self.clock));
        let looked = looked.boxed_local().await;
        Ok(looked.unwrap_or_else(|_| vec![out_of_time()]))
    }

    async fn run(
        &self,
        request: &Request,
        plan: &Plan,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Report, Refused> {
        let connected = self.connected(plan);
        let world = World {
            plan,
            source: &connected.source,
            targets: &connected.targets,
            journal: self.journal.as_ref(),
            prices: &self.settings.prices,
            clock: self.clock.clone(),
            report: size,
            watch,
        };
        // Boxed, so that a door's future does not hold the whole depth of a run's.
        run(request, &world, run_id, time_left).boxed_local().await
    }

    /// Where restores are remembered, if anywhere.
    fn kept(&self) -> Option<Kept<'_>> {
        let shared = self.journal.as_ref().map(|journal| (journal, true));
        let own = self.restores.as_ref().map(|journal| (journal, false));
        let (journal, shared) = shared.or(own)?;
        Some(Kept { journal, shared })
    }

    /// What the journal remembers of the plans' jobs, newest run first.
    async fn jobs(&self, request: &Request) -> Result<JobList, Refused> {
        let journal = self.journal.as_ref().ok_or(Refused::NoJournal)?;
        let mut list = JobList::default();
        for plan in self.chosen(request)? {
            let (name, drills) = (&plan.name, journal.of_drills());
            let is_its = |run: &str| run == *name;
            let open = list.of(resume::open_records(journal, plan, is_its).await?);
            let ended = list.of(journal.read_history(name, RUNS_SHOWN).await?);
            list.runs.extend(open.into_iter().chain(ended));
            let open = list.of(resume::open_records(&drills, plan, is_its).await?);
            let ended = list.of(drills.read_history(name, RUNS_SHOWN).await?);
            list.drills.extend(open.into_iter().chain(ended));
            let restores = restore::restores_of(&journal.of_restores(), plan).await?;
            let restores = list.of(restores);
            list.restores.extend(restores);
        }
        let of_clusters = self.jobs_of_clusters(request).await?;
        let of_clusters = list.of(of_clusters);
        list.runs.extend(of_clusters);
        let of_clusters = self.restores_of_clusters(request).await?;
        let of_clusters = list.of(of_clusters);
        list.restores.extend(of_clusters);
        Ok(list)
    }

    /// The configuration in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
