//! A run over the clusters of a plan: their policies are read, repaired and read back, and what stands is judged.
//!
//! One failing cluster never stops another. Every run ends in exactly one report, and what is unprotected fails it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, info, info_span};

use super::account::Account;
use super::client::{Client, FailedJob, ZillizError};
use super::gaps::{Known, Ledger, horizon};
use super::journaled::{self, Journaled};
use super::manual;
use super::notes::{News, Note, Pasts};
use super::policy::Policy;
use super::recovery::{Placed, Protection, Standing, judge, unexplained_since};
use super::report::{ClusterReport, PolicyLine, PolicyState};
use super::timing::slot_of;
use super::transport::Transport;
use super::watching::{earlier_looks, had_the_policy, looks_now};
use super::windows::{self, grace};
use super::wire::{Backup, Cluster};
use crate::budget::OverBudget;
use crate::clock::Clock;
use crate::event::{Action, ByHand, Request};
use crate::journal::{JobLine, Journal, Look, RunKey, Watch, Watched, renew};
use crate::name::Class;
use crate::plan::ClusterPlan;
use crate::price::ZillizPrices;
use crate::report::{Outcome, Size};
use crate::service::Region;
use crate::slot::{CLOCK_MARGIN, Slot, SlotError};

/// Clusters that are worked at at once. The service's limit on requests is what counts.
const AT_ONCE: usize = 8;
/// How long a scheduled run follows the tiers that it makes: as long as small clusters take.
const PATIENCE: Duration = Duration::from_mins(3);
/// Nights whose backups are described at once, newest first: in most runs what is enough.
const NIGHTS_AT_ONCE: usize = 3;
/// No policy's backup is older (contract section 4).
const LONGEST_KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);

/// What a run works with.
pub struct World<'a, T> {
    /// The plan.
    pub plan: &'a ClusterPlan,
    /// All plans of Zilliz Cloud, of which no two may have one cluster.
    pub plans: &'a [ClusterPlan],
    /// The control plane with the plan's key.
    pub client: &'a Client<T>,
    /// Where runs are remembered.
    pub journal: Option<&'a Journal>,
    /// Whether it is the journal of the nightly runs, and not this machine's own, which knows nothing of theirs.
    pub is_shared: bool,
    /// What its cost is told with.
    pub prices: &'a ZillizPrices,
    /// The local clock.
    pub clock: Clock,
    /// How long the report may be.
    pub report: Size,
}

/// Carries a `backup`, an open run of one, or a `prune` out. `time_left` is how long it may work.
///
/// # Errors
/// When the scheduled time can't be a slot; then nothing was done.
pub async fn run<T: Transport>(
    request: &Request,
    world: &World<'_, T>,
    run_id: String,
    time_left: Duration,
) -> Result<ClusterReport, SlotError> {
    let begun = world.clock.now();
    let until = Instant::now() + time_left.saturating_sub(time_left / 20);
    let clocks = (world.client, &world.clock);
    let slot = slot_of(request, clocks, time_left).boxed_local().await?;
    let size = world.report;
    let mut run = Run {
        world,
        request,
        slot,
        until,
        report: ClusterReport::begin(request, world.plan, slot, run_id.clone(), begun, size),
        lines: Vec::new(),
        over_budget: None,
        holds_are_known: false,
        watched: BTreeMap::new(),
        looked_after: false,
    };
    let before = world.client.attempts();
    let span = info_span!("run", run_id, plan = world.plan.name, slot = %slot.instant());
    let work = async {
        let mut journaled = Journaled::default();
        if run.open(&mut journaled).await {
            let renewals = renew(journaled.lease.clone(), || world.client.latest());
            tokio::select! {
                biased;
                () = run.work(&journaled).boxed_local() => {}
                never = renewals.boxed_local() => match never {},
            }
        }
        run.close(journaled, before).await
    };
    Ok(work.instrument(span).await)
}

