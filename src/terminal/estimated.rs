//! What a person sees of an estimate: a line for each target, and what it rests on.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::Cell;
use indicatif::HumanDuration;

use super::screen::{Table, count};
use super::{bytes, table};
use crate::budget::{Judged, State};
use crate::estimate::{Estimated, PlanEstimate};
use crate::price::Between;
use crate::zilliz::estimate::{ByHandEstimate, ClusterEstimate, RegionEstimate, TiersInRegion};

/// Writes the estimate for a reader.
pub fn write_estimate(out: &mut impl Write, estimated: &Estimated) -> io::Result<()> {
    for plan in &estimated.plans {
        write_plan(out, plan)?;
    }
    for plan in &estimated.clusters {
        write_cluster_plan(out, plan)?;
    }
    if !estimated.clusters.is_empty() {
        writeln!(
            out,
            "Clusters of Zilliz Cloud are taken to keep the size of their newest backups. Prices as of {}.",
            estimated.prices_as_of
        )?;
    }
    if !estimated.plans.is_empty() {
        writeln!(
            out,
            "Sizes are the service's own estimates, and sources are taken to go on growing and changing as they did since\n\
             their older backups. Prices as of {}; LIFEBOAT_PRICES names a table of yours.",
            estimated.prices_as_of
        )?;
    }
    for failure in &estimated.failures {
        writeln!(out, "failed: {failure}")?;
    }
    Ok(())
}

/// Writes what the next nights of one plan will bring.
pub(super) fn write_plan(out: &mut impl Write, plan: &PlanEstimate) -> io::Result<()> {
    writeln!(
        out,
        "Plan `{}`: {}, {}\n",
        plan.plan,
        count(plan.sources, "source", "sources"),
        bytes(plan.source_bytes)
    )?;
    let mut table = table(&[
        "target",
        "tonight",
        "takes about",
        "in 30 nights",
        "kept",
        "copying",
        "sending",
        "keeping",
        "comparing",
        "total",
    ]);
    for target in &plan.targets {
        let (tonight, month) = (target.tonight, target.month);
        let copies = |copies, of| format!("{copies} copies, {}", bytes(of));
        let takes = HumanDuration(Duration::from_secs(tonight.seconds));
        table.add_row([
            Cell::new(&target.target),
            Cell::new(copies(tonight.copies, tonight.bytes)),
            Cell::new(takes),
            Cell::new(copies(month.copies, month.copied_bytes)),
            Cell::new(bytes(month.stored_bytes)),
            Cell::new(money(month.copying)),
            Cell::new(money(month.sending)),
            Cell::new(money(month.storing)),
            Cell::new(money(month.comparing)),
            Cell::new(money(month.total)),
        ]);
    }
    writeln!(out, "{table}\n")?;
    write_total(out, "In all", plan.total, plan.budget.as_ref())
}

/// What all targets cost together, and what that is to the budget.
fn write_total(
    out: &mut impl Write,
    what: &str,
    total: Option<Between>,
    budget: Option<&Judged>,
) -> io::Result<()> {
    writeln!(out, "{what}: {}", money(total))?;
    budget.map_or(Ok(()), |judged| write_budget(out, judged))?;
    writeln!(out)
}

/// Writes what a budget allows and what is expected.
pub(super) fn write_budget(out: &mut impl Write, judged: &Judged) -> io::Result<()> {
    let limits = [("soft", judged.soft), ("hard", judged.hard)];
    let limits = limits
        .iter()
        .filter_map(|(word, limit)| Some(format!("{word} {}", (*limit)?)));
    let limits: Vec<String> = limits.collect();
    let state = match judged.state {
        State::Within => "within it",
        State::OverSoft => "more than the soft one, so it is warned of",
        State::PerhapsOverHard => "perhaps more than the hard one; copies go on",
        State::OverHard => "more than the hard one, so nothing new is copied",
        State::Unknown => "can't be judged; copies go on",
    };
    writeln!(
        out,
        "  budget of thirty days: {}; expected {}: {state}",
        limits.join(", "),
        money(judged.expected)
    )
}

