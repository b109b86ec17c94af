//! Asks every region of a plan, and the journal, before the first night, whether backups can work: only reads, and changes
//! nothing.
//!
//! What can't be known without writing is said to be unknown, not to be good.

pub mod journal;

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use serde::Serialize;

use crate::clock::Clock;
use crate::held_in_vain::held_in_vain;
use crate::listing::list_prefixes;
use crate::name::{BackupName, Class, Namespace};
use crate::plan::{Plan, Source, Target};
use crate::price::TurbopufferPrices;
use crate::prune::Inventory;
use crate::service::{Metadata, Service, ServiceError};
use crate::slot::Slot;

/// A namespace may be deleted between the listing and the look at it; so many in a row are not.
const MOST_LOOKS: usize = 5;

/// How good a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Unknown, or worth knowing; no backup fails for it.
    Note,
    /// Backups fail until it is put right.
    Bad,
}

/// One thing that was found out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How good it is.
    pub verdict: Verdict,
    /// The plan and its end, such as `nightly, source aws-us-east-1`.
    pub about: String,
    /// What was found, and what to do if it is bad.
    pub message: String,
}

impl Finding {
    /// The regions of a plan did not answer in the time that there was.
    #[must_use]
    pub fn out_of_time(plan: &str) -> Self {
        Self {
            verdict: Verdict::Bad,
            about: plan.to_owned(),
            message: "the regions did not answer in time; try again with more, or from a terminal"
                .to_owned(),
        }
    }
}

impl Finding {
    /// What is unknown of the prices that a plan's budget is judged with.
    #[must_use]
    pub fn of_budget(plan: &str, unknown: &[String]) -> Self {
        let (verdict, message) = if unknown.is_empty() {
            (
                Verdict::Good,
                "every price that it takes is known".to_owned(),
            )
        } else {
            let message = format!(
                "it can't be judged and stops nothing, because the price table doesn't know {}; LIFEBOAT_PRICES names a table of yours",
                unknown.join(", ")
            );
            (Verdict::Note, message)
        };
        Self {
            verdict,
            about: format!("{plan}, budget"),
            message,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Good => "ok  ",
            Verdict::Note => "note",
            Verdict::Bad => "FAIL",
        };
        write!(f, "{verdict}  {}: {}", self.about, self.message)
    }
}

/// Asks every region of one plan. `targets` are the services of its targets, in their order.
pub async fn look_at<S: Service>(
    plan: &Plan,
    source: &S,
    targets: &[S],
    clock: &Clock,
) -> Vec<Finding> {
    let looks_at_targets = plan
        .targets
        .iter()
        .zip(targets)
        .map(|(target, service)| look_at_target(plan, target, service, clock).boxed_local());
    let (mut findings, others) = join(
        look_at_source(plan, source, clock).boxed_local(),
        join_all(looks_at_targets),
    )
    .await;
    findings.extend(others.into_iter().flatten());
    findings
}

/// Whether the plan's budget can be judged, if it has one.
#[must_use]
pub fn look_at_budget(plan: &Plan, prices: &TurbopufferPrices) -> Option<Finding> {
    plan.budget?;
    let sends = plan
        .targets
        .iter()
        .any(|target| target.region != plan.source.region);
    let taken = [
        ("turbopuffer.copied_gb", prices.copied_gb, true),
        ("turbopuffer.returned_gb", prices.returned_gb, sends),
        ("turbopuffer.stored_gb_month", prices.stored_gb_month, true),
    ];
    let unknown = taken
        .iter()
        .filter(|(_, price, needed)| *needed && price.is_none())
        .map(|(place, ..)| (*place).to_owned());
    Some(Finding::of_budget(&plan.name, &unknown.collect::<Vec<_>>()))
}

/// Findings about one end of a plan, or one of its clusters.
pub(crate) struct Findings {
    about: String,
    pub(crate) all: Vec<Finding>,
}

