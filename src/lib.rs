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
//! - [`journal`] what a later invocation must know of a run, who works on a plan, how runs ended.
//! - [`zilliz`] clusters of Zilliz Cloud, whose native backups a plan drives: a provider of its own, with its own map.
//! - [`service`] what a vector database must offer, and turbopuffer; [`secret`] API keys; [`clock`] and [`telemetry`].
//!
//! The doors are `main.rs` (Lambda) and `bin/lifeboat.rs` (a terminal); both build the same [`event::Request`] and hand
//! it to [`Lifeboat`].

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
pub mod zilliz;

#[cfg(test)]
mod cases;
#[cfg(feature = "terminal")]
pub mod demo;
#[cfg(feature = "terminal")]
pub mod terminal;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::clock::Clock;
use crate::drill::DrillReport;
use crate::estimate::{Estimated, estimate};
use crate::event::{Action, EventError, Request};
use crate::journal::{Journal, JournalError, JournalUrl, OpenRuns, RunKey, RunRecord};
use crate::name::Class;
use crate::plan::{Encryption, Plan, Settings, Target};
use crate::preflight::{Finding, Verdict, look_at, look_at_budget};
use crate::report::{Report, Size};
use crate::restore::{Asked, How, Kept, Remembered, RestoreReport};
use crate::run::{Refused, Step, World, run};
use crate::secret::{ApiKey, KeySource};
use crate::service::turbopuffer::{CopySource, Turbopuffer, customer_managed, http_client};
use crate::service::{Patient, Region};
use crate::slot::Slot;
use crate::zilliz::listed::ClusterList;
use crate::zilliz::restore::password::SecretsManager;
use crate::zilliz::{ClusterReport, ClusterRestoreReport};

/// Finished runs of a plan that `jobs` shows.
const RUNS_SHOWN: usize = 20;
/// Jobs in an answer of bounded size, newest run first.
const JOBS_ANSWERED: usize = 1_000;

/// What a request is answered with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What one run did.
    Run(Box<Report>),
    /// What was carried on with.
    Resumed(Resumed),
    /// What the journal remembers.
    Jobs(JobList),
    /// What one restore did.
    Restored(Box<RestoreReport>),
    /// What was found out of the regions.
    Checked(Checked),
    /// What the next nights will do.
    Estimated(Estimated),
    /// What one drill showed.
    Drilled(Box<DrillReport>),
    /// What one run over clusters of Zilliz Cloud did.
    Clusters(Box<ClusterReport>),
    /// What one restore of clusters of Zilliz Cloud did.
    ClustersRestored(Box<ClusterRestoreReport>),
    /// Every backup of a plan's clusters of Zilliz Cloud.
    ClustersListed(Box<ClusterList>),
}

impl Answer {
    /// The reports of the runs, one each.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        let (one, many): (Option<&Report>, &[Report]) = match self {
            Self::Run(report) => (Some(report), &[]),
            Self::Resumed(resumed) => (None, &resumed.runs),
            _ => (None, &[]),
        };
        one.into_iter().chain(many)
    }

    /// The reports of the restores, one each.
    pub fn restores(&self) -> impl Iterator<Item = &RestoreReport> {
        let (one, many): (Option<&RestoreReport>, &[RestoreReport]) = match self {
            Self::Restored(report) => (Some(report), &[]),
            Self::Resumed(resumed) => (None, &resumed.restores),
            _ => (None, &[]),
        };
        one.into_iter().chain(many)
    }

    /// The reports of the drills, one each.
    pub fn drills(&self) -> impl Iterator<Item = &DrillReport> {
        let (one, many): (Option<&DrillReport>, &[DrillReport]) = match self {
            Self::Drilled(report) => (Some(report), &[]),
            Self::Resumed(resumed) => (None, &resumed.drills),
            _ => (None, &[]),
        };
        one.into_iter().chain(many)
    }

    /// The reports of the runs over clusters, one each.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterReport> {
        let (one, many): (Option<&ClusterReport>, &[ClusterReport]) = match self {
            Self::Clusters(report) => (Some(report), &[]),
            Self::Resumed(resumed) => (None, &resumed.clusters),
            _ => (None, &[]),
        };
        one.into_iter().chain(many)
    }

    /// The reports of the restores of clusters, one each.
    pub fn cluster_restores(&self) -> impl Iterator<Item = &ClusterRestoreReport> {
        let (one, many): (Option<&ClusterRestoreReport>, &[ClusterRestoreReport]) = match self {
            Self::ClustersRestored(report) => (Some(report), &[]),
            Self::Resumed(resumed) => (None, &resumed.cluster_restores),
            _ => (None, &[]),
        };
        one.into_iter().chain(many)
    }

    /// The list of clusters' backups, if it is one.
    pub fn cluster_lists(&self) -> impl Iterator<Item = &ClusterList> {
        let list: Option<&ClusterList> = match self {
            Self::ClustersListed(list) => Some(list),
            _ => None,
        };
        list.into_iter()
    }
}

