//! What a person sees of a run over namespaces: jobs, what was compared, what was deleted, and what stands and why.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::Cell;

use super::{Table, bytes, estimated, screen, table};
use crate::event::Action;
use crate::report::{Line, Report};
use crate::verify::{Cost, Verified};

/// Writes the report for a reader.
pub fn write_report(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{}", headline(report))?;
    if matches!(report.action, Action::Backup) && !report.dry_run {
        write_jobs(out, report)?;
    }
    let by_name = matches!(
        report.action,
        Action::List | Action::Verify | Action::Seal | Action::Discard
    );
    if !by_name {
        write_pruning(out, report)?;
    }
    if let Some(estimate) = &report.estimate {
        writeln!(out)?;
        estimated::write_plan(out, estimate)?;
    } else if let Some(judged) = &report.budget {
        estimated::write_budget(out, judged)?;
    }
    write_verified(out, report)?;
    if report.action == Action::Discard {
        for name in &report.deleted.shown {
            writeln!(out, "  deleted: {name}")?;
        }
    }
    if !report.decisions.is_empty() {
        writeln!(out, "\n{}", decisions_table(&report.decisions.shown))?;
    }
    for stray in &report.strays.shown {
        writeln!(out, "not a backup of this plan, never touched: {stray}")?;
    }
    for warning in &report.warnings.shown {
        writeln!(out, "warning: {warning}")?;
    }
    for drifted in &report.drifts.shown {
        let drift = drifted.drift;
        writeln!(
            out,
            "note: {} was written while it was copied: {} rows in the copy, {} to {} in the source",
            drifted.source, drift.copied, drift.fewest, drift.most
        )?;
    }
    if !report.failures.is_empty() {
        writeln!(out, "\n{}", failures_table(report))?;
    }
    Ok(())
}

fn headline(report: &Report) -> String {
    let outcome = screen::outcome(report.outcome);
    let action = match (report.action, report.dry_run) {
        (Action::Backup, false) => "Backup",
        (Action::Prune, false) => "Prune",
        (Action::Backup, true) => "Dry run of a backup",
        (Action::Prune, true) => "Dry run of pruning",
        (Action::List, _) => "List",
        (Action::Resume, _) => "Resume",
        (Action::Jobs, _) => "Jobs",
        (Action::Check, _) => "Check",
        (Action::Estimate, _) => "Estimate",
        (Action::Verify, _) => "Verification",
        (Action::Seal, false) => "Sealing",
        (Action::Seal, true) => "Dry run of sealing",
        (Action::Discard, false) => "Discarding",
        (Action::Discard, true) => "Dry run of discarding",
        (Action::Restore, _) => "Restore",
        (Action::Drill, _) => "Drill",
    };
    let targets = report.targets.iter();
    let to: Vec<&str> = targets.map(|target| target.region.as_str()).collect();
    format!(
        "{action} {outcome}: plan `{}`, {} → {}, slot {}",
        report.plan,
        report.source_region,
        to.join(", "),
        report.slot
    )
}

