//! Tiers beyond the thirty days of a native policy: backups that the plan has made itself, and lets go itself.
//!
//! One of each cluster for each period of the finest rule, made like a backup by hand (`making`). What is the plan's own
//! is what the journal says is (`proof`); what of it stays is decided by the planner that decides about namespaces
//! (`standing`, `decide`, `deleting`), and each deletion carries the same certificate (`certified`, `sending`). What that comes to
//! in thirty nights is told beforehand (`forecast`). An id in `hold` that keeps nothing stops deletion (`holding`).
//!
//! What it must never do: delete what the journal does not call the plan's own, what is not as it was made, or anything of
//! a cluster whose newest tier is in doubt. Without a journal, or with one that can't be read, it does nothing.
//! `verdicts` says of each what the next run would find.

mod certified;
mod decide;
mod deleting;
pub(super) mod forecast;
pub(super) mod holding;
mod making;
mod proof;
mod sending;
mod standing;
pub mod told;
pub(super) mod verdicts;

use std::collections::BTreeSet;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tracing::{Instrument, info_span};

use self::making::{Making, Tended};
use super::account::Account;
use super::journaled::Journaled;
use super::manual;
use super::run::Run;
use super::transport::Transport;
use super::wire::Cluster;
use crate::event::Action;
use crate::journal::{Journal, JournalError, Tier};

pub use certified::Deletable;

/// Clusters that are named when their tiers are left alone.
const ORPHANS_SHOWN: usize = 10;

impl<T: Transport> Run<'_, '_, T> {
    /// Makes what the present period lacks, and then deletes what is due.
    pub(super) async fn tend_tiers(&mut self, account: &Account, journaled: &Journaled) {
        let (Some(rules), Some(journal)) = (&self.world.plan.tiers, self.world.journal) else {
            return;
        };
        if journaled.lease.is_none() && !self.request.dry_run {
            // Why there is no lease was told when it was refused.
            return;
        }
        let tiers = match journal.tiers(&self.world.plan.name).await {
            Ok(tiers) => tiers,
            Err(error) => {
                let passes = matches!(error, JournalError::Unreachable { .. });
                self.report.tiers.is_open |= passes && self.makes();
                let message = format!("no tier was made or deleted: {error}");
                return self.report.fail(None, None, error.word(), message);
            }
        };
        let clusters = self.of_no_other_plan(account);
        self.tell_orphans(&clusters, &tiers);
        let ids = holding::ids_of(&tiers);
        let tended = self
            .make_tiers(&clusters, tiers, journal, journaled)
            .boxed_local()
            .await;
        for tended in &tended {
            self.add_tended(tended);
        }
        let owned = tended.iter().flat_map(|tended| &tended.tiers);
        let owned = owned.filter_map(Tier::owned);
        let owned: usize = owned.map(|owned| owned.backups.len()).sum();
        self.report.tiers.owned = u64::try_from(owned).unwrap_or(u64::MAX);
        // The brake judges all that is due at once; in portions, as one cluster after the other settles, it would see nothing.
        // What waits for a later night's run is none of this run's, and not settled either.
        let is_unsettled =
            |tended: &Tended<'_>| tended.is_open || tended.tiers.iter().any(Tier::is_being_made);
        if !self.request.dry_run && tended.iter().any(is_unsettled) {
            return self.tell_unsettled();
        }
        self.holds_are_known = self.look_at_holds(rules, &ids).boxed_local().await;
        let judged = self
            .prune_tiers(rules, &tended, journaled)
            .boxed_local()
            .await;
        if let Some(approved) = self
            .request
            .approve
            .as_ref()
            .filter(|_| !judged && self.holds_are_known)
        {
            let hashes = self.report.tiers.regions.iter();
            let hashes: Vec<String> = hashes.map(|due| due.hash.to_string()).collect();
            let message = format!(
                "`{approved}` is not the hash of what is due now ({}), so no tier was deleted; run {}, read it, and approve the hash it prints",
                hashes.join(", "),
                self.shows_what_is_due()
            );
            self.report.fail(None, None, "not_approved", message);
        }
    }

    /// Whether a tier of this run is being made, or may still be waiting for its turn. A look that failed is no reason to give
    /// it up.
    pub(super) async fn has_tiers_to_make(&self) -> bool {
        let plan = self.world.plan;
        let (Some(journal), Some(_)) = (self.world.journal, &plan.tiers) else {
            return false;
        };
        if !self.makes() || self.request.manual {
            return false;
        }
        if !making::is_too_late(self.slot, self.world.client.now()) {
            return true;
        }
        let is_its = |tier: &Tier| tier.slot == self.slot && tier.is_being_made();
        let tiers = journal.tiers(&plan.name).await;
        tiers.is_ok_and(|tiers| tiers.iter().any(is_its))
    }

