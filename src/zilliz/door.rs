//! How requests reach the plans of Zilliz Cloud: which plan is meant, and what each action does there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::client::Client;
use super::estimate::{ClusterEstimate, estimate};
use super::limits::Limits;
use super::listed::{ClusterList, list};
use super::preflight::look_at;
use super::report::ClusterReport;
use super::restore::refuse_elsewhere;
use super::run::{World, run};
use super::transport::Https;
use crate::clock::Clock;
use crate::event::{Action, EventError, Request, nearest};
use crate::journal::{Entry, History, JobLine, Journal, JournalError, OpenRuns, RunRecord};
use crate::name::Class;
use crate::plan::{ClusterPlan, Settings};
use crate::preflight::Finding;
use crate::report::Size;
use crate::resuming::{open_of, what_is_open};
use crate::run::Refused;
use crate::secret::ApiKey;
use crate::{Answer, Lifeboat, RUNS_SHOWN, Resumed};

/// The control planes of all plans, by plan.
pub(crate) type Clients = BTreeMap<String, Client<Https>>;

/// Builds the clients; sends nothing yet.
pub(crate) fn connect(
    settings: &Settings,
    http: &reqwest::Client,
    clock: &Clock,
) -> Result<Clients, String> {
    // Plans with one key are one user to the service, and one rotation renews all of them.
    let mut users: Vec<(&ClusterPlan, Arc<ApiKey>, Arc<Limits>)> = Vec::new();
    let clients = settings.clusters.iter().map(|plan| {
        let transport = Https::new(http.clone(), &plan.base_url)?;
        let mut known = users.iter();
        let same = known.find(|(other, ..)| {
            other.base_url == plan.base_url && other.api_key.is_the_same(&plan.api_key)
        });
        let (key, limits) = match same {
            Some((_, key, limits)) => (Arc::clone(key), Arc::clone(limits)),
            None => (Arc::new(ApiKey::new(plan.api_key.clone())), Arc::default()),
        };
        users.push((plan, Arc::clone(&key), Arc::clone(&limits)));
        let client = Client::new(transport, key, clock.clone());
        Ok((plan.name.clone(), client.sharing(limits)))
    });
    clients.collect()
}

impl Lifeboat {
    /// Answers a request that is for a plan of Zilliz Cloud; `None` when it is not.
    pub(crate) async fn answer_for_clusters(
        &self,
        request: &Request,
        run_id: &str,
        time_left: Duration,
        size: Size,
    ) -> Result<Option<Answer>, Refused> {
        let of_all_plans = matches!(request.action, Action::Resume | Action::Jobs);
        let shows = matches!(request.action, Action::Check | Action::Estimate);
        if of_all_plans || (shows && request.plan.is_none()) {
            return Ok(None);
        }
        let Some(plan) = meant(&self.settings, request)? else {
            refuse_elsewhere(request)?;
            return match request.by_hand.first_given() {
                Some(field) => Err(EventError::Pointless {
                    field,
                    why: "is for plans of Zilliz Cloud",
                }
                .into()),
                None => Ok(None),
            };
        };
        if shows {
            return Ok(None);
        }
        if request.action == Action::Restore {
            let restored = self.restore_clusters(request, plan, run_id, time_left, size);
            return restored.boxed_local().await.map(Some);
        }
        if request.action == Action::List {
            let listed = self.list_clusters(plan, run_id, time_left, size);
            let listed = listed.boxed_local().await;
            return Ok(Some(Answer::ClustersListed(Box::new(listed))));
        }
        refuse_what_means_nothing(request, plan)?;
        let report = self
            .run_clusters(request, plan, run_id, time_left, size)
            .await?;
        Ok(Some(Answer::Clusters(Box::new(report))))
    }

    async fn run_clusters(
        &self,
        request: &Request,
        plan: &ClusterPlan,
        run_id: &str,
        time_left: Duration,
        size: Size,
    ) -> Result<ClusterReport, Refused> {
        let journal = self.cluster_journal();
        let world = self.world(plan, journal.as_ref(), size);
        let run = run(request, &world, run_id.to_owned(), time_left);
        Ok(run.boxed_local().await?)
    }

    /// Every backup of the plan's clusters.
    async fn list_clusters(
        &self,
        plan: &ClusterPlan,
        run_id: &str,
        time_left: Duration,
        size: Size,
    ) -> ClusterList {
        let journal = self.cluster_journal();
        let world = self.world(plan, journal.as_ref(), size);
        list(&world, run_id.to_owned(), time_left)
            .boxed_local()
            .await
    }