fn write_jobs(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let jobs = report.jobs;
    let sources = screen::count(report.sources, "source", "sources");
    write!(out, "  {sources}: {} sealed", jobs.sealed)?;
    let others = [
        (jobs.already_sealed, "sealed before"),
        (jobs.covered, "unchanged and not copied again"),
        (jobs.failed, "failed"),
        (jobs.incomplete, "incomplete"),
        (jobs.vanished, "deleted meanwhile"),
        (jobs.over_budget, "not copied, over budget"),
        (jobs.adopted, "of them adopted"),
        (jobs.drifted, "of them written while copied"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        write!(out, ", {count} {what}")?;
    }
    let copied = report.copied;
    writeln!(
        out,
        "\n  copied {} rows, {} written, {} sent between regions",
        copied.rows,
        bytes(copied.bytes_written),
        bytes(copied.bytes_returned)
    )
}

/// Everything that was compared by hand; of a backup's own comparisons, how many there were.
fn write_verified(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if matches!(report.action, Action::Verify | Action::Seal) {
        if report.verified.is_empty() {
            writeln!(out, "  no backup was picked, so nothing was compared")?;
        } else {
            writeln!(out, "\n{}\n", verified_table(&report.verified.shown))?;
        }
    } else if !report.verified.is_empty() {
        let (level, count) = (report.verify, report.verified.len());
        writeln!(out, "  {count} backups compared at the level {level}")?;
    }
    write_rows_read(out, report.rows_read)?;
    if matches!(report.action, Action::Verify | Action::Seal) {
        write_queried(out, report)?;
    }
    Ok(())
}

/// What all queries cost. What they look through costs a dollar for a million GB (contract section 14).
fn write_queried(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let queried = report.queried;
    writeln!(
        out,
        "  {} queries in all, billed with {} sent and {} looked through: {}",
        queried.queries,
        bytes(queried.bytes_returned),
        bytes(queried.bytes_queried),
        estimated::money(report.queried_costs)
    )
}

/// What reading rows cost, if any were read.
pub(super) fn write_rows_read(out: &mut impl Write, cost: Cost) -> io::Result<()> {
    if cost.is_nothing() {
        return Ok(());
    }
    writeln!(
        out,
        "  reading {} rows took {} requests and is billed with {} sent and {} looked through",
        cost.rows,
        cost.requests,
        bytes(cost.bytes_returned),
        bytes(cost.bytes_queried)
    )
}

/// One row per backup that was compared, with everything that was proven.
#[must_use]
fn verified_table(verified: &[Verified]) -> Table {
    let mut table = table(&[
        "backup",
        "target",
        "sealed",
        "found",
        "level",
        "what that means",
    ]);
    for one in verified {
        let digest = one.digest.map(|digest| format!("; digest {digest}"));
        table.add_row([
            Cell::new(&one.backup),
            Cell::new(&one.target),
            screen::state(if one.sealed { "yes" } else { "no" }),
            screen::state(one.finding.word()),
            Cell::new(one.level),
            Cell::new(format!("{}{}", one.message, digest.unwrap_or_default())),
        ]);
    }
    table
}

fn write_pruning(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for target in &report.targets {
        let pruning = target.pruning;
        let tense = if report.dry_run { "is" } else { "was" };
        if let Some(why) = &target.undecided {
            writeln!(
                out,
                "  {}: not decided which backups are due, because {why}; nothing {tense} deleted",
                target.target
            )?;
            continue;
        }
        writeln!(
            out,
            "  {}: {} backups stood, {} due, {} deleted; {} sources keep all of theirs; {} names are no backups",
            target.target,
            pruning.backups,
            pruning.due,
            pruning.deleted,
            pruning.held_sources,
            pruning.strays
        )?;
        if let Some(why) = &target.deletion_stopped {
            writeln!(out, "  {}: nothing {tense} deleted: {why}", target.target)?;
        }
        if let (true, Some(hash)) = (report.dry_run && pruning.due > 0, &target.deletion_plan) {
            writeln!(
                out,
                "  {}: hash {hash}; `lifeboat prune --plan {} --approve {hash}` deletes exactly what is due here, or nothing",
                target.target, report.plan
            )?;
        }
    }
    Ok(())
}

/// One row per backup, oldest first within its source, with every reason. Its whole name is what `verify`, `discard` and a
/// `hold` want, and says the source.
#[must_use]
pub fn decisions_table(lines: &[Line]) -> Table {
    let mut by_source: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
    for line in lines {
        let key = (line.target.as_str(), line.source.as_str());
        by_source.entry(key).or_default().push(line);
    }
    let mut table = table(&["target", "backup", "slot (UTC)", "sealed", "", "why"]);
    for line in by_source.values().flatten() {
        let sealed = match line.sealed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let mut why: Vec<String> = line.keep.iter().map(ToString::to_string).collect();
        if let Some(superseded) = &line.superseded {
            why.push(format!("superseded {} by {}", superseded.at, superseded.by));
        }
        if let Some(days) = line.due_in_days {
            why.push(match days {
                1 => "falls due within a day".to_owned(),
                days => format!("falls due within {days} days"),
            });
        }
        let verdict = if line.due { "due" } else { "stays" };
        table.add_row([
            Cell::new(&line.target),
            Cell::new(&line.backup),
            Cell::new(line.slot),
            screen::state(sealed),
            screen::state(verdict),
            Cell::new(why.join("; ")),
        ]);
    }
    table
}

fn failures_table(report: &Report) -> Table {
    let mut table = table(&["failed", "error", "what happened and what to do"]);
    for failure in &report.failures.shown {
        let what = failure
            .backup
            .as_deref()
            .or(failure.source.as_deref())
            .unwrap_or("the run");
        table.add_row([what, failure.error, &failure.message]);
    }
    table
}
