//! Carries on with everything that is open: runs, then restores, then drills, then what is open of clusters.
//!
//! What it must never do: let one that is refused keep those behind it from their turn, or pass one over without a word.

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::event::{Action, Request};
use crate::journal::{OpenRun, OpenRuns};
use crate::name::Class;
use crate::plan::Plan;
use crate::report::Size;
use crate::restore::{Kept, plan_of};
use crate::run::{Refused, Step};
use crate::{Lifeboat, NotCarriedOn, Resumed};

/// What every part of a `resume` is given.
struct Given<'a> {
    request: &'a Request,
    kept: Kept<'a>,
    ends: Instant,
    size: Size,
    watch: &'a dyn Fn(Step<'_>),
}

impl Given<'_> {
    fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

impl Lifeboat {
    /// Goes on with all that is open, one after the other. Idle, it asks the journal one question.
    pub(crate) async fn resume(
        &self,
        request: &Request,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Resumed, Refused> {
        let given = Given {
            request,
            kept: self.kept().ok_or(Refused::NoJournal)?,
            ends: Instant::now() + time_left,
            size,
            watch,
        };
        let mut resumed = Resumed::begin(run_id);
        let of_namespaces = !self.chosen(request)?.is_empty();
        resumed.without_a_journal = of_namespaces && self.journal.is_none();
        let runs = self.resume_runs(&given, &mut resumed);
        let others = runs.boxed_local().await?;
        if !others {
            return Ok(resumed);
        }
        self.resume_restores(&given, &mut resumed)
            .boxed_local()
            .await;
        self.resume_drills(&given, &mut resumed).boxed_local().await;
        let of_clusters = self.resume_clusters(request, given.ends, size, &mut resumed);
        of_clusters.boxed_local().await;
        let of_clusters = self.resume_cluster_restores(request, given.ends, size, &mut resumed);
        of_clusters.boxed_local().await;
        if resumed.without_a_journal && resumed.found_nothing() {
            return Err(Refused::OnlyOwnMemory);
        }
        Ok(resumed)
    }

    /// Whether anything else may be open. A journal that can't be read at all ends the whole before anything was done.
    async fn resume_runs(&self, given: &Given<'_>, resumed: &mut Resumed) -> Result<bool, Refused> {
        let Some(journal) = &self.journal else {
            return Ok(true);
        };
        let open = journal.open_runs().await?;
        resumed.open_runs = open.runs.len();
        resumed.ignore(open.ignored);
        for open in open.runs {
            let what = what_is_open("run", &open.key.plan, open.key.slot.instant());
            let Some(plan) = self.open_plan(&what, &open.key.plan, given.request, resumed) else {
                continue;
            };
            let request = Request {
                action: Action::Resume,
                plan: Some(plan.name.clone()),
                scheduled_time: Some(open.key.slot.instant()),
                manual: open.key.class == Class::Manual,
                ..Request::default()
            };
            let run_id = resumed.run_id.clone();
            let report = self.run(
                &request,
                plan,
                run_id,
                given.left(),
                given.size,
                given.watch,
            );
            let report = resumed.of(&what, report.await);
            resumed.runs.extend(report);
        }
        Ok(open.others)
    }

    async fn resume_restores(&self, given: &Given<'_>, resumed: &mut Resumed) {
        let open = given.kept.journal.of_restores().open_runs().await;
        let open = open_of(resumed, "restores", open);
        resumed.open_restores = open.len();
        for OpenRun { key, .. } in open {
            let plan = plan_of(&key.plan);
            let what = what_is_open("restore", plan, key.slot.instant());
            let Some(plan) = self.open_plan(&what, plan, given.request, resumed) else {
                continue;
            };
            let (run_id, left) = (resumed.run_id.clone(), given.left());
            let (kept, size, watch) = (given.kept, given.size, given.watch);
            let carried_on = self.carry_on(kept, &key, plan, run_id, left, size, watch);
            let report = resumed.of(&what, carried_on.await).flatten();
            resumed.restores.extend(report);
        }
    }

    async fn resume_drills(&self, given: &Given<'_>, resumed: &mut Resumed) {
        let open = given.kept.journal.of_drills().open_runs().await;
        let open = open_of(resumed, "drills", open);
        resumed.open_drills = open.len();
        for OpenRun { key, .. } in open {
            let what = what_is_open("drill", &key.plan, key.slot.instant());
            let Some(plan) = self.open_plan(&what, &key.plan, given.request, resumed) else {
                continue;
            };
            let (run_id, left) = (resumed.run_id.clone(), given.left());
            let (kept, size, watch) = (given.kept, given.size, given.watch);
            let drilled = self.drill_on(kept, &key, plan, run_id, left, size, watch);
            let report = resumed.of(&what, drilled.await).flatten();
            resumed.drills.extend(report);
        }
    }

    /// The plan of something open. `None` when another one was asked for; or when it is not configured, which is told.
    fn open_plan(
        &self,
        what: &str,
        name: &str,
        request: &Request,
        resumed: &mut Resumed,
    ) -> Option<&Plan> {
        if request.plan.as_ref().is_some_and(|wanted| wanted != name) {
            return None;
        }
        let mut plans = self.settings.plans.iter();
        let plan = plans.find(|plan| plan.name == name);
        if plan.is_none() {
            resumed.leave(what, name);
        }
        plan
    }
}

/// What is open of one kind; a list that can't be had is a failure, and there is nothing to go on with.
pub(crate) fn open_of(
    resumed: &mut Resumed,
    kind: &str,
    open: Result<OpenRuns, impl Into<Refused>>,
) -> Vec<OpenRun> {
    let what = format!("the {kind} that are open");
    let open = resumed.of(&what, open.map_err(Into::into));
    let OpenRuns { runs, ignored, .. } = open.unwrap_or_default();
    resumed.ignore(ignored);
    runs
}

/// What a reader calls something open.
pub(crate) fn what_is_open(kind: &str, plan: impl Display, begun: Timestamp) -> String {
    format!("the {kind} of plan `{plan}` of {begun:.0}")
}

impl Resumed {
    pub(crate) fn begin(run_id: String) -> Self {
        Self {
            action: Action::Resume,
            run_id,
            open_runs: 0,
            without_a_journal: false,
            ignored: Vec::new(),
            runs: Vec::new(),
            open_restores: 0,
            restores: Vec::new(),
            open_drills: 0,
            drills: Vec::new(),
            open_cluster_runs: 0,
            clusters: Vec::new(),
            open_cluster_restores: 0,
            cluster_restores: Vec::new(),
            failures: Vec::new(),
            left: Vec::new(),
        }
    }

