//! Asks Zilliz Cloud, before the first night, whether a plan can work: only reads, and changes nothing.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::account::Account;
use super::client::Client;
use super::policy::Policy;
use super::transport::Transport;
use super::wire::Cluster;
use crate::plan::ClusterPlan;
use crate::preflight::{Finding, Verdict};
use crate::price::ZillizPrices;

/// Everything that can be told without writing.
pub async fn look_at<T: Transport>(
    plan: &ClusterPlan,
    plans: &[ClusterPlan],
    client: &Client<T>,
    prices: &ZillizPrices,
) -> Vec<Finding> {
    let finding = |verdict, about: String, message: String| Finding {
        verdict,
        about,
        message,
    };
    let of_plan =
        |verdict, message| finding(verdict, format!("{}, Zilliz Cloud", plan.name), message);
    let account = match Account::read(client).await {
        Ok(account) => account,
        Err(error) => return vec![of_plan(Verdict::Bad, error.to_string())],
    };
    let clusters: Vec<&Cluster> = account.selected(plan).collect();
    let mut findings = Vec::new();
    for entry in account.selecting_nothing(plan) {
        findings.push(of_plan(Verdict::Bad, format!("no cluster in the key's scope is called `{entry}`; check the name, the project and the key's scope")));
    }
    if !clusters.is_empty() {
        findings.push(of_plan(
            Verdict::Good,
            format!("the key lists; clusters selected: {}", clusters.len()),
        ));
    }
    findings.extend(look_at_budget(plan, &clusters, prices));
    let wanted = Policy::of(plan, client.now());
    let policies = join_all(
        clusters
            .iter()
            .map(|cluster| client.policy(&cluster.cluster_id)),
    )
    .await;
    for (cluster, policy) in clusters.into_iter().zip(policies) {
        let about = || {
            format!(
                "{}, cluster {} ({})",
                plan.name,
                cluster.shown(),
                cluster.cluster_id
            )
        };
        let (refused, notes) = account.against(plan, plans, cluster);
        let unrefused = refused.is_empty();
        findings.extend(
            refused
                .into_iter()
                .map(|refusal| finding(Verdict::Bad, about(), refusal.message)),
        );
        findings.extend(
            notes
                .into_iter()
                .map(|note| finding(Verdict::Note, about(), note)),
        );
        let (verdict, message) = match policy {
            Err(error) => (Verdict::Bad, format!("its policy can't be read: {error}")),
            Ok(found) => match Policy::found(&found).map(|found| wanted.drift(found.as_ref())) {
                Err(why) => (
                    Verdict::Bad,
                    format!(
                        "it has a policy that can't be read and would be left alone: {why}; disable it in the console"
                    ),
                ),
                Ok(drift) if drift.is_empty() => {
                    (Verdict::Good, "its policy is the plan's".to_owned())
                }
                Ok(drift) => {
                    let drift: Vec<String> = drift.iter().map(ToString::to_string).collect();
                    (
                        Verdict::Note,
                        format!("its policy is not the plan's yet: {}", drift.join("; ")),
                    )
                }
            },
        };
        if unrefused || verdict == Verdict::Bad {
            findings.push(finding(verdict, about(), message));
        }
    }
    findings.push(of_plan(Verdict::Note, "whether the key may set policies and make backups can't be tried without writing; the first run shows it".into()));
    findings
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
