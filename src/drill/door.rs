//! How requests to drill reach the regions that they lead to, and how open drills are carried on with.

use std::time::Duration;

use futures_util::FutureExt;

use super::{Asked, DrillReport, Remembered, drill, region_of};
use crate::Lifeboat;
use crate::journal::RunKey;
use crate::plan::Plan;
use crate::report::Size;
use crate::restore::{How, Kept, World, forget};
use crate::run::{Refused, Step};
use crate::slot::Slot;

impl Lifeboat {
    /// Drills in the organisation of the backups: no key to the sources' may be needed to see that backups are good.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the drill itself"
    )]
    pub(crate) async fn drill(
        &self,
        asked: &Asked,
        plan: &Plan,
        (slot, how): (Slot, How),
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<DrillReport, Refused> {
        let (target, backups) = self.target(asked.target.as_ref(), plan)?;
        let region = region_of(asked, plan, target);
        let key = target.api_key.as_ref().unwrap_or(&plan.source.api_key);
        let encryption = asked.to_encryption_key.as_deref();
        let key = (key.clone(), false);
        let destination = self.destination((plan, target), region, key, encryption)?;
        let world = World {
            plan,
            plans: &self.settings.plans,
            target,
            backups,
            destination: &destination,
            sources: None,
            kept: self.kept(),
            clock: self.clock.clone(),
            report: size,
            stop: &self.stop,
            watch,
        };
        let report = drill(asked, &world, slot, how, run_id, time_left);
        Ok(report.boxed_local().await)
    }

    /// Carries on with an open drill of a plan; `None` when nobody wrote down what it is.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the drill itself"
    )]
    pub(crate) async fn drill_on(
        &self,
        kept: Kept<'_>,
        key: &RunKey,
        plan: &Plan,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Option<DrillReport>, Refused> {
        let journal = kept.journal.of_drills();
        let remembered = Remembered::of(&journal.entries(key).await?);
        let Some(asked) = remembered.asked else {
            forget(&journal, key, &run_id, self.clock.now()).await?;
            return Ok(None);
        };
        let how = (key.slot, How::OneMoreLook);
        let report = self.drill(&asked, plan, how, run_id, time_left, size, watch);
        report.await.map(Some)
    }
}