impl Findings {
    pub(crate) fn about(about: String) -> Self {
        Self {
            about,
            all: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, verdict: Verdict, message: String) {
        self.all.push(Finding {
            verdict,
            about: self.about.clone(),
            message,
        });
    }
}

/// Everything a backup needs of its source: a complete listing, something selected, and metadata that can be read.
async fn look_at_source<S: Service>(plan: &Plan, service: &S, clock: &Clock) -> Vec<Finding> {
    let Source {
        region, selectors, ..
    } = &plan.source;
    let mut findings = Findings::about(format!("{}, source {region}", plan.name));
    let listing = match list_prefixes(service, selectors.prefixes()).await {
        Ok(listing) => listing,
        Err(error) => {
            findings.add(Verdict::Bad, error.to_string());
            return findings.all;
        }
    };
    let names = listing.names.into_iter();
    let selected: Vec<String> = names.filter(|name| selectors.selects(name)).collect();
    for prefix in selectors.prefixes() {
        if !selected.iter().any(|name| name.starts_with(prefix)) {
            findings.add(Verdict::Bad, format!("no namespace that begins with `{prefix}` is selected; check the prefixes, what is left out, the region and the key's organisation"));
        }
    }
    if !selected.is_empty() {
        let message = format!("the key lists; namespaces selected: {}", selected.len());
        findings.add(Verdict::Good, message);
    }
    let sources: Vec<Namespace> = selected
        .iter()
        .filter_map(|name| {
            let source = Namespace::parse(name);
            if source.is_none() {
                let message =
                    format!("{name:?} is listed, and is no namespace name; it can't be backed up");
                findings.add(Verdict::Bad, message);
            }
            source
        })
        .collect();
    read_one(&mut findings, service, sources.iter(), clock).await;
    for target in &plan.targets {
        refuse_long_names(&mut findings, target, &sources);
    }
    findings.all
}

/// Everything a backup needs of its target, as far as it can be known without writing.
async fn look_at_target<S: Service>(
    plan: &Plan,
    target: &Target,
    service: &S,
    clock: &Clock,
) -> Vec<Finding> {
    let place = if target.name == target.region {
        target.region.clone()
    } else {
        format!("{} ({})", target.name, target.region)
    };
    let mut findings = Findings::about(format!("{}, target {place}", plan.name));
    let prefix = target.prefix.as_str();
    let page = match service.list(prefix, None).await {
        Ok(page) => page,
        Err(error) => {
            findings.add(Verdict::Bad, format!("listing `{prefix}*` failed: {error}"));
            return findings.all;
        }
    };
    findings.add(Verdict::Good, "the key lists".into());
    let names: Vec<Namespace> = page
        .names
        .iter()
        .filter_map(|name| Namespace::parse(name))
        .collect();
    read_one(&mut findings, service, names.iter(), clock).await;
    look_for_the_held(&mut findings, plan, target, service).await;
    findings.add(Verdict::Note, "whether the key may write, seal and delete can't be tried without writing; the first backup shows it".into());
    findings.all
}

/// Whether every name in `hold` keeps what it names.
async fn look_for_the_held<S: Service>(
    findings: &mut Findings,
    plan: &Plan,
    target: &Target,
    service: &S,
) {
    let hold = &target.retention.hold;
    if hold.is_empty() {
        return;
    }
    let prefixes = plan.backup_prefixes(target, &[Class::Scheduled]);
    match list_prefixes(service, &prefixes).await {
        Ok(listing) => {
            let standing = Inventory::of(plan, target, listing);
            for message in held_in_vain(hold, &standing) {
                findings.add(Verdict::Bad, message);
            }
        }
        Err(error) => findings.add(Verdict::Bad, error.to_string()),
    }
}

/// Whether metadata can be read, of the first of the names that still exists, and whether the clocks agree.
async fn read_one<'a, S: Service>(
    findings: &mut Findings,
    service: &S,
    names: impl Iterator<Item = &'a Namespace>,
    clock: &Clock,
) {
    for name in names.take(MOST_LOOKS) {
        match service.metadata(name).await {
            Ok(Some(metadata)) => return compare_clocks(findings, &metadata, clock),
            Ok(None) => {}
            Err(error) => return unreadable(findings, name, &error),
        }
    }
    findings.add(
        Verdict::Note,
        "there is nothing to read yet, so reading and the clocks could not be tried".into(),
    );
}

fn unreadable(findings: &mut Findings, name: &Namespace, error: &ServiceError) {
    let message = format!("the metadata of `{name}` can't be read: {error}");
    findings.add(Verdict::Bad, message);
}

fn compare_clocks(findings: &mut Findings, metadata: &Metadata, clock: &Clock) {
    findings.add(Verdict::Good, "the key reads".into());
    if metadata.answered_at.is_none() {
        let message = "the answer has no date, so the clocks could not be compared";
        return findings.add(Verdict::Note, message.into());
    }
    let clock = clock.for_a_new_run();
    clock.compare(metadata.answered_at);
    let seconds = clock.worst_difference_seconds();
    if clock.agrees() {
        let message = format!(
            "the clocks agree ({} seconds apart)",
            seconds.unsigned_abs()
        );
        return findings.add(Verdict::Good, message);
    }
    let way = if seconds > 0 { "ahead of" } else { "behind" };
    findings.add(Verdict::Bad, format!(
        "the local clock is {} seconds {way} the service's, more than five minutes, so nothing would be deleted; set the clock right",
        seconds.unsigned_abs()
    ));
}

/// A backup's name is never truncated, so a source whose name leaves no room for prefix and slot is never backed up.
fn refuse_long_names(findings: &mut Findings, target: &Target, sources: &[Namespace]) {
    // All slots are of the same length.
    let Some(slot) = Slot::from_digits("0000000000") else {
        return;
    };
    for source in sources {
        if let Err(error) = BackupName::of(&target.prefix, Class::Scheduled, source, slot) {
            let message = format!("`{source}` can't be backed up to {}: {error}", target.name);
            findings.add(Verdict::Bad, message);
        }
    }
}