pub(super) struct Run<'a, 'w, T> {
    pub(super) world: &'a World<'w, T>,
    pub(super) request: &'a Request,
    pub(super) slot: Slot,
    pub(super) until: Instant,
    pub(super) report: ClusterReport,
    /// What the journal's history keeps.
    pub(super) lines: Vec<JobLine>,
    /// Why nothing new may be asked for, if that is so.
    pub(super) over_budget: Option<OverBudget>,
    /// Whether every id in `hold` keeps what it names; no tier is deleted before that was looked at.
    pub(super) holds_are_known: bool,
    /// What the next run is to know of each cluster.
    pub(super) watched: BTreeMap<String, Watched>,
    /// Whether that is to be written down.
    pub(super) looked_after: bool,
}

/// What one cluster came to.
struct Seen {
    policy: PolicyLine,
    /// This run has lately switched it on, which makes a first backup at once.
    just_enabled: bool,
    failures: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    standings: Vec<Standing>,
    judged_at: Timestamp,
    looks: BTreeMap<Region, Look>,
}

impl<T: Transport> Run<'_, '_, T> {
    /// Takes the plan's lease and opens the run in the journal; `false` when another invocation is at work.
    async fn open(&mut self, journaled: &mut Journaled) -> bool {
        let (Some(journal), false) = (self.world.journal, self.request.dry_run) else {
            return true;
        };
        let now = self.world.clock.now();
        let key = RunKey {
            plan: self.world.plan.name.clone(),
            slot: self.slot,
            class: if self.request.manual {
                Class::Manual
            } else {
                Class::Scheduled
            },
        };
        // What carries on is told by the journal alone what it is of.
        let asks = self.request.manual && self.request.action != Action::Resume;
        let of = asks.then_some(&self.request.by_hand);
        let invocation = (self.report.run_id.as_str(), now);
        let opened = journaled.open(journal, &key, invocation, self.makes(), of);
        match opened.await {
            Ok(()) => true,
            Err(fault) => {
                self.report.fail(None, None, fault.word, fault.message);
                // Without a journal, policies are still set and judged, because they need none. A backup by hand would be
                // one too many if an earlier invocation has made it already.
                !fault.held && !self.request.manual
            }
        }
    }

    /// Whether it sets policies and makes backups. Only `prune` does not.
    pub(super) fn makes(&self) -> bool {
        self.request.action != Action::Prune
    }

    async fn work(&mut self, journaled: &Journaled) {
        if self.request.action == Action::Resume && self.is_too_late().boxed_local().await {
            let slot = self.slot.instant();
            let message = format!(
                "the run of {slot} was not finished within seven days and is given up; what it made stands"
            );
            return self.report.fail(None, None, "abandoned", message);
        }
        // Written down before anything may fail, so that whoever carries on knows what was asked for.
        let Some(of) = self.of(journaled).await else {
            let message =
                "the invocation that was asked for it died before it had done anything; ask again";
            return self.report.fail(None, None, "abandoned", message.into());
        };
        let account = match timeout_at(self.until, Account::read(self.world.client))
            .boxed_local()
            .await
        {
            Ok(Ok(account)) => account,
            Ok(Err(error)) => {
                self.report
                    .fail(None, None, error.word(), error.to_string());
                self.report.tiers.is_open |=
                    error.passes() && self.has_tiers_to_make().boxed_local().await;
                return self.stay_open(journaled);
            }
            Err(_) => return self.out_of_time(None),
        };
        if !self.makes() {
            let selected = account.selected(self.world.plan).count();
            self.report.counts.clusters = u64::try_from(selected).unwrap_or(u64::MAX);
            return self.tend_tiers(&account, journaled).boxed_local().await;
        }
        let looked = self.look_at_the_cost(&account, &of);
        looked.boxed_local().await;
        if self.request.manual {
            return self
                .back_up_by_hand(&account, journaled, &of)
                .boxed_local()
                .await;
        }
        if journaled.pasts.failed.is_some() && self.request.action == Action::Resume {
            // Looking again would tell the same every five minutes.
            let message = "what is wrong with policies and regions was found when this run judged them, and is told once more at its end; only tiers are looked after";
            self.report.warn(message.into());
            self.keep_lines(&journaled.pasts);
        } else {
            let judged_all = self.judge_all(&account, journaled).boxed_local().await;
            self.note_failure(judged_all, journaled).await;
        }
        self.tend_tiers(&account, journaled).boxed_local().await;
    }

