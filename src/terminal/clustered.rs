//! A run over clusters of Zilliz Cloud, and a plan for them, as a person reads them.

use std::io::{self, Write};

use comfy_table::Cell;
use jiff::SignedDuration;

use super::screen::{self, Table, table};
use super::tiered::write_tiers;
use super::{budget_in_words, bytes, estimated, key_in_words};
use crate::event::Action;
use crate::journal::JobLine;
use crate::plan::{ClusterPlan, OnDrift, weekdays_in_words};
use crate::zilliz::ClusterReport;
use crate::zilliz::report::{PolicyLine, RegionLine};

/// Writes the report for a reader.
pub fn write_clusters(out: &mut impl Write, report: &ClusterReport) -> io::Result<()> {
    let what = match (report.action, report.manual, report.dry_run) {
        (Action::Resume, ..) => "Resume",
        (Action::Prune, _, false) => "Prune",
        (Action::Prune, _, true) => "Dry run of pruning",
        (_, true, false) => "Manual backup",
        (_, true, true) => "Dry run of a manual backup",
        (_, false, false) => "Backup",
        (_, false, true) => "Dry run of a backup",
    };
    let outcome = screen::outcome(report.outcome);
    writeln!(
        out,
        "{what} {outcome}: plan `{}` on Zilliz Cloud, slot {}",
        report.plan, report.slot
    )?;
    let counts = report.counts;
    let clusters = screen::count(counts.clusters, "cluster", "clusters");
    write!(out, "  {clusters}")?;
    let counted = [
        (
            counts.policies_in_force,
            "policy in force",
            "policies in force",
        ),
        (counts.policies_set, "of them set now", "of them set now"),
        (
            counts.policies_drifted,
            "policy drifted",
            "policies drifted",
        ),
        (counts.protected, "region protected", "regions protected"),
        (counts.in_making, "being made", "being made"),
        (counts.unprotected, "UNPROTECTED", "UNPROTECTED"),
        (
            counts.made,
            "backup or copy made by hand",
            "backups and copies made by hand",
        ),
    ];
    for (number, one, many) in counted.into_iter().filter(|(number, ..)| *number > 0) {
        write!(out, ", {}", screen::count(number, one, many))?;
    }
    writeln!(out)?;
    if !report.policies.is_empty() {
        writeln!(out, "\n{}", policies_table(&report.policies.shown))?;
    }
    if !report.regions.is_empty() {
        writeln!(out, "\n{}", regions_table(&report.regions.shown))?;
    }
    if !report.jobs.is_empty() {
        writeln!(out, "\n{}", jobs_table(&report.jobs.shown))?;
    }
    write_tiers(out, report)?;
    if let Some(estimate) = &report.estimate {
        writeln!(out)?;
        estimated::write_cluster_plan(out, estimate)?;
    } else if let Some(judged) = &report.budget {
        estimated::write_budget(out, judged)?;
    }
    for warning in &report.warnings.shown {
        writeln!(out, "warning: {warning}")?;
    }
    if !report.failures.is_empty() {
        let mut table = table(&["failed", "region", "error", "what happened and what to do"]);
        for failure in &report.failures.shown {
            let cluster = failure.source.as_deref().unwrap_or("the run");
            let region = failure.target.as_deref().unwrap_or_default();
            table.add_row([cluster, region, failure.error, &failure.message]);
        }
        writeln!(out, "\n{table}")?;
    }
    Ok(())
}

fn policies_table(lines: &[PolicyLine]) -> Table {
    let mut table = table(&[
        "cluster",
        "id",
        "policy",
        "days (UTC)",
        "window (UTC)",
        "what was another",
    ]);
    for line in lines {
        let drift: Vec<String> = line.drift.iter().map(ToString::to_string).collect();
        table.add_row([
            Cell::new(&line.name),
            Cell::new(&line.cluster),
            screen::state(line.state.word()),
            Cell::new(&line.frequency),
            Cell::new(&line.start_time),
            Cell::new(drift.join("; ")),
        ]);
    }
    table
}

