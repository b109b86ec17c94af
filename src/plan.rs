//! The configuration: what is backed up, where to, and what retention asks for.
//!
//! Read from environment variables, five of which reproduce the vendor's sample. Everything is checked before the first
//! request, and all faults are reported at once, each with its variable, its value and the remedy.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::tz::TimeZone;
use secrecy::SecretString;

use crate::journal::JournalUrl;
use crate::name::{BackupName, BackupPrefix, Class, Namespace, legal_bytes};
use crate::retention::{Periods, Policy};
use crate::secret::KeySource;
use crate::service::Region;

/// Which namespaces are sources.
#[derive(Clone, Debug)]
pub struct Selectors {
    prefixes: Vec<String>,
    exclusions: Vec<String>,
    excluded: GlobSet,
}

impl Selectors {
    /// Whether a namespace is a source of the plan.
    #[must_use]
    pub fn selects(&self, source: &str) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| source.starts_with(prefix.as_str()))
            && !self.excluded.is_match(source)
    }

    /// The prefixes to list; an empty one stands for everything.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// Globs of namespaces left out.
    #[must_use]
    pub fn exclusions(&self) -> &[String] {
        &self.exclusions
    }

    /// Whether some name that begins with `prefix` could be selected.
    fn could_select_below(&self, prefix: &str) -> bool {
        let overlaps = |own: &String| own.starts_with(prefix) || prefix.starts_with(own.as_str());
        let all_below = |glob: &String| {
            glob.strip_suffix('*')
                .is_some_and(|stem| legal_bytes(stem) && prefix.starts_with(stem))
        };
        self.prefixes.iter().any(overlaps) && !self.exclusions.iter().any(all_below)
    }
}

/// What a copy is encrypted with at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The service's own keys.
    Default,
    /// A customer-managed key, by its ARN or resource name.
    CustomerManaged(String),
}

/// The live side.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where the namespaces live.
    pub region: Region,
    /// Where requests to that region go.
    pub base_url: String,
    /// Which of them are backed up.
    pub selectors: Selectors,
    /// The key of their organisation.
    pub api_key: KeySource,
}

/// One side that receives copies.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in reports and in the journal.
    pub name: String,
    /// Where backups are kept.
    pub region: Region,
    /// Where requests to that region go.
    pub base_url: String,
    /// What every backup's name begins with.
    pub prefix: BackupPrefix,
    /// What is kept.
    pub retention: Policy,
    /// What copies are encrypted with; `None` inherits from the source.
    pub encryption: Option<Encryption>,
    /// The key of the backups' organisation, when it is another one than the sources'.
    pub api_key: Option<KeySource>,
}

/// A named policy.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name in events and logs.
    pub name: String,
    /// What is backed up.
    pub source: Source,
    /// Where to; at least one.
    pub targets: Vec<Target>,
    /// Requests in flight per region, at most.
    pub concurrency: u32,
    /// Copies under way, at most.
    pub copies: u32,
}

/// Everything that is configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The plans, each with a name of its own; at least one.
    pub plans: Vec<Plan>,
    /// Where long copies are remembered; without one, a run has one invocation.
    pub journal: Option<JournalUrl>,
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub variable: String,
    /// What is wrong with it and what to do.
    pub message: String,
}

/// Everything that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not usable:")?;
        self.0
            .iter()
            .try_for_each(|fault| write!(f, "\n  {}: {}", fault.variable, fault.message))
    }
}

/// The variables that are read, for the check that a misspelt one is not silently ignored.
pub const VARIABLES: [&str; 17] = [
    "SOURCE_REGION",
    "BACKUP_REGION",
    "SOURCE_PREFIX",
    "SOURCE_EXCLUDE",
    "BACKUP_PREFIX",
    "RETENTION_DAYS",
    "MIN_BACKUPS",
    "CONCURRENCY",
    "COPIES",
    "BACKUP_ENCRYPTION_KEY",
    "TURBOPUFFER_API_KEY",
    "TURBOPUFFER_API_KEY_SECRET",
    "TURBOPUFFER_API_KEY_SECRET_FIELD",
    "TURBOPUFFER_BASE_URL",
    "BACKUP_API_KEY",
    "BACKUP_API_KEY_SECRET",
    "BACKUP_API_KEY_SECRET_FIELD",
];