    /// Why nothing that is due was judged.
    fn tell_unsettled(&mut self) {
        let why = "tiers are still being made, so none was deleted; what is due is judged once all of them have ended";
        match &self.request.approve {
            None => self.report.warn(why.to_owned()),
            Some(approved) => {
                let message = format!(
                    "{why}; approve `{approved}` again when `lifeboat jobs` shows no open run"
                );
                self.report.fail(None, None, "not_approved", message);
            }
        }
    }

    /// The command that shows the same list as this run judged.
    fn shows_what_is_due(&self) -> String {
        let plan = &self.world.plan.name;
        match self.request.action {
            Action::Prune => format!("`lifeboat plan --plan {plan}`"),
            _ => format!("`lifeboat backup --dry-run --plan {plan}`"),
        }
    }

    /// Tiers of clusters that nobody looks after any more, so that they are not forgotten.
    fn tell_orphans(&mut self, clusters: &[&Cluster], tiers: &[Tier]) {
        let known = |tier: &&Tier| clusters.iter().any(|one| one.cluster_id == tier.cluster);
        let orphans = tiers.iter().filter(|tier| !known(tier));
        let mut of: Vec<&str> = orphans.map(|tier| tier.cluster.as_str()).collect();
        let count = of.len();
        of.sort_unstable();
        of.dedup();
        if count > 0 {
            let shown: Vec<&str> = of.iter().take(ORPHANS_SHOWN).copied().collect();
            self.report.warn(format!(
                "{count} tiers of {} clusters that are gone, refused, or selected no more are left alone: {}; delete them by hand when nobody needs them",
                of.len(),
                shown.join(", ")
            ));
        }
    }

    /// Ids of everything that is known to be a tier.
    pub(super) async fn ids_of_tiers(&self) -> Result<BTreeSet<String>, JournalError> {
        match (self.world.journal, &self.world.plan.tiers) {
            (Some(journal), Some(_)) => {
                let tiers = journal.tiers(&self.world.plan.name).await?;
                Ok(holding::ids_of(&tiers))
            }
            _ => Ok(BTreeSet::new()),
        }
    }

    /// The clusters that nothing speaks against; what does was told with their policy.
    fn of_no_other_plan<'a>(&self, account: &'a Account) -> Vec<&'a Cluster>
    where
        Self: 'a,
    {
        let (plan, plans) = (self.world.plan, self.world.plans);
        let selected = account.selected(plan);
        selected
            .filter(|cluster| !account.refuses(plan, plans, cluster))
            .collect()
    }

    async fn make_tiers<'a>(
        &self,
        clusters: &[&'a Cluster],
        tiers: Vec<Tier>,
        journal: &Journal,
        journaled: &Journaled,
    ) -> Vec<Tended<'a>> {
        let work = clusters.iter().map(|cluster| {
            let id = &cluster.cluster_id;
            let of_it = tiers.iter().filter(|tier| tier.cluster == *id);
            let of_it: Vec<Tier> = of_it.cloned().collect();
            let making = Making {
                plan: self.world.plan,
                client: self.world.client,
                clock: &self.world.clock,
                journal,
                run: journaled,
                cluster,
                slot: self.slot,
                until: self.patience(),
                dry_run: self.request.dry_run,
                resumes: self.request.action == Action::Resume,
                makes: self.makes(),
                over_budget: self.over_budget.as_ref(),
            };
            async move { making.tend(of_it).boxed_local().await }
                .instrument(info_span!("cluster", cluster_id = id))
                .boxed_local()
        });
        stream::iter(work).buffered(manual::AT_ONCE).collect().await
    }

    /// What this invocation and earlier ones of the run have made.
    fn add_tended(&mut self, tended: &Tended<'_>) {
        let id = &tended.cluster.cluster_id;
        for warning in &tended.warnings {
            let name = tended.cluster.shown();
            self.report.warn(format!("{name}: {warning}"));
        }
        for (region, word, message) in &tended.failures {
            self.report
                .fail(Some(id), region.as_deref(), word, message.clone());
        }
        self.report.tiers.is_open |= tended.is_open;
        self.report.tiers.made += tended.made();
        for line in &tended.lines {
            self.report.jobs.push(line.clone());
        }
        self.lines.extend(tended.history(self.slot));
    }
}
