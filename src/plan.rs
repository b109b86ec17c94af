//! The configuration: what is backed up, where to, and what retention asks for.
//!
//! Either five environment variables, which reproduce the vendor's sample as the plan `default` (`environment`), or a
//! TOML document with any number of plans (`document`), which `LIFEBOAT_CONFIG` holds or names. Both end in the same
//! [`Settings`]. Everything is checked before the first request, also that no plan touches another's backups (`overlap`),
//! and all faults are reported at once, each with its place, its value and the remedy.

use std::fmt;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::budget::Budget;
use crate::coverage::SkipUnchanged;
use crate::journal::JournalUrl;
use crate::name::{BackupName, BackupPrefix, Class, Namespace, ScratchName, legal_bytes};
use crate::price::Prices;
use crate::retention::Policy;
use crate::secret::KeySource;
use crate::service::Region;
use crate::verify::Level;

mod budget;
mod clusters;
mod document;
mod environment;
mod overlap;
mod parts;
mod tiers;
mod walk;

pub use clusters::{
    ClusterPlan, ClusterSelectors, CopyTarget, OnDrift, cloud_of, longest_gap_days,
    weekdays_in_words,
};
pub use tiers::Tiers;

/// Which namespaces are sources.
#[derive(Clone, Debug)]
pub struct Selectors {
    prefixes: Vec<String>,
    exclusions: Vec<String>,
    excluded: GlobSet,
}

impl Selectors {
    /// Names that begin with one of the prefixes and match none of the globs.
    fn new(prefixes: Vec<String>, exclusions: Vec<String>) -> Result<Self, globset::Error> {
        let mut excluded = GlobSetBuilder::new();
        for glob in &exclusions {
            excluded.add(Glob::new(glob)?);
        }
        Ok(Self {
            prefixes,
            exclusions,
            excluded: excluded.build()?,
        })
    }

    /// Whether a namespace is a source of the plan. The scratch of a drill is none of any plan, also not of `*`.
    #[must_use]
    pub fn selects(&self, source: &str) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| source.starts_with(prefix.as_str()))
            && !self.excluded.is_match(source)
            && !ScratchName::resembles(source)
    }

    /// The prefixes to list; an empty one stands for everything.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// The same, as far as names can begin with `prefix`, too.
    #[must_use]
    pub fn prefixes_below(&self, prefix: &str) -> Vec<String> {
        let own = self.prefixes.iter();
        own.filter_map(|own| longer(own, prefix).map(str::to_owned))
            .collect()
    }

    /// Globs of namespaces left out.
    #[must_use]
    pub fn exclusions(&self) -> &[String] {
        &self.exclusions
    }

    /// Whether some name that begins with `prefix` could be selected. In doubt it could.
    fn could_select_below(&self, prefix: &str) -> bool {
        self.prefixes
            .iter()
            .filter_map(|own| longer(own, prefix))
            .any(|beginning| !self.excludes_all_below(beginning))
    }

    /// Whether every name that begins like this is left out. Only globs such as `scratch-*` are understood.
    fn excludes_all_below(&self, beginning: &str) -> bool {
        self.exclusions.iter().any(|glob| {
            glob.strip_suffix('*')
                .is_some_and(|stem| legal_bytes(stem) && beginning.starts_with(stem))
        })
    }
}

/// The longer of two beginnings, if some name has both.
fn longer<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    if one.starts_with(other) {
        return Some(one);
    }
    other.starts_with(one).then_some(other)
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
    /// When a source that did not change is not copied again; `None` copies it every time.
    pub skip_unchanged: Option<SkipUnchanged>,
    /// How closely a copy is compared before it is sealed; `count` at the least.
    pub verify: Level,
    /// What it may cost.
    pub budget: Option<Budget>,
}

/// Everything that is configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The plans of turbopuffer, each with a name of its own, sorted by it.
    pub plans: Vec<Plan>,
    /// The plans of Zilliz Cloud, likewise; no plan of either has another's name, and there is at least one.
    pub clusters: Vec<ClusterPlan>,
    /// Where runs are remembered; without it, a run has one invocation.
    pub journal: Option<JournalUrl>,
    /// The key of the organisation that a restore leads into, when it is not the sources'.
    pub restore_key: Option<KeySource>,
    /// What estimates are made with.
    pub prices: Prices,
    /// The variables that say where regions are reached.
    addresses: Vec<(String, String)>,
}

impl Settings {
    /// Reads and checks the variables, and the document if `LIFEBOAT_CONFIG` is among them.
    ///
    /// # Errors
    /// All faults at once; then nothing may be done at all.
    pub fn from_environment(environment: &[(String, String)]) -> Result<Self, Faults> {
        let mut reader = environment::Reader::new(environment);
        reader.refuse_misspelt();
        let journal = reader.journal();
        let restore_key = reader.key("RESTORE_API_KEY");
        let prices = reader.prices();
        let settings = match reader.set("LIFEBOAT_CONFIG") {
            None => reader
                .plan()
                .and_then(|plan| Ok((vec![plan], Vec::new(), journal?))),
            Some(config) => document::settings(&mut reader, config, journal),
        };
        match (settings, restore_key, prices) {
            (Ok((plans, clusters, journal)), Ok(restore_key), Ok(prices))
                if reader.faults.is_empty() =>
            {
                Ok(Self {
                    plans,
                    clusters,
                    journal,
                    restore_key,
                    prices,
                    addresses: reader.addresses(),
                })
            }
            _ => Err(Faults(reader.faults)),
        }
    }

    /// Where any region is reached: as the plan says if it is one of its own, else as the environment says.
    ///
    /// # Errors
    /// What is wrong with the variable that says it.
    pub fn address(&self, plan: &Plan, region: &str) -> Result<String, Faults> {
        let targets = plan.targets.iter();
        let own = targets
            .map(|target| (&target.region, &target.base_url))
            .chain([(&plan.source.region, &plan.source.base_url)])
            .find(|(own, _)| *own == region);
        if let Some((_, base_url)) = own {
            return Ok(base_url.clone());
        }
        let mut reader = environment::Reader::new(&self.addresses);
        let address = reader.base_url(region);
        address.map_err(|Reported| Faults(reader.faults))
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable, or the path in the document, such as `plans.nightly.targets[0].region`.
    pub place: String,
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
            .try_for_each(|fault| write!(f, "\n  {}: {}", fault.place, fault.message))
    }
}

/// A fault has been reported instead of the value. Reading goes on, so that no fault hides another.
#[derive(Clone, Copy, Debug)]
struct Reported;

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