/// The official clients read these; we don't, and they are no misspellings.
const OTHERS: [&str; 4] = [
    "TURBOPUFFER_REGION",
    "TURBOPUFFER_CUSTOM_HEADERS",
    "TURBOPUFFER_TELEMETRY",
    "TURBOPUFFER_LOG",
];

const PUBLIC_URL: &str = "https://{region}.turbopuffer.com";
const DEFAULT_DAYS: u32 = 7;
const MOST_DAYS: u32 = 36_500;
const DEFAULT_CONCURRENCY: u32 = 32;
const DEFAULT_COPIES: u32 = 64;

/// Reads the environment, remembering every fault.
struct Reader<'a> {
    environment: &'a [(String, String)],
    faults: Vec<Fault>,
}

impl Settings {
    /// Reads and checks the plan `default`.
    ///
    /// # Errors
    /// All faults at once; then nothing may be done at all.
    pub fn from_environment(environment: &[(String, String)]) -> Result<Self, Faults> {
        let mut reader = Reader {
            environment,
            faults: Vec::new(),
        };
        reader.refuse_misspelt();
        let settings = reader.settings();
        match settings {
            Some(settings) if reader.faults.is_empty() => Ok(settings),
            _ => Err(Faults(reader.faults)),
        }
    }
}

impl<'a> Reader<'a> {
    /// `None` only together with a fault. Everything is read before anything is given up, so that no fault hides another.
    fn settings(&mut self) -> Option<Settings> {
        let (source_region, backup_region) =
            (self.region("SOURCE_REGION"), self.region("BACKUP_REGION"));
        let source_url = source_region.as_deref().map(|region| self.base_url(region));
        let backup_url = backup_region.as_deref().map(|region| self.base_url(region));
        if source_region.is_none() && backup_region.is_none() {
            self.base_url("aws-us-east-1");
        }
        let prefixes = self.prefixes();
        let exclusions = self.exclusions();
        let prefix = self.backup_prefix();
        let (days, min) = (self.days(), self.number("MIN_BACKUPS", 1, 1..=10_000));
        let encryption = self.encryption();
        let api_key = self.key("TURBOPUFFER_API_KEY");
        let backup_api_key = self.key("BACKUP_API_KEY");
        let concurrency = self.number("CONCURRENCY", DEFAULT_CONCURRENCY, 1..=1_000);
        let copies = self.number("COPIES", DEFAULT_COPIES, 1..=10_000);
        if api_key.is_none() {
            self.require_key();
        }
        let selectors = match (prefixes, exclusions) {
            (Some(prefixes), Some((exclusions, excluded))) => Some(Selectors {
                prefixes,
                exclusions,
                excluded,
            }),
            _ => None,
        };
        if source_region.is_some() && source_region == backup_region {
            self.refuse_backups_of_backups(selectors.as_ref(), prefix.as_ref());
        } else if let (Some(Some(source)), Some(Some(backup))) = (&source_url, &backup_url) {
            self.refuse_one_address_for_two_regions(source, backup);
        }
        let source = Source {
            region: source_region?,
            base_url: source_url??,
            selectors: selectors?,
            api_key: api_key?,
        };
        let retention = Policy {
            days: NonZeroU32::new(days?),
            periods: Periods::default(),
            zone: TimeZone::UTC,
            min: NonZeroU32::new(min?)?,
            hold: BTreeSet::new(),
        };
        let (region, base_url) = (backup_region?, backup_url??);
        let target = Target {
            name: region.clone(),
            region,
            base_url,
            prefix: prefix?,
            retention,
            encryption,
            api_key: backup_api_key,
        };
        let (concurrency, copies) = (concurrency?, copies?);
        let plan = Plan {
            name: "default".into(),
            source,
            targets: vec![target],
            concurrency,
            copies,
        };
        Some(Settings {
            plans: vec![plan],
            journal: None,
        })
    }