    /// What was begun by hand is looked at again, whatever kept this invocation from it.
    pub(super) fn stay_open(&mut self, journaled: &Journaled) {
        if self.request.manual && journaled.pasts != Pasts::default() {
            let message = "what was begun could not be looked at; `resume` looks again";
            self.report.fail(None, None, "being_made", message.into());
        }
    }

    /// How long this invocation follows what it has begun: a tier takes its time, and `resume` looks again.
    pub(super) fn patience(&self) -> Instant {
        let patience = match self.request.action {
            Action::Resume => manual::PATIENCE,
            _ => PATIENCE,
        };
        self.until.min(Instant::now() + patience)
    }

    /// Writes down what is wrong, so that whoever carries on with a tier tells it once more, and not at every look.
    async fn note_failure(&self, judged_all: bool, journaled: &Journaled) {
        let tells = self.report.outcome_so_far() == Outcome::Failed;
        if self.world.plan.tiers.is_none() {
            return;
        }
        if !tells {
            if journaled.pasts.failed.is_some() && judged_all {
                journaled.write(Note::Mended).await;
            }
            return;
        }
        for line in &self.lines {
            journaled.ended(line.clone()).await;
        }
        let mut news = self.report.news();
        if news.is_empty() {
            news.push(News {
                cluster: None,
                region: None,
                error: Some("failed".to_owned()),
                message: "more was wrong with policies and regions than a report shows".to_owned(),
            });
        }
        journaled.write(Note::Failed { news }).await;
    }

    /// The run's last word says what earlier invocations have found, because whoever found it may have died before it told.
    fn tell_again(&mut self, pasts: &Pasts) {
        if self.report.waits() {
            return;
        }
        // What was judged anew is as it is now.
        let judged = pasts.failed.iter().flatten().filter(|_| !self.looked_after);
        let news: Vec<_> = judged.chain(&pasts.news).collect();
        for news in news {
            self.report.tell_again(news);
        }
    }

    /// Sees to every cluster's policy, and judges what stands. Whether there was time for all of them.
    async fn judge_all(&mut self, account: &Account, journaled: &Journaled) -> bool {
        let plan = self.world.plan;
        let watch = self.read_watch().boxed_local().await;
        for entry in account.selecting_nothing(plan) {
            self.tell_selects_nothing(entry);
        }
        let clusters: Vec<&Cluster> = account.selected(plan).collect();
        self.report.counts.clusters = u64::try_from(clusters.len()).unwrap_or(u64::MAX);
        let looks = clusters.into_iter().map(|cluster| {
            let cluster_id = &cluster.cluster_id;
            let look = self
                .cluster(account, cluster, &watch, journaled)
                .instrument(info_span!("cluster", cluster_id));
            let look = timeout_at(self.until, look.boxed_local());
            async move { (cluster, look.await) }.boxed_local()
        });
        let seen: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let judged_all = seen.iter().all(|(_, seen)| seen.is_ok());
        for (cluster, seen) in seen {
            match seen {
                Ok(seen) => self.add(cluster, seen),
                Err(_) => {
                    if let Some(known) = watch.clusters.get(&cluster.cluster_id) {
                        let (id, regions) = (&cluster.cluster_id, known.regions.clone());
                        self.note_watched(id, cluster.shown(), regions);
                    }
                    self.out_of_time(Some(&cluster.cluster_id));
                }
            }
        }
        self.tell_the_gone(account, &watch).boxed_local().await;
        self.looked_after = true;
        judged_all
    }

    /// Tells that an entry of the plan's list selects nothing.
    pub(super) fn tell_selects_nothing(&mut self, entry: &str) {
        let message = format!(
            "no cluster in the key's scope is called so; was it dropped? Check `{entry}` in `clusters`, the project, and the key's scope"
        );
        self.report.fail(Some(entry), None, "not_found", message);
    }

