//! What a person sees of the journal: runs, drills and restores with their jobs, one line each.

use std::io::{self, Write};

use comfy_table::Cell;
use jiff::{SignedDuration, Unit};

use super::{Table, bytes, screen, table};
use crate::JobList;
use crate::journal::RunRecord;

/// Writes the jobs of the journal's runs, like a cloud console's list of jobs, and then its drills and restores.
pub fn write_jobs_of_runs(out: &mut impl Write, jobs: &JobList) -> io::Result<()> {
    let tables = [
        ("", &jobs.runs),
        ("Drills:\n", &jobs.drills),
        ("Restores:\n", &jobs.restores),
    ];
    let tables = tables.map(|(title, runs)| (title, jobs_table(runs)));
    let mut filled = tables.iter().filter(|(_, table)| !table.is_empty());
    let Some((title, first)) = filled.next() else {
        return writeln!(out, "The journal remembers no job.");
    };
    writeln!(out, "{title}{first}")?;
    filled.try_for_each(|(title, table)| writeln!(out, "\n{title}{table}"))
}

fn jobs_table(runs: &[RunRecord]) -> Table {
    let mut table = table(&[
        "plan",
        "slot (UTC)",
        "target",
        "source",
        "state",
        "rows",
        "written",
        "took",
        "what happened",
    ]);
    for run in runs {
        for job in &run.jobs {
            let lasted = match (job.started_at, job.ended_at) {
                (Some(began), Some(ended)) => took(ended.duration_since(began)),
                _ => String::new(),
            };
            let progress = job.progress.clone().filter(|progress| !progress.is_empty());
            let happened = job.message.clone().or(progress).unwrap_or_default();
            table.add_row([
                Cell::new(&run.key.plan),
                Cell::new(run.key.slot.instant()),
                Cell::new(&job.target),
                Cell::new(&job.source),
                screen::state(&job.state),
                Cell::new(job.rows),
                Cell::new(bytes(job.bytes_written)),
                Cell::new(lasted),
                Cell::new(happened),
            ]);
        }
    }
    table
}

/// A duration as people say it; nobody waits for less than a millisecond.
fn took(duration: SignedDuration) -> String {
    let rounded = duration.round(Unit::Millisecond).unwrap_or(duration);
    format!("{rounded:#}")
}
