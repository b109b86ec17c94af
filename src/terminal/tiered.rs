//! Tiers of clusters, as a person reads them: what was made, what is due, what was deleted, and why the rest stays.

use std::io::{self, Write};

use comfy_table::Cell;

use super::screen::{self, Table, table};
use crate::event::Action;
use crate::zilliz::ClusterReport;
use crate::zilliz::tiers::told::TierLine;

/// Writes what a run says of tiers, if it says anything.
pub(super) fn write_tiers(out: &mut impl Write, report: &ClusterReport) -> io::Result<()> {
    let tiers = &report.tiers;
    if tiers.is_empty() {
        return Ok(());
    }
    let counted = [
        (tiers.made, "backups and copies made"),
        (tiers.owned, "of the plan's own"),
        (tiers.due, "due"),
        (tiers.deleted, "deleted"),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    let counted: Vec<String> = counted
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    writeln!(out, "\nTiers: {}", counted.join(", "))?;
    for region in &tiers.regions {
        let (name, due, of, hash) = (&region.region, region.due, region.backups, &region.hash);
        match region.stopped {
            Some(why) => writeln!(
                out,
                "  {name}: none of {due} due tiers (of {of}) is deleted: {why}; hash {hash}"
            )?,
            None if report.dry_run => {
                writeln!(out, "  {name}: {due} of {of} tiers due; hash {hash}")?;
            }
            None => {}
        }
    }
    if report.dry_run && tiers.due > 0 {
        // A backup makes the period's own tier first, so its list may be another one.
        let command = match report.action {
            Action::Prune => "prune",
            _ => "backup",
        };
        writeln!(
            out,
            "  `lifeboat {command} --plan {} --approve HASH` deletes exactly the list with that hash, or nothing",
            report.plan
        )?;
    }
    if !tiers.lines.is_empty() {
        writeln!(out, "\n{}", tiers_table(&tiers.lines.shown))?;
    }
    if tiers.lines.omitted > 0 {
        writeln!(out, "… and {} more", tiers.lines.omitted)?;
    }
    Ok(())
}

fn tiers_table(lines: &[TierLine]) -> Table {
    let mut table = table(&[
        "cluster",
        "region",
        "tier of (UTC)",
        "state",
        "backup",
        "why",
    ]);
    for line in lines {
        table.add_row([
            Cell::new(&line.name),
            Cell::new(&line.region),
            Cell::new(line.slot.to_string()),
            screen::state(line.fate.word()),
            Cell::new(line.backup.as_deref().unwrap_or("(to be made)")),
            Cell::new(&line.why),
        ]);
    }
    table
}
