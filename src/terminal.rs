//! What a person at a terminal sees: the report as text and tables, and a progress bar while waiting.
//!
//! The report goes to stdout, everything else to stderr, so that a pipe gets the report alone.

mod clustered;
mod clusters_listed;
mod clusters_restored;
mod drilled;
mod estimated;
mod restored;
mod screen;
mod tiered;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Cell, Table};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Unit};

use crate::backup::JobState;
use crate::budget::Budget;
use crate::coverage::SkipUnchanged;
use crate::event::Action;
use crate::journal::RunRecord;
use crate::plan::{Encryption, Plan, Settings, Source};
use crate::preflight::Finding;
use crate::report::{Line, Report};
use crate::retention::{Periods, Policy};
use crate::run::Step;
use crate::secret::KeySource;
use crate::verify::{Cost, Level, Verified};
use crate::{JobList, Resumed};

pub use clustered::write_clusters;
pub use clusters_listed::write_cluster_list;
pub use clusters_restored::{write_cluster_restore, write_one_time, write_planned_cluster_restore};
pub use drilled::write_drill;
pub use estimated::write_estimate;
pub use restored::{write_planned_restore, write_restore};
pub use screen::{look, table};

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
    write!(out, "  {} sources: {} sealed", report.sources, jobs.sealed)?;
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
    write_rows_read(out, report.rows_read)
}

/// What reading rows cost, if any were read.
fn write_rows_read(out: &mut impl Write, cost: Cost) -> io::Result<()> {
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
pub fn verified_table(verified: &[Verified]) -> Table {
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
            let tense = if report.dry_run { "is" } else { "was" };
            writeln!(out, "  {}: nothing {tense} deleted: {why}", target.target)?;
        }
        if let (true, Some(hash)) = (report.dry_run, &target.deletion_plan) {
            writeln!(
                out,
                "  {}: hash {hash}; `lifeboat prune --approve {hash}` deletes exactly what is due here, or nothing",
                target.target
            )?;
        }
    }
    Ok(())
}