fn regions_table(lines: &[RegionLine]) -> Table {
    let mut table = table(&[
        "cluster",
        "region",
        "state",
        "recovery point (UTC)",
        "age",
        "backup",
    ]);
    for line in lines {
        let age = line
            .age_seconds
            .map(|seconds| age(SignedDuration::from_secs(seconds)));
        let point = line.recovery_point.map(|at| at.to_string());
        table.add_row([
            Cell::new(&line.name),
            Cell::new(&line.region),
            screen::state(line.state.word()),
            Cell::new(point.unwrap_or_default()),
            Cell::new(age.unwrap_or_default()),
            Cell::new(line.backup.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

/// The original, and then a record for each target region.
fn jobs_table(lines: &[JobLine]) -> Table {
    let mut table = table(&[
        "cluster",
        "region",
        "state",
        "size",
        "backup",
        "what happened",
    ]);
    for line in lines {
        let happened = line.message.as_deref().or(line.progress.as_deref());
        // Of what is not there yet nobody knows a size.
        let is_told = line.bytes_written > 0 || line.state == "available";
        let size = is_told.then(|| bytes(line.bytes_written));
        table.add_row([
            Cell::new(&line.source),
            Cell::new(&line.region),
            screen::state(&line.state),
            Cell::new(size.unwrap_or_default()),
            Cell::new(line.backup.as_deref().unwrap_or_default()),
            Cell::new(happened.unwrap_or_default()),
        ]);
    }
    table
}

/// Hours are what a recovery point is judged by.
fn age(age: SignedDuration) -> String {
    match (age.as_hours(), age.as_mins()) {
        (0, minutes) => format!("{minutes} min"),
        (hours @ ..72, _) => format!("{hours} h"),
        (hours, _) => format!("{} days", hours / 24),
    }
}

/// A plan, keys left out.
pub(super) fn plan_table(plan: &ClusterPlan) -> Table {
    let mut table = table(&["plan", &plan.name]);
    let project = plan
        .clusters
        .project()
        .map(|project| format!(" of project {project}"));
    let clusters = plan.clusters.entries().join(", ");
    table.add_row([
        "clusters",
        &format!("{clusters}{} on Zilliz Cloud", project.unwrap_or_default()),
    ]);
    table.add_row(["  reached at", &plan.base_url]);
    table.add_row(["  key", &key_in_words(&plan.api_key)]);
    let zone = plan.zone.iana_name().unwrap_or("UTC");
    let days = weekdays_in_words(&plan.weekdays);
    let start = plan.start.strftime("%H:%M");
    table.add_row([
        "backed up",
        &format!("{days}, within two hours from {start} ({zone})"),
    ]);
    table.add_row(["  kept", &days_in_words(plan.retention_days)]);
    for target in &plan.targets {
        table.add_row([
            format!("copied to {}", target.region),
            days_in_words(target.retention_days),
        ]);
    }
    if let Some(tiers) = &plan.tiers {
        let kept = format!(
            "{}, and the {} newest of each cluster, in every region",
            tiers.in_words(),
            tiers.min
        );
        table.add_row(["tiers", &kept]);
        for id in &tiers.hold {
            table.add_row(["  held", id]);
        }
    }
    table.add_row([
        "another policy",
        match plan.drift {
            OnDrift::Repair => "is replaced by the plan's, and reported",
            OnDrift::Report => "is reported and left as it is, and fails the run",
        },
    ]);
    table.add_row([
        "late",
        &format!(
            "when a backup or a copy is not there {} hours after its window",
            plan.grace_hours
        ),
    ]);
    if let Some(budget) = &plan.budget {
        table.add_row(["budget", budget_in_words(budget).as_str()]);
    }
    table
}

fn days_in_words(days: u32) -> String {
    match days {
        1 => "for a day".into(),
        days => format!("for {days} days"),
    }
}
