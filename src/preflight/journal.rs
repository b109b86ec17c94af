//! Looks at the journal before the first night: whether it can be listed and read, and what is corrupt in it.
//!
//! What it must never do: write, not even a write whose condition can't hold, because a store that knows no conditions
//! would carry it out; nor make the directory that a journal is to be kept in.

use super::{Finding, Findings, Verdict};
use crate::clock::Clock;
use crate::journal::{Journal, JournalError, LeaseError};
use crate::plan::{ClusterPlan, Plan};

/// What there is to find: the journal, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct WhoseJournal<'a> {
    /// The journal, if there is one at all.
    pub journal: Option<&'a Journal>,
    /// Whether it is the one that is configured; else it is this machine's own, for clusters alone.
    pub configured: bool,
    /// The plans that are looked at.
    pub plans: &'a [Plan],
    /// The same, of Zilliz Cloud.
    pub clusters: &'a [&'a ClusterPlan],
}

/// Everything that runs, restores and drills need of the journal, as far as it can be known without writing.
pub async fn look_at_journal(kept: WhoseJournal<'_>, clock: &Clock) -> Vec<Finding> {
    let mut found = Vec::new();
    if !kept.configured && !kept.plans.is_empty() {
        let mut without = Findings::about("journal".to_owned());
        without.add(Verdict::Note, "none is configured: a copy that outlives its invocation waits for the next night, nothing remembers runs, and nothing keeps two of them, or a run and a restore, apart; set LIFEBOAT_JOURNAL, such as `s3://bucket/lifeboat`".into());
        found.extend(without.all);
    }
    let Some(journal) = kept.journal else {
        return found;
    };
    let mut findings = Findings::about(format!("journal {}", journal.place()));
    if let Err(error) = look(&mut findings, kept, journal, clock).await {
        findings.add(Verdict::Bad, error.to_string());
    }
    found.extend(findings.all);
    found
}

/// The journal did not answer in the time that there was.
#[must_use]
pub fn out_of_time() -> Finding {
    Finding {
        verdict: Verdict::Bad,
        about: "journal".to_owned(),
        message: "it did not answer in time; try again with more, or from a terminal".to_owned(),
    }
}

/// Looks until the first thing that keeps all the rest from being read.
async fn look(
    findings: &mut Findings,
    kept: WhoseJournal<'_>,
    journal: &Journal,
    clock: &Clock,
) -> Result<(), JournalError> {
    if journal.is_yet_to_be_made()? {
        findings.add(
            Verdict::Note,
            "the directory is not there yet; the first run makes it, which can't be tried without writing".into(),
        );
        return Ok(());
    }
    if !journal.is_lasting() {
        findings.add(
            Verdict::Note,
            "it is forgotten with its process, so no other one carries on, and nothing keeps two runs apart".into(),
        );
    }
    let before = findings.all.len();
    look_at_what_is_open(findings, journal).await?;
    let clusters = journal.of_clusters();
    if !kept.clusters.is_empty() {
        look_at_what_is_open(findings, &clusters).await?;
    }
    for (journal, holds) in [
        (journal, !kept.plans.is_empty()),
        (&clusters, !kept.clusters.is_empty()),
    ] {
        if holds {
            told(findings, journal.holds(clock.now()).await)?;
        }
    }
    for plan in kept.plans {
        look_at_lease(findings, journal, &plan.name).await?;
    }
    for plan in kept.clusters {
        look_at_lease(findings, &clusters, &plan.name).await?;
        told(findings, clusters.watch(&plan.name).await)?;
        if plan.tiers.is_some() {
            told(findings, clusters.tiers(&plan.name).await)?;
        }
    }
    if findings.all.len() == before {
        findings.add(
            Verdict::Good,
            "it can be listed and read, and nothing in it is corrupt".into(),
        );
    }
    findings.add(
        Verdict::Note,
        "whether it may be written can't be tried without writing; the first run shows it".into(),
    );
    Ok(())
}

/// Runs, restores and drills that are open, each under its mark.
async fn look_at_what_is_open(
    findings: &mut Findings,
    journal: &Journal,
) -> Result<(), JournalError> {
    for part in [journal.clone(), journal.of_restores(), journal.of_drills()] {
        for object in part.open_runs().await?.ignored {
            findings.add(Verdict::Note, format!("{object} stands where open runs are marked, and marks none, so nobody carries on with it; look what it is, and delete it"));
        }
    }
    Ok(())
}

async fn look_at_lease(
    findings: &mut Findings,
    journal: &Journal,
    plan: &str,
) -> Result<(), JournalError> {
    match journal.look_at_lease(plan).await {
        Ok(()) => Ok(()),
        Err(LeaseError::Journal(error)) => Err(error),
        Err(corrupt) => {
            findings.add(Verdict::Bad, corrupt.to_string());
            Ok(())
        }
    }
}

/// An object that can't be understood is told, and says nothing of the others.
fn told<T>(findings: &mut Findings, read: Result<T, JournalError>) -> Result<(), JournalError> {
    match read {
        Ok(_) => Ok(()),
        Err(corrupt @ JournalError::Unreadable { .. }) => {
            findings.add(Verdict::Bad, corrupt.to_string());
            Ok(())
        }
        Err(error) => Err(error),
    }
}