/// Writes what the thirty days of one plan of clusters will bring.
pub(super) fn write_cluster_plan(out: &mut impl Write, plan: &ClusterEstimate) -> io::Result<()> {
    let takes = plan.seconds.map(|seconds| {
        let takes = HumanDuration(Duration::from_secs(seconds));
        format!(", the largest made in about {takes}")
    });
    writeln!(
        out,
        "Plan `{}` on Zilliz Cloud: {}, {}; {} backups each in thirty days{}; how long a copy to {} takes is unknown\n",
        plan.plan,
        count(plan.clusters, "cluster", "clusters"),
        plan.bytes.map_or("of unknown size".to_owned(), bytes),
        plan.backups,
        takes.unwrap_or_default(),
        targets(plan)
    )?;
    if !plan.regions.is_empty() {
        writeln!(out, "{}\n", regions_table(&plan.regions))?;
    }
    for at in &plan.regions {
        if let Some(tiers) = &at.tiers {
            writeln!(out, "of that, tiers in {}: {}", at.region, in_words(tiers))?;
        }
    }
    if let Some(by_hand) = &plan.by_hand {
        write_by_hand(out, by_hand)?;
    }
    let what = match &plan.by_hand {
        Some(_) => "In all, without what is made by hand",
        None => "In all",
    };
    write_total(out, what, plan.total, plan.budget.as_ref())?;
    for cluster in &plan.sized_by_storage {
        writeln!(
            out,
            "in it by what it stores: {cluster} has no backup yet that tells its size"
        )?;
    }
    for cluster in &plan.refused {
        writeln!(
            out,
            "not in it: {cluster} is refused, so nothing new of it; `lifeboat check --online` says why"
        )?;
    }
    for cluster in &plan.of_unknown_size {
        writeln!(
            out,
            "not in it: {cluster} has no backup yet that tells its size, and the service does not say what it stores"
        )?;
    }
    for backup in &plan.tiers_of_unknown_size {
        writeln!(
            out,
            "not in it: the tier {backup}, whose size the service does not tell"
        )?;
    }
    if let Some(why) = &plan.tiers_unknown {
        writeln!(out, "not in it: the plan's tiers, which are unknown: {why}")?;
    }
    Ok(())
}

/// What is about to be made by hand.
fn write_by_hand(out: &mut impl Write, by_hand: &ByHandEstimate) -> io::Result<()> {
    let at_most = if by_hand.at_most {
        ", at most, because nobody knows how big collections are"
    } else {
        ""
    };
    writeln!(
        out,
        "By hand, beside that: {} backups, sent once and kept for the first thirty days for {}{at_most}; each further month costs the keeping once more\n",
        by_hand.backups,
        money(by_hand.total)
    )?;
    if by_hand.regions.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}\n", regions_table(&by_hand.regions))
}

fn regions_table(regions: &[RegionEstimate]) -> Table {
    let mut table = table(&["region", "sent", "kept", "sending", "keeping", "total"]);
    for at in regions {
        table.add_row([
            Cell::new(&at.region),
            Cell::new(bytes(at.sent_bytes)),
            Cell::new(bytes(at.stored_bytes)),
            Cell::new(money(at.sending)),
            Cell::new(money(at.storing)),
            Cell::new(money(at.total)),
        ]);
    }
    table
}

/// The regions to which something is sent.
fn targets(plan: &ClusterEstimate) -> String {
    let targets = plan.regions.iter().filter(|at| at.sent_bytes > 0);
    let targets: Vec<&str> = targets.map(|at| at.region.as_str()).collect();
    match targets.as_slice() {
        [] => "any region".to_owned(),
        targets => targets.join(", or "),
    }
}

fn in_words(tiers: &TiersInRegion) -> String {
    format!(
        "{} stand, {} will be made and {} deleted; {} sent, {} kept",
        tiers.standing,
        tiers.made,
        tiers.deleted,
        bytes(tiers.sent_bytes),
        bytes(tiers.stored_bytes)
    )
}

