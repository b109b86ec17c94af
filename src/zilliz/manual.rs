//! Backups that are made on request, by hand or for a tier: one of each cluster that is asked for, with a copy in every
//! target. They stay until a person deletes them, or, for a tier, `tiers` does.
//!
//! Exactly one original for each cluster and slot, however often events are repeated, die or lose their answers: what a
//! request may have made is written down before it is sent, and looked for before another is sent. It is followed to its
//! end across invocations. What it must never do: send the request again without having looked, or call a copy made that is
//! not in the list.
//!
//! `choosing` says of which clusters, `asking` sees to it that there is one, `finding` looks for what may have been made,
//! `following` follows it to its end, and `telling` says how far it is.

mod asking;
mod choosing;
mod finding;
mod following;
mod telling;

use std::collections::BTreeSet;
use std::mem::take;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use jiff::SignedDuration;
use tokio::time::{Instant, sleep};

use self::asking::Asked;
pub(super) use self::choosing::is_meant;
use self::choosing::{choose, selecting_nothing};
use super::account::Account;
use super::client::Client;
use super::facts::Facts;
use super::journaled::Journaled;
use super::notes::{Note, Past, Pasts};
use super::run::Run;
use super::transport::Transport;
use super::wire::Cluster;
use crate::budget::OverBudget;
use crate::clock::Clock;
use crate::event::{Action, ByHand};
use crate::journal::{JobLine, JournalError, RunKey};
use crate::name::Class;
use crate::plan::ClusterPlan;
use crate::service::Region;
use crate::slot::CLOCK_MARGIN;

/// Clusters that are followed at once.
pub(super) const AT_ONCE: usize = 16;
/// From one look to the next.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Runs by hand that are asked which backups are theirs: as many as the journal remembers.
const RUNS_KNOWN: usize = 100;
/// How long a `resume` looks after what an earlier invocation began: once more, and not until its end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How far the time of an intent and that of what came of it may lie apart the wrong way: `Date` and `createTime` need not
/// come from one clock. What was there before is known by its id.
const APART: SignedDuration = CLOCK_MARGIN;

/// What failed: of a region or of the cluster, the word for it, and the message.
pub(super) type Failed = (Option<Region>, &'static str, String);

/// What one cluster came to.
#[derive(Default)]
pub(super) struct Made {
    pub(super) lines: Vec<JobLine>,
    pub(super) failures: Vec<Failed>,
    /// What an earlier invocation wrote down as failed. It need not have lived to tell.
    pub(super) failed_before: Vec<Failed>,
    pub(super) warnings: Vec<String>,
    /// None was made, and asking again would come to the same.
    pub(super) is_refused: bool,
}

impl Made {
    /// No backup, and none to come: told at once, and by a `resume` at the end of the run alone.
    fn of_none(failures: Vec<Failed>, resumes: bool) -> Self {
        let mut made = Self::default();
        if resumes {
            made.failed_before = failures;
        } else {
            made.failures = failures;
        }
        made
    }
}

impl<T: Transport> Run<'_, '_, T> {
    /// Makes the backups that are asked for, or goes on with them.
    pub(super) async fn back_up_by_hand(
        &mut self,
        account: &Account,
        journaled: &Journaled,
        of: &ByHand,
    ) {
        let resumes = self.request.action == Action::Resume;
        let (plan, pasts) = (self.world.plan, &journaled.pasts);
        let choices = match choose(account, plan, of, pasts) {
            Ok(choices) => choices,
            Err((word, message)) => return self.report.fail(None, None, word, message),
        };
        self.report.counts.clusters = u64::try_from(choices.len()).unwrap_or(u64::MAX);
        // What is kept for ever must not be one that a plan lets go.
        let others = match self.ids_of_others(pasts).await {
            Ok(others) => others,
            Err(error) => {
                let message = format!(
                    "which backups are tiers, or another run's, could not be read, so nothing was done: {error}"
                );
                self.report.fail(None, None, error.word(), message);
                return self.stay_open(journaled);
            }
        };
        // Whoever carries on forgets none of them, whatever became of it.
        let chosen = choices.iter().map(|choice| &choice.cluster);
        let new = pasts.not_yet_meant(chosen);
        if !new.is_empty() {
            journaled.write(Note::Meant { clusters: new }).await;
        }
        let work = choices.iter().map(|choice| {
            let cluster = &choice.cluster;
            let hand = Hand {
                plan,
                client: self.world.client,
                clock: &self.world.clock,
                facts: Facts::Run(journaled),
                cluster,
                of,
                others: Others {
                    ids: &others,
                    are_all: self.world.journal.is_some() && self.world.is_shared,
                },
                asks: choice.is_selected,
                until: if resumes {
                    self.until.min(Instant::now() + PATIENCE)
                } else {
                    self.until
                },
                dry_run: self.request.dry_run,
                resumes,
                over_budget: self.over_budget.as_ref(),
            };
            let past = pasts.of_cluster(&cluster.cluster_id);
            let plans = self.world.plans;
            async move {
                let made = hand.make_or_refuse(account, plans, choice, past);
                (cluster, made.boxed_local().await)
            }
            .boxed_local()
        });
        let made: Vec<_> = stream::iter(work).buffered(AT_ONCE).collect().await;
        let mut failed_before = Vec::new();
        for (cluster, mut made) in made {
            failed_before.push((cluster, take(&mut made.failed_before)));
            self.add_made(cluster, made);
        }
        // Nobody is woken every five minutes by the same failure, but the run's last word tells all of them: whoever saw one
        // first may have died before it told.
        let is_last = !self.report.waits();
        if is_last {
            for (cluster, failures) in failed_before {
                self.add_failures(cluster, failures);
            }
        }
        if is_last || !resumes {
            for entry in selecting_nothing(account, plan, of, pasts) {
                self.tell_selects_nothing(&entry);
            }
        }
    }

    /// Ids of what is known to be a tier and, where a request was not answered, of what other runs had made by hand since.
    async fn ids_of_others(&self, pasts: &Pasts) -> Result<BTreeSet<String>, JournalError> {
        let mut ids = self.ids_of_tiers().await?;
        let Some(journal) = self.world.journal.filter(|_| pasts.is_unanswered()) else {
            return Ok(ids);
        };
        let is_other = |key: &RunKey| {
            key.plan == self.world.plan.name && key.class == Class::Manual && key.slot != self.slot
        };
        let mut records = journal.history(&self.world.plan.name, RUNS_KNOWN).await?;
        records.retain(|record| is_other(&record.key));
        let jobs = records.into_iter().flat_map(|record| record.jobs);
        ids.extend(jobs.filter_map(|job| job.backup));
        let open = journal.open_runs().await?.runs.into_iter();
        for open in open.filter(|open| is_other(&open.key)) {
            let pasts = Pasts::of(&journal.entries(&open.key).await?, None);
            ids.extend(pasts.ids().cloned());
        }
        Ok(ids)
    }

    fn add_made(&mut self, cluster: &Cluster, made: Made) {
        for warning in made.warnings {
            self.report.warn(format!("{}: {warning}", cluster.shown()));
        }
        self.add_failures(cluster, made.failures);
        for line in made.lines {
            self.report.counts.made += u64::from(line.state == "available");
            self.lines.push(line.clone());
            self.report.jobs.push(line);
        }
    }

    fn add_failures(&mut self, cluster: &Cluster, failures: Vec<Failed>) {
        let id = Some(cluster.cluster_id.as_str());
        for (region, word, message) in failures {
            self.report.fail(id, region.as_deref(), word, message);
        }
    }
}

/// Backups that are known to be another one's, and never the answer to this request.
#[derive(Clone, Copy)]
pub(super) struct Others<'a> {
    pub(super) ids: &'a BTreeSet<String>,
    /// Whether these are all, because the journal is the one of the runs that make tiers.
    pub(super) are_all: bool,
}

