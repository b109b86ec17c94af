//! What a request is answered with: one report, or several of a `resume`, or a list.
//!
//! Doors print it, and end by what its reports say. An answer of a function is bounded; it says what it leaves out.

use serde::Serialize;

use crate::drill::DrillReport;
use crate::estimate::Estimated;
use crate::event::Action;
use crate::journal::{History, RunRecord};
use crate::preflight::{Finding, Verdict};
use crate::report::Report;
use crate::restore::RestoreReport;
use crate::zilliz::listed::ClusterList;
use crate::zilliz::{ClusterReport, ClusterRestoreReport};

/// Jobs in an answer of bounded size, newest run first.
const JOBS_ANSWERED: usize = 1_000;

/// What a request is answered with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What one run did.
    Run(Box<Report>),
    /// What was carried on with.
    Resumed(Resumed),
    /// What the journal remembers.
    Jobs(JobList),
    /// What one restore did.
    Restored(Box<RestoreReport>),
    /// What was found out of the regions.
    Checked(Checked),
    /// What the next nights will do.
    Estimated(Estimated),
    /// What one drill showed.
    Drilled(Box<DrillReport>),
    /// What one run over clusters of Zilliz Cloud did.
    Clusters(Box<ClusterReport>),
    /// What one restore of clusters of Zilliz Cloud did.
    ClustersRestored(Box<ClusterRestoreReport>),
    /// Every backup of a plan's clusters of Zilliz Cloud.
    ClustersListed(Box<ClusterList>),
}

impl Answer {
    /// The reports of the runs, one each.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        let one = match self {
            Self::Run(report) => Some(report.as_ref()),
            _ => None,
        };
        one.into_iter().chain(self.resumed(|resumed| &resumed.runs))
    }

    /// The reports of the restores, one each.
    pub fn restores(&self) -> impl Iterator<Item = &RestoreReport> {
        let one = match self {
            Self::Restored(report) => Some(report.as_ref()),
            _ => None,
        };
        one.into_iter()
            .chain(self.resumed(|resumed| &resumed.restores))
    }

    /// The reports of the drills, one each.
    pub fn drills(&self) -> impl Iterator<Item = &DrillReport> {
        let one = match self {
            Self::Drilled(report) => Some(report.as_ref()),
            _ => None,
        };
        one.into_iter()
            .chain(self.resumed(|resumed| &resumed.drills))
    }

    /// The reports of the runs over clusters, one each.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterReport> {
        let one = match self {
            Self::Clusters(report) => Some(report.as_ref()),
            _ => None,
        };
        one.into_iter()
            .chain(self.resumed(|resumed| &resumed.clusters))
    }

    /// The reports of the restores of clusters, one each.
    pub fn cluster_restores(&self) -> impl Iterator<Item = &ClusterRestoreReport> {
        let one = match self {
            Self::ClustersRestored(report) => Some(report.as_ref()),
            _ => None,
        };
        one.into_iter()
            .chain(self.resumed(|resumed| &resumed.cluster_restores))
    }

    /// What a `resume` did of one kind; nothing where this answers something else.
    fn resumed<T>(&self, of: impl Fn(&Resumed) -> &Vec<T>) -> &[T] {
        match self {
            Self::Resumed(resumed) => of(resumed),
            _ => &[],
        }
    }

    /// What a `resume` could not carry on with.
    #[must_use]
    pub fn not_carried_on(&self) -> &[NotCarriedOn] {
        self.resumed(|resumed| &resumed.failures)
    }

    /// The list of clusters' backups, if it is one.
    pub fn cluster_lists(&self) -> impl Iterator<Item = &ClusterList> {
        let list = match self {
            Self::ClustersListed(list) => Some(&**list),
            _ => None,
        };
        list.into_iter()
    }
}

