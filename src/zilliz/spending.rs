//! What a plan's backups are expected to cost: shown in a dry run, and judged before anything is asked for if the plan has
//! a budget. With it, what the backups cost that are about to be made by hand.
//!
//! Over a hard budget no policy is set and no backup is asked for. What it must never do: disable or change a policy, or
//! delete anything. So policies that are in force go on, and the run fails to tell somebody.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::account::Account;
use super::estimate::estimate_of;
use super::run::Run;
use super::transport::Transport;
use crate::event::{Action, ByHand};

/// Of the time that there is, so much at most is spent on what backups will cost.
const SHARE: u32 = 4;

impl<T: Transport> Run<'_, '_, T> {
    /// Asks how big the clusters' backups are, if anybody wants to know.
    pub(super) async fn look_at_the_cost(&mut self, account: &Account, of: &ByHand) {
        let (plan, dry_run) = (self.world.plan, self.request.dry_run);
        if plan.budget.is_none() && !dry_run {
            return;
        }
        let left: Duration = self.until.saturating_duration_since(Instant::now());
        let (client, prices) = (self.world.client, self.world.prices);
        let (journal, now) = (self.world.journal, client.now());
        let plans = (plan, self.world.plans);
        let by_hand = self.request.manual.then_some(of);
        let prices = (prices, now);
        let looked = estimate_of(plans, account, client, journal, prices, by_hand).boxed_local();
        let estimate = match timeout_at(Instant::now() + left / SHARE, looked).await {
            Ok(Ok(estimate)) => estimate,
            Ok(Err(error)) => return self.cost_is_unknown(&error.to_string()),
            Err(_) => return self.cost_is_unknown("time ran out while sizes were read"),
        };
        if let Some(judged) = &estimate.budget {
            if let Some(warning) = judged.warning() {
                self.report.warn(warning);
            }
            self.over_budget = judged.refusal();
            self.report.budget = Some(judged.clone());
        }
        match &self.over_budget {
            Some(over) if dry_run => {
                let message = format!("no policy would be set and no backup asked for: {over}");
                self.report.warn(message);
            }
            // A `resume` begins nothing, and would wake somebody every five minutes.
            Some(over) if !self.request.manual && self.request.action != Action::Resume => {
                let message = format!(
                    "no policy is set and no backup asked for, and policies that are in force go on: {over}"
                );
                self.report.fail(None, None, "over_budget", message);
            }
            // Each cluster's backup by hand that is not asked for says so; those that were go on.
            _ => {}
        }
        self.report.estimate = dry_run.then_some(estimate);
    }

    fn cost_is_unknown(&mut self, why: &str) {
        let of_the_budget = match self.world.plan.budget {
            Some(_) => ", so the budget can't be judged, and backups go on",
            None => "",
        };
        self.report
            .warn(format!("what it costs can't be told{of_the_budget}: {why}"));
    }
}