/// Whatever is needed for one cluster.
pub(super) struct Hand<'a, T> {
    pub(super) plan: &'a ClusterPlan,
    pub(super) client: &'a Client<T>,
    pub(super) clock: &'a Clock,
    pub(super) facts: Facts<'a>,
    pub(super) cluster: &'a Cluster,
    pub(super) of: &'a ByHand,
    pub(super) others: Others<'a>,
    /// Whether a backup may be asked for; otherwise only what may have been made is looked for and followed.
    pub(super) asks: bool,
    pub(super) until: Instant,
    pub(super) dry_run: bool,
    pub(super) resumes: bool,
    pub(super) over_budget: Option<&'a OverBudget>,
}

impl<T: Transport> Hand<'_, T> {
    pub(super) async fn make(&self, past: Past) -> Made {
        let mut warnings = Vec::new();
        let (asked, past) = match past.begun.clone() {
            Some(begun) => (Asked::Begun(begun), past),
            // What is known of an earlier one that failed is nothing of what is made now.
            None => {
                let asked = self.ask(past.intent, &mut warnings);
                (asked.boxed_local().await, Past::default())
            }
        };
        if let Asked::Begun(begun) = &asked {
            warnings.extend(self.doubt_about(begun));
        }
        let waiting = |word, message: String| Made {
            lines: vec![self.line_before(&message)],
            failures: vec![(None, word, message)],
            ..Made::default()
        };
        let mut made = match asked {
            Asked::Begun(begun) => self.follow(begun, &past).boxed_local().await,
            Asked::Waits(why) => waiting("being_made", why),
            Asked::Planned(what) => Made {
                lines: self.planned(&what),
                ..Made::default()
            },
            Asked::Refused(word, message) => Made {
                failures: vec![(None, word, message)],
                is_refused: true,
                ..Made::default()
            },
            Asked::Failed(word, message) => Made {
                failures: vec![(None, word, message)],
                ..Made::default()
            },
        };
        made.warnings.append(&mut warnings);
        made
    }

    fn home(&self) -> &str {
        self.cluster.region_id.as_deref().unwrap_or_default()
    }

    /// Waits, if that fits into this invocation.
    async fn wait(&self, long: Duration) -> bool {
        if Instant::now() + long > self.until {
            return false;
        }
        sleep(long).await;
        true
    }
}