    /// What a backup by hand is of; `None` when nobody knows it any more.
    async fn of(&self, journaled: &Journaled) -> Option<ByHand> {
        let of = self.request.by_hand.clone();
        if !self.request.manual || self.request.dry_run {
            return Some(of);
        }
        let resumes = self.request.action == Action::Resume;
        journaled.wished(of, resumes).await
    }

    /// What earlier invocations made is never forgotten, whatever became of this one, and what failed of it is told by the last
    /// word of a run by hand, whoever looked no more.
    fn keep_lines(&mut self, pasts: &Pasts) {
        for line in pasts.lines() {
            let same =
                |known: &JobLine| (&known.source, &known.region) == (&line.source, &line.region);
            if self.lines.iter().any(same) {
                continue;
            }
            if self.request.manual && line.state == "failed" && !self.report.waits() {
                self.report.tell_again(&News {
                    cluster: Some(line.source.clone()),
                    region: Some(line.region.clone()),
                    error: Some(line.error.clone().unwrap_or_default()),
                    message: line.message.clone().unwrap_or_default(),
                });
            }
            self.lines.push(line);
        }
    }

    pub(super) fn out_of_time(&mut self, cluster: Option<&str>) {
        let message = "time ran out; the next event looks again".to_owned();
        self.report.fail(cluster, None, "out_of_time", message);
    }

    fn add(&mut self, cluster: &Cluster, seen: Seen) {
        self.note_watched(&cluster.cluster_id, cluster.shown(), seen.looks);
        for warning in seen.warnings {
            self.report.warn(format!("{}: {warning}", cluster.shown()));
        }
        for (word, message) in seen.failures {
            self.report
                .fail(Some(&cluster.cluster_id), None, word, message);
        }
        self.report.add_policy(seen.policy);
        for standing in &seen.standings {
            let line = self.report.add_standing(cluster, standing, seen.judged_at);
            self.lines.push(journaled::line(&line));
        }
    }

    /// Reads, repairs and reads back one cluster's policy, and judges what stands, whatever became of the policy.
    async fn cluster(
        &self,
        account: &Account,
        cluster: &Cluster,
        watch: &Watch,
        journaled: &Journaled,
    ) -> Seen {
        let plan = self.world.plan;
        let (refused, notes) = account.against(plan, self.world.plans, cluster);
        let wanted = Policy::of(plan, self.world.client.now());
        let mut seen = Seen {
            policy: PolicyLine {
                cluster: cluster.cluster_id.clone(),
                name: cluster.shown().to_owned(),
                state: PolicyState::Failed,
                frequency: wanted.frequency(),
                start_time: wanted.start_time(),
                drift: Vec::new(),
            },
            just_enabled: false,
            failures: Vec::new(),
            warnings: notes,
            standings: Vec::new(),
            judged_at: self.world.client.now(),
            looks: BTreeMap::new(),
        };
        let refusals = refused
            .into_iter()
            .map(|refusal| (refusal.word, refusal.message));
        seen.failures.extend(refusals);
        if seen.failures.is_empty() {
            // If somebody has switched it off since, it is no first set-up.
            let had_it = had_the_policy(watch, &cluster.cluster_id);
            match self
                .policy(cluster, &wanted, &mut seen.policy, had_it, journaled)
                .boxed_local()
                .await
            {
                Ok(state) => {
                    seen.policy.state = match state {
                        PolicyState::Applied if had_it => PolicyState::Repaired,
                        state => state,
                    };
                    let before = journaled.pasts.enabled_at(&cluster.cluster_id);
                    let lately = |at| seen.judged_at.duration_since(at) <= grace(plan);
                    seen.just_enabled = state == PolicyState::Applied
                        || (state == PolicyState::InForce && before.is_some_and(lately));
                }
                Err(failure) => seen.failures.push(failure),
            }
        }
        self.judge_cluster(cluster, watch, &mut seen)
            .boxed_local()
            .await;
        seen
    }

