//! How requests to restore reach the regions that they lead to, and how open restores are carried on with.

use std::cmp::Reverse;
use std::time::Duration;

use futures_util::FutureExt;

use super::{Asked, How, Kept, Remembered, RestoreReport, World, forget, plan_of, restore};
use crate::event::{EventError, Request};
use crate::journal::{History, Journal, JournalError, RunKey};
use crate::plan::Plan;
use crate::report::Size;
use crate::run::{Refused, Step};
use crate::secret::KeySource;
use crate::{Lifeboat, RUNS_SHOWN, resume};

impl Lifeboat {
    /// What is asked for, with what the environment adds to it.
    pub(crate) fn asked(&self, request: &Request) -> Result<Asked, EventError> {
        let mut asked = request
            .restore
            .clone()
            .ok_or_else(|| EventError::WhichSources {
                found: "none of them".to_owned(),
            })?;
        asked.to_api_key_in_variable =
            self.settings.restore_key.is_some() && asked.to_api_key_secret.is_none();
        Ok(asked)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the restore itself"
    )]
    pub(crate) async fn restore(
        &self,
        asked: &Asked,
        plan: &Plan,
        how: How,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<RestoreReport, Refused> {
        let (target, backups) = self.target(asked.target.as_ref(), plan)?;
        let region = asked.to.as_ref().unwrap_or(&plan.source.region);
        let own_key = match &asked.to_api_key_secret {
            Some(id) => Some(KeySource::Secret {
                id: id.clone(),
                field: None,
            }),
            None => self.settings.restore_key.clone(),
        };
        // Where backups and destination have one key, they are of one organisation, which needs no key shown to it.
        let apart = own_key.is_some() || target.api_key.is_some();
        let key = own_key.unwrap_or_else(|| plan.source.api_key.clone());
        let encryption = asked.to_encryption_key.as_deref();
        let destination = self.destination((plan, target), region, (key, apart), encryption)?;
        let world = World {
            plan,
            plans: &self.settings.plans,
            target,
            backups,
            destination: &destination,
            sources: Some(&self.connected(plan).source),
            kept: self.kept(),
            clock: self.clock.clone(),
            report: size,
            stop: &self.stop,
            watch,
        };
        restore(asked, &world, how, run_id, time_left)
            .boxed_local()
            .await
    }

    /// Carries on with an open restore of a plan; `None` when nobody wrote down what it is, or it is into an organisation
    /// whose key only another machine has.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a door hands over, and the restore itself"
    )]
    pub(crate) async fn carry_on(
        &self,
        kept: Kept<'_>,
        key: &RunKey,
        plan: &Plan,
        run_id: String,
        time_left: Duration,
        size: Size,
        watch: &dyn Fn(Step<'_>),
    ) -> Result<Option<RestoreReport>, Refused> {
        let journal = kept.journal.of_restores();
        let remembered = Remembered::of(&journal.entries(key).await?);
        let Some((_, asked)) = remembered.asked else {
            forget(&journal, key, &run_id, self.clock.now()).await?;
            return Ok(None);
        };
        if asked.to_api_key_in_variable && self.settings.restore_key.is_none() {
            return Ok(None);
        }
        let how = How::OneMoreLook;
        let report = self.restore(&asked, plan, how, run_id, time_left, size, watch);
        report.await.map(Some)
    }
}

/// The newest restores of a plan, open ones first. Each request has a history of its own.
pub(crate) async fn restores_of(journal: &Journal, plan: &Plan) -> Result<History, JournalError> {
    let is_its = |restore: &str| plan_of(restore) == plan.name;
    let mut found = resume::open_records(journal, plan, is_its).await?;
    let mut ended = Vec::new();
    for name in journal.names_in_history().await? {
        if is_its(&name) {
            let history = journal.read_history(&name, RUNS_SHOWN).await?;
            found.ignored.extend(history.ignored);
            ended.extend(history.records);
        }
    }
    ended.sort_by_key(|restore| Reverse(restore.key.slot));
    ended.truncate(RUNS_SHOWN);
    found.records.extend(ended);
    Ok(found)
}
