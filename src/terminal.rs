//! What a person at a terminal sees: the report as text and tables, and a progress bar while waiting.
//!
//! The report goes to stdout, everything else to stderr, so that a pipe gets the report alone.

mod clustered;
mod clusters_listed;
mod clusters_restored;
mod drilled;
mod estimated;
mod jobs;
mod progress;
mod restored;
mod run;
mod screen;
mod settings;
mod tiered;

use std::io::{self, Write};

use crate::Resumed;

pub use clustered::write_clusters;
pub use clusters_listed::write_cluster_list;
pub use clusters_restored::{write_cluster_restore, write_one_time, write_planned_cluster_restore};
pub use drilled::write_drill;
pub use estimated::write_estimate;
pub use jobs::write_jobs_of_runs;
pub use progress::Progress;
pub use restored::{write_planned_restore, write_restore};
pub use run::{decisions_table, write_report};
pub use screen::{Table, bytes, look, table};
pub use settings::{retention_in_words, write_findings, write_settings};

use run::write_rows_read;
use settings::{budget_in_words, key_in_words};

/// Writes what was carried on with.
pub fn write_resumed(out: &mut impl Write, resumed: &Resumed) -> io::Result<()> {
    if resumed.found_nothing() {
        return writeln!(out, "No run is open.");
    }
    for report in &resumed.runs {
        write_report(out, report)?;
    }
    for report in &resumed.restores {
        write_restore(out, report)?;
    }
    for report in &resumed.drills {
        write_drill(out, report)?;
    }
    for report in &resumed.clusters {
        write_clusters(out, report)?;
    }
    for report in &resumed.cluster_restores {
        write_cluster_restore(out, report)?;
    }
    for failure in &resumed.failures {
        writeln!(out, "not carried on with: {}", failure.reason())?;
    }
    for left in &resumed.left {
        writeln!(out, "{left}")?;
    }
    if resumed.without_a_journal {
        writeln!(
            out,
            "Only what this machine remembers was carried on with. Runs of backups can't be looked for: no journal is configured; set LIFEBOAT_JOURNAL, such as `s3://bucket/lifeboat`"
        )?;
    }
    Ok(())
}
