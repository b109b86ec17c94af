//! The configuration from variables alone: five of them reproduce the vendor's sample as the plan `default`.
//!
//! Some variables belong to a document, too: where the service is, its key, and the journal.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use jiff::tz::TimeZone;

use super::overlap::{self, End, Names, Overlap};
use super::parts::{self, PUBLIC_URL};
use super::{Fault, Plan, Reported, Selectors, Source, Target};
use crate::coverage::SkipUnchanged;
use crate::journal::JournalUrl;
use crate::name::{BackupPrefix, legal_bytes};
use crate::price::Prices;
use crate::retention::{Periods, Policy};
use crate::secret::KeySource;
use crate::service::Region;
use crate::verify::Level;

/// What only the plan `default` is made of: beside a document nobody would read it.
const OF_THE_PLAN: [&str; 15] = [
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
    "BACKUP_API_KEY",
    "BACKUP_API_KEY_SECRET",
    "BACKUP_API_KEY_SECRET_FIELD",
    "VERIFY_LEVEL",
    "MAX_AGE_DAYS",
];

/// What is read with a document as well as without.
const OF_ALL_PLANS: [&str; 14] = [
    "LIFEBOAT_CONFIG",
    "LIFEBOAT_JOURNAL",
    "LIFEBOAT_PRICES",
    "TURBOPUFFER_API_KEY",
    "TURBOPUFFER_API_KEY_SECRET",
    "TURBOPUFFER_API_KEY_SECRET_FIELD",
    "TURBOPUFFER_BASE_URL",
    "ZILLIZ_API_KEY",
    "ZILLIZ_API_KEY_SECRET",
    "ZILLIZ_API_KEY_SECRET_FIELD",
    "ZILLIZ_BASE_URL",
    "RESTORE_API_KEY",
    "RESTORE_API_KEY_SECRET",
    "RESTORE_API_KEY_SECRET_FIELD",
];

/// The official clients read these; we don't, and they are no misspellings.
const OTHERS: [&str; 7] = [
    "TURBOPUFFER_REGION",
    "TURBOPUFFER_CUSTOM_HEADERS",
    "TURBOPUFFER_TELEMETRY",
    "TURBOPUFFER_LOG",
    "ZILLIZ_CONFIG_DIR",
    "ZILLIZ_CLOUD_URI",
    "ZILLIZ_CLOUD_TOKEN",
];

/// The sample's recovery window.
const DEFAULT_DAYS: u32 = 7;