    /// Judges what stands of a cluster, by what this run and earlier ones know.
    async fn judge_cluster(&self, cluster: &Cluster, watch: &Watch, seen: &mut Seen) {
        let plan = self.world.plan;
        let id = &cluster.cluster_id;
        // Who of this run's invocations has set it is all the same.
        let state = match seen.policy.state {
            PolicyState::InForce if seen.just_enabled => PolicyState::Applied,
            state => state,
        };
        let home = cluster.region_id.as_deref().unwrap_or_default();
        let earlier = earlier_looks(watch, plan, id, seen.judged_at);
        let mut known = Known {
            now: seen.judged_at,
            just_enabled: seen.just_enabled,
            had_drifted: !matches!(state, PolicyState::InForce | PolicyState::Failed),
            policy_failed: self.told_of_the_policy(state),
            earlier: &earlier,
            failed: &[],
        };
        let since = horizon(plan, home, &known);
        let placed = self.placed(cluster, home, (since, &earlier), &mut seen.warnings);
        let placed = match placed.boxed_local().await {
            Ok(placed) => placed,
            Err(error) => {
                seen.standings = unknown(plan, home, &error);
                seen.looks = looks_now(&earlier, state, &[], &seen.standings, known.now);
                return;
            }
        };
        seen.judged_at = self.world.client.now();
        known.now = seen.judged_at;
        let why = self.why_failed(id, plan, home, &placed, &known);
        let failed = why.boxed_local().await;
        known.failed = &failed;
        seen.standings = judge(plan, home, &placed, &known);
        seen.looks = looks_now(&earlier, state, &placed, &seen.standings, known.now);
    }

    /// What the service says of jobs that may explain what a region lacks. Nothing depends on it but what is told.
    async fn why_failed(
        &self,
        cluster: &str,
        plan: &ClusterPlan,
        home: &str,
        backups: &[Placed],
        known: &Known<'_>,
    ) -> Vec<FailedJob> {
        let ledger = Ledger {
            plan,
            home,
            backups,
            known,
        };
        let Some(since) = unexplained_since(&ledger) else {
            return Vec::new();
        };
        let failed = self.world.client.failed_jobs(cluster, since).await;
        failed.unwrap_or_else(|error| {
            info!(error = error.word(), detail = %error, "why backups failed could not be asked");
            Vec::new()
        })
    }

