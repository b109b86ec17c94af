//! The part of a document that is about Zilliz Cloud: plans with `provider = "zilliz"`.
//!
//! Such a plan has no names of ours and lists no namespaces: it says which clusters have which native backup policy. What
//! the document shows to be impossible is refused here, before any request; the rest by [`crate::zilliz::refusals`].

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::budget::BUDGET;
use super::tiers::{TIERS, Tiers};
use super::walk::{Section, Table, Walk};
use super::{Reported, parts};
use crate::budget::Budget;
use crate::secret::KeySource;
use crate::service::Region;

/// The word of `provider` for turbopuffer, which is what no word means, too.
const TURBOPUFFER: &str = "turbopuffer";
/// The word of `provider` for these plans.
const ZILLIZ: &str = "zilliz";

const PLAN: Table = (
    "a plan of Zilliz Cloud",
    &[
        "provider",
        "clusters",
        "project",
        "region",
        "time_zone",
        "weekdays",
        "start",
        "retention_days",
        "grace_hours",
        "drift",
        "budget",
        "targets",
        "tiers",
        "base_url",
        "api_key_secret",
        "api_key_secret_field",
        "api_key_env",
    ],
);
const TARGET: Table = ("`targets` of Zilliz Cloud", &["region", "retention_days"]);

/// Days that a scheduled backup may be kept (contract section 4).
const RETENTION: std::ops::RangeInclusive<u32> = 1..=30;
const DEFAULT_RETENTION: u32 = 7;
/// Hours that a backup and its copies may take before somebody should look.
const GRACE: std::ops::RangeInclusive<u32> = 1..=168;
const DEFAULT_GRACE: u32 = 6;
/// What plans say, and the weekday that Zilliz Cloud counts from 1.
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A named policy over clusters of Zilliz Cloud.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// Its name in events and logs.
    pub name: String,
    /// Which clusters.
    pub clusters: ClusterSelectors,
    /// The region that all of them are in, if the plan says it.
    pub region: Option<Region>,
    /// Where requests go.
    pub base_url: String,
    /// The key of their organisation.
    pub api_key: KeySource,
    /// Where `weekdays` and `start` are meant.
    pub zone: TimeZone,
    /// From 1, Monday, to 7; at least one.
    pub weekdays: BTreeSet<i8>,
    /// When the two hours begin in which a backup is started.
    pub start: Time,
    /// Days that the backup in the cluster's own region stays.
    pub retention_days: u32,
    /// Hours after its window in which a backup and its copies must be there.
    pub grace_hours: u32,
    /// What is done where the service has another policy.
    pub drift: OnDrift,
    /// Regions that receive copies; at least one, each once.
    pub targets: Vec<CopyTarget>,
    /// What it may cost.
    pub budget: Option<Budget>,
    /// Backups that the plan has made itself, for longer than the policy keeps its own.
    pub tiers: Option<Tiers>,
}

/// A region that receives copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyTarget {
    /// Its id, such as `gcp-us-east4`.
    pub region: Region,
    /// Days that copies stay there.
    pub retention_days: u32,
}

/// What is done where the service has another policy than the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDrift {
    /// The plan's is set again.
    Repair,
    /// It is told, and the run fails.
    Report,
}

/// Which clusters a plan is for: by id, or by name within one project.
#[derive(Clone, Debug)]
pub struct ClusterSelectors {
    entries: Vec<String>,
    globs: Vec<GlobSet>,
    project: Option<String>,
}

impl ClusterSelectors {
    /// # Errors
    /// When one of them is no glob.
    pub fn new(entries: Vec<String>, project: Option<String>) -> Result<Self, globset::Error> {
        let globs = entries.iter().map(|entry| {
            let mut set = GlobSetBuilder::new();
            set.add(Glob::new(entry)?);
            set.build()
        });
        Ok(Self {
            globs: globs.collect::<Result<_, _>>()?,
            entries,
            project,
        })
    }

    /// As the plan says them.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// The only project that is looked at, if the plan says one.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Whether the entry at `at` selects a cluster. Names are globs, and only within a project, because two projects may
    /// have clusters of one name.
    #[must_use]
    pub fn selects_by(&self, at: usize, id: &str, name: &str, project: Option<&str>) -> bool {
        let (Some(entry), Some(glob)) = (self.entries.get(at), self.globs.get(at)) else {
            return false;
        };
        match &self.project {
            None => entry == id,
            Some(own) => Some(own.as_str()) == project && (entry == id || glob.is_match(name)),
        }
    }

    /// Whether any entry does.
    #[must_use]
    pub fn selects(&self, id: &str, name: &str, project: Option<&str>) -> bool {
        (0..self.entries.len()).any(|at| self.selects_by(at, id, name, project))
    }
}

