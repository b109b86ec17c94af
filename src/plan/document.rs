//! The configuration from a TOML document: any number of plans, each with its source, targets and retention.
//!
//! The tables are walked by hand, so that every fault is found at once and has its path. A key that is not known is a
//! fault, because an ignored `retention` deletes; so is a value of another type, because `"7"` might have been meant.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use jiff::tz::{self, TimeZone};
use toml::de::{DeTable, DeValue, Error};

use super::budget::BUDGET;
use super::environment;
use super::overlap::{End, Names, Overlap, overlaps, shared_beginning};
use super::parts;
use super::walk::{Section, Table, Walk};
use super::{ClusterPlan, Plan, Reported, Selectors, Source, Target};
use crate::coverage::SkipUnchanged;
use crate::journal::JournalUrl;
use crate::name::{BackupName, BackupPrefix, legal_bytes};
use crate::retention::{Periods, Policy};
use crate::secret::KeySource;
use crate::service::Region;
use crate::verify::Level;

/// The tables: what messages call them, and the keys they know.
const TOP: Table = ("the top", &["journal", "plans"]);
const PLAN: Table = (
    "the plan",
    &[
        "provider",
        "budget",
        "time_zone",
        "concurrency",
        "copies",
        "max_age_days",
        "source",
        "targets",
        "verify",
    ],
);
const SOURCE: Table = (
    "`source`",
    &[
        "region",
        "base_url",
        "prefixes",
        "exclude",
        "api_key_secret",
        "api_key_secret_field",
        "api_key_env",
    ],
);
const TARGET: Table = (
    "`targets`",
    &[
        "name",
        "region",
        "base_url",
        "prefix",
        "encryption_key",
        "api_key_secret",
        "api_key_secret_field",
        "api_key_env",
        "retention",
    ],
);
const RETENTION: Table = (
    "`retention`",
    &[
        "days", "daily", "weekly", "monthly", "yearly", "min", "hold",
    ],
);
static TABLES: [Table; 6] = [TOP, PLAN, SOURCE, TARGET, RETENTION, BUDGET];

/// As many as days of the longest window.
const PERIODS: RangeInclusive<u32> = parts::DAYS;
/// Bytes of a plan's or a target's name: it becomes part of log lines, metrics and the journal's keys.
const LONGEST_NAME: usize = 64;

/// The plans of turbopuffer, those of Zilliz Cloud, and the journal.
pub(super) type Configured = (Vec<Plan>, Vec<ClusterPlan>, Option<JournalUrl>);

/// Reads the plans and the journal of the document that `config` is, or is the path of. `journal` is what the environment
/// says of it.
pub(super) fn settings(
    environment: &mut environment::Reader<'_>,
    config: &str,
    journal: Result<Option<JournalUrl>, Reported>,
) -> Result<Configured, Reported> {
    environment.refuse_beside_a_document();
    let text = text_of(environment, config)?;
    let (document, mut errors) = DeTable::parse_recoverable(&text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in &errors {
        environment.fault("LIFEBOAT_CONFIG", syntax(&text, error));
    }
    if !errors.is_empty() {
        return Err(Reported);
    }
    let mut walk = Walk {
        tables: &TABLES,
        environment,
        ends: Vec::new(),
    };
    let top = Section {
        path: String::new(),
        table: document.get_ref(),
    };
    walk.refuse_unknown(&top, TOP);
    let journal = walk.journal(&top, journal);
    let plans = walk.plans(&top);
    walk.refuse_tiers_without_a_journal(&top, &journal);
    walk.refuse_overlaps();
    let (plans, clusters) = plans?;
    Ok((plans, clusters, journal?))
}

/// The document itself: a text has a line break or a `=` in it, a path hasn't.
fn text_of(environment: &mut environment::Reader<'_>, config: &str) -> Result<String, Reported> {
    let path = config.trim();
    if path.is_empty() {
        let message = "is set and empty; unset it, or set it to a document or its path";
        return Err(environment.fault("LIFEBOAT_CONFIG", message));
    }
    if path.contains(['\n', '=']) {
        return Ok(config.to_owned());
    }
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("the file `{path}` can't be read: {error}; check the path, or set the variable to the document itself");
        environment.fault("LIFEBOAT_CONFIG", message)
    })
}