/// What a `resume` did.
#[derive(Debug, Serialize)]
pub struct Resumed {
    /// Always `resume`.
    pub action: Action,
    /// Names this invocation in every log line.
    pub run_id: String,
    /// Runs that were open, of all plans.
    pub open_runs: usize,
    /// Objects in the journal that stand among the open runs and are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// What was done for each.
    pub runs: Vec<Report>,
    /// Restores that were open.
    pub open_restores: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<RestoreReport>,
    /// Drills that were open.
    pub open_drills: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<DrillReport>,
    /// Runs over clusters that were open.
    #[serde(skip_serializing_if = "is_zero")]
    pub open_cluster_runs: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterReport>,
    /// Restores of clusters that were open.
    #[serde(skip_serializing_if = "is_zero")]
    pub open_cluster_restores: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster_restores: Vec<ClusterRestoreReport>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a `check` found out.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Always `check`.
    pub action: Action,
    /// Names this invocation in every log line.
    pub run_id: String,
    /// What was found out of every region that was asked.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// What has to be put right before backups work.
    pub fn bad(&self) -> impl Iterator<Item = &Finding> {
        let bad = |finding: &&Finding| finding.verdict == Verdict::Bad;
        self.findings.iter().filter(bad)
    }
}

/// Open and finished runs, newest first within each plan.
#[derive(Debug, Default, Serialize)]
pub struct JobList {
    /// The runs with their jobs.
    pub runs: Vec<RunRecord>,
    /// The drills, with what was shown of each backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<RunRecord>,
    /// The restores, each under the name by which its report calls it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<RunRecord>,
    /// Jobs that are left out of an answer that must be short.
    pub omitted: usize,
}

impl JobList {
    /// Leaves out what Lambda's answer, of 6 MB at most, may not hold.
    fn bounded(mut self) -> Self {
        let mut room = JOBS_ANSWERED;
        let all = self.runs.iter_mut().chain(&mut self.drills);
        for run in all.chain(&mut self.restores) {
            self.omitted += run.jobs.len().saturating_sub(room);
            run.jobs.truncate(room);
            room -= run.jobs.len();
        }
        self
    }
}

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