/// The cloud of a region as its id says it. Only for what can be refused before the service was asked (contract section 2:
/// the prefix is the cloud's id, except Azure's).
#[must_use]
pub fn cloud_of(region: &str) -> &str {
    match region.split('-').next().unwrap_or_default() {
        "az" => "azure",
        cloud => cloud,
    }
}

/// The longest time from one of the weekdays to the next, in days.
#[must_use]
pub fn longest_gap_days(weekdays: &BTreeSet<i8>) -> u32 {
    let next = weekdays.iter().skip(1).copied();
    let first_again = weekdays.first().map(|first| first + 7);
    let gaps = weekdays.iter().zip(next.chain(first_again));
    let gaps = gaps.filter_map(|(one, next)| u32::try_from(next - one).ok());
    gaps.max().unwrap_or(7)
}

/// Weekdays as a plan says them.
#[must_use]
pub fn weekdays_in_words(weekdays: &BTreeSet<i8>) -> String {
    let word = |day: &i8| WEEKDAYS.get(usize::try_from(day - 1).ok()?).copied();
    weekdays
        .iter()
        .filter_map(word)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether a key is known to these plans and not to turbopuffer's.
pub(super) fn is_ours(key: &str) -> bool {
    [
        "clusters",
        "project",
        "weekdays",
        "start",
        "retention_days",
        "grace_hours",
        "drift",
        "tiers",
    ]
    .contains(&key)
}

impl Walk<'_, '_> {
    /// Whether a plan is one of these; a provider that nobody knows is a fault.
    pub(super) fn is_of_zilliz(
        &mut self,
        path: &str,
        value: &DeValue<'_>,
    ) -> Result<bool, Reported> {
        let DeValue::Table(table) = value else {
            return Ok(false);
        };
        let section = Section {
            path: path.to_owned(),
            table,
        };
        match self.text(&section, "provider")? {
            None | Some(TURBOPUFFER) => Ok(false),
            Some(ZILLIZ) => Ok(true),
            Some(other) => {
                let nearest = parts::nearest(other, [TURBOPUFFER, ZILLIZ]).unwrap_or(TURBOPUFFER);
                let message = format!(
                    "`{other}` is no provider; did you mean `{nearest}`? Known: {TURBOPUFFER}, {ZILLIZ}"
                );
                Err(self.fault(&section.at("provider"), message))
            }
        }
    }

    /// Everything of a plan is read before anything is given up, so that no fault hides another.
    pub(super) fn cluster_plan(
        &mut self,
        path: String,
        name: Result<String, Reported>,
        value: &DeValue<'_>,
    ) -> Result<ClusterPlan, Reported> {
        let DeValue::Table(table) = value else {
            return Err(self.wrong(&path, value, "a table"));
        };
        let plan = Section { path, table };
        self.refuse_unknown_to_zilliz(&plan, PLAN);
        let clusters = self.cluster_selectors(&plan);
        let region = self.region_id(&plan);
        let zone = self.time_zone(&plan);
        let weekdays = self.weekdays(&plan);
        let start = self.start(&plan);
        let retention_days = self.kept_for(&plan, &weekdays);
        let grace_hours = self.number(&plan, "grace_hours", GRACE);
        let drift = self.drift(&plan);
        let targets = self.copy_targets(&plan, &region, &weekdays);
        let budget = self.budget(&plan);
        let tiers = self.tiers(&plan);
        let base_url = self.zilliz_url(&plan, &targets);
        let api_key = self.zilliz_key(&plan);
        Ok(ClusterPlan {
            name: name?,
            clusters: clusters?,
            region: region?,
            base_url: base_url?,
            api_key: api_key?,
            zone: zone?,
            weekdays: weekdays?,
            start: start?,
            retention_days: retention_days?,
            grace_hours: grace_hours?.unwrap_or(DEFAULT_GRACE),
            drift: drift?,
            targets: targets?,
            budget: budget?,
            tiers: tiers?,
        })
    }

    /// A key of turbopuffer's plans would be ignored here, so it is refused by name.
    pub(super) fn refuse_unknown_to_zilliz(&mut self, section: &Section<'_>, (_, known): Table) {
        let keys: Vec<String> = section
            .table
            .keys()
            .map(|key| key.get_ref().to_string())
            .collect();
        for key in keys.iter().filter(|key| !known.contains(&key.as_str())) {
            let of_turbopuffer = self
                .tables
                .iter()
                .any(|(_, keys)| keys.contains(&key.as_str()));
            let message = match (key.as_str(), of_turbopuffer) {
                ("api_key", _) => "is not read: keep keys out of the document; write the name of a secret that holds it as `api_key_secret`".to_owned(),
                (key, _) if PLAN.1.contains(&key) => "is not known here; it belongs to the plan".to_owned(),
                (key, _) if BUDGET.1.contains(&key) => "is not known here; it belongs to `budget`".to_owned(),
                (key, _) if TIERS.1.contains(&key) => "is not known here; it belongs to `tiers`, the table of a plan of Zilliz Cloud".to_owned(),
                (_, true) => format!("is for plans of turbopuffer, and this one has `provider = \"zilliz\"`; leave it out. Known here: {}", known.join(", ")),
                (key, false) => format!(
                    "is not known; did you mean `{}`? Known here: {}",
                    parts::nearest(key, known.iter().copied()).unwrap_or_default(),
                    known.join(", ")
                ),
            };
            self.fault(&section.at(key), message);
        }
    }

    fn cluster_selectors(&mut self, plan: &Section<'_>) -> Result<ClusterSelectors, Reported> {
        let project = self.text(plan, "project");
        let wanted = "the ids of clusters, such as `[\"in01-4be01c77d20a9f3\"]`, or with `project` their names, such as `[\"prod-*\"]`";
        let path = plan.at("clusters");
        let entries = match self.texts(plan, "clusters")? {
            Some(entries) if !entries.is_empty() => entries,
            Some(_) => return Err(self.fault(&path, format!("is empty; set it to {wanted}"))),
            None => return Err(self.fault(&path, format!("is missing; set it to {wanted}"))),
        };
        let project = project?.map(str::to_owned);
        for (index, entry) in entries.iter().enumerate() {
            let place = format!("{path}[{index}]");
            if entries.iter().take(index).any(|earlier| earlier == entry) {
                return Err(self.fault(&place, format!("`{entry}` is there already; leave it out")));
            }
            if project.is_none() && !looks_like_a_cluster(entry) {
                let message = format!(
                    "`{entry}` is no cluster's id; set `project`, too, to select clusters by their names"
                );
                return Err(self.fault(&place, message));
            }
        }
        let selectors = ClusterSelectors::new(entries, project);
        selectors.map_err(|error| self.fault(&path, format!("{error}; use {wanted}")))
    }

    fn region_id(&mut self, section: &Section<'_>) -> Result<Option<Region>, Reported> {
        let region = self.text(section, "region")?.map(parts::region).transpose();
        region.map_err(|message| self.fault(&section.at("region"), message))
    }

    fn weekdays(&mut self, plan: &Section<'_>) -> Result<BTreeSet<i8>, Reported> {
        let path = plan.at("weekdays");
        let Some(words) = self.texts(plan, "weekdays")? else {
            return Ok((1..=7).collect());
        };
        let mut days = BTreeSet::new();
        for (index, word) in words.iter().enumerate() {
            let known = WEEKDAYS.iter().zip(1..).find(|(known, _)| *known == word);
            let Some((_, day)) = known else {
                let nearest = parts::nearest(word, WEEKDAYS).unwrap_or_default();
                let message = format!(
                    "`{word}` is no weekday; did you mean `{nearest}`? Known: {}",
                    WEEKDAYS.join(", ")
                );
                return Err(self.fault(&format!("{path}[{index}]"), message));
            };
            days.insert(day);
        }
        if days.is_empty() {
            return Err(self.fault(
                &path,
                "is empty; name weekdays, or leave it out for every day",
            ));
        }
        Ok(days)
    }

    fn start(&mut self, plan: &Section<'_>) -> Result<Time, Reported> {
        let path = plan.at("start");
        let wanted =
            "the hour at which backups may begin in the plan's time zone, such as \"02:00\"";
        let Some(text) = self.text(plan, "start")? else {
            return Err(self.fault(&path, format!("is missing; set it to {wanted}")));
        };
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let time = text
            .split_once(':')
            .filter(|(hour, minute)| digits(hour) && digits(minute));
        let time = time.and_then(|(hour, minute)| {
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        });
        time.ok_or_else(|| {
            self.fault(
                &path,
                format!("`{text}` is no time of day; set it to {wanted}"),
            )
        })
    }

    /// Days that a backup stays. Less than from one backup to the next would leave days without any.
    fn kept_for(
        &mut self,
        section: &Section<'_>,
        weekdays: &Result<BTreeSet<i8>, Reported>,
    ) -> Result<u32, Reported> {
        let days = self.number(section, "retention_days", RETENTION)?;
        let days = days.unwrap_or(DEFAULT_RETENTION);
        let gap = longest_gap_days(weekdays.as_ref().map_err(|reported| *reported)?);
        if days < gap {
            let message = format!(
                "{days} is less than the {gap} days from one backup to the next, so there would be days without any; raise it, or add weekdays"
            );
            return Err(self.fault(&section.at("retention_days"), message));
        }
        Ok(days)
    }

    fn drift(&mut self, plan: &Section<'_>) -> Result<OnDrift, Reported> {
        match self.text(plan, "drift")? {
            None | Some("repair") => Ok(OnDrift::Repair),
            Some("report") => Ok(OnDrift::Report),
            Some(other) => {
                let nearest = parts::nearest(other, ["repair", "report"]).unwrap_or("repair");
                let message = format!(
                    "`{other}` is neither `repair` nor `report`; did you mean `{nearest}`?"
                );
                Err(self.fault(&plan.at("drift"), message))
            }
        }
    }

    fn copy_targets(
        &mut self,
        plan: &Section<'_>,
        home: &Result<Option<Region>, Reported>,
        weekdays: &Result<BTreeSet<i8>, Reported>,
    ) -> Result<Vec<CopyTarget>, Reported> {
        let (path, values) = self.list_of_tables(plan, "targets")?;
        let home = home.as_ref().ok().and_then(Option::as_ref);
        let mut regions: Vec<(Region, String)> = Vec::new();
        let mut targets = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let DeValue::Table(table) = value.get_ref() else {
                targets.push(Err(self.wrong(&path, value.get_ref(), "a table")));
                continue;
            };
            let target = Section { path, table };
            self.refuse_unknown_to_zilliz(&target, TARGET);
            let region = self.copy_region(&target, home, &regions);
            if let Ok(region) = &region {
                regions.push((region.clone(), target.path.clone()));
            }
            let retention_days = self.kept_for(&target, weekdays);
            targets.push(region.and_then(|region| {
                Ok(CopyTarget {
                    region,
                    retention_days: retention_days?,
                })
            }));
        }
        targets.into_iter().collect()
    }

    /// A target's region, refused if the document shows that no copy can go there.
    fn copy_region(
        &mut self,
        target: &Section<'_>,
        home: Option<&Region>,
        others: &[(Region, String)],
    ) -> Result<Region, Reported> {
        let place = target.at("region");
        let Some(region) = self.region_id(target)? else {
            let message = "is missing; set it to a region such as `gcp-us-east4`";
            return Err(self.fault(&place, message));
        };
        let cloud = cloud_of(&region);
        let refused = if cloud == "azure" {
            Some(
                "is on Azure, where Zilliz Cloud makes no copies; only AWS and GCP have them"
                    .to_owned(),
            )
        } else if let Some((_, other)) = others.iter().find(|(other, _)| *other == region) {
            Some(format!(
                "is the region of {other}, too, and a policy copies to each region once; leave one out"
            ))
        } else if home == Some(&region) {
            Some("is the clusters' own region, where the backup itself stands; choose another region of the same cloud".to_owned())
        } else if let Some(home) = home.filter(|home| cloud_of(home) != cloud) {
            Some(format!(
                "is on another cloud than {home}; copies stay on the cluster's cloud, so choose another of its regions"
            ))
        } else {
            let other = others.iter().find(|(other, _)| cloud_of(other) != cloud);
            other.map(|(other, at)| format!("is on another cloud than {other} of {at}; copies stay on the cluster's cloud, so at least one of them is impossible"))
        };
        match refused {
            Some(why) => Err(self.fault(&place, format!("`{region}` {why}"))),
            None => Ok(region),
        }
    }

    /// The plan's own address, or the environment's, or the public one.
    fn zilliz_url(
        &mut self,
        plan: &Section<'_>,
        targets: &Result<Vec<CopyTarget>, Reported>,
    ) -> Result<String, Reported> {
        if let Some(url) = self.text(plan, "base_url")? {
            let url = parts::zilliz_address(url);
            return url.map_err(|message| self.fault(&plan.at("base_url"), message));
        }
        let region = targets.as_ref().ok().and_then(|targets| targets.first());
        self.environment
            .zilliz_url(region.map_or("", |target| &target.region))
    }

    fn zilliz_key(&mut self, plan: &Section<'_>) -> Result<KeySource, Reported> {
        if let Some(key) = self.key(plan)? {
            return Ok(key);
        }
        self.environment.key("ZILLIZ_API_KEY")?.ok_or_else(|| {
            let message = "is missing, and no ZILLIZ_API_KEY_SECRET is set; set either to the name or ARN of the secret with the API key, or ZILLIZ_API_KEY to the key itself on your own machine";
            self.fault(&plan.at("api_key_secret"), message)
        })
    }
}

/// Whether a text has the shape of a cluster's id, `in` and two digits (contract section 1). Only to tell ids from names.
fn looks_like_a_cluster(text: &str) -> bool {
    let rest = text.strip_prefix("in").unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let digits = rest.bytes().take(2).filter(u8::is_ascii_digit).count() == 2;
    digits && rest.as_bytes().get(2) == Some(&b'-') && text.bytes().all(legal)
}

#[cfg(test)]
#[path = "clusters_tests.rs"]
mod tests;
