//! What a run over clusters says of itself: one bounded JSON document, as [`crate::report`] is for namespaces.

use jiff::Timestamp;
use serde::Serialize;

use super::client::ZillizError;
use super::estimate::ClusterEstimate;
use super::notes::News;
use super::policy::Drift;
use super::recovery::{Protection, Standing};
use super::tiers::told::TierReport;
use super::wire::Cluster;
use crate::budget::Judged;
use crate::event::{Action, Request};
use crate::journal::JobLine;
use crate::plan::ClusterPlan;
use crate::report::{Bounded, Failure, Outcome, Size, first_reasons};
use crate::slot::Slot;

/// What became of a cluster's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyState {
    /// It was the plan's already.
    InForce,
    /// There was none, and no earlier run knew of one; it was set, read back, and is the plan's now.
    Applied,
    /// It was another one, or somebody had disabled it; it was set, read back, and is the plan's now.
    Repaired,
    /// It is another one, and the plan says to report that, or this is a dry run.
    Drifted,
    /// It is another one, and was not set, because the plan's hard budget is used up.
    OverBudget,
    /// It could not be read, set or understood, or the cluster was refused.
    Failed,
}

impl PolicyState {
    /// The word that reports use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Applied => "applied",
            Self::Repaired => "repaired",
            Self::Drifted => "drifted",
            Self::OverBudget => "over_budget",
            Self::Failed => "failed",
        }
    }
}

/// A cluster's policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyLine {
    /// The cluster's id.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub state: PolicyState,
    /// The plan's weekdays, as the service counts them, in UTC.
    pub frequency: String,
    /// The plan's window, in UTC.
    pub start_time: String,
    /// How the service's was another one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
}

/// What could be restored of a cluster in one region.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionLine {
    /// The cluster's id.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// The region.
    pub region: String,
    /// How good that is.
    pub state: Protection,
    /// The newest backup that can be restored there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Of when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<Timestamp>,
    /// How much a restore would lose, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<i64>,
    /// When the service deletes it; absent for one that stays until somebody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterCounts {
    /// Clusters that the plan selects.
    pub clusters: u64,
    /// Whose policy is the plan's at the end.
    pub policies_in_force: u64,
    /// Of these, set or repaired by this run.
    pub policies_set: u64,
    /// Whose policy is another one at the end.
    pub policies_drifted: u64,
    /// Pairs of cluster and region with a backup as young as the plan asks for.
    pub protected: u64,
    /// Pairs whose first backup is being made.
    pub in_making: u64,
    /// All other pairs.
    pub unprotected: u64,
    /// Backups and copies that this run had made and that are there.
    #[serde(skip_serializing_if = "is_zero")]
    pub made: u64,
}

/// Whether more time is a remedy for it.
fn passes(error: &str) -> bool {
    matches!(error, "out_of_time" | "in_making" | "being_made")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Names this run in every log line.
    pub run_id: String,
    /// What was asked for.
    pub action: Action,
    /// Always `zilliz`.
    pub provider: &'static str,
    /// Whether backups are made by hand, which stay for ever.
    pub manual: bool,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// The plan's name.
    pub plan: String,
    /// The scheduled instant.
    pub slot: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the run stays open in the journal, so that a `resume` event carries on.
    pub stays_open: bool,
    /// Beginning, UTC.
    pub started_at: Timestamp,
    /// End, UTC.
    pub finished_at: Timestamp,
    /// How many of each.
    pub counts: ClusterCounts,
    /// Each cluster's policy.
    #[serde(skip_serializing_if = "Bounded::is_empty")]
    pub policies: Bounded<PolicyLine>,
    /// Each cluster in each region.
    pub regions: Bounded<RegionLine>,
    /// Backups that were made by hand: the original, and then one record for each target region.
    #[serde(skip_serializing_if = "Bounded::is_empty")]
    pub jobs: Bounded<JobLine>,
    /// Tiers that were made and deleted, and that are due.
    #[serde(skip_serializing_if = "TierReport::is_empty")]
    pub tiers: TierReport,
    /// Local clock less the service's, seconds.
    pub clock_difference_seconds: i64,
    /// HTTP requests sent, repeats included.
    pub requests: u64,
    /// How many of them were repeats.
    pub retries: u64,
    /// What was not done, or is not as it should be.
    pub failures: Bounded<Failure>,
    /// What is worth a look and no failure.
    pub warnings: Bounded<String>,
    /// What is expected to be sent, kept and spent: in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<ClusterEstimate>,
    /// What that is to the plan's budget, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Judged>,
    /// Failures for which more time is no remedy.
    #[serde(skip)]
    not_for_want_of_time: u64,
    /// What more time is a remedy for.
    #[serde(skip)]
    for_want_of_time: u64,
}