/// The regions of one plan.
#[derive(Debug)]
struct Connected {
    source: Patient<Turbopuffer>,
    targets: Vec<Patient<Turbopuffer>>,
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
                let how = if request.dry_run {
                    How::DryRun
                } else {
                    How::Whole
                };
                let plan = request.choose(&self.settings.plans)?;
                let asked = self.asked(request)?;
                let report = self.restore(&asked, plan, how, run_id, time_left, size, watch);
                Ok(Answer::Restored(Box::new(report.await?)))
            }
            Action::Check => {
                let mut findings = self.check(request, time_left).boxed_local().await?;
                let of_clusters = self.check_clusters(request, time_left);
                findings.extend(of_clusters.boxed_local().await);
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
                let how = if request.dry_run {
                    How::DryRun
                } else {
                    How::Whole
                };
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
            let Some(connected) = self.connected.get(&plan.name) else {
                unreachable!("every plan was connected")
            };
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
            let Some(connected) = self.connected.get(&plan.name) else {
                unreachable!("every plan was connected")
            };
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

    async fn run(
        &self,
        request: &Request,
        plan: &Plan,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Report, Refused> {
        let Some(connected) = self.connected.get(&plan.name) else {
            unreachable!("every plan was connected")
        };
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

    /// What is asked for, with what the environment adds to it.
    fn asked(&self, request: &Request) -> Result<Asked, EventError> {
        let mut asked = request
            .restore
            .clone()
            .ok_or_else(|| EventError::WhichSources {
                found: "none of them".to_owned(),
            })?;
        asked.to_api_key_in_variable =
            self.settings.restore_key.is_some() && asked.to_api_key_secret.is_none();
        Ok(asked)
    }

    /// Where restores are remembered, if anywhere.
    fn kept(&self) -> Option<Kept<'_>> {
        let shared = self.journal.as_ref().map(|journal| (journal, true));
        let own = self.restores.as_ref().map(|journal| (journal, false));
        let (journal, shared) = shared.or(own)?;
        Some(Kept { journal, shared })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the restore itself"
    )]
    async fn restore(
        &self,
        asked: &Asked,
        plan: &Plan,
        how: How,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<RestoreReport, Refused> {
        let (target, backups) = self.target(asked.target.as_ref(), plan)?;
        let region = asked.to.as_ref().unwrap_or(&plan.source.region);
        let own_key = match &asked.to_api_key_secret {
            Some(id) => Some(KeySource::Secret {
                id: id.clone(),
                field: None,
            }),
            None => self.settings.restore_key.clone(),
        };
        // Where backups and destination have one key, they are of one organisation, which needs no key shown to it.
        let apart = own_key.is_some() || target.api_key.is_some();
        let key = own_key.unwrap_or_else(|| plan.source.api_key.clone());
        let encryption = asked.to_encryption_key.as_deref();
        let destination = self.destination((plan, target), region, (key, apart), encryption)?;
        let world = restore::World {
            plan,
            plans: &self.settings.plans,
            target,
            backups,
            destination: &destination,
            kept: self.kept(),
            clock: self.clock.clone(),
            report: size,
            stop: &self.stop,
            watch,
        };
        restore::restore(asked, &world, how, run_id, time_left)
            .boxed_local()
            .await
    }

    /// Drills in the organisation of the backups: no key to the sources' may be needed to see that backups are good.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the drill itself"
    )]
    async fn drill(
        &self,
        asked: &drill::Asked,
        plan: &Plan,
        (slot, how): (Slot, How),
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<DrillReport, Refused> {
        let (target, backups) = self.target(asked.target.as_ref(), plan)?;
        let region = drill::region_of(asked, plan, target);
        let key = target.api_key.as_ref().unwrap_or(&plan.source.api_key);
        let encryption = asked.to_encryption_key.as_deref();
        let key = (key.clone(), false);
        let destination = self.destination((plan, target), region, key, encryption)?;
        let world = restore::World {
            plan,
            plans: &self.settings.plans,
            target,
            backups,
            destination: &destination,
            kept: self.kept(),
            clock: self.clock.clone(),
            report: size,
            stop: &self.stop,
            watch,
        };
        let report = drill::drill(asked, &world, slot, how, run_id, time_left);
        Ok(report.boxed_local().await)
    }

    /// The target that is meant, and its region.
    fn target<'a>(
        &'a self,
        asked: Option<&String>,
        plan: &'a Plan,
    ) -> Result<(&'a Target, &'a Patient<Turbopuffer>), EventError> {
        let Some(connected) = self.connected.get(&plan.name) else {
            unreachable!("every plan was connected")
        };
        let at = Request::target_of(asked, plan)?;
        let (Some(target), Some(backups)) = (plan.targets.get(at), connected.targets.get(at))
        else {
            unreachable!("the target is one of the plan's")
        };
        Ok((target, backups))
    }

    /// The region that receives what is restored, reached with a key that is or is not of the backups' organisation.
    fn destination(
        &self,
        (plan, target): (&Plan, &Target),
        region: &Region,
        (key, apart): (KeySource, bool),
        encryption: Option<&str>,
    ) -> Result<Patient<Turbopuffer>, EventError> {
        let base_url = self.settings.address(plan, region);
        let base_url = base_url.map_err(|faults| EventError::Destination(faults.to_string()))?;
        let of_backups = target.api_key.as_ref().unwrap_or(&plan.source.api_key);
        let encryption = match encryption {
            None => None,
            Some("default") => Some(turbopuffer::types::Encryption::Default),
            Some(key) => Some(customer_managed(key).map_err(EventError::Destination)?),
        };
        let copies = CopySource {
            region: target.region.clone(),
            api_key: apart.then(|| Arc::new(ApiKey::new(of_backups.clone()))),
            encryption,
        };
        let service = Turbopuffer::new(
            region.clone(),
            base_url,
            self.http.clone(),
            Arc::new(ApiKey::new(key)),
            Some(copies),
        );
        Ok(Patient::new(service, plan.concurrency))
    }

    /// Goes on with every open run, one after the other, then with every open restore, and then with every open drill.
    /// Costs three requests when there is none.
    async fn resume(
        &self,
        request: &Request,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Resumed, Refused> {
        let ends = Instant::now() + time_left;
        let kept = self.kept().ok_or(Refused::NoJournal)?;
        let open = match &self.journal {
            Some(journal) => journal.open_runs().await?,
            None => OpenRuns::default(),
        };
        let mut resumed = Resumed {
            action: Action::Resume,
            run_id,
            open_runs: open.runs.len(),
            ignored: open.ignored,
            runs: Vec::new(),
            open_restores: 0,
            restores: Vec::new(),
            open_drills: 0,
            drills: Vec::new(),
            open_cluster_runs: 0,
            clusters: Vec::new(),
            open_cluster_restores: 0,
            cluster_restores: Vec::new(),
        };
        for open in open.runs {
            let plan = self
                .settings
                .plans
                .iter()
                .find(|plan| plan.name == open.key.plan);
            let wanted = request
                .plan
                .as_ref()
                .is_none_or(|wanted| *wanted == open.key.plan);
            let Some(plan) = plan.filter(|_| wanted) else {
                continue;
            };
            let request = Request {
                action: Action::Resume,
                plan: Some(plan.name.clone()),
                scheduled_time: Some(open.key.slot.instant()),
                manual: open.key.class == Class::Manual,
                ..Request::default()
            };
            let left = ends.saturating_duration_since(Instant::now());
            let run_id = resumed.run_id.clone();
            let report = self.run(&request, plan, run_id, left, size, watch).await?;
            resumed.runs.push(report);
        }
        let open = kept.journal.of_restores().open_runs().await?;
        resumed.open_restores = open.runs.len();
        resumed.ignored.extend(open.ignored);
        for open in open.runs {
            let left = ends.saturating_duration_since(Instant::now());
            let run_id = resumed.run_id.clone();
            let carried_on = self.carry_on(kept, &open.key, request, run_id, left, size, watch);
            resumed.restores.extend(carried_on.await?);
        }
        let open = kept.journal.of_drills().open_runs().await?;
        resumed.open_drills = open.runs.len();
        resumed.ignored.extend(open.ignored);
        for open in open.runs {
            let left = ends.saturating_duration_since(Instant::now());
            let run_id = resumed.run_id.clone();
            let drilled = self.drill_on(kept, &open.key, request, run_id, left, size, watch);
            resumed.drills.extend(drilled.await?);
        }
        let run_id = resumed.run_id.clone();
        let of_clusters = self.resume_clusters(request, &run_id, ends, size);
        let (open, reports, ignored) = of_clusters.boxed_local().await?;
        resumed.open_cluster_runs = open;
        resumed.clusters = reports;
        resumed.ignored.extend(ignored);
        let of_clusters = self.resume_cluster_restores(request, &run_id, ends, size);
        (resumed.open_cluster_restores, resumed.cluster_restores) =
            of_clusters.boxed_local().await?;
        Ok(resumed)
    }

    /// Carries on with an open drill; `None` when it is of a plan that was not asked for, or is not configured.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the drill itself"
    )]
    async fn drill_on(
        &self,
        kept: Kept<'_>,
        key: &RunKey,
        request: &Request,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Option<DrillReport>, Refused> {
        let journal = kept.journal.of_drills();
        let wanted = |plan: &&Plan| {
            let asked_for = request.plan.as_ref();
            plan.name == key.plan && asked_for.is_none_or(|wanted| *wanted == plan.name)
        };
        let Some(plan) = self.settings.plans.iter().find(wanted) else {
            return Ok(None);
        };
        let remembered = drill::Remembered::of(&journal.entries(key).await?);
        let Some(asked) = remembered.asked else {
            restore::forget(&journal, key, &run_id, self.clock.now()).await?;
            return Ok(None);
        };
        let how = (key.slot, How::OneMoreLook);
        let report = self.drill(&asked, plan, how, run_id, time_left, size, watch);
        report.await.map(Some)
    }

    /// Carries on with an open restore; `None` when it is not for us: of another plan than was asked for, or into an
    /// organisation whose key only another machine has.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the restore itself"
    )]
    async fn carry_on(
        &self,
        kept: Kept<'_>,
        key: &RunKey,
        request: &Request,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Option<RestoreReport>, Refused> {
        let journal = kept.journal.of_restores();
        let remembered = Remembered::of(&journal.entries(key).await?);
        let Some((plan, asked)) = remembered.asked else {
            restore::forget(&journal, key, &run_id, self.clock.now()).await?;
            return Ok(None);
        };
        let wanted = request.plan.as_ref().is_none_or(|wanted| *wanted == plan);
        let plan = self.settings.plans.iter().find(|known| known.name == plan);
        let Some(plan) = plan.filter(|_| wanted) else {
            return Ok(None);
        };
        if asked.to_api_key_in_variable && self.settings.restore_key.is_none() {
            return Ok(None);
        }
        let how = How::OneMoreLook;
        let report = self.restore(&asked, plan, how, run_id, time_left, size, watch);
        report.await.map(Some)
    }

    /// What the journal remembers of the plans' jobs, newest run first.
    async fn jobs(&self, request: &Request) -> Result<JobList, Refused> {
        let journal = self.journal.as_ref().ok_or(Refused::NoJournal)?;
        let mut list = JobList::default();
        for plan in self.chosen(request)? {
            let (name, drills) = (&plan.name, journal.of_drills());
            let is_its = |run: &str| run == *name;
            list.runs
                .extend(resume::open_records(journal, is_its).await?);
            list.runs.extend(journal.history(name, RUNS_SHOWN).await?);
            list.drills
                .extend(resume::open_records(&drills, is_its).await?);
            list.drills.extend(drills.history(name, RUNS_SHOWN).await?);
            list.restores
                .extend(restores_of(&journal.of_restores(), name).await?);
        }
        list.runs.extend(self.jobs_of_clusters(request).await?);
        list.restores
            .extend(self.restores_of_clusters(request).await?);
        Ok(list)
    }

    /// The configuration in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// The newest restores of a plan, open ones first. Each request has a history of its own.
async fn restores_of(journal: &Journal, plan: &str) -> Result<Vec<RunRecord>, JournalError> {
    let is_its = |restore: &str| restore::plan_of(restore) == plan;
    let mut restores = Vec::new();
    for name in journal.names_in_history().await? {
        if is_its(&name) {
            restores.extend(journal.history(&name, RUNS_SHOWN).await?);
        }
    }
    restores.sort_by_key(|restore| Reverse(restore.key.slot));
    restores.truncate(RUNS_SHOWN);
    restores.splice(..0, resume::open_records(journal, is_its).await?);
    Ok(restores)
}

fn connect(plan: &Plan, http: &reqwest::Client) -> Result<Connected, String> {
    let source_key = Arc::new(ApiKey::new(plan.source.api_key.clone()));
    let region = |region: &str, base_url: &str, key, copies| {
        let (region, base_url) = (region.to_owned(), base_url.to_owned());
        let service = Turbopuffer::new(region, base_url, http.clone(), key, copies);
        Patient::new(service, plan.concurrency)
    };
    let targets = plan.targets.iter().map(|target| {
        // A key of its own means that the backups stand in another organisation, which must be shown the source's.
        let (key, shown_key) = match &target.api_key {
            Some(own) => (
                Arc::new(ApiKey::new(own.clone())),
                Some(Arc::clone(&source_key)),
            ),
            None => (Arc::clone(&source_key), None),
        };
        let copies = CopySource {
            region: plan.source.region.clone(),
            api_key: shown_key,
            encryption: match &target.encryption {
                None => None,
                Some(Encryption::Default) => Some(turbopuffer::types::Encryption::Default),
                Some(Encryption::CustomerManaged(key)) => Some(customer_managed(key)?),
            },
        };
        Ok(region(&target.region, &target.base_url, key, Some(copies)))
    });
    let targets = targets.collect::<Result<_, String>>()?;
    let source = &plan.source;
    Ok(Connected {
        source: region(&source.region, &source.base_url, source_key, None),
        targets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JobLine;

    #[test]
    fn an_answer_of_many_jobs_is_cut_and_says_so() {
        let line = JobLine {
            target: "t".into(),
            region: "r".into(),
            source: "s".into(),
            backup: None,
            state: "sealed".into(),
            rows: 1,
            bytes_written: 1,
            bytes_returned: 1,
            started_at: None,
            ended_at: None,
            progress: None,
            error: None,
            message: None,
        };
        let run = |jobs: usize| RunRecord {
            key: RunKey {
                plan: "p".into(),
                slot: Slot::from_digits("1763690400").unwrap(),
                class: Class::Scheduled,
            },
            run_id: String::new(),
            outcome: "succeeded".into(),
            opened_at: jiff::Timestamp::UNIX_EPOCH,
            closed_at: jiff::Timestamp::UNIX_EPOCH,
            jobs: vec![line.clone(); jobs],
            deleted: 0,
        };
        let list = JobList {
            runs: vec![run(900), run(900), run(5)],
            drills: Vec::new(),
            restores: Vec::new(),
            omitted: 0,
        };
        let cut = list.bounded();
        let shown: Vec<usize> = cut.runs.iter().map(|run| run.jobs.len()).collect();
        assert_eq!((shown, cut.omitted), (vec![900, 100, 0], 805));
    }
}
