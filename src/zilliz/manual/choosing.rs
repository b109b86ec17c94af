//! Which clusters a backup by hand is of: those that the plan selects now, and those that it selected when it began.
//!
//! What it must never do: leave out one that was meant once, or take another one that is called so now for it.

use futures_util::FutureExt;

use super::asking::word_of;
use super::{Failed, Hand, Made};
use crate::event::ByHand;
use crate::journal::JobLine;
use crate::plan::ClusterPlan;
use crate::zilliz::account::Account;
use crate::zilliz::notes::{Meant, Past, Pasts};
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::Cluster;

/// A cluster that is meant.
pub(super) struct Choice {
    pub(super) cluster: Cluster,
    /// Whether the plan selects it now.
    pub(super) is_selected: bool,
    /// Whether the account shows it.
    pub(super) is_seen: bool,
}

/// What is said of a cluster that a run has begun with.
const GONE: &str = "it was dropped, renamed or moved, or the key sees it no more";

impl Choice {
    fn selected(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            is_selected: true,
            is_seen: true,
        }
    }

    /// What is told of one that is selected no more and of which none was begun.
    pub(super) fn never_made(&self, plan: &ClusterPlan) -> String {
        format!(
            "no backup of {} was made: it was asked for, and plan `{}` selects it no more: {GONE}",
            self.cluster.shown(),
            plan.name
        )
    }
}

/// What is told of one of which a backup was begun, and that the plan selects no more.
fn followed_all_the_same(plan: &ClusterPlan) -> String {
    format!(
        "plan `{}` selects it no more: {GONE}; its backup is followed to the end all the same",
        plan.name
    )
}

/// The clusters that are meant.
pub(super) fn choose(
    account: &Account,
    plan: &ClusterPlan,
    of: &ByHand,
    pasts: &Pasts,
) -> Result<Vec<Choice>, (&'static str, String)> {
    let selected = selected(account, plan, of);
    let mut choices: Vec<Choice> = match selected {
        Err(refused) if pasts.meant().next().is_none() => return Err(refused),
        // The one that was named is the one that was called so when it was asked for.
        _ if !is_of_all(of) && pasts.meant().next().is_some() => Vec::new(),
        selected => selected
            .unwrap_or_default()
            .into_iter()
            .map(Choice::selected)
            .collect(),
    };
    for meant in pasts.meant() {
        let id = &meant.cluster;
        if choices
            .iter()
            .any(|choice| choice.cluster.cluster_id == *id)
        {
            continue;
        }
        let mut clusters = account.clusters.iter();
        let seen = clusters.find(|cluster| cluster.cluster_id == *id);
        choices.push(Choice {
            cluster: seen.cloned().unwrap_or_else(|| meant.as_it_was()),
            is_selected: account.selected(plan).any(|one| one.cluster_id == *id),
            is_seen: seen.is_some(),
        });
    }
    Ok(choices)
}

/// Entries of the plan that select nothing now, and nothing that this run is of; none where one cluster was named.
pub(super) fn selecting_nothing(
    account: &Account,
    plan: &ClusterPlan,
    of: &ByHand,
    pasts: &Pasts,
) -> Vec<String> {
    if !is_of_all(of) {
        return Vec::new();
    }
    let mut account = account.clone();
    account.clusters.extend(pasts.meant().map(Meant::as_it_was));
    let entries = account.selecting_nothing(plan);
    entries.map(str::to_owned).collect()
}

/// Whether every cluster of the plan is meant, whole.
fn is_of_all(of: &ByHand) -> bool {
    of.first_given().is_none()
}

fn selected<'a>(
    account: &'a Account,
    plan: &'a ClusterPlan,
    of: &ByHand,
) -> Result<Vec<&'a Cluster>, (&'static str, String)> {
    let mut clusters: Vec<&Cluster> = account.selected(plan).collect();
    clusters.retain(|cluster| is_meant(of, cluster));
    match (clusters.as_slice(), &of.cluster) {
        ([], Some(wanted)) => Err(("not_found", format!("plan `{}` selects no cluster `{wanted}`; say one of its clusters, by id or name", plan.name))),
        ([], None) => Err(("not_found", format!("plan `{}` selects no cluster; check `clusters`, the project and the key's scope", plan.name))),
        ([_, _, ..], Some(wanted)) => Err(("ambiguous", format!("several clusters are called `{wanted}`; say the id of the one that is meant"))),
        ([_, _, ..], None) if !of.collections.is_empty() => {
            Err(("ambiguous", "collections are of one cluster, and the plan has several; say which, in `cluster` or with --cluster".into()))
        }
        _ => Ok(clusters),
    }
}

