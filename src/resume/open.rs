//! What `jobs` shows of runs, restores and drills that have not ended: each job as far as anybody wrote it down.

use std::collections::BTreeMap;

use super::{Past, Pasts};
use crate::journal::{Entry, History, JobLine, Journal, JournalError, RunKey, RunRecord};
use crate::name::{BackupName, Namespace};
use crate::plan::{Plan, Target};
use crate::restore::Chosen;
use crate::service::Region;

/// The copy was asked for, or is about to be.
const COPYING: &str = "copying";
/// The copy is there, and is compared row by row.
const COMPARING: &str = "comparing";
/// It was chosen to be restored, and nothing was asked for yet.
const WAITING: &str = "waiting";

/// What is open of a plan, newest first. `of` says which names in the journal are the plan's.
pub(crate) async fn open_records(
    journal: &Journal,
    plan: &Plan,
    of: impl Fn(&str) -> bool,
) -> Result<History, JournalError> {
    let open = journal.open_runs().await?;
    let mut found = History {
        records: Vec::new(),
        ignored: open.ignored,
    };
    for open in open.runs.into_iter().filter(|open| of(&open.key.plan)) {
        let entries = journal.entries(&open.key).await?;
        let lines = lines_of(&entries, plan, &open.key);
        found.records.push(RunRecord::of_open(open, lines));
    }
    found.records.reverse();
    Ok(found)
}

/// Every job that was begun or chosen, whether or not it has ended.
fn lines_of(entries: &[Entry], plan: &Plan, key: &RunKey) -> Vec<JobLine> {
    let choice = Choice::of(entries, plan);
    let mut lines: BTreeMap<(String, String), JobLine> = BTreeMap::new();
    for chosen in &choice.chosen {
        let job = (choice.target.to_owned(), chosen.source.clone());
        lines.insert(job.clone(), choice.line(&job, plan, key));
    }
    for (job, past) in Pasts::of(entries).jobs {
        let ended = past.ended.clone();
        let line = ended.unwrap_or_else(|| begun(&past, choice.line(&job, plan, key)));
        lines.insert(job, line);
    }
    lines.into_values().collect()
}

/// How far a job is of which nobody wrote down an end.
fn begun(past: &Past, line: JobLine) -> JobLine {
    let started_at = past.before.as_ref().map(|before| before.looked_at);
    let rows = past.compared.as_ref().map(|up_to| up_to.rows);
    let compares = rows.is_some() || past.found_equal;
    JobLine {
        state: if compares { COMPARING } else { COPYING }.to_owned(),
        started_at,
        progress: rows.map(|rows| format!("{rows} rows compared")),
        ..line
    }
}

/// What a restore or a drill chose last; nothing, for a run.
struct Choice<'a> {
    target: &'a str,
    /// Where it restores to, if that was written down.
    to: Option<&'a Region>,
    chosen: Vec<&'a Chosen>,
}

impl<'a> Choice<'a> {
    fn of(entries: &'a [Entry], plan: &'a Plan) -> Self {
        let asked = |target: Option<&'a String>, regions: Option<&'a (Region, Region)>| {
            let only = plan.targets.first().map(|target| &target.name);
            Self {
                target: target.or(only).map_or("", String::as_str),
                to: regions.map(|(_, to)| to),
                chosen: Vec::new(),
            }
        };
        let mut choice = asked(None, None);
        for entry in entries {
            match entry {
                Entry::RestoreAsked {
                    asked: of, regions, ..
                } => choice = asked(of.target.as_ref(), regions.as_ref()),
                Entry::DrillAsked {
                    asked: of, regions, ..
                } => choice = asked(of.target.as_ref(), regions.as_ref()),
                Entry::RestoreChosen { chosen } => choice.chosen.push(chosen),
                _ => {}
            }
        }
        choice
    }

    /// A job of which nothing was written down but that it is one.
    fn line(&self, (target, source): &(String, String), plan: &Plan, key: &RunKey) -> JobLine {
        let chosen = self.chosen.iter().find(|chosen| chosen.source == *source);
        let known = plan.targets.iter().find(|known| known.name == *target);
        let of_a_run = || backup_of(known?, source, key);
        let region = self.to.or(known.map(|known| &known.region));
        JobLine {
            backup: chosen.map(|chosen| chosen.backup.clone()).or_else(of_a_run),
            ..JobLine::of(target, region.map_or("", String::as_str), source, WAITING)
        }
    }
}

fn backup_of(target: &Target, source: &str, key: &RunKey) -> Option<String> {
    let source = Namespace::parse(source)?;
    let name = BackupName::of(&target.prefix, key.class, &source, key.slot);
    name.ok().map(|name| name.to_string())
}