/// What the parser says and where; without the line itself, which may hold a key.
fn syntax(text: &str, error: &Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!(
        "line {line}, column {column}: {}; this is not TOML",
        error.message()
    )
}

impl Walk<'_, '_> {
    fn journal(
        &mut self,
        top: &Section<'_>,
        of_environment: Result<Option<JournalUrl>, Reported>,
    ) -> Result<Option<JournalUrl>, Reported> {
        let own = self.text(top, "journal")?;
        let own = own.map(parts::journal).transpose();
        let own = own.map_err(|message| self.fault("journal", message))?;
        match (own, of_environment?) {
            (Some(_), Some(_)) => {
                let message =
                    "is set and so is LIFEBOAT_JOURNAL; leave out the one that is not meant";
                Err(self.fault("journal", message))
            }
            (own, of_environment) => Ok(own.or(of_environment)),
        }
    }

    fn plans(&mut self, top: &Section<'_>) -> Result<(Vec<Plan>, Vec<ClusterPlan>), Reported> {
        let wanted = "a table for each plan, such as `[plans.nightly]`";
        let Some(value) = top.get("plans") else {
            return Err(self.fault("plans", format!("is missing; there must be {wanted}")));
        };
        let DeValue::Table(table) = value else {
            return Err(self.wrong("plans", value, wanted));
        };
        if table.is_empty() {
            return Err(self.fault("plans", format!("is empty; there must be {wanted}")));
        }
        let plans = Section {
            path: "plans".into(),
            table,
        };
        let (mut read, mut clusters) = (Vec::new(), Vec::new());
        for (name, value) in table {
            let (name, value) = (name.get_ref(), value.get_ref());
            let path = plans.at(name);
            match self.is_of_zilliz(&path, value) {
                Ok(false) => read.push(self.plan(&plans, name, value)),
                Ok(true) => {
                    let name = self.name(&path, name);
                    clusters.push(self.cluster_plan(path, name, value));
                }
                Err(reported) => read.push(Err(reported)),
            }
        }
        let (read, clusters) = (read.into_iter().collect(), clusters.into_iter().collect());
        let (read, clusters): (Result<_, _>, Result<_, _>) = (read, clusters);
        Ok((read?, clusters?))
    }

    /// Everything of a plan is read before anything is given up, so that no fault hides another.
    fn plan(
        &mut self,
        plans: &Section<'_>,
        name: &str,
        value: &DeValue<'_>,
    ) -> Result<Plan, Reported> {
        let path = plans.at(name);
        let name = self.name(&path, name);
        let plan = self.table(path, value, PLAN)?;
        let zone = self.time_zone(&plan);
        let concurrency = self.number(&plan, "concurrency", parts::CONCURRENCY);
        let copies = self.number(&plan, "copies", parts::COPIES);
        let max_age_days = self.number(&plan, "max_age_days", parts::DAYS);
        let verify = self.level(&plan);
        let budget = self.budget(&plan);
        let (selectors, source) = self.source(&plan);
        let targets = self.targets(&plan, &selectors, &zone.unwrap_or(TimeZone::UTC));
        Ok(Plan {
            name: name?,
            source: source?,
            targets: targets?,
            concurrency: concurrency?.unwrap_or(parts::DEFAULT_CONCURRENCY),
            copies: copies?.unwrap_or(parts::DEFAULT_COPIES),
            skip_unchanged: max_age_days?.and_then(SkipUnchanged::until_days_old),
            verify: verify?,
            budget: budget?,
        })
    }

