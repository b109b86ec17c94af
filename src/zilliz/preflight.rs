//! Asks Zilliz Cloud, before the first night, whether a plan can work: only reads, and changes nothing.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::account::Account;
use super::client::{Client, ZillizError};
use super::policy::Policy;
use super::tiers::holding::{held_in_vain, ids_of};
use super::transport::Transport;
use super::wire::{Cluster, FoundPolicy};
use crate::journal::Journal;
use crate::plan::{ClusterPlan, Tiers};
use crate::preflight::{Finding, Findings, Verdict};
use crate::price::ZillizPrices;

/// Everything that can be told without writing.
pub async fn look_at<T: Transport>(
    plan: &ClusterPlan,
    plans: &[ClusterPlan],
    client: &Client<T>,
    journal: Option<&Journal>,
    prices: &ZillizPrices,
) -> Vec<Finding> {
    let mut findings = Findings::about(format!("{}, Zilliz Cloud", plan.name));
    let account = match Account::read(client).await {
        Ok(account) => account,
        Err(error) => {
            findings.add(Verdict::Bad, error.to_string());
            return findings.all;
        }
    };
    let clusters: Vec<&Cluster> = account.selected(plan).collect();
    for entry in account.selecting_nothing(plan) {
        findings.add(Verdict::Bad, format!("no cluster in the key's scope is called `{entry}`; check the name, the project and the key's scope"));
    }
    if !clusters.is_empty() {
        let message = format!("the key lists; clusters selected: {}", clusters.len());
        findings.add(Verdict::Good, message);
    }
    findings.all.extend(look_at_budget(plan, &clusters, prices));
    if let (Some(rules), Some(journal)) = (&plan.tiers, journal) {
        let of_holds = look_at_holds(plan, rules, client, journal).boxed_local();
        findings.all.extend(of_holds.await);
    }
    let wanted = Policy::of(plan, client.now());
    let policies = clusters
        .iter()
        .map(|cluster| client.policy(&cluster.cluster_id));
    let policies = join_all(policies).await;
    for (cluster, policy) in clusters.into_iter().zip(policies) {
        let of_policy = judged(policy, &wanted);
        let of_cluster = look_at_cluster((plan, plans), &account, cluster, of_policy);
        findings.all.extend(of_cluster);
    }
    findings.add(Verdict::Note, "whether the key may set policies and make backups can't be tried without writing; the first run shows it".into());
    findings.all
}

/// What keeps a cluster from being backed up, and, where that leaves it any use, what its policy is.
fn look_at_cluster(
    (plan, plans): (&ClusterPlan, &[ClusterPlan]),
    account: &Account,
    cluster: &Cluster,
    (verdict, of_policy): (Verdict, String),
) -> Vec<Finding> {
    let mut findings = Findings::about(format!(
        "{}, cluster {} ({})",
        plan.name,
        cluster.shown(),
        cluster.cluster_id
    ));
    let (refused, notes) = account.against(plan, plans, cluster);
    let unrefused = refused.is_empty();
    for refusal in refused {
        findings.add(Verdict::Bad, refusal.message);
    }
    for note in notes {
        findings.add(Verdict::Note, note);
    }
    if unrefused || verdict == Verdict::Bad {
        findings.add(verdict, of_policy);
    }
    findings.all
}

/// What is to be said of a cluster's policy, beside the one that the plan wants.
fn judged(policy: Result<FoundPolicy, ZillizError>, wanted: &Policy) -> (Verdict, String) {
    let found = match policy {
        Ok(found) => found,
        Err(error) => return (Verdict::Bad, format!("its policy can't be read: {error}")),
    };
    match Policy::found(&found).map(|found| wanted.drift(found.as_ref())) {
        Err(why) => (
            Verdict::Bad,
            format!(
                "it has a policy that can't be read and would be left alone: {why}; disable it in the console"
            ),
        ),
        Ok(drift) if drift.is_empty() => (Verdict::Good, "its policy is the plan's".to_owned()),
        Ok(drift) => {
            let drift: Vec<String> = drift.iter().map(ToString::to_string).collect();
            (
                Verdict::Note,
                format!("its policy is not the plan's yet: {}", drift.join("; ")),
            )
        }
    }
}

/// Whether what `hold` names is there to be kept.
async fn look_at_holds<T: Transport>(
    plan: &ClusterPlan,
    rules: &Tiers,
    client: &Client<T>,
    journal: &Journal,
) -> Vec<Finding> {
    let mut findings = Findings::about(format!("{}, tiers", plan.name));
    let tiers = match journal.tiers(&plan.name).await {
        Ok(tiers) => tiers,
        Err(error) => {
            findings.add(Verdict::Bad, error.to_string());
            return findings.all;
        }
    };
    match held_in_vain(rules, &ids_of(&tiers), client).await {
        Ok(in_vain) => {
            for message in in_vain.unknown {
                findings.add(Verdict::Bad, message);
            }
            for message in in_vain.of_others {
                findings.add(Verdict::Note, message);
            }
        }
        Err(error) => findings.add(Verdict::Bad, error.to_string()),
    }
    findings.all
}

/// Whether the plan's budget can be judged, if it has one.
fn look_at_budget(
    plan: &ClusterPlan,
    clusters: &[&Cluster],
    prices: &ZillizPrices,
) -> Option<Finding> {
    plan.budget?;
    let homes = clusters
        .iter()
        .filter_map(|cluster| cluster.region_id.as_deref());
    let homes: BTreeSet<&str> = homes.collect();
    let targets = plan.targets.iter().map(|target| target.region.as_str());
    let mut unknown = Vec::new();
    for region in homes.iter().copied().chain(targets.clone()) {
        if prices.stored_gb_month(region).is_none() {
            unknown.push(format!("zilliz.stored_gb_month of {region}"));
        }
    }
    for home in &homes {
        for target in targets.clone() {
            if prices.sent_gb(home, target).is_none() {
                unknown.push(format!("zilliz.sent_gb from {home} to {target}"));
            }
        }
    }
    Some(Finding::of_budget(&plan.name, &unknown))
}