    fn backup_prefix(&mut self) -> Option<BackupPrefix> {
        let text = self.set("BACKUP_PREFIX").unwrap_or("backup-");
        let prefix = BackupPrefix::parse(text);
        prefix
            .map_err(|error| self.fault("BACKUP_PREFIX", format!("`{text}` {error}")))
            .ok()
    }

    fn encryption(&self) -> Option<Encryption> {
        self.text("BACKUP_ENCRYPTION_KEY").map(|key| match key {
            "default" => Encryption::Default,
            key => Encryption::CustomerManaged(key.to_owned()),
        })
    }

    /// The recovery window; zero keeps everything. Empty keeps everything too: only an unset variable means the sample's
    /// seven days.
    fn days(&mut self) -> Option<u32> {
        if self
            .set("RETENTION_DAYS")
            .is_some_and(|days| days.trim().is_empty())
        {
            return Some(0);
        }
        self.number("RETENTION_DAYS", DEFAULT_DAYS, 0..=MOST_DAYS)
    }

    fn region(&mut self, variable: &str) -> Option<Region> {
        let Some(region) = self.text(variable) else {
            self.fault(
                variable,
                "is not set; set it to a region such as `aws-us-east-1`".into(),
            );
            return None;
        };
        let plain = region
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !plain {
            self.fault(variable, format!("`{region}` is no region; use lower-case letters, digits and `-`, such as `aws-us-east-1`"));
        }
        plain.then(|| region.to_owned())
    }

    fn prefixes(&mut self) -> Option<Vec<String>> {
        let Some(text) = self.text("SOURCE_PREFIX") else {
            self.fault("SOURCE_PREFIX", "is not set; set it to what your namespaces' names begin with, several separated by commas, or to `*` for all of them".into());
            return None;
        };
        let prefixes: Vec<String> = list(text)
            .map(|item| if item == "*" { "" } else { item }.to_owned())
            .collect();
        if prefixes.is_empty() || !prefixes.iter().all(|prefix| legal_bytes(prefix)) {
            self.fault("SOURCE_PREFIX", format!("`{text}` is no prefix of a namespace's name; use letters, digits, `-`, `_` and `.` (or `*` alone for every namespace)"));
            return None;
        }
        Some(prefixes)
    }

    fn exclusions(&mut self) -> Option<(Vec<String>, GlobSet)> {
        let exclusions: Vec<String> = list(self.text("SOURCE_EXCLUDE").unwrap_or_default())
            .map(str::to_owned)
            .collect();
        match glob_set(&exclusions) {
            Ok(excluded) => Some((exclusions, excluded)),
            Err(error) => {
                self.fault(
                    "SOURCE_EXCLUDE",
                    format!("{error}; use globs such as `scratch-*`, separated by commas"),
                );
                None
            }
        }
    }