pub(super) fn money(amount: Option<Between>) -> String {
    amount.map_or_else(|| "unknown".to_owned(), |amount| amount.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::{Month, TargetEstimate, Tonight};
    use crate::price::MicroDollars;

    /// One cluster whose backups are copied to two regions.
    fn of_clusters() -> ClusterEstimate {
        let region = |region: &str, sent_bytes| RegionEstimate {
            region: region.into(),
            sent_bytes,
            ..RegionEstimate::default()
        };
        ClusterEstimate {
            plan: "prod".into(),
            clusters: 1,
            refused: Vec::new(),
            of_unknown_size: Vec::new(),
            sized_by_storage: Vec::new(),
            bytes: Some(1),
            backups: 30,
            seconds: Some(10),
            regions: vec![region("home", 0), region("near", 1), region("far", 1)],
            tiers_of_unknown_size: Vec::new(),
            tiers_unknown: None,
            total: None,
            by_hand: None,
            budget: None,
        }
    }

    fn shown(plan: &ClusterEstimate) -> String {
        let mut shown = Vec::new();
        write_cluster_plan(&mut shown, plan).unwrap();
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn how_long_copies_take_is_said_to_be_unknown_of_each_region_that_gets_one() {
        let shown = shown(&of_clusters());
        let unknown = "how long a copy to near, or far takes is unknown";
        assert!(shown.contains(unknown), "{shown}");
    }

    #[test]
    fn what_nobody_knows_is_not_shown_as_nothing() {
        let by_hand = ByHandEstimate {
            backups: 1,
            at_most: false,
            regions: Vec::new(),
            total: None,
        };
        let plan = ClusterEstimate {
            of_unknown_size: vec!["orders-prod".into()],
            bytes: None,
            seconds: None,
            regions: Vec::new(),
            by_hand: Some(by_hand),
            ..of_clusters()
        };
        let shown = shown(&plan);
        assert!(
            shown.contains("1 cluster, of unknown size; 30 backups each in thirty days; how long"),
            "{shown}"
        );
        assert!(
            !shown.contains('$') && !shown.contains("0 bytes"),
            "{shown}"
        );
    }

    #[test]
    fn a_sum_says_that_what_is_made_by_hand_is_not_in_it() {
        let mut plan = of_clusters();
        assert!(shown(&plan).contains("\nIn all: unknown"));
        plan.by_hand = Some(ByHandEstimate {
            backups: 1,
            at_most: false,
            regions: plan.regions.clone(),
            total: None,
        });
        let shown = shown(&plan);
        let sum = "\nIn all, without what is made by hand: unknown";
        assert!(shown.contains(sum), "{shown}");
    }

    #[test]
    fn every_part_of_the_cost_stands_under_its_name() {
        let dollars = |dollars: u64| Some(Between::exactly(MicroDollars(dollars * 1_000_000)));
        let month = Month {
            copying: dollars(1),
            sending: dollars(20),
            storing: dollars(300),
            comparing: dollars(4_000),
            total: dollars(4_321),
            ..Month::default()
        };
        let plan = PlanEstimate {
            plan: "default".into(),
            sources: 1,
            source_bytes: 1,
            targets: vec![TargetEstimate {
                target: "aws-eu-west-1".into(),
                region: "aws-eu-west-1".into(),
                backups: 0,
                tonight: Tonight::default(),
                month,
            }],
            total: month.total,
            budget: None,
        };
        let mut shown = Vec::new();
        write_plan(&mut shown, &plan).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        let line = |word: &str| {
            let line = shown.lines().find(|line| line.contains(word)).unwrap();
            line.split_whitespace().rev().take(5).collect::<Vec<_>>()
        };
        let names = ["total", "comparing", "keeping", "sending", "copying"];
        assert_eq!(line("comparing"), names, "{shown}");
        let amounts = ["$4321.00", "$4000.00", "$300.00", "$20.00", "$1.00"];
        assert_eq!(line("aws-eu-west-1"), amounts, "{shown}");
    }
}