/// Whether a cluster of the plan's is meant.
pub(in crate::zilliz) fn is_meant(of: &ByHand, cluster: &Cluster) -> bool {
    of.cluster.as_ref().is_none_or(|wanted| {
        cluster.cluster_id == *wanted || cluster.cluster_name.as_ref() == Some(wanted)
    })
}

impl<T: Transport> Hand<'_, T> {
    /// Makes the backup or goes on with it, or says why there will be none.
    pub(super) async fn make_or_refuse(
        &self,
        account: &Account,
        plans: &[ClusterPlan],
        choice: &Choice,
        past: Past,
    ) -> Made {
        let is_begun = past.begun.is_some() || past.intent.is_some();
        if !is_begun && !choice.is_selected {
            let message = choice.never_made(self.plan);
            return Made {
                lines: vec![self.line_of_none("cluster_gone", &message)],
                ..Made::of_none(vec![(None, "cluster_gone", message)], self.resumes)
            };
        }
        if self.resumes
            && let Some(line) = past.refused()
        {
            let message = line.message.clone().unwrap_or_default();
            return Made {
                lines: vec![line.clone()],
                ..Made::of_none(vec![(None, word_of(line), message)], self.resumes)
            };
        }
        if !choice.is_seen
            && let Some(made) = self.out_of_sight(&past).await
        {
            return made;
        }
        let (refused, notes) = if choice.is_selected {
            account.against(self.plan, plans, self.cluster)
        } else {
            (Vec::new(), vec![followed_all_the_same(self.plan)])
        };
        let refused = refused
            .into_iter()
            .map(|refusal| (None, refusal.word, refusal.message));
        let refused: Vec<Failed> = refused.collect();
        let mut made = if is_begun || refused.is_empty() {
            self.make(past).boxed_local().await
        } else {
            Made::of_none(refused, self.resumes)
        };
        made.warnings.extend(notes);
        if made.is_refused {
            self.write_down_the_refusal(&mut made).await;
        }
        made
    }

    /// Whoever carries on asks for it no more, and tells it at the end alone.
    async fn write_down_the_refusal(&self, made: &mut Made) {
        for (_, word, message) in &made.failures {
            let line = self.line_of_none(word, message);
            self.facts.ended(line.clone()).await;
            made.lines.push(line);
        }
    }

    /// What was written down, where the original and every copy have come to an end already.
    fn ended_before(&self, past: &Past) -> Option<Made> {
        let lines = self.regions().map(|region| past.lines.get(region).cloned());
        let lines: Vec<JobLine> = lines.collect::<Option<_>>()?;
        let failed = lines.iter().filter(|line| line.state == "failed");
        let failed = failed.map(|line| {
            let message = line.message.clone().unwrap_or_default();
            (Some(line.region.clone()), word_of(line), message)
        });
        let failed_before = failed.collect();
        let ended = |line: &JobLine| matches!(line.state.as_str(), "available" | "failed");
        lines.iter().all(ended).then_some(Made {
            lines,
            failed_before,
            ..Made::default()
        })
    }

    /// What is told of a cluster that the account does not show, and of which a backup was begun, while the key may ask
    /// nothing about it: an empty list of backups is no answer then.
    async fn out_of_sight(&self, past: &Past) -> Option<Made> {
        if let Some(made) = self.ended_before(past) {
            return Some(made);
        }
        let asked = self.client.cluster(&self.cluster.cluster_id);
        let error = asked.boxed_local().await.err()?;
        let what = match &past.begun {
            Some(begun) => format!("the backup {} was begun", begun.backup),
            None => "the request for the backup was not answered".to_owned(),
        };
        let mut made = Made::default();
        if !error.passes() {
            let message = format!("{what}, and its cluster can't be seen any more: {error}");
            made.failures.push((None, "cluster_gone", message));
        }
        let open = format!("{what}; `resume` looks again");
        made.failures.push((None, "being_made", open));
        Some(made)
    }
}