impl ClusterReport {
    /// An empty report of a run that begins now.
    #[must_use]
    pub fn begin(
        request: &Request,
        plan: &ClusterPlan,
        slot: Slot,
        run_id: String,
        now: Timestamp,
        size: Size,
    ) -> Self {
        let list = size.longest_list();
        Self {
            run_id,
            action: request.action,
            provider: "zilliz",
            manual: request.manual,
            dry_run: request.dry_run,
            plan: plan.name.clone(),
            slot: slot.instant(),
            outcome: Outcome::Succeeded,
            stays_open: false,
            started_at: now,
            finished_at: now,
            counts: ClusterCounts::default(),
            policies: Bounded::of_at_most(list),
            regions: Bounded::of_at_most(list),
            jobs: Bounded::of_at_most(list),
            tiers: TierReport::of_at_most(list),
            clock_difference_seconds: 0,
            requests: 0,
            retries: 0,
            failures: Bounded::of_at_most(list),
            warnings: Bounded::of_at_most(list),
            estimate: None,
            budget: None,
            not_for_want_of_time: 0,
            for_want_of_time: 0,
        }
    }

    /// Adds what became of a cluster's policy. What drifts is a failure unless it was repaired.
    pub fn add_policy(&mut self, line: PolicyLine) {
        let counts = &mut self.counts;
        match line.state {
            PolicyState::InForce => counts.policies_in_force += 1,
            PolicyState::Applied | PolicyState::Repaired => {
                counts.policies_in_force += 1;
                counts.policies_set += 1;
            }
            PolicyState::Drifted | PolicyState::OverBudget => counts.policies_drifted += 1,
            PolicyState::Failed => {}
        }
        let drifts: Vec<String> = line.drift.iter().map(ToString::to_string).collect();
        let drifts = drifts.join("; ");
        match line.state {
            PolicyState::Repaired => {
                self.warn(format!(
                    "{} ({}) had another policy and was repaired: {drifts}",
                    line.name, line.cluster
                ));
            }
            PolicyState::Drifted if !self.dry_run => {
                let message = format!(
                    "its policy is not the plan's, which says to report that (`drift = \"report\"`): {drifts}"
                );
                self.fail(Some(&line.cluster), None, "drift", message);
            }
            _ => {}
        }
        self.policies.push(line);
    }

    /// Adds what stands of a cluster in one region. Whatever is not protected is a failure.
    pub fn add_standing(
        &mut self,
        cluster: &Cluster,
        standing: &Standing,
        now: Timestamp,
    ) -> RegionLine {
        let counted = match standing.protection {
            Protection::Protected => &mut self.counts.protected,
            Protection::InMaking => &mut self.counts.in_making,
            _ => &mut self.counts.unprotected,
        };
        *counted += 1;
        let newest = standing.newest.as_ref();
        let line = RegionLine {
            cluster: cluster.cluster_id.clone(),
            name: cluster.shown().to_owned(),
            region: standing.region.clone(),
            state: standing.protection,
            backup: newest.map(|backup| backup.id.clone()),
            recovery_point: newest.map(|backup| backup.created_at),
            age_seconds: newest.map(|backup| now.duration_since(backup.created_at).as_secs()),
            expires_at: newest.and_then(|backup| backup.expires_at),
        };
        self.regions.push(line.clone());
        if let Some(message) = &standing.message {
            let (id, region) = (&cluster.cluster_id, &standing.region);
            self.fail(
                Some(id),
                Some(region),
                standing.protection.word(),
                message.clone(),
            );
        }
        line
    }