    /// What came of one part; a refusal becomes a failure of this part alone.
    pub(crate) fn of<T>(&mut self, what: &str, answer: Result<T, Refused>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(refused) => {
                let (error, message) = (refused.word(), refused.to_string());
                tracing::error!(what, error, detail = message, "not carried on with");
                self.failures.push(NotCarriedOn {
                    what: what.to_owned(),
                    error,
                    message,
                });
                None
            }
        }
    }

    /// Says of what stands among the open marks and is none that nobody can carry on with it. It is a failure: a run may hide
    /// behind it, with copies that nobody compares.
    fn ignore(&mut self, objects: Vec<String>) {
        for object in objects {
            let message = "it stands among the journal's open runs and can't be read, so whatever was open there is not carried on with; look what it is, and delete it";
            tracing::warn!(object, detail = message, "left alone");
            self.failures.push(NotCarriedOn {
                what: object.clone(),
                error: "journal_unreadable",
                message: message.to_owned(),
            });
            self.ignored.push(object);
        }
    }

    /// Passes something over whose plan is not configured. It is no failure: two functions may share a journal.
    pub(crate) fn leave(&mut self, what: &str, plan: &str) {
        let message = format!(
            "{what} is open and left alone, because no plan `{plan}` is configured here; configure it again to have it finished, or delete its object under `open/` in the journal"
        );
        tracing::warn!(detail = message, "left alone");
        self.left.push(message);
    }
}