/// What a `resume` did.
#[derive(Debug, Serialize)]
pub struct Resumed {
    /// Always `resume`.
    pub action: Action,
    /// Names this invocation in every log line.
    pub run_id: String,
    /// Runs that were open, of all plans.
    pub open_runs: usize,
    /// Runs of backups could not be looked for: no journal is configured, and only what this machine remembers was.
    #[serde(skip_serializing_if = "is_false")]
    pub without_a_journal: bool,
    /// Objects in the journal that stand among the open runs and are none; each is a failure, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// What was done for each.
    pub runs: Vec<Report>,
    /// Restores that were open.
    pub open_restores: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<RestoreReport>,
    /// Drills that were open.
    pub open_drills: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<DrillReport>,
    /// Runs over clusters that were open.
    #[serde(skip_serializing_if = "is_zero")]
    pub open_cluster_runs: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterReport>,
    /// Restores of clusters that were open.
    #[serde(skip_serializing_if = "is_zero")]
    pub open_cluster_restores: usize,
    /// What was done for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster_restores: Vec<ClusterRestoreReport>,
    /// What could not be carried on with at all, each by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<NotCarriedOn>,
    /// What is open and of a plan that is not configured here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// Something open that was refused.
#[derive(Debug, Serialize)]
pub struct NotCarriedOn {
    /// What it is, for a reader.
    pub what: String,
    /// A short, stable word.
    pub error: &'static str,
    /// What happened and what to do.
    pub message: String,
}

impl Resumed {
    /// Whether nothing was open, as far as could be seen.
    #[must_use]
    pub fn found_nothing(&self) -> bool {
        let open = self.open_runs + self.open_restores + self.open_drills;
        open + self.open_cluster_runs + self.open_cluster_restores + self.failures.len() == 0
    }
}

impl NotCarriedOn {
    /// One line of a longer list.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{}: {}", self.what, self.message)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a `check` found out.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Always `check`.
    pub action: Action,
    /// Names this invocation in every log line.
    pub run_id: String,
    /// What was found out of every region that was asked.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// What has to be put right before backups work.
    pub fn bad(&self) -> impl Iterator<Item = &Finding> {
        let bad = |finding: &&Finding| finding.verdict == Verdict::Bad;
        self.findings.iter().filter(bad)
    }
}

/// Open and finished runs, newest first within each plan.
#[derive(Debug, Default, Serialize)]
pub struct JobList {
    /// The runs with their jobs.
    pub runs: Vec<RunRecord>,
    /// The drills, with what was shown of each backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<RunRecord>,
    /// The restores, each under the name by which its report calls it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<RunRecord>,
    /// Jobs that are left out of an answer that must be short.
    pub omitted: usize,
    /// Objects in the journal that stand among its runs, and can't be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

impl JobList {
    /// Takes in what was found of one kind, and gives back its records.
    pub(crate) fn of(&mut self, found: History) -> Vec<RunRecord> {
        self.ignored.extend(found.ignored);
        self.ignored.sort_unstable();
        self.ignored.dedup();
        found.records
    }

    /// Leaves out what Lambda's answer, of 6 MB at most, may not hold.
    pub(crate) fn bounded(mut self) -> Self {
        let mut room = JOBS_ANSWERED;
        let all = self.runs.iter_mut().chain(&mut self.drills);
        for run in all.chain(&mut self.restores) {
            self.omitted += run.jobs.len().saturating_sub(room);
            run.jobs.truncate(room);
            room -= run.jobs.len();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{JobLine, RunKey};
    use crate::name::Class;
    use crate::slot::Slot;

    #[test]
    fn an_answer_of_many_jobs_is_cut_and_says_so() {
        let line = JobLine::of("t", "r", "s", "sealed");
        let run = |jobs: usize| RunRecord {
            key: RunKey {
                plan: "p".into(),
                slot: Slot::from_digits("1763690400").unwrap(),
                class: Class::Scheduled,
            },
            run_id: String::new(),
            outcome: "succeeded".into(),
            reason: None,
            opened_at: jiff::Timestamp::UNIX_EPOCH,
            closed_at: Some(jiff::Timestamp::UNIX_EPOCH),
            asked: None,
            jobs: vec![line.clone(); jobs],
            deleted: 0,
        };
        let list = JobList {
            runs: vec![run(900), run(900), run(5)],
            ..JobList::default()
        };
        let cut = list.bounded();
        let shown: Vec<usize> = cut.runs.iter().map(|run| run.jobs.len()).collect();
        assert_eq!((shown, cut.omitted), (vec![900, 100, 0], 805));
    }
}
