//! What a person sees of a restore of clusters, before and after it; and the one-time password, once.

use std::io::{self, Write};

use comfy_table::Cell;

use super::{bytes, screen, table};
use crate::zilliz::ClusterRestoreReport;
use crate::zilliz::restore::notes::{FAILED, INCOMPLETE, PasswordFate, RESTORED};
use crate::zilliz::restore::password::OneTime;

/// Writes the report of a restore of clusters for a reader. No password is in it.
pub fn write_cluster_restore(
    out: &mut impl Write,
    report: &ClusterRestoreReport,
) -> io::Result<()> {
    let outcome = screen::outcome(report.outcome);
    let action = if report.dry_run {
        "Dry run of a restore"
    } else {
        "Restore"
    };
    writeln!(
        out,
        "{action} {outcome}: plan `{}` on Zilliz Cloud, into {}",
        report.plan,
        report.destination()
    )?;
    if let Some(chosen) = &report.chosen {
        let backup = &chosen.backup;
        let of = backup.cluster_name.as_ref().unwrap_or(&backup.cluster);
        let made = backup
            .created_at
            .map(|at| format!(" of {at}"))
            .unwrap_or_default();
        let size = backup
            .bytes
            .map(|size| format!(", {}", bytes(size)))
            .unwrap_or_default();
        writeln!(
            out,
            "  from backup {} in {}: {of}{made}{size}",
            backup.id, backup.region
        )?;
    }
    let told = [
        (RESTORED, "restored"),
        (FAILED, "failed"),
        (INCOMPLETE, "not done yet"),
        ("planned", "to be restored"),
    ];
    let told = told.map(|(state, what)| (report.count(state), what));
    let told = told.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !told.is_empty() {
        writeln!(out, "  {}", told.join(", "))?;
    }
    if let Some(fate) = &report.password_went {
        writeln!(out, "  {}", in_words(fate, report.dry_run))?;
    }
    write_lines(out, report)?;
    if !report.not_in_backup.is_empty() {
        let tense = if report.dry_run {
            "What will not come back by itself:"
        } else {
            "What did not come back by itself:"
        };
        writeln!(out, "\n{tense}")?;
        for missing in &report.not_in_backup {
            writeln!(out, "  - {missing}")?;
        }
    }
    for warning in &report.warnings.shown {
        writeln!(out, "warning: {warning}")?;
    }
    write_failures(out, report)
}

/// Writes what a restore would do, for whoever is about to agree to it.
pub fn write_planned_cluster_restore(
    out: &mut impl Write,
    report: &ClusterRestoreReport,
) -> io::Result<()> {
    write_cluster_restore(out, report)?;
    write!(out, "Restore into {}? [y/N] ", report.destination())
}

/// Writes the password, for the terminal that asked for it.
pub fn write_one_time(out: &mut impl Write, told: &OneTime) -> io::Result<()> {
    writeln!(
        out,
        "\nShown once, and kept nowhere: cluster {}, user {}, password {}",
        told.cluster,
        told.username,
        told.expose()
    )
}

fn in_words(fate: &PasswordFate, dry_run: bool) -> String {
    match fate {
        PasswordFate::ForSecret { secret } => {
            format!(
                "the password will be written to the secret {secret}; whether that can be written is shown before anything is begun"
            )
        }
        PasswordFate::InSecret { secret } => format!("the password is in the secret {secret}"),
        PasswordFate::ForTheTerminal if dry_run => {
            "the password will be shown here, once".to_owned()
        }
        PasswordFate::ForTheTerminal => {
            "the password is for the terminal that began the restore, once".to_owned()
        }
        PasswordFate::Lost => "the password is LOST: reset it in Zilliz Cloud's console".to_owned(),
    }
}

fn write_lines(out: &mut impl Write, report: &ClusterRestoreReport) -> io::Result<()> {
    if report.jobs.is_empty() {
        return Ok(());
    }
    let mut table = table(&["from", "restored as", "region", "state", "what happened"]);
    for line in &report.jobs.shown {
        let happened = line.message.as_deref().or(line.progress.as_deref());
        table.add_row([
            Cell::new(&line.source),
            Cell::new(&line.target),
            Cell::new(&line.region),
            screen::state(&line.state),
            Cell::new(happened.unwrap_or_default()),
        ]);
    }
    writeln!(out, "\n{table}")
}

fn write_failures(out: &mut impl Write, report: &ClusterRestoreReport) -> io::Result<()> {
    if report.failures.is_empty() {
        return Ok(());
    }
    let mut table = table(&["failed", "error", "what happened and what to do"]);
    for failure in &report.failures.shown {
        let what = failure.source.as_deref().unwrap_or("the restore");
        table.add_row([what, failure.error, failure.message.as_str()]);
    }
    writeln!(out, "\n{table}")
}