    /// `{VARIABLE}` or `{VARIABLE}_SECRET`, but not both.
    fn key(&mut self, variable: &str) -> Option<KeySource> {
        let secret_variable = format!("{variable}_SECRET");
        for name in [variable, &secret_variable] {
            if self.set(name).is_some_and(|text| text.trim().is_empty()) {
                self.fault(
                    name,
                    "is set and empty; unset it, or set it to what is meant".into(),
                );
                return None;
            }
        }
        let field = self
            .text(&format!("{variable}_SECRET_FIELD"))
            .map(str::to_owned);
        let given = self.text(variable).map(str::to_owned);
        match (given, self.text(&secret_variable).map(str::to_owned)) {
            (Some(_), Some(_)) => {
                self.fault(
                    variable,
                    format!("is set and so is {secret_variable}; unset the one that is not meant"),
                );
                None
            }
            (Some(key), None) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                self.fault(
                    variable,
                    "has spaces or control characters in it; copy the key again".into(),
                );
                None
            }
            (Some(key), None) => Some(KeySource::Given(SecretString::from(key))),
            (None, Some(id)) => Some(KeySource::Secret { id, field }),
            (None, None) => None,
        }
    }

    fn require_key(&mut self) {
        let explained = |fault: &Fault| fault.variable.starts_with("TURBOPUFFER_API_KEY");
        if !self.faults.iter().any(explained) {
            self.fault("TURBOPUFFER_API_KEY_SECRET", "is not set; set it to the name or ARN of the secret with the API key, or TURBOPUFFER_API_KEY to the key itself on your own machine".into());
        }
    }

    /// A template with `{region}`, which a variable of the region's own may replace (private links).
    fn base_url(&mut self, region: &str) -> Option<String> {
        let own = format!(
            "TURBOPUFFER_BASE_URL_{}",
            region.to_ascii_uppercase().replace('-', "_")
        );
        let (variable, url) = match self.text(&own) {
            Some(url) => (own.as_str(), url),
            None => (
                "TURBOPUFFER_BASE_URL",
                self.text("TURBOPUFFER_BASE_URL").unwrap_or(PUBLIC_URL),
            ),
        };
        let filled = url.replace("{region}", region);
        let usable =
            reqwest::Url::parse(&filled).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
        if !usable {
            let message = format!("`{url}` is no URL; use one such as `{PUBLIC_URL}`");
            self.fault(variable, message);
            return None;
        }
        if variable == "TURBOPUFFER_BASE_URL" && filled == url {
            let message = format!(
                "`{url}` has no {{region}} in it, so all regions would be one; write {{region}} where the region's name belongs, or set {own} for this region alone"
            );
            self.fault(variable, message);
            return None;
        }
        Some(filled)
    }

    fn number(
        &mut self,
        variable: &str,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let Some(text) = self.text(variable) else {
            return Some(default);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!(
                "`{text}` is not a whole number from {} to {}",
                range.start(),
                range.end()
            );
            self.fault(variable, message);
        }
        number
    }

    /// A plan in one region must not take its own backups for sources, or each run would double them.
    fn refuse_backups_of_backups(
        &mut self,
        selectors: Option<&Selectors>,
        prefix: Option<&BackupPrefix>,
    ) {
        let (Some(selectors), Some(prefix)) = (selectors, prefix) else {
            return;
        };
        let prefix = prefix.as_str();
        if selectors.could_select_below(prefix) {
            self.fault("SOURCE_PREFIX", format!("selects the plan's own backups, because BACKUP_REGION is SOURCE_REGION; use another region, or add `{prefix}*` to SOURCE_EXCLUDE"));
        }
    }

    /// Private links are set per region; the same one twice would make both regions one.
    fn refuse_one_address_for_two_regions(&mut self, source: &str, backup: &str) {
        if source == backup {
            self.fault(
                "TURBOPUFFER_BASE_URL",
                format!("leads to `{source}` for both regions; give each region its own address"),
            );
        }
    }

    /// A misspelt `RETENTION_DAYS` would silently mean seven days.
    fn refuse_misspelt(&mut self) {
        let names: Vec<String> = self
            .environment
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let known = VARIABLES.contains(&name.as_str())
                || OTHERS.contains(&name.as_str())
                || name.starts_with("TURBOPUFFER_BASE_URL_");
            let near = VARIABLES
                .iter()
                .filter(|known| known.len() > 8)
                .find(|known| strsim::levenshtein(known, &name.to_ascii_uppercase()) <= 2);
            if let (false, Some(near)) = (known, near) {
                self.fault(&name, format!("is not read; did you mean {near}?"));
            }
        }
    }

    /// A variable's trimmed text, if it has one.
    fn text(&self, variable: &str) -> Option<&'a str> {
        self.set(variable)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    fn set(&self, variable: &str) -> Option<&'a str> {
        self.environment
            .iter()
            .find(|(name, _)| name == variable)
            .map(|(_, value)| value.as_str())
    }

    fn fault(&mut self, variable: &str, message: String) {
        self.faults.push(Fault {
            variable: variable.to_owned(),
            message,
        });
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn glob_set(globs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(glob)?);
    }
    set.build()
}