/// Reads the environment, remembering every fault.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    environment: &'a [(String, String)],
    pub(super) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a [(String, String)]) -> Self {
        Self {
            environment,
            faults: Vec::new(),
        }
    }

    /// The plan `default`. Everything is read before anything is given up, so that no fault hides another.
    pub(super) fn plan(&mut self) -> Result<Plan, Reported> {
        let (source_region, backup_region) =
            (self.region("SOURCE_REGION"), self.region("BACKUP_REGION"));
        let (source_url, backup_url) = (self.url_of(&source_region), self.url_of(&backup_region));
        if source_region.is_err() && backup_region.is_err() {
            // The template is read all the same, for its faults.
            let _ = self.base_url("aws-us-east-1");
        }
        let selectors = self.selectors();
        let prefix = self.backup_prefix();
        let retention = self.retention();
        let encryption = self.text("BACKUP_ENCRYPTION_KEY").map(parts::encryption);
        let api_key = self.required_key();
        let backup_api_key = self.key("BACKUP_API_KEY");
        let concurrency = self.number(
            "CONCURRENCY",
            parts::DEFAULT_CONCURRENCY,
            parts::CONCURRENCY,
        );
        let copies = self.number("COPIES", parts::DEFAULT_COPIES, parts::COPIES);
        let max_age_days = self.number("MAX_AGE_DAYS", 0, parts::DAYS);
        let verify = self.text("VERIFY_LEVEL").map(Level::to_seal_on).transpose();
        let verify = verify.map_err(|message| self.fault("VERIFY_LEVEL", message));
        let taken = Names::taken(&selectors);
        let owned = Names::owned(&prefix, &selectors);
        let ends = [
            End::of("SOURCE_REGION", &source_region, &source_url, taken),
            End::of("BACKUP_REGION", &backup_region, &backup_url, owned),
        ];
        let ends: Vec<End> = ends.into_iter().flatten().collect();
        self.refuse_overlaps(&ends, &prefix);
        let source = Source {
            region: source_region?,
            base_url: source_url?,
            selectors: selectors?,
            api_key: api_key?,
        };
        let region = backup_region?;
        let target = Target {
            name: region.clone(),
            region,
            base_url: backup_url?,
            prefix: prefix?,
            retention: retention?,
            encryption,
            api_key: backup_api_key?,
        };
        Ok(Plan {
            name: "default".into(),
            source,
            targets: vec![target],
            concurrency: concurrency?,
            copies: copies?,
            skip_unchanged: SkipUnchanged::until_days_old(max_age_days?),
            verify: verify?.unwrap_or_default(),
            budget: None,
        })
    }

    fn retention(&mut self) -> Result<Policy, Reported> {
        let (days, min) = (self.days(), self.number("MIN_BACKUPS", 1, parts::MIN));
        Ok(Policy {
            days: NonZeroU32::new(days?),
            periods: Periods::default(),
            zone: TimeZone::UTC,
            min: NonZeroU32::new(min?).ok_or(Reported)?,
            hold: BTreeSet::new(),
        })
    }

    /// The recovery window; zero keeps everything. Empty keeps everything too: only an unset variable means the sample's
    /// seven days.
    fn days(&mut self) -> Result<u32, Reported> {
        let empty = |days: &str| days.trim().is_empty();
        if self.set("RETENTION_DAYS").is_some_and(empty) {
            return Ok(0);
        }
        self.number("RETENTION_DAYS", DEFAULT_DAYS, parts::DAYS)
    }

    fn backup_prefix(&mut self) -> Result<BackupPrefix, Reported> {
        let text = self.set("BACKUP_PREFIX").unwrap_or(parts::DEFAULT_PREFIX);
        BackupPrefix::parse(text)
            .map_err(|error| self.fault("BACKUP_PREFIX", format!("`{text}` {error}")))
    }

    fn region(&mut self, variable: &str) -> Result<Region, Reported> {
        let Some(region) = self.text(variable) else {
            let message = "is not set; set it to a region such as `aws-us-east-1`";
            return Err(self.fault(variable, message));
        };
        parts::region(region).map_err(|message| self.fault(variable, message))
    }

    fn selectors(&mut self) -> Result<Selectors, Reported> {
        let prefixes = self.prefixes();
        let exclusions = list(self.text("SOURCE_EXCLUDE").unwrap_or_default());
        // The globs are checked even if there are no prefixes for them.
        let selectors = Selectors::new(prefixes.clone().unwrap_or_default(), exclusions);
        let selectors = selectors.map_err(|error| {
            let message = format!("{error}; use globs such as `scratch-*`, separated by commas");
            self.fault("SOURCE_EXCLUDE", message)
        });
        prefixes.and(selectors)
    }

    fn prefixes(&mut self) -> Result<Vec<String>, Reported> {
        let Some(text) = self.text("SOURCE_PREFIX") else {
            let message = "is not set; set it to what your namespaces' names begin with, several separated by commas, or to `*` for all of them";
            return Err(self.fault("SOURCE_PREFIX", message));
        };
        let mut prefixes = list(text);
        for prefix in &mut prefixes {
            if prefix == "*" {
                prefix.clear();
            }
        }
        if prefixes.is_empty() || !prefixes.iter().all(|prefix| legal_bytes(prefix)) {
            let message = format!(
                "`{text}` is no prefix of a namespace's name; use letters, digits, `-`, `_` and `.` (or `*` alone for every namespace)"
            );
            return Err(self.fault("SOURCE_PREFIX", message));
        }
        Ok(prefixes)
    }

    fn required_key(&mut self) -> Result<KeySource, Reported> {
        self.key("TURBOPUFFER_API_KEY")?.ok_or_else(|| {
            let message = "is not set; set it to the name or ARN of the secret with the API key, or TURBOPUFFER_API_KEY to the key itself on your own machine";
            self.fault("TURBOPUFFER_API_KEY_SECRET", message)
        })
    }

    /// `{VARIABLE}` or `{VARIABLE}_SECRET`, but not both; `None` when neither is set.
    pub(super) fn key(&mut self, variable: &str) -> Result<Option<KeySource>, Reported> {
        let secret_variable = format!("{variable}_SECRET");
        for name in [variable, &secret_variable] {
            if self.set(name).is_some_and(|text| text.trim().is_empty()) {
                let message = "is set and empty; unset it, or set it to what is meant";
                return Err(self.fault(name, message));
            }
        }
        let field = self.text(&format!("{variable}_SECRET_FIELD"));
        match (self.text(variable), self.text(&secret_variable)) {
            (Some(_), Some(_)) => {
                let message =
                    format!("is set and so is {secret_variable}; unset the one that is not meant");
                Err(self.fault(variable, message))
            }
            (Some(key), None) => parts::key(key)
                .map(|key| Some(KeySource::Given(key)))
                .map_err(|message| self.fault(variable, message)),
            (None, Some(id)) => Ok(Some(KeySource::Secret {
                id: id.to_owned(),
                field: field.map(str::to_owned),
            })),
            (None, None) => Ok(None),
        }
    }

    /// Where a region is reached: a template with `{region}`, which a variable of the region's own may replace (private
    /// links).
    pub(super) fn base_url(&mut self, region: &str) -> Result<String, Reported> {
        let own = format!(
            "TURBOPUFFER_BASE_URL_{}",
            region.to_ascii_uppercase().replace('-', "_")
        );
        if let Some(url) = self.text(&own) {
            return parts::address(url, region).map_err(|message| self.fault(&own, message));
        }
        let variable = "TURBOPUFFER_BASE_URL";
        let url = self.text(variable).unwrap_or(PUBLIC_URL);
        let address =
            parts::address(url, region).map_err(|message| self.fault(variable, message))?;
        if address == url {
            let message = format!(
                "`{url}` has no {{region}} in it, so all regions would be one; write {{region}} where the region's name belongs, or set {own} for this region alone"
            );
            return Err(self.fault(variable, message));
        }
        Ok(address)
    }

    /// Where Zilliz Cloud's control plane is reached, for plans with copies in `region`.
    pub(super) fn zilliz_url(&mut self, region: &str) -> Result<String, Reported> {
        let variable = "ZILLIZ_BASE_URL";
        let url = self.text(variable);
        let url = url.unwrap_or(parts::zilliz_public_url(region));
        parts::zilliz_address(url).map_err(|message| self.fault(variable, message))
    }

    /// The variables that [`Self::base_url`] reads.
    pub(super) fn addresses(&self) -> Vec<(String, String)> {
        let of_addresses = |name: &str| name.starts_with("TURBOPUFFER_BASE_URL");
        self.environment
            .iter()
            .filter(|(name, _)| of_addresses(name))
            .cloned()
            .collect()
    }

    fn url_of(&mut self, region: &Result<Region, Reported>) -> Result<String, Reported> {
        region
            .as_ref()
            .map_err(|reported| *reported)
            .and_then(|region| self.base_url(region))
    }

    /// Where runs are remembered.
    pub(super) fn journal(&mut self) -> Result<Option<JournalUrl>, Reported> {
        let Some(text) = self.set("LIFEBOAT_JOURNAL").map(str::trim) else {
            return Ok(None);
        };
        if text.is_empty() {
            let message = "is set and empty; unset it, or set it to a place such as `s3://my-bucket/lifeboat`";
            return Err(self.fault("LIFEBOAT_JOURNAL", message));
        }
        parts::journal(text)
            .map(Some)
            .map_err(|message| self.fault("LIFEBOAT_JOURNAL", message))
    }

    /// What estimates are made with: the table in the repository, or one of the user's own.
    pub(super) fn prices(&mut self) -> Result<Prices, Reported> {
        let path = self.set("LIFEBOAT_PRICES");
        Prices::of(path).map_err(|error| self.fault("LIFEBOAT_PRICES", error.to_string()))
    }

    fn number(
        &mut self,
        variable: &str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Result<u32, Reported> {
        let Some(text) = self.text(variable) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (least, most) = range.into_inner();
            let message = format!(
                "`{text}` is not a whole number from {least} to {most}; write one, or unset it for {default}"
            );
            self.fault(variable, message)
        })
    }

    /// One plan with one target can only take its own backups for sources, or have both regions at one address.
    fn refuse_overlaps(&mut self, ends: &[End], prefix: &Result<BackupPrefix, Reported>) {
        for overlap in overlap::overlaps(ends) {
            match (overlap, prefix) {
                (Overlap::BackupsOfBackups(..), Ok(prefix)) => {
                    let prefix = prefix.as_str();
                    self.fault("SOURCE_PREFIX", format!("selects the plan's own backups, because BACKUP_REGION is SOURCE_REGION; use another region, or add `{prefix}*` and `manual-{prefix}*` to SOURCE_EXCLUDE"));
                }
                _ => {
                    let address = ends.first().and_then(|end| end.base_url.as_deref());
                    let message = format!(
                        "leads to `{}` for both regions; give each region its own address",
                        address.unwrap_or_default()
                    );
                    self.fault("TURBOPUFFER_BASE_URL", message);
                }
            }
        }
    }

    /// A misspelt `RETENTION_DAYS` would silently mean seven days.
    pub(super) fn refuse_misspelt(&mut self) {
        let environment = self.environment;
        for (name, _) in environment {
            let known = OF_THE_PLAN.iter().chain(&OF_ALL_PLANS);
            if known.clone().chain(&OTHERS).any(|known| known == name)
                || name.starts_with("TURBOPUFFER_BASE_URL_")
            {
                continue;
            }
            let near = known
                .filter(|known| known.len() > 8)
                .find(|known| misspelt(known, &name.to_ascii_uppercase()));
            if let Some(near) = near {
                self.fault(name, format!("is not read; did you mean {near}?"));
            }
        }
    }

    /// Beside a document, the variables of the plan `default` would silently do nothing.
    pub(super) fn refuse_beside_a_document(&mut self) {
        let set: Vec<&str> = OF_THE_PLAN
            .into_iter()
            .filter(|name| self.set(name).is_some())
            .collect();
        if !set.is_empty() {
            let message = format!(
                "is set, so nothing reads {}; say it in the document, and unset what is not read",
                set.join(", ")
            );
            self.fault("LIFEBOAT_CONFIG", message);
        }
    }

    /// A variable's trimmed text, if it has one.
    pub(super) fn text(&self, variable: &str) -> Option<&'a str> {
        self.set(variable)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// A variable as it is, also empty.
    pub(super) fn set(&self, variable: &str) -> Option<&'a str> {
        self.environment
            .iter()
            .find(|(name, _)| name == variable)
            .map(|(_, value)| value.as_str())
    }

    /// Remembers what is wrong; the same thing once.
    pub(super) fn fault(&mut self, place: &str, message: impl Into<String>) -> Reported {
        let fault = Fault {
            place: parts::without_keys(place.to_owned()),
            message: parts::without_keys(message.into()),
        };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        Reported
    }
}

