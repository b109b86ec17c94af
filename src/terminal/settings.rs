//! What a person sees of the configuration, in words, and of what a check found out.
//!
//! What it must never do: show a key.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{Table, clustered, table};
use crate::budget::Budget;
use crate::coverage::SkipUnchanged;
use crate::plan::{Encryption, Plan, Settings, Source};
use crate::preflight::Finding;
use crate::retention::{Periods, Policy};
use crate::secret::KeySource;
use crate::verify::Level;

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

pub(super) fn budget_in_words(budget: &Budget) -> String {
    let soft = budget.soft().map(|soft| format!("warns over {soft}"));
    let hard = budget.hard();
    let hard = hard.map(|hard| format!("copies nothing new over {hard}"));
    let both: Vec<String> = [soft, hard].into_iter().flatten().collect();
    format!("{} in thirty days", both.join(", "))
}

pub(super) fn key_in_words(key: &KeySource) -> String {
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
}