    /// Adds a failure about a cluster.
    pub fn fail_for(&mut self, cluster: &str, error: &ZillizError) {
        self.fail(Some(cluster), None, error.word(), error.to_string());
    }

    /// Adds a failure of the run, of a cluster, or of a cluster in a region.
    pub fn fail(
        &mut self,
        cluster: Option<&str>,
        region: Option<&str>,
        error: &'static str,
        message: String,
    ) {
        let passes = passes(error);
        self.not_for_want_of_time += u64::from(!passes);
        self.for_want_of_time += u64::from(passes);
        self.failures.push(Failure {
            target: region.map(str::to_owned),
            source: cluster.map(str::to_owned),
            backup: None,
            error,
            message,
        });
    }

    /// Adds a warning.
    pub fn warn(&mut self, message: String) {
        tracing::warn!(detail = message, "warning");
        self.warnings.push(message);
    }

    /// What is wrong so far, for which more time is no remedy, as far as it is shown.
    pub(super) fn news(&self) -> Vec<News> {
        let failures = self.failures.shown.iter();
        let lasting = failures.filter(|failure| !passes(failure.error));
        let news = lasting.map(|failure| News {
            cluster: failure.source.clone(),
            region: failure.target.clone(),
            error: Some(failure.error.to_owned()),
            message: failure.message.clone(),
        });
        news.collect()
    }

    /// Adds what an earlier invocation found, unless this one has found the same.
    pub(super) fn tell_again(&mut self, news: &News) {
        let (cluster, region) = (news.cluster.as_deref(), news.region.as_deref());
        let same = |failure: &Failure| {
            let place = (failure.source.as_deref(), failure.target.as_deref());
            place == (cluster, region) && failure.message == news.message
        };
        match &news.error {
            Some(_) if self.failures.shown.iter().any(same) => {}
            Some(error) => {
                let message = format!(
                    "an earlier invocation of this run, which may not have lived to tell, found `{error}`: {}",
                    news.message
                );
                self.fail(cluster, region, "failed_before", message);
            }
            None if self.warnings.shown.contains(&news.message) => {}
            None => self.warn(news.message.clone()),
        }
    }

    /// Whether a later look may see more. What was judged as a whole need not be judged again when it failed already; what is
    /// made by hand is followed to its end, whatever became of the rest.
    #[must_use]
    pub fn waits(&self) -> bool {
        let passes = self.for_want_of_time > 0 && (self.manual || self.not_for_want_of_time == 0);
        passes || self.tiers.is_open
    }

    /// How the run ends if nothing else happens.
    #[must_use]
    pub fn outcome_so_far(&self) -> Outcome {
        Outcome::of(self.failures.len(), self.not_for_want_of_time)
    }

    /// Settles how the run ended.
    pub fn finish(&mut self, now: Timestamp) {
        self.finished_at = now;
        self.outcome = self.outcome_so_far();
    }

    /// One line for an error message: how much is unprotected or undeleted, and the first reasons.
    #[must_use]
    pub fn summary(&self) -> String {
        let first = first_reasons(&self.failures, Failure::reason);
        let counted = self.counted();
        format!("{counted}; {} failures: {first}", self.failures.len())
    }

    /// What a `prune` looked at are tiers alone; its zeros of policies and regions would read as an outage.
    fn counted(&self) -> String {
        let (counts, tiers) = (self.counts, &self.tiers);
        match self.action {
            Action::Prune => format!("{} of {} due tiers deleted", tiers.deleted, tiers.due),
            _ => format!(
                "{} of {} policies in force; {} regions protected, {} being made, {} unprotected",
                counts.policies_in_force,
                counts.clusters,
                counts.protected,
                counts.in_making,
                counts.unprotected,
            ),
        }
    }
}