/// Writes what was carried on with.
pub fn write_resumed(out: &mut impl Write, resumed: &Resumed) -> io::Result<()> {
    let open = resumed.open_runs + resumed.open_restores + resumed.open_drills;
    let open = open + resumed.open_cluster_runs + resumed.open_cluster_restores;
    if open + resumed.failures.len() == 0 {
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
    for object in &resumed.ignored {
        writeln!(out, "not a run, left alone: {object}")?;
    }
    Ok(())
}

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

/// One row per backup, oldest first within its source, with every reason.
#[must_use]
pub fn decisions_table(lines: &[Line]) -> Table {
    let mut by_source: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
    for line in lines {
        let key = (line.target.as_str(), line.source.as_str());
        by_source.entry(key).or_default().push(line);
    }
    let mut table = table(&["target", "source", "slot (UTC)", "sealed", "", "why"]);
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
                1 => "falls due in a day".to_owned(),
                days => format!("falls due in {days} days"),
            });
        }
        let verdict = if line.due { "due" } else { "stays" };
        table.add_row([
            Cell::new(&line.target),
            Cell::new(&line.source),
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

/// The configuration in force, keys left out.
pub fn write_settings(out: &mut impl Write, settings: &Settings) -> io::Result<()> {
    for plan in &settings.plans {
        writeln!(out, "{}\n", plan_table(plan))?;
    }
    for plan in &settings.clusters {
        writeln!(out, "{}\n", clustered::plan_table(plan))?;
    }
    let journal = settings.journal.as_ref().map_or_else(
        || "none: a copy that outlives its run waits for the next one, nothing remembers past runs, and nothing keeps two runs, or a run and a restore, apart".to_owned(),
        ToString::to_string,
    );
    writeln!(out, " journal   {journal}")
}

/// What preflight found, a line each.
pub fn write_findings(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    writeln!(out)?;
    findings
        .iter()
        .try_for_each(|finding| writeln!(out, " {finding}"))
}

fn plan_table(plan: &Plan) -> Table {
    let Source {
        region,
        base_url,
        selectors,
        api_key,
    } = &plan.source;
    let prefixes: Vec<String> = selectors
        .prefixes()
        .iter()
        .map(|prefix| format!("{prefix}*"))
        .collect();
    let mut table = table(&["plan", &plan.name]);
    table.add_row(["sources", &format!("{} in {region}", prefixes.join(", "))]);
    if !selectors.exclusions().is_empty() {
        table.add_row(["  left out", &selectors.exclusions().join(", ")]);
    }
    table.add_row(["  reached at", base_url]);
    table.add_row(["  key", &key_in_words(api_key)]);
    for target in &plan.targets {
        let (name, prefix) = (&target.name, target.prefix.as_str());
        table.add_row([
            format!("target {name}").as_str(),
            &format!("{prefix}… in {}", target.region),
        ]);
        table.add_row(["  retention", &retention_in_words(&target.retention)]);
        table.add_row(["  reached at", &target.base_url]);
        if let Some(key) = &target.api_key {
            table.add_row(["  key", &key_in_words(key)]);
        }
        if let Some(encryption) = &target.encryption {
            table.add_row(["  encrypted with", encryption_in_words(encryption)]);
        }
    }
    if let Some(SkipUnchanged { max_age_days }) = plan.skip_unchanged {
        let until =
            format!("not copied again before their newest backup is {max_age_days} days old");
        table.add_row(["unchanged", until.as_str()]);
    }
    table.add_row(["compared", level_in_words(plan.verify).as_str()]);
    if let Some(budget) = &plan.budget {
        table.add_row(["budget", budget_in_words(budget).as_str()]);
    }
    let zone = plan.targets.first().map(|target| &target.retention.zone);
    let zone = zone.and_then(TimeZone::iana_name).unwrap_or("UTC");
    table.add_row(["time zone", zone]);
    table.add_row([
        "in flight",
        &format!(
            "{} requests per region, {} copies",
            plan.concurrency, plan.copies
        ),
    ]);
    table
}

fn budget_in_words(budget: &Budget) -> String {
    let soft = budget.soft().map(|soft| format!("warns over {soft}"));
    let hard = budget.hard();
    let hard = hard.map(|hard| format!("copies nothing new over {hard}"));
    let both: Vec<String> = [soft, hard].into_iter().flatten().collect();
    format!("{} in thirty days", both.join(", "))
}

fn key_in_words(key: &KeySource) -> String {
    match key {
        KeySource::Given(_) => "given by a variable".into(),
        KeySource::Secret { id, field: None } => format!("in the secret `{id}`"),
        KeySource::Secret {
            id,
            field: Some(field),
        } => format!("in the secret `{id}`, field `{field}`"),
    }
}

/// What a level asks for before a copy is sealed.
fn level_in_words(level: Level) -> String {
    match level {
        Level::Metadata => "by schema and estimated size".into(),
        Level::Count => "by schema and count".into(),
        Level::Sample(rows) => format!("by schema and count, and {rows} rows drawn at random"),
        Level::Full => "by schema and count, and every row to the last bit".into(),
    }
}

fn encryption_in_words(encryption: &Encryption) -> &str {
    match encryption {
        Encryption::Default => "the service's own keys",
        Encryption::CustomerManaged(key) => key,
    }
}

/// What a policy keeps. Without a rule that says how much is enough, that is everything.
#[must_use]
pub fn retention_in_words(policy: &Policy) -> String {
    let periods = periods_in_words(&policy.periods);
    if policy.keeps_everything() {
        return "keeps everything".into();
    }
    let mut kept = Vec::new();
    kept.extend(policy.days.map(|days| match days.get() {
        1 => "every state of the last day".to_owned(),
        days => format!("every state of the last {days} days"),
    }));
    if !periods.is_empty() {
        kept.push(format!(
            "the newest of each of the last {}",
            periods.join(", ")
        ));
    }
    kept.push(match policy.min.get() {
        1 => "the newest of every source".to_owned(),
        min => format!("the {min} newest of every source"),
    });
    if !policy.hold.is_empty() {
        let held: Vec<&str> = policy.hold.iter().map(String::as_str).collect();
        kept.push(format!("{} on hold", held.join(", ")));
    }
    format!("keeps {}", kept.join("; "))
}

fn periods_in_words(periods: &Periods) -> Vec<String> {
    [
        (periods.daily, "day"),
        (periods.weekly, "week"),
        (periods.monthly, "month"),
        (periods.yearly, "year"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, unit)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {unit}{plural}")
    })
    .collect()
}

/// Bytes in the unit that turbopuffer bills in: powers of ten.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let units = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    match units.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size),
        None => format!("{bytes} bytes"),
    }
}

/// A bar on a terminal; elsewhere nothing, because there the log lines tell.
#[derive(Debug)]
pub struct Progress(ProgressBar);

