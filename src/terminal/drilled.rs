//! What a person sees of a drill: what came back, how old it was, how long it took, and whether a scratch is left.

use std::io::{self, Write};

use comfy_table::Cell;

use super::restored::{incomplete, write_counts, write_failures};
use super::{bytes, screen, table, write_rows_read};
use crate::drill::{DrillReport, DrillState, Drilled};

/// Writes the report of a drill for a reader.
pub fn write_drill(out: &mut impl Write, report: &DrillReport) -> io::Result<()> {
    writeln!(out, "{}", headline(report))?;
    let counts = report.counts;
    let told = [
        (counts.planned, "to be drilled"),
        (counts.proven, "came back whole"),
        (counts.differ, "DIFFER from what was sealed"),
        (counts.failed, "did not come back"),
        (counts.incomplete, "incomplete"),
        (counts.missing, "without a backup that can be drilled"),
        (counts.scratches_left, "scratches that may still stand"),
    ];
    write_counts(out, &told)?;
    let picked = match report.pick {
        "random" => format!(
            "drawn from {} with the seed {}",
            report.sources, report.seed
        ),
        "oldest" => format!(
            "those with the oldest backups, of {}",
            screen::count(report.sources, "source", "sources")
        ),
        _ => "by name".to_owned(),
    };
    // Before anything is picked there is nothing to draw from.
    if report.pick == "names" || report.sources > 0 {
        writeln!(out, "  picked: {picked}; compared: {}", report.verify)?;
    }
    if counts.proven > 0 {
        writeln!(
            out,
            "  {} rows, billed as {} written; the slowest took {:.1} s to come back and be compared\n  the oldest state was {}",
            report.rows,
            bytes(report.bytes_written),
            report.longest_recovery_seconds,
            age(report.oldest_recovery_point_seconds)
        )?;
    }
    write_rows_read(out, report.rows_read)?;
    write_drilled(out, report)?;
    for scratch in &report.swept.shown {
        writeln!(out, "deleted, left by an earlier drill: {scratch}")?;
    }
    for warning in &report.warnings.shown {
        writeln!(out, "warning: {warning}")?;
    }
    write_failures(out, &report.failures, "the drill")
}

fn headline(report: &DrillReport) -> String {
    let outcome = screen::outcome(report.outcome);
    let action = if report.dry_run {
        "Dry run of a drill"
    } else {
        "Drill"
    };
    format!(
        "{action} {outcome}: plan `{}`, {} → {}, slot {}",
        report.plan, report.from_region, report.to_region, report.slot
    )
}

fn write_drilled(out: &mut impl Write, report: &DrillReport) -> io::Result<()> {
    if report.drilled.is_empty() {
        return Ok(());
    }
    let mut table = table(&[
        "source",
        "backup of (UTC)",
        "age",
        "state",
        "rows",
        "copied",
        "compared",
        "recovered in",
        "billed rate",
    ]);
    for line in &report.drilled.shown {
        let state = match line.state {
            DrillState::Incomplete => incomplete(line.progress.as_deref()),
            state => state.word().to_owned(),
        };
        let rows = match line.state {
            DrillState::Planned => String::new(),
            _ => line.rows.to_string(),
        };
        table.add_row([
            Cell::new(&line.source),
            Cell::new(line.slot),
            Cell::new(age(line.recovery_point_seconds)),
            screen::state(&state),
            Cell::new(rows),
            Cell::new(seconds(line.copy_seconds)),
            Cell::new(seconds(line.compare_seconds)),
            Cell::new(recovered(line)),
            Cell::new(rate(line.bytes_per_second)),
        ]);
    }
    writeln!(out, "\n{table}")
}

fn seconds(took: Option<f64>) -> String {
    took.map_or_else(String::new, |took| format!("{took:.1} s"))
}

fn recovered(line: &Drilled) -> String {
    let pauses = if line.carried_on { ", with pauses" } else { "" };
    let took = line.recovery_seconds;
    took.map_or_else(String::new, |took| format!("{took:.1} s{pauses}"))
}

fn rate(bytes_per_second: Option<u64>) -> String {
    bytes_per_second.map_or_else(String::new, |rate| format!("{}/s", bytes(rate)))
}

fn age(seconds: f64) -> String {
    let hours = seconds / 3_600.0;
    if hours < 48.0 {
        format!("{hours:.1} h old")
    } else {
        format!("{:.1} days old", hours / 24.0)
    }
}