impl Plan {
    /// The prefixes under which this plan's backups of some classes stand in a target.
    #[must_use]
    pub fn backup_prefixes(&self, target: &Target, classes: &[Class]) -> Vec<String> {
        let sources = self.source.selectors.prefixes();
        let of_class = |class: &Class| {
            let begins = target.prefix.of_class(*class);
            sources.iter().map(move |own| format!("{begins}{own}"))
        };
        classes.iter().flat_map(of_class).collect()
    }

    /// Whether a namespace of the source region looks like a backup by its name; worth a warning, not a decision.
    #[must_use]
    pub fn looks_like_a_backup(&self, source: &Namespace) -> bool {
        let parses = |target: &Target| BackupName::parse(&target.prefix, source.as_str()).is_some();
        self.targets.iter().any(parses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, Option<&str>)]) -> Result<Settings, Faults> {
        let mut environment = vec![
            ("SOURCE_REGION", "aws-us-east-1"),
            ("BACKUP_REGION", "aws-eu-west-1"),
            ("SOURCE_PREFIX", "acme-"),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ];
        for (name, value) in changes {
            environment.retain(|(own, _)| own != name);
            environment.extend(value.map(|value| (*name, value)));
        }
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        Settings::from_environment(&environment)
    }

    fn faults(changes: &[(&str, Option<&str>)]) -> Vec<String> {
        read(changes)
            .map(|_| ())
            .unwrap_err()
            .0
            .into_iter()
            .map(|fault| format!("{}: {}", fault.variable, fault.message))
            .collect()
    }

    #[test]
    fn five_variables_are_the_vendors_sample() {
        let plan = read(&[]).unwrap().plans.remove(0);
        assert_eq!(plan.targets[0].prefix.as_str(), "backup-");
        assert_eq!(
            plan.targets[0].retention,
            Policy {
                days: NonZeroU32::new(7),
                periods: Periods::default(),
                zone: TimeZone::UTC,
                min: NonZeroU32::MIN,
                hold: BTreeSet::new(),
            }
        );
        assert_eq!(
            plan.source.base_url,
            "https://aws-us-east-1.turbopuffer.com"
        );
        assert_eq!(
            plan.backup_prefixes(&plan.targets[0], &[Class::Scheduled, Class::Manual]),
            ["backup-acme-", "manual-backup-acme-"]
        );
    }

    #[test]
    fn empty_and_zero_retention_keep_everything_and_nonsense_is_refused() {
        for keeps in ["", " ", "0"] {
            assert_eq!(
                read(&[("RETENTION_DAYS", Some(keeps))]).unwrap().plans[0].targets[0]
                    .retention
                    .days,
                None,
                "{keeps:?}"
            );
        }
        for wrong in ["-1", "7.5", "seven", "7d", "99999999999"] {
            let faults = faults(&[("RETENTION_DAYS", Some(wrong))]);
            assert!(faults.len() == 1 && faults[0].contains(wrong), "{faults:?}");
        }
        assert!(faults(&[("MIN_BACKUPS", Some("0"))])[0].contains("MIN_BACKUPS"));
    }

    #[test]
    fn a_misspelt_variable_is_not_silently_ignored() {
        let faults = faults(&[("RETENTION_DAY", Some("90"))]);
        assert_eq!(
            faults,
            ["RETENTION_DAY: is not read; did you mean RETENTION_DAYS?"]
        );
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let nothing = Settings::from_environment(&[]).map(|_| ()).unwrap_err();
        let variables: Vec<_> = nothing
            .0
            .iter()
            .map(|fault| fault.variable.as_str())
            .collect();
        assert_eq!(
            variables,
            [
                "SOURCE_REGION",
                "BACKUP_REGION",
                "SOURCE_PREFIX",
                "TURBOPUFFER_API_KEY_SECRET"
            ]
        );
        let many = faults(&[
            ("SOURCE_REGION", Some("US East")),
            ("SOURCE_PREFIX", Some("  ")),
            ("BACKUP_PREFIX", Some("")),
            ("RETENTION_DAYS", Some("x")),
            ("CONCURRENCY", Some("0")),
            ("SOURCE_EXCLUDE", Some("[")),
        ]);
        assert_eq!(many.len(), 6, "{many:?}");
    }

    #[test]
    fn a_plan_that_would_back_up_its_own_backups_is_refused() {
        let same = ("BACKUP_REGION", Some("aws-us-east-1"));
        for prefix in ["*", "back", "backup-", "backup-acme-"] {
            let faults = faults(&[same, ("SOURCE_PREFIX", Some(prefix))]);
            assert!(faults[0].contains("the plan's own backups"), "{faults:?}");
        }
        assert!(read(&[same]).is_ok());
        assert!(
            read(&[
                same,
                ("SOURCE_PREFIX", Some("*")),
                ("SOURCE_EXCLUDE", Some("backup-*"))
            ])
            .is_ok()
        );
        assert!(
            read(&[
                same,
                ("SOURCE_PREFIX", Some("*")),
                ("SOURCE_EXCLUDE", Some("backup-a*"))
            ])
            .is_err()
        );
    }

    #[test]
    fn selectors_take_several_prefixes_and_leave_out_globs() {
        let plan = read(&[
            ("SOURCE_PREFIX", Some("acme-, globex-")),
            ("SOURCE_EXCLUDE", Some("*-scratch,acme-tmp?")),
        ]);
        let selectors = plan.unwrap().plans.remove(0).source.selectors;
        for (name, selected) in [
            ("acme-orders", true),
            ("globex-1", true),
            ("initech", false),
            ("acme-scratch", false),
            ("acme-tmp1", false),
            ("acme-tmp12", true),
        ] {
            assert_eq!(selectors.selects(name), selected, "{name}");
        }
    }

    #[test]
    fn a_region_can_have_a_base_url_of_its_own() {
        let own = (
            "TURBOPUFFER_BASE_URL_AWS_EU_WEST_1",
            Some("https://privatelink.eu-west-1.turbopuffer.com"),
        );
        let plan = read(&[own]).unwrap().plans.remove(0);
        assert_eq!(
            plan.targets[0].base_url,
            "https://privatelink.eu-west-1.turbopuffer.com"
        );
        assert!(
            faults(&[("TURBOPUFFER_BASE_URL", Some("http://127.0.0.1:7070"))])[0]
                .contains("{region}")
        );
        assert!(faults(&[("TURBOPUFFER_BASE_URL", Some("{region}"))])[0].contains("is no URL"));
    }

    #[test]
    fn a_key_comes_from_one_place_and_is_never_shown() {
        let both = faults(&[("TURBOPUFFER_API_KEY_SECRET", Some("nightly/key"))]);
        assert!(
            both.len() == 1 && both[0].contains("unset the one"),
            "{both:?}"
        );
        assert!(!both[0].contains("tpuf_abc"));
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("tpuf_abc"));
        let blank = faults(&[("TURBOPUFFER_API_KEY", Some("tpuf abc"))]);
        assert!(
            blank[0].contains("copy the key again") && !blank[0].contains("tpuf abc"),
            "{blank:?}"
        );
    }
}
