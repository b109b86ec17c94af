//! Backups by hand in a history of clusters: whatever is told to be there is, where it is told, and nothing else was made.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lifeboat::journal::JobLine;
use lifeboat::name::Class;
use lifeboat::report::Outcome;
use lifeboat::zilliz::ClusterReport;
use serde_json::Value;

use super::{History, SECOND};
use crate::clusters::tiers::family;
use crate::clusters::{Account, CLUSTER, FAR, HOME, NEAR};

#[derive(Default)]
pub(super) struct ByHand {
    /// Slots that were ever asked for.
    pub(super) asked: BTreeSet<Timestamp>,
    /// Those of which a report said that all had succeeded.
    succeeded: BTreeSet<Timestamp>,
}

impl ByHand {
    /// Takes in what a run by hand has told.
    pub(super) fn read(&mut self, report: &ClusterReport, account: &Account) {
        if !report.manual {
            return;
        }
        let (lines, backups) = (&report.jobs.shown, account.known("backups"));
        for line in lines {
            stands_if_told(line, &backups);
        }
        if report.outcome == Outcome::Succeeded {
            self.succeeded.insert(report.slot);
            assert_eq!(whole(lines), 2, "all was said to be well: {lines:#?}");
        }
    }
}

/// What is told to be available stands there. Nobody in these histories deletes what was made by hand.
fn stands_if_told(line: &JobLine, backups: &[Value]) {
    if line.state != "available" {
        return;
    }
    let is_it = |backup: &&Value| backup["id"].as_str() == line.backup.as_deref();
    let backup = backups.iter().find(is_it);
    let stands = backup.is_some_and(|backup| {
        backup["region"] == line.region.as_str()
            && backup["cluster"] == line.source.as_str()
            && backup["status"] == "AVAILABLE"
    });
    assert!(stands, "{line:?} is told to be available: {backup:?}");
}

/// Clusters with one original and one copy in each target, by their run's lines.
fn whole(lines: &[JobLine]) -> u64 {
    let is_whole = |cluster: &&str| {
        let of_it = lines.iter().filter(|line| line.source == *cluster);
        let available = of_it.filter(|line| line.state == "available");
        let mut regions: Vec<&str> = available.map(|line| line.region.as_str()).collect();
        regions.sort_unstable();
        regions == [FAR, NEAR, HOME]
    };
    let whole = [CLUSTER, SECOND].iter().filter(|cluster| is_whole(cluster));
    u64::try_from(whole.count()).unwrap()
}

impl History {
    /// For each slot and cluster one original at most, and of every original that history tells of, it and the copies that
    /// it tells of; and nothing else was ever begun by hand.
    pub(super) async fn one_of_each(&mut self) {
        let journal = self.account.journal.as_ref().unwrap();
        let history = journal.history("prod", 100).await.unwrap();
        let backups = self.account.known("backups");
        let owned = self.owned.values().flat_map(BTreeMap::values);
        let mut told: BTreeSet<String> = owned.cloned().collect();
        let theirs = self.theirs.iter();
        let theirs = theirs.flat_map(|original| family(&self.account, original));
        // After silence, a backup by hand may take somebody else's for its own, which is never deleted, either.
        let of_nobody: BTreeSet<String> = theirs.chain(self.adopted.iter().cloned()).collect();
        let mut succeeded = self.by_hand.succeeded.clone();
        for run in history.iter().filter(|run| run.key.class == Class::Manual) {
            let slot = run.key.slot.instant();
            assert!(self.by_hand.asked.contains(&slot));
            let mut there = BTreeSet::new();
            for job in &run.jobs {
                stands_if_told(job, &backups);
                let mut backup = job.backup.iter();
                let is_new = backup.all(|id| of_nobody.contains(id) || told.insert(id.clone()));
                assert!(is_new, "{job:?} is told twice");
                let is_first = there.insert((&job.source, &job.region));
                assert!(is_first, "two of one slot: {:#?}", run.jobs);
            }
            let whole = whole(&run.jobs);
            let adopted = run.jobs.iter().filter(|job| job.message.is_some());
            let adopted = adopted.filter(|job| job.state == "available" && job.region == HOME);
            let adopted = u64::try_from(adopted.count()).unwrap();
            assert!(
                !succeeded.remove(&slot) || whole == 2,
                "all of {slot} was said to be well: {:#?}",
                run.jobs
            );
            self.tally.add("by hand made and copied", whole);
            self.tally.add("lost answers adopted", adopted);
        }
        assert!(
            succeeded.is_empty(),
            "nobody tells of {succeeded:?} any more"
        );
        told.extend(of_nobody);
        for backup in backups {
            if backup["method"] == "MANUAL" && backup["status"] == "AVAILABLE" {
                let is_told = told.contains(backup["id"].as_str().unwrap());
                assert!(is_told, "nobody tells of {backup}: {history:#?}");
            }
        }
    }
}
