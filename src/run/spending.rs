//! What a run is expected to cost: shown in a dry run, and judged before anything is copied if the plan has a budget.
//!
//! A budget stops new copies and nothing else. What can't be told is said, and never stops one.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::Run;
use crate::estimate::estimate;
use crate::service::Service;

/// Of the time for copying, so much at most is spent on what copies will cost.
const SHARE: u32 = 4;

impl<S: Service> Run<'_, '_, S> {
    /// Asks for what an estimate needs, if anybody wants one.
    pub(super) async fn look_at_the_cost(&mut self) {
        let world = self.world;
        if world.plan.budget.is_none() && !self.request.dry_run {
            return;
        }
        let left: Duration = self.copy_until.saturating_duration_since(Instant::now());
        let looked = estimate(
            world.plan,
            world.source,
            world.targets,
            world.prices,
            self.slot,
        );
        let looked = timeout_at(Instant::now() + left / SHARE, looked.boxed_local()).await;
        let estimate = match looked {
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
        if let (true, Some(over)) = (self.request.dry_run, &self.over_budget) {
            self.report.warn(format!("nothing would be copied: {over}"));
        }
        self.report.estimate = self.request.dry_run.then_some(estimate);
    }

    fn cost_is_unknown(&mut self, why: &str) {
        let of_the_budget = match self.world.plan.budget {
            Some(_) => ", so the budget can't be judged, and copies go on",
            None => "",
        };
        self.report
            .warn(format!("what it costs can't be told{of_the_budget}: {why}"));
    }
}
