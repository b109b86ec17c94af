//! What drills that died have left in the plan's regions, deleted at the end of a night.
//!
//! What it must never do: keep a run from anything else that it does, or fail it: a scratch costs money and no data.

use futures_util::FutureExt;

use super::Run;
use crate::drill::Scratches;
use crate::name::ScratchName;
use crate::service::Service;

impl<S: Service> Run<'_, '_, S> {
    /// Deletes scratches that are more than a day old, where nothing is in doubt.
    pub(super) async fn sweep_scratches(&mut self) {
        let world = self.world;
        // Without its lease a run with a journal doesn't know who else is at work; an approval is for one list alone.
        let in_doubt = world.journal.is_some() && self.lease.is_none();
        let asked_for_less = self.request.dry_run || self.request.approve.is_some();
        if in_doubt || asked_for_less || !self.clock.agrees() {
            return;
        }
        for region in [world.source].into_iter().chain(world.targets) {
            let scratches = Scratches {
                plan: &world.plan.name,
                region,
                clock: &self.clock,
                lease: self.lease.clone(),
                until: self.until,
            };
            let name = region.region();
            match scratches.sweep(world.journal).boxed_local().await {
                Ok(swept) => {
                    if !swept.deleted.is_empty() {
                        self.report.warn(format!(
                            "an earlier drill died and left `{}` in {name}; deleted",
                            swept.deleted.join("`, `")
                        ));
                    }
                    for (scratch, why) in swept.left {
                        self.report.warn(format!(
                            "`{scratch}` in {name} looks like the scratch of an earlier drill and was not deleted: {why}; look what it is, and delete it by hand"
                        ));
                    }
                }
                Err(error) => self.report.warn(format!(
                    "whether earlier drills left scratches in {name} could not be seen: {error}"
                )),
            }
        }
    }

    /// What looks like a scratch and is none of this plan's is never backed up, so somebody must hear of it.
    pub(super) fn warn_about_scratches(&mut self, names: &[String]) {
        let plan = &self.world.plan.name;
        let strange = names.iter().filter(|name| {
            ScratchName::resembles(name) && ScratchName::parse(plan, name).is_none()
        });
        let strange: Vec<&String> = strange.collect();
        if let Some(first) = strange.first() {
            self.report.warn(format!(
                "{} namespaces, such as `{first}`, are called like scratches of drills and are not backed up; if one is yours, rename it",
                strange.len()
            ));
        }
    }
}
