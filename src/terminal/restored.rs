//! What a person sees of a restore, before and after it, and what a drill, which is one, shows alike.

use std::io::{self, Write};

use comfy_table::Cell;

use super::{bytes, screen, table, write_rows_read};
use crate::report::Bounded;
use crate::restore::{RestoreFailure, RestoreReport, RestoreState};

/// Writes the report of a restore for a reader.
pub fn write_restore(out: &mut impl Write, report: &RestoreReport) -> io::Result<()> {
    let action = if report.dry_run {
        "Dry run of a restore"
    } else {
        "Restore"
    };
    let outcome = screen::outcome(report.outcome);
    write_report(out, &format!("{action} {outcome}"), report)
}

fn write_report(out: &mut impl Write, begin: &str, report: &RestoreReport) -> io::Result<()> {
    writeln!(
        out,
        "{begin}: plan `{}`, {} → {}, as of {:.0}",
        report.plan, report.from_region, report.to_region, report.at
    )?;
    let counts = report.counts;
    let told = [
        (counts.planned, "to be restored"),
        (counts.restored, "restored"),
        (
            counts.differ,
            "DIFFER from their backups, not to be trusted",
        ),
        (counts.failed, "failed"),
        (counts.incomplete, "incomplete"),
        (counts.missing, "without a backup"),
        (
            counts.unverified,
            "of them from backups that were never verified",
        ),
        (
            counts.known_bad,
            "of them from backups that their own runs found WRONG",
        ),
    ];
    write_counts(out, &told)?;
    if !report.dry_run {
        writeln!(
            out,
            "  {} rows, {} written, {} sent between regions",
            report.rows,
            bytes(report.bytes_written),
            bytes(report.bytes_returned)
        )?;
    }
    write_rows_read(out, report.rows_read)?;
    write_restored(out, report)?;
    for warning in &report.warnings.shown {
        writeln!(out, "warning: {warning}")?;
    }
    write_failures(out, &report.failures, "the restore")
}

/// Writes what a restore would do, for whoever is about to agree to it.
pub fn write_planned_restore(out: &mut impl Write, report: &RestoreReport) -> io::Result<()> {
    write_report(out, "About to be restored", report)?;
    let bad = if report.failures.is_empty() {
        ""
    } else {
        ", in spite of what is said above"
    };
    let (count, region) = (report.counts.planned, &report.to_region);
    let namespaces = if count == 1 {
        "namespace"
    } else {
        "namespaces"
    };
    write!(
        out,
        "Restore {count} {namespaces} into {region}{bad}? [y/N] "
    )
}

fn write_restored(out: &mut impl Write, report: &RestoreReport) -> io::Result<()> {
    if report.restored.is_empty() {
        return Ok(());
    }
    let mut table = table(&[
        "source",
        "backup of (UTC)",
        "verified",
        "restored as",
        "state",
        "rows",
        "took",
    ]);
    for line in &report.restored.shown {
        let verified = if line.verified { "yes" } else { "NO" };
        let state = match (line.state, line.restored_earlier_at) {
            (RestoreState::Incomplete, _) => incomplete(line.progress.as_deref()),
            (_, Some(at)) => format!("restored earlier, at {at:.0}"),
            (state, None) => state.word().to_owned(),
        };
        let (rows, took) = match line.state {
            RestoreState::Planned => (String::new(), String::new()),
            _ => (line.rows.to_string(), format!("{} s", line.seconds)),
        };
        table.add_row([
            Cell::new(&line.source),
            Cell::new(line.slot),
            screen::state(verified),
            Cell::new(&line.destination),
            screen::state(&state),
            Cell::new(rows),
            Cell::new(took),
        ]);
    }
    writeln!(out, "\n{table}")
}

/// What there is any of.
pub(super) fn write_counts(out: &mut impl Write, counts: &[(u64, &str)]) -> io::Result<()> {
    let told = counts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {}", told.join(", "))
}

/// What is not done yet, with how far it is.
pub(super) fn incomplete(progress: Option<&str>) -> String {
    match progress {
        Some(progress) if !progress.is_empty() => format!("incomplete ({progress})"),
        _ => RestoreState::Incomplete.word().to_owned(),
    }
}

/// `all` stands for what is of no source alone.
pub(super) fn write_failures(
    out: &mut impl Write,
    failures: &Bounded<RestoreFailure>,
    all: &str,
) -> io::Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let mut table = table(&["failed", "error", "what happened and what to do"]);
    for failure in &failures.shown {
        let what = failure.source.as_deref().unwrap_or(all);
        table.add_row([what, failure.error.as_str(), failure.message.as_str()]);
    }
    writeln!(out, "\n{table}")
}
