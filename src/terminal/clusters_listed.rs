//! Every backup of a plan's clusters, as a person reads them.

use std::io::{self, Write};

use comfy_table::Cell;

use super::bytes;
use super::screen::{self, Table, table};
use crate::zilliz::listed::{BackupLine, ClusterList};

/// Writes the list for a reader.
pub fn write_cluster_list(out: &mut impl Write, list: &ClusterList) -> io::Result<()> {
    let outcome = screen::outcome(list.outcome);
    writeln!(out, "List {outcome}: plan `{}` on Zilliz Cloud", list.plan)?;
    let counts = list.counts;
    write!(
        out,
        "  {} of {}, {}",
        screen::count(counts.backups, "backup", "backups"),
        screen::count(counts.clusters, "cluster", "clusters"),
        bytes(counts.bytes)
    )?;
    let counted = [
        (counts.automatic, "automatic"),
        (counts.manual, "made by hand"),
        (counts.tiers, "tiers"),
        (counts.others, "somebody else's"),
    ];
    for (number, what) in counted.into_iter().filter(|(number, _)| *number > 0) {
        write!(out, ", {number} {what}")?;
    }
    writeln!(out)?;
    if !list.backups.is_empty() {
        writeln!(out, "\n{}", backups_table(&list.backups.shown))?;
    }
    for warning in &list.warnings.shown {
        writeln!(out, "warning: {warning}")?;
    }
    for failure in &list.failures.shown {
        let about = failure.source.as_deref().unwrap_or("the list");
        writeln!(out, "failed: {about}: {}", failure.message)?;
    }
    Ok(())
}

fn backups_table(lines: &[BackupLine]) -> Table {
    let mut table = table(&[
        "cluster",
        "region",
        "created (UTC)",
        "expires (UTC)",
        "method",
        "state",
        "size",
        "backup",
        "name",
        "why",
    ]);
    for line in lines {
        let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
        let method = line.method.word();
        let method = if line.of_collections {
            format!("{method}, of collections")
        } else {
            method.to_owned()
        };
        table.add_row([
            Cell::new(&line.name),
            Cell::new(line.region.as_deref().unwrap_or("unknown")),
            Cell::new(time(line.created_at).unwrap_or_else(|| "unknown".to_owned())),
            Cell::new(time(line.expires_at).unwrap_or_else(|| "never".to_owned())),
            Cell::new(method),
            screen::state(&line.state),
            Cell::new(line.bytes.map_or_else(|| "unknown".to_owned(), bytes)),
            Cell::new(&line.backup),
            Cell::new(line.backup_name.as_deref().unwrap_or_default()),
            Cell::new(&line.why),
        ]);
    }
    table
}
