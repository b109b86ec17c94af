//! What a person sees of the journal: runs, drills and restores with their jobs, one line each.

use std::io::{self, Write};

use comfy_table::Cell;
use jiff::{SignedDuration, Unit};

use super::{Table, bytes, screen, table};
use crate::JobList;
use crate::journal::{JobLine, RunRecord};

/// Writes the jobs of the journal's runs, like a cloud console's list of jobs, and then its drills and restores.
pub fn write_jobs_of_runs(out: &mut impl Write, jobs: &JobList) -> io::Result<()> {
    let tables = [
        ("", &jobs.runs),
        ("Drills:\n", &jobs.drills),
        ("Restores:\n", &jobs.restores),
    ];
    let tables = tables.map(|(title, runs)| (title, jobs_table(runs)));
    let mut filled = tables.iter().filter(|(_, table)| !table.is_empty());
    match filled.next() {
        Some((title, first)) => writeln!(out, "{title}{first}")?,
        None => writeln!(out, "The journal remembers no job.")?,
    }
    filled.try_for_each(|(title, table)| writeln!(out, "\n{title}{table}"))?;
    for object in &jobs.ignored {
        writeln!(out, "can't be read, and is left out here: {object}")?;
    }
    Ok(())
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
        if run.jobs.is_empty() || run.reason.is_some() {
            table.add_row(whole(run));
        }
        for job in &run.jobs {
            table.add_row(row(run, job));
        }
    }
    table
}

/// What is to be said of a run as a whole: that it has no job, or why it failed beside them.
fn whole(run: &RunRecord) -> [Cell; 9] {
    let lasted = run.closed_at.map_or_else(String::new, |ended| {
        took(ended.duration_since(run.opened_at))
    });
    [
        Cell::new(&run.key.plan),
        Cell::new(run.key.slot.instant()),
        Cell::new(""),
        Cell::new(""),
        screen::state(&run.outcome),
        Cell::new(""),
        Cell::new(""),
        Cell::new(lasted),
        Cell::new(run.reason.as_deref().unwrap_or("no job is known")),
    ]
}

fn row(run: &RunRecord, job: &JobLine) -> [Cell; 9] {
    let lasted = match (job.started_at, job.ended_at) {
        (Some(began), Some(ended)) => took(ended.duration_since(began)),
        _ => String::new(),
    };
    let progress = job.progress.clone().filter(|progress| !progress.is_empty());
    let began = job.started_at.filter(|_| job.ended_at.is_none());
    let began = began.map(|began| format!("since {began:.0}"));
    let happened = job.message.clone().or(progress).or(began);
    [
        Cell::new(&run.key.plan),
        Cell::new(run.key.slot.instant()),
        Cell::new(&job.target),
        Cell::new(&job.source),
        screen::state(&job.state),
        Cell::new(job.rows),
        Cell::new(bytes(job.bytes_written)),
        Cell::new(lasted),
        Cell::new(happened.unwrap_or_default()),
    ]
}

/// A duration as people say it: above a second nobody asks for less than one.
fn took(duration: SignedDuration) -> String {
    let unit = if duration.abs() < SignedDuration::from_secs(1) {
        Unit::Millisecond
    } else {
        Unit::Second
    };
    format!("{:#}", duration.round(unit).unwrap_or(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_shown_below_a_second_alone() {
        for (milliseconds, shown) in [
            (0, "0s"),
            (769, "769ms"),
            (1_400, "1s"),
            (625_769, "10m 26s"),
        ] {
            assert_eq!(took(SignedDuration::from_millis(milliseconds)), shown);
        }
    }
}