    fn world<'a>(
        &'a self,
        plan: &'a ClusterPlan,
        journal: Option<&'a Journal>,
        report: Size,
    ) -> World<'a, Https> {
        World {
            plan,
            plans: &self.settings.clusters,
            client: self.client(plan),
            journal,
            is_shared: self.kept().is_some_and(|kept| kept.shared),
            prices: &self.settings.prices.zilliz,
            clock: self.clock.clone(),
            report,
        }
    }

    /// Carries on with every open run of these plans, one after the other.
    pub(crate) async fn resume_clusters(
        &self,
        request: &Request,
        ends: Instant,
        size: Size,
        resumed: &mut Resumed,
    ) {
        let Some(journal) = self
            .cluster_journal()
            .filter(|_| !self.settings.clusters.is_empty())
        else {
            return;
        };
        let open = journal.open_runs().await;
        let open = open_of(resumed, "runs over clusters", open);
        resumed.open_cluster_runs = open.len();
        for open in open {
            let what = what_is_open("run", &open.key.plan, open.key.slot.instant());
            let Some(plan) = self.open_cluster_plan(&what, &open.key.plan, request, resumed) else {
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
            let report = self.run_clusters(&request, plan, &run_id, left, size);
            let report = resumed.of(&what, report.await);
            resumed.clusters.extend(report);
        }
    }

    /// The plan of something open. `None` when another one was asked for; or when it is not configured, which is told.
    pub(super) fn open_cluster_plan(
        &self,
        what: &str,
        name: &str,
        request: &Request,
        resumed: &mut Resumed,
    ) -> Option<&ClusterPlan> {
        if !is_meant(request, name) {
            return None;
        }
        let mut plans = self.settings.clusters.iter();
        let plan = plans.find(|plan| plan.name == name);
        if plan.is_none() {
            resumed.leave(what, name);
        }
        plan
    }

    /// What the journal remembers of these plans' runs, newest first within each.
    pub(crate) async fn jobs_of_clusters(&self, request: &Request) -> Result<History, Refused> {
        let mut found = History::default();
        let Some(journal) = self.cluster_journal() else {
            return Ok(found);
        };
        for plan in &self.settings.clusters {
            if is_meant(request, &plan.name) {
                let open = open_records(&journal, &plan.name).await?;
                let ended = journal.read_history(&plan.name, RUNS_SHOWN).await?;
                for part in [open, ended] {
                    found.records.extend(part.records);
                    found.ignored.extend(part.ignored);
                }
            }
        }
        Ok(found)
    }

    /// The plans of clusters that are meant where all are that nobody named.
    pub(crate) fn clusters_meant(&self, request: &Request) -> Vec<&ClusterPlan> {
        let plans = self.settings.clusters.iter();
        plans.filter(|plan| is_meant(request, &plan.name)).collect()
    }

    /// Asks the control plane of every plan that is meant, all at once.
    pub(crate) async fn check_clusters(
        &self,
        request: &Request,
        time_left: Duration,
    ) -> Vec<Finding> {
        let journal = self.cluster_journal();
        let looks = self.clusters_meant(request).into_iter().map(|plan| {
            let (client, prices) = (self.client(plan), &self.settings.prices.zilliz);
            let plans = &self.settings.clusters;
            let look = look_at(plan, plans, client, journal.as_ref(), prices);
            async move {
                let looked = timeout(time_left, look).boxed_local().await;
                looked.unwrap_or_else(|_| vec![Finding::out_of_time(&plan.name)])
            }
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    /// What a month of every plan that is meant costs, or why that can't be told.
    pub(crate) async fn estimate_clusters(
        &self,
        request: &Request,
        time_left: Duration,
    ) -> Vec<Result<ClusterEstimate, String>> {
        let plans = self.settings.clusters.iter();
        let meant = plans.filter(|plan| is_meant(request, &plan.name));
        let journal = self.cluster_journal();
        let looks = meant.map(async |plan| {
            let (client, prices) = (self.client(plan), &self.settings.prices.zilliz);
            let (journal, now) = (journal.as_ref(), self.clock.now());
            let plans = (plan, self.settings.clusters.as_slice());
            let estimated = estimate(plans, client, journal, prices, now).boxed_local();
            match timeout(time_left, estimated).await {
                Ok(Ok(estimate)) => Ok(estimate),
                Ok(Err(error)) => Err(format!("{}: {error}", plan.name)),
                Err(_) => Err(format!("{}: time ran out while sizes were read", plan.name)),
            }
        });
        join_all(looks).await
    }

    pub(super) fn client(&self, plan: &ClusterPlan) -> &Client<Https> {
        let Some(client) = self.clients.get(&plan.name) else {
            unreachable!("every plan was connected")
        };
        client
    }

    /// Apart from turbopuffer's runs, which mean something else by the same words.
    fn cluster_journal(&self) -> Option<Journal> {
        self.kept().map(|kept| kept.journal.of_clusters())
    }
}

/// What is left are runs, and only a plan with tiers ever deletes anything.
fn refuse_what_means_nothing(request: &Request, plan: &ClusterPlan) -> Result<(), EventError> {
    match request.action {
        _ if plan.tiers.is_some() && matches!(request.action, Action::Backup | Action::Prune) => {
            Ok(())
        }
        Action::Backup if request.approve.is_some() => Err(EventError::Pointless {
            field: "approve",
            why: "approves deletions, and a plan of Zilliz Cloud without `tiers` deletes nothing",
        }),
        Action::Backup => Ok(()),
        // Without its action the event is a backup, so nobody is told to leave it out.
        Action::Prune => Err(EventError::NothingToPrune {
            plan: plan.name.clone(),
        }),
        action => Err(EventError::NotForZilliz {
            action,
            plan: plan.name.clone(),
        }),
    }
}

fn is_meant(request: &Request, plan: &str) -> bool {
    request.plan.as_ref().is_none_or(|wanted| wanted == plan)
}

/// The open runs of a plan as history will show them, as far as they are: of each cluster the original first.
async fn open_records(journal: &Journal, plan: &str) -> Result<History, JournalError> {
    let OpenRuns { runs, ignored, .. } = journal.open_runs().await?;
    let mut records = Vec::new();
    let open = runs.into_iter().rev();
    for open in open.filter(|open| open.key.plan == plan) {
        let mut jobs: Vec<JobLine> = Vec::new();
        for entry in journal.entries(&open.key).await? {
            let Entry::Ended { job } = entry else {
                continue;
            };
            let same =
                |line: &&mut JobLine| (&line.source, &line.region) == (&job.source, &job.region);
            match jobs.iter_mut().find(same) {
                Some(line) => *line = job,
                None => jobs.push(job),
            }
        }
        records.push(RunRecord::of_open(open, jobs));
    }
    Ok(History { records, ignored })
}

/// The plan of Zilliz Cloud that is meant: the one that is named, the only plan of all, or the one called `default`.
///
/// # Errors
/// When a plan is named that is none, or none is named and it is not clear which is meant.
fn meant<'a>(
    settings: &'a Settings,
    request: &Request,
) -> Result<Option<&'a ClusterPlan>, EventError> {
    let (others, ours) = (&settings.plans, &settings.clusters);
    if ours.is_empty() {
        return Ok(None);
    }
    let wanted = match (&request.plan, others.as_slice(), ours.as_slice()) {
        (Some(name), ..) => name.as_str(),
        (None, [], [only]) => return Ok(Some(only)),
        (None, ..) => "default",
    };
    if let Some(plan) = ours.iter().find(|plan| plan.name == wanted) {
        return Ok(Some(plan));
    }
    if others.iter().any(|plan| plan.name == wanted) {
        return Ok(None);
    }
    let names = others.iter().map(|plan| plan.name.as_str());
    let mut names: Vec<&str> = names
        .chain(ours.iter().map(|plan| plan.name.as_str()))
        .collect();
    names.sort_unstable();
    Err(match &request.plan {
        None => EventError::NoPlanNamed {
            plans: names.join(", "),
        },
        Some(plan) => EventError::UnknownPlan {
            plan: plan.clone(),
            nearest: nearest(plan, &names).unwrap_or("default").to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zilliz::cases::plan;

    fn asked(action: Action, approve: Option<&str>, lines: &str) -> Result<(), String> {
        let request = Request {
            action,
            approve: approve.map(str::to_owned),
            ..Request::default()
        };
        refuse_what_means_nothing(&request, &plan(lines)).map_err(|error| error.to_string())
    }

    #[test]
    fn where_nothing_is_ever_deleted_prune_says_so_and_advises_no_backup() {
        let refused = asked(Action::Prune, None, "start = \"02:00\"").unwrap_err();
        assert_eq!(
            refused,
            "plan `prod` is of Zilliz Cloud and has no `tiers`, so it deletes nothing and there is nothing to prune; its backups go when the service's retention ends"
        );
        let approving = asked(Action::Backup, Some("1f0c"), "start = \"02:00\"").unwrap_err();
        assert!(approving.contains("`approve`"), "{approving}");
        assert_eq!(asked(Action::Backup, None, "start = \"02:00\""), Ok(()));
        let refused = asked(Action::Verify, None, "start = \"02:00\"").unwrap_err();
        assert!(refused.contains("`verify` is not available"), "{refused}");
    }
}