    /// The cluster's backups with their regions, newest first: all that began since then, until every region has shown one
    /// that the policy made, and an older one where no earlier look knows since when it makes them.
    async fn placed(
        &self,
        cluster: &Cluster,
        home: &str,
        (since, earlier): (Timestamp, &BTreeMap<Region, Look>),
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Placed>, ZillizError> {
        let client = self.world.client;
        let mut listed = client.backups(&cluster.cluster_id).await?;
        listed.sort_by_key(|backup| std::cmp::Reverse(backup.create_time));
        let targets = self
            .world
            .plan
            .targets
            .iter()
            .map(|target| target.region.as_str());
        let mut sought: BTreeSet<&str> = targets.chain([home]).collect();
        let is_known = |region: &&str| {
            earlier
                .get(*region)
                .is_some_and(|look| look.since.is_some())
        };
        let mut older = sought.clone();
        older.retain(|region| !is_known(region));
        let oldest = windows::earlier(client.now(), LONGEST_KEPT);
        let mut placed: Vec<Placed> = Vec::new();
        for some in listed.chunks(NIGHTS_AT_ONCE * sought.len()) {
            let looks = some
                .iter()
                .map(|listed| describe(client, &cluster.cluster_id, listed));
            for (listed, described) in some.iter().zip(join_all(looks).await) {
                match described? {
                    Some(backup) => placed.extend(Placed::of(&backup)),
                    None => warnings.push(format!(
                        "the backup {} was listed and is not there; it counts for nothing",
                        listed.backup_id
                    )),
                }
            }
            for backup in placed
                .iter()
                .filter(|backup| backup.available && backup.scheduled)
            {
                sought.remove(backup.region.as_str());
                if backup.created_at < since {
                    older.remove(backup.region.as_str());
                }
            }
            let last = some.last().and_then(|backup| backup.create_time);
            let is_before = |at: Timestamp| last.is_none_or(|last| last < at);
            let is_enough = is_before(since) && (older.is_empty() || is_before(oldest));
            if sought.is_empty() && is_enough {
                break;
            }
        }
        Ok(placed)
    }

    async fn close(mut self, mut journaled: Journaled, before: (u64, u64)) -> ClusterReport {
        let client = self.world.client;
        let ahead = SignedDuration::from_secs(client.ahead_seconds());
        self.report.clock_difference_seconds = -ahead.as_secs();
        if ahead.abs() > CLOCK_MARGIN {
            self.report.warn(format!(
                "the local clock is {} seconds off the service's, more than five minutes; ages are told by the service's, but set the local one right",
                ahead.abs().as_secs()
            ));
        }
        if self.request.manual {
            self.keep_lines(&journaled.pasts);
        }
        self.tell_again(&journaled.pasts);
        let lines = std::mem::take(&mut self.lines);
        let now = self.world.clock.now();
        let closed = journaled.close(self.world.journal, &mut self.report, lines, now);
        closed.await;
        // Not before: whoever repeats a run that was not filed is to look as far back as this one.
        self.write_watch(&journaled).await;
        if let Some(fault) = journaled.release().await {
            self.report.fail(None, None, fault.word, fault.message);
        }
        let attempts = client.attempts();
        self.report.requests = attempts.0 - before.0;
        self.report.retries = attempts.1 - before.1;
        self.report.finish(self.world.clock.now());
        info!(outcome = ?self.report.outcome, "run ended");
        self.report
    }
}

/// What is known of a cluster's regions when its backups could not be read.
fn unknown(plan: &ClusterPlan, home: &str, error: &ZillizError) -> Vec<Standing> {
    let targets = plan.targets.iter().map(|target| target.region.as_str());
    let unknown = |region: &str| Standing {
        region: region.to_owned(),
        protection: Protection::Unknown,
        newest: None,
        message: Some(format!(
            "its backups could not be read, so nothing is known of it: {error}"
        )),
    };
    std::iter::once(home).chain(targets).map(unknown).collect()
}

/// A listed backup with its region. Only describing is documented to tell it, but whoever tells it sooner saves a request.
pub(super) async fn describe<T: Transport>(
    client: &Client<T>,
    cluster: &str,
    listed: &Backup,
) -> Result<Option<Backup>, ZillizError> {
    if listed.region_id.is_some() {
        return Ok(Some(listed.clone()));
    }
    client.backup(cluster, &listed.backup_id).await
}

/// Those of these backups that a list leaves out, and that can be described: one list may lag behind.
pub(super) async fn left_out<'b, T: Transport>(
    client: &Client<T>,
    cluster: &str,
    ids: impl Iterator<Item = &'b String>,
    listed: &[Backup],
) -> Result<Vec<Backup>, ZillizError> {
    let is_listed = |id: &String| listed.iter().any(|listed| listed.backup_id == *id);
    let looks = ids
        .filter(|id| !is_listed(id))
        .map(|id| client.backup(cluster, id));
    let described: Result<Vec<_>, _> = join_all(looks).await.into_iter().collect();
    Ok(described?.into_iter().flatten().collect())
}

/// A listed backup with its region and what is in it, which only describing tells.
pub(super) async fn describe_whole<T: Transport>(
    client: &Client<T>,
    cluster: &str,
    listed: &Backup,
) -> Result<Option<Backup>, ZillizError> {
    let described = client.backup(cluster, &listed.backup_id).await?;
    Ok(described.map(|described| Backup {
        cluster_id: described.cluster_id.or_else(|| listed.cluster_id.clone()),
        cluster_name: described
            .cluster_name
            .or_else(|| listed.cluster_name.clone()),
        project_id: described.project_id.or_else(|| listed.project_id.clone()),
        create_time: described.create_time.or(listed.create_time),
        backup_type: described.backup_type.or_else(|| listed.backup_type.clone()),
        region_id: described.region_id.or_else(|| listed.region_id.clone()),
        restore_new_instance_policies: described
            .restore_new_instance_policies
            .or_else(|| listed.restore_new_instance_policies.clone()),
        ..described
    }))
}