/// Two slips of the finger away; or the name of one of ours with something behind it, which is too long for a slip.
fn misspelt(known: &str, name: &str) -> bool {
    strsim::levenshtein(known, name) <= 2
        || (known.starts_with("LIFEBOAT_") && name.starts_with(known))
}

/// The items of a list separated by commas, blanks around them taken away.
fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Class;
    use crate::plan::{Faults, Settings};

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
            .map(|fault| format!("{}: {}", fault.place, fault.message))
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
    fn copies_are_compared_by_count_unless_more_is_asked_for() {
        let level = |text| {
            let settings = read(&[("VERIFY_LEVEL", Some(text))]);
            settings.map(|settings| settings.plans[0].verify.to_string())
        };
        for (text, meant) in [
            ("", "count"),
            ("count", "count"),
            (" full ", "full"),
            ("sample:50", "sample:50"),
        ] {
            assert_eq!(level(text).unwrap(), meant);
        }
        for (text, says) in [
            ("metadata", "too little to seal"),
            ("deep", "no verification level"),
        ] {
            let said = level(text).unwrap_err().to_string();
            assert!(
                said.contains("VERIFY_LEVEL") && said.contains(says),
                "{said}"
            );
        }
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
        let variables: Vec<_> = nothing.0.iter().map(|fault| fault.place.as_str()).collect();
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
                ("SOURCE_EXCLUDE", Some("backup-*,manual-*"))
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