    /// How closely copies are compared before they are sealed.
    fn level(&mut self, plan: &Section<'_>) -> Result<Level, Reported> {
        let level = self
            .text(plan, "verify")?
            .map(Level::to_seal_on)
            .transpose();
        level
            .map(Option::unwrap_or_default)
            .map_err(|message| self.fault(&plan.at("verify"), message))
    }

    fn name(&mut self, path: &str, name: &str) -> Result<String, Reported> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(legal) {
            return Ok(name.to_owned());
        }
        let message =
            format!("{name:?} is no name; use 1 to {LONGEST_NAME} letters, digits, `-` and `_`");
        Err(self.fault(path, message))
    }

    /// Where calendar periods begin and end.
    pub(super) fn time_zone(&mut self, plan: &Section<'_>) -> Result<TimeZone, Reported> {
        let Some(name) = self.text(plan, "time_zone")? else {
            return Ok(TimeZone::UTC);
        };
        match TimeZone::get(name) {
            Ok(zone) if !zone.is_unknown() => Ok(zone),
            _ => {
                let zones: Vec<String> =
                    tz::db().available().map(|zone| zone.to_string()).collect();
                let zones = zones
                    .iter()
                    .map(String::as_str)
                    .filter(|zone| *zone != "Etc/Unknown");
                let nearest = parts::nearest(name, zones).unwrap_or("UTC");
                let message = format!("`{name}` is no time zone; did you mean `{nearest}`?");
                Err(self.fault(&plan.at("time_zone"), message))
            }
        }
    }

    /// The source, and its selectors apart: targets need them even if the rest is not usable.
    fn source(
        &mut self,
        plan: &Section<'_>,
    ) -> (Result<Selectors, Reported>, Result<Source, Reported>) {
        let source = match plan.get("source") {
            Some(value) => self.table(plan.at("source"), value, SOURCE),
            None => {
                let message = format!("is missing; add the table `[{}]`", plan.at("source"));
                Err(self.fault(&plan.at("source"), message))
            }
        };
        let source = match source {
            Ok(source) => source,
            Err(reported) => return (Err(reported), Err(reported)),
        };
        let (region, base_url) = self.region(&source);
        let selectors = self.selectors(&source);
        let api_key = self.source_key(&source);
        let taken = Names::taken(&selectors);
        self.ends
            .extend(End::of(&source.path, &region, &base_url, taken));
        let read = || {
            Ok(Source {
                region: region?,
                base_url: base_url?,
                selectors: selectors.clone()?,
                api_key: api_key?,
            })
        };
        let read = read();
        (selectors, read)
    }

    fn targets(
        &mut self,
        plan: &Section<'_>,
        selectors: &Result<Selectors, Reported>,
        zone: &TimeZone,
    ) -> Result<Vec<Target>, Reported> {
        let (path, values) = self.list_of_tables(plan, "targets")?;
        let mut names = Vec::new();
        let mut targets = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let target = self.table(format!("{path}[{index}]"), value.get_ref(), TARGET);
            targets
                .push(target.and_then(|target| self.target(&target, selectors, zone, &mut names)));
        }
        targets.into_iter().collect()
    }

    /// `names` are those of the plan's other targets, with their paths.
    fn target(
        &mut self,
        target: &Section<'_>,
        selectors: &Result<Selectors, Reported>,
        zone: &TimeZone,
        names: &mut Vec<(String, String)>,
    ) -> Result<Target, Reported> {
        let (region, base_url) = self.region(target);
        let name = self.target_name(target, &region, names);
        let prefix = self.prefix(target);
        let retention = self.retention(target, zone, &prefix, selectors);
        let encryption = self.text(target, "encryption_key");
        let api_key = self.key(target);
        let owned = Names::owned(&prefix, selectors);
        self.ends
            .extend(End::of(&target.path, &region, &base_url, owned));
        Ok(Target {
            name: name?,
            region: region?,
            base_url: base_url?,
            prefix: prefix?,
            retention: retention?,
            encryption: encryption?.map(parts::encryption),
            api_key: api_key?,
        })
    }

    fn target_name(
        &mut self,
        target: &Section<'_>,
        region: &Result<Region, Reported>,
        names: &mut Vec<(String, String)>,
    ) -> Result<String, Reported> {
        let path = target.at("name");
        let name = match (self.text(target, "name")?, region) {
            (Some(name), _) => name,
            (None, Ok(region)) => region,
            (None, Err(reported)) => return Err(*reported),
        };
        let name = self.name(&path, name)?;
        if let Some((_, other)) = names.iter().find(|(other, _)| *other == name) {
            let message = format!(
                "`{name}` is the name of {other}, too; give each target of a plan a `name` of its own"
            );
            return Err(self.fault(&path, message));
        }
        names.push((name.clone(), target.path.clone()));
        Ok(name)
    }

    fn prefix(&mut self, target: &Section<'_>) -> Result<BackupPrefix, Reported> {
        let text = self
            .text(target, "prefix")?
            .unwrap_or(parts::DEFAULT_PREFIX);
        BackupPrefix::parse(text)
            .map_err(|error| self.fault(&target.at("prefix"), format!("`{text}` {error}")))
    }

    /// A missing or empty table keeps everything, and so does one in which no rule says how much is enough.
    fn retention(
        &mut self,
        target: &Section<'_>,
        zone: &TimeZone,
        prefix: &Result<BackupPrefix, Reported>,
        selectors: &Result<Selectors, Reported>,
    ) -> Result<Policy, Reported> {
        let nothing = DeTable::new();
        let retention = match target.get("retention") {
            Some(value) => self.table(target.at("retention"), value, RETENTION)?,
            None => Section {
                path: target.at("retention"),
                table: &nothing,
            },
        };
        let days = self.number(&retention, "days", parts::DAYS);
        let periods = self.periods(&retention);
        let min = self.number(&retention, "min", parts::MIN);
        let hold = self.hold(&retention, prefix, selectors);
        let (days, periods) = (days?, periods?);
        if days == Some(0) && periods != Periods::default() {
            let message =
                "`0` keeps everything, which leaves the other rules without effect; leave it out";
            return Err(self.fault(&retention.at("days"), message));
        }
        Ok(Policy {
            days: days.and_then(NonZeroU32::new),
            periods,
            zone: zone.clone(),
            min: NonZeroU32::new(min?.unwrap_or(1)).ok_or(Reported)?,
            hold: hold?,
        })
    }

    fn periods(&mut self, retention: &Section<'_>) -> Result<Periods, Reported> {
        let mut number = |key| self.number(retention, key, PERIODS);
        let (daily, weekly) = (number("daily"), number("weekly"));
        let (monthly, yearly) = (number("monthly"), number("yearly"));
        Ok(Periods {
            daily: daily?.unwrap_or(0),
            weekly: weekly?.unwrap_or(0),
            monthly: monthly?.unwrap_or(0),
            yearly: yearly?.unwrap_or(0),
        })
    }

    /// Names of backups that this target may hold one day. Any other would be held in vain.
    fn hold(
        &mut self,
        retention: &Section<'_>,
        prefix: &Result<BackupPrefix, Reported>,
        selectors: &Result<Selectors, Reported>,
    ) -> Result<BTreeSet<String>, Reported> {
        let names = self.texts(retention, "hold")?.unwrap_or_default();
        let (Ok(prefix), Ok(selectors)) = (prefix, selectors) else {
            return Err(Reported);
        };
        let mut result = Ok(());
        for (index, name) in names.iter().enumerate() {
            let backup = BackupName::parse(prefix, name);
            let owned = backup.is_some_and(|backup| selectors.selects(backup.source().as_str()));
            if !owned {
                let place = format!("{}[{index}]", retention.at("hold"));
                let message = format!(
                    "`{name}` is no backup of this plan's sources in this target; use a whole name such as `{}acme-orders-1763690400`, as `lifeboat list` shows it",
                    prefix.as_str()
                );
                result = Err(self.fault(&place, message));
            }
        }
        result.map(|()| names.into_iter().collect())
    }

    /// A source's or a target's region, and where it is reached: its own `base_url`, or what the environment says.
    fn region(
        &mut self,
        end: &Section<'_>,
    ) -> (Result<Region, Reported>, Result<String, Reported>) {
        let region = match self.text(end, "region") {
            Ok(Some(region)) => {
                parts::region(region).map_err(|message| self.fault(&end.at("region"), message))
            }
            Ok(None) => {
                let message = "is missing; set it to a region such as `aws-us-east-1`";
                Err(self.fault(&end.at("region"), message))
            }
            Err(reported) => Err(reported),
        };
        let known = region.as_deref().unwrap_or("aws-us-east-1");
        let base_url = match self.text(end, "base_url") {
            Ok(Some(url)) => parts::address(url, known)
                .map_err(|message| self.fault(&end.at("base_url"), message)),
            Ok(None) => self.environment.base_url(known),
            Err(reported) => Err(reported),
        };
        (region, base_url)
    }

    fn selectors(&mut self, source: &Section<'_>) -> Result<Selectors, Reported> {
        let prefixes = self.prefixes(source);
        let exclusions = self.texts(source, "exclude")?.unwrap_or_default();
        let selectors = Selectors::new(prefixes.clone().unwrap_or_default(), exclusions);
        let selectors = selectors.map_err(|error| {
            let message = format!("{error}; use globs such as `scratch-*`");
            self.fault(&source.at("exclude"), message)
        });
        prefixes.and(selectors)
    }

    fn prefixes(&mut self, source: &Section<'_>) -> Result<Vec<String>, Reported> {
        let path = source.at("prefixes");
        let wanted = "what your namespaces' names begin with, such as `[\"acme-\"]`, or `[\"*\"]` for all of them";
        let Some(prefixes) = self.texts(source, "prefixes")? else {
            return Err(self.fault(&path, format!("is missing; set it to {wanted}")));
        };
        if prefixes.is_empty() {
            return Err(self.fault(&path, format!("is empty; set it to {wanted}")));
        }
        if prefixes == ["*"] {
            return Ok(vec![String::new()]);
        }
        let mut result = Ok(());
        for (index, prefix) in prefixes.iter().enumerate() {
            let place = format!("{path}[{index}]");
            if prefix == "*" {
                let message = "`*` is every namespace, which leaves the other prefixes without effect; leave it or them out";
                result = Err(self.fault(&place, message));
            } else if !legal_bytes(prefix) {
                let message = format!(
                    "`{prefix}` is no prefix of a namespace's name; use letters, digits, `-`, `_` and `.` (or `*` alone for every namespace)"
                );
                result = Err(self.fault(&place, message));
            }
        }
        result.map(|()| prefixes)
    }

    /// The key that the source names, or else the environment's.
    fn source_key(&mut self, source: &Section<'_>) -> Result<KeySource, Reported> {
        if let Some(key) = self.key(source)? {
            return Ok(key);
        }
        self.environment.key("TURBOPUFFER_API_KEY")?.ok_or_else(|| {
            let message = "is missing, and no TURBOPUFFER_API_KEY_SECRET is set; set either to the name or ARN of the secret with the API key, or TURBOPUFFER_API_KEY to the key itself on your own machine";
            self.fault(&source.at("api_key_secret"), message)
        })
    }

    /// A secret's name, or a variable that holds the key. The key itself has no place in a document.
    pub(super) fn key(&mut self, end: &Section<'_>) -> Result<Option<KeySource>, Reported> {
        let secret = self.text(end, "api_key_secret");
        let field = self.text(end, "api_key_secret_field");
        let variable = self.text(end, "api_key_env");
        match (secret?, variable?, field?) {
            (Some(_), Some(_), _) => {
                let message =
                    "is set and so is `api_key_secret`; leave out the one that is not meant";
                Err(self.fault(&end.at("api_key_env"), message))
            }
            (None, _, Some(_)) => {
                let message = "is the field of a secret, and `api_key_secret` is not set; set it, or leave the field out";
                Err(self.fault(&end.at("api_key_secret_field"), message))
            }
            (Some(id), None, field) => {
                self.refuse_key(end, "api_key_secret", id)?;
                Ok(Some(KeySource::Secret {
                    id: id.to_owned(),
                    field: field.map(str::to_owned),
                }))
            }
            (None, Some(variable), None) => {
                self.refuse_key(end, "api_key_env", variable)?;
                self.key_in_variable(end, variable).map(Some)
            }
            (None, None, None) => Ok(None),
        }
    }

    fn key_in_variable(
        &mut self,
        end: &Section<'_>,
        variable: &str,
    ) -> Result<KeySource, Reported> {
        let place = end.at("api_key_env");
        let Some(key) = self.environment.text(variable) else {
            let message = format!(
                "the variable `{variable}` is not set; set it to the API key, or use `api_key_secret`"
            );
            return Err(self.fault(&place, message));
        };
        let key = parts::key(key);
        key.map(KeySource::Given)
            .map_err(|message| self.fault(&place, format!("the variable `{variable}` {message}")))
    }

    fn refuse_key(&mut self, end: &Section<'_>, key: &str, value: &str) -> Result<(), Reported> {
        if !parts::looks_like_a_key(value) {
            return Ok(());
        }
        let message = "looks like a key itself; keep keys out of the document: put it into Secrets Manager and write the secret's name here";
        Err(self.fault(&end.at(key), message))
    }

    fn refuse_overlaps(&mut self) {
        let ends = std::mem::take(&mut self.ends);
        for overlap in overlaps(&ends) {
            let (Overlap::OneAddress(one, other)
            | Overlap::BackupsOfBackups(one, other)
            | Overlap::OneName(one, other)) = overlap;
            if let (Some(one), Some(other)) = (ends.get(one), ends.get(other)) {
                let (key, message) = explained(overlap, one, other);
                let at = match overlap {
                    Overlap::BackupsOfBackups(..) => &one.at,
                    Overlap::OneAddress(..) | Overlap::OneName(..) => &other.at,
                };
                self.fault(&format!("{at}.{key}"), message);
            }
        }
    }
}

/// The key at fault, and what is wrong: between a source and a target, or two of either.
fn explained(overlap: Overlap, one: &End, other: &End) -> (&'static str, String) {
    match overlap {
        Overlap::OneAddress(..) => {
            let address = one.base_url.as_deref().unwrap_or_default();
            (
                "base_url",
                format!(
                    "leads to `{address}` for {}, and so does {} for {}; give each region its own address",
                    other.region, one.at, one.region
                ),
            )
        }
        Overlap::BackupsOfBackups(..) => {
            let prefix = match &other.names {
                Names::Owned(prefix, _) => prefix.as_str(),
                Names::Unknown | Names::Taken(_) => "",
            };
            (
                "prefixes",
                format!(
                    "selects the backups of {}, which stand in {}, too, so backups would be backed up; use another region, or add `{prefix}*` and `manual-{prefix}*` to `exclude`",
                    other.at, other.region
                ),
            )
        }
        Overlap::OneName(..) => {
            let shared = shared_beginning(&one.names, &other.names).unwrap_or_default();
            (
                "prefix",
                format!(
                    "makes names that {} makes in {}, too, such as `{shared}…`, so each would take the other's backups for its own; give each target a `prefix` of its own",
                    one.at, one.region
                ),
            )
        }
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