const OF_A_RUN: &str = "{msg} [{bar:30}] {pos}/{len} {elapsed}, about {eta} left";
/// A person who waits for a restore asks how fast it goes.
const OF_A_RESTORE: &str = "{msg} [{bar:30}] {pos}/{len} {elapsed}, {per_sec}, about {eta} left";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress {
    /// Draws on stderr, if that is a terminal.
    #[must_use]
    pub fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::no_length();
        bar.set_style(style(OF_A_RUN));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows what just happened.
    pub fn show(&self, step: &Step<'_>) {
        let length = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        match step {
            Step::Jobs(jobs) => self.restart("copying", length(*jobs)),
            Step::Pruning(sources) => self.restart("pruning", length(*sources)),
            Step::Job(job) => {
                self.0.inc(1);
                if job.state == JobState::Failed {
                    self.0.set_message("copying (with failures)");
                }
            }
            Step::Verifying(backups) => self.restart("comparing", length(*backups)),
            Step::Pruned | Step::Verified => self.0.inc(1),
            Step::Restores(namespaces) => {
                self.0.set_style(style(OF_A_RESTORE));
                self.restart("restoring", length(*namespaces));
            }
            Step::Restored(record) => {
                self.0.inc(1);
                if record.error.is_some() {
                    self.0.set_message("restoring (with failures)");
                }
            }
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }

    fn restart(&self, what: &'static str, length: u64) {
        self.0.set_message(what);
        self.0.set_length(length);
        self.0.reset();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_told_in_words() {
        let mut policy = Policy {
            days: None,
            periods: Periods::default(),
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            min: std::num::NonZeroU32::MIN,
            hold: std::collections::BTreeSet::new(),
        };
        assert_eq!(retention_in_words(&policy), "keeps everything");
        policy.min = std::num::NonZeroU32::new(3).unwrap();
        policy.hold.insert("backup-acme-x-1763690400".into());
        assert_eq!(retention_in_words(&policy), "keeps everything");
        policy.periods.weekly = 4;
        policy.periods.yearly = 1;
        assert_eq!(
            retention_in_words(&policy),
            "keeps the newest of each of the last 4 weeks, 1 year; the 3 newest of every source; backup-acme-x-1763690400 on hold"
        );
        policy.days = std::num::NonZeroU32::new(7);
        assert!(
            retention_in_words(&policy)
                .starts_with("keeps every state of the last 7 days; the newest of")
        );
    }

    #[test]
    fn settings_are_shown_whole_and_without_keys() {
        let document = r#"
journal = "s3://bucket/lifeboat"
[plans.nightly]
verify = "sample:500"
time_zone = "Europe/Berlin"
[plans.nightly.source]
region = "aws-us-east-1"
prefixes = ["*"]
exclude = ["scratch-*"]
[[plans.nightly.targets]]
name = "frankfurt"
region = "aws-eu-central-1"
encryption_key = "default"
api_key_secret = "turbopuffer/backup-org"
retention = { days = 7, weekly = 4 }
[[plans.nightly.targets]]
region = "gcp-europe-west3"
[plans.yearly.source]
region = "aws-us-west-2"
prefixes = ["acme-", "globex-"]
[[plans.yearly.targets]]
region = "aws-us-east-2"
"#;
        let environment = [
            ("LIFEBOAT_CONFIG", document),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_environment(&environment).unwrap();
        let mut shown = Vec::new();
        write_settings(&mut shown, &settings).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
 plan                      nightly
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 sources                   * in aws-us-east-1
   left out                scratch-*
   reached at              https://aws-us-east-1.turbopuffer.com
   key                     given by a variable
 target frankfurt          backup-… in aws-eu-central-1
   retention               keeps every state of the last 7 days; the newest of each of the last 4 weeks; the newest of every source
   reached at              https://aws-eu-central-1.turbopuffer.com
   key                     in the secret `turbopuffer/backup-org`
   encrypted with          the service's own keys
 target gcp-europe-west3   backup-… in gcp-europe-west3
   retention               keeps everything
   reached at              https://gcp-europe-west3.turbopuffer.com
 compared                  by schema and count, and 500 rows drawn at random
 time zone                 Europe/Berlin
 in flight                 32 requests per region, 64 copies

 plan                   yearly
──────────────────────────────────────────────────────────────
 sources                acme-*, globex-* in aws-us-west-2
   reached at           https://aws-us-west-2.turbopuffer.com
   key                  given by a variable
 target aws-us-east-2   backup-… in aws-us-east-2
   retention            keeps everything
   reached at           https://aws-us-east-2.turbopuffer.com
 compared               by schema and count
 time zone              UTC
 in flight              32 requests per region, 64 copies

 journal   s3://bucket/lifeboat
"#);
    }

    #[test]
    fn bytes_are_shown_in_powers_of_ten() {
        for (count, shown) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (91_750_400, "91.7 MB"),
            (2_000_000_000_000, "2.0 TB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }
}
