//! Which backups are due, and why the others stay. Pure: no network, no clock, no side effect.
//!
//! Rules only ever keep. A backup is due when *no* reason to keep it is left, so adding a rule never deletes more, and
//! what is unknown keeps. [`plan`] looks at one source's backups in one target and answers for every one of them with
//! all its reasons; `certificate` checks each deletion again without any of this code.
//!
//! The one step that does delete more is from no rule at all, which keeps everything, to a first one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::name::{BackupName, Class};
use crate::slot::{CLOCK_MARGIN, LATEST_START, Slot};

/// What a target's retention asks to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Recovery window in days of 24 hours; `None` is no window.
    pub days: Option<NonZeroU32>,
    /// Calendar periods of which the newest sealed backup stays.
    pub periods: Periods,
    /// Where a calendar period begins and ends.
    pub zone: TimeZone,
    /// The newest sealed backups of every source that stay whatever their age, also when the source is gone.
    pub min: NonZeroU32,
    /// Names of backups that stay until they are taken off this list.
    pub hold: BTreeSet<String>,
}

/// Of how many calendar periods, the present one included, the state at the end stays; zero is no rule.
///
/// That is the newest sealed backup of the period, or, if it has none of its own, the newest one before: a source that
/// did not change is not copied again, and a failed week is best shown by the week before. Periods are counted back on the calendar
/// from now, not from the backups that exist: a day without a backup counts, and so does one that a change of zone left out.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Periods {
    /// Days.
    pub daily: u32,
    /// Weeks from Monday to Sunday (ISO 8601).
    pub weekly: u32,
    /// Months.
    pub monthly: u32,
    /// Years.
    pub yearly: u32,
}

impl Policy {
    /// Whether there is no rule that could ever let a backup go. `min` and `hold` alone are no rules: they say what
    /// must stay, not that anything else may go.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.days.is_none() && self.periods == Periods::default()
    }

    /// How long ago a backup must have been superseded to leave the recovery window; `None` without one. It is longer
    /// than the window itself by the clock margin, so that clocks that agree can't disagree about what is due.
    fn window(&self) -> Option<SignedDuration> {
        let days = i64::from(self.days?.get());
        Some(SignedDuration::from_hours(24 * days) + CLOCK_MARGIN)
    }

    /// The date in the policy's zone.
    fn date(&self, instant: Timestamp) -> Date {
        self.zone.to_datetime(instant).date()
    }
}

/// A length of calendar time of which the newest sealed backup may stay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Daily,
    /// A week, Monday to Sunday.
    Weekly,
    /// A month.
    Monthly,
    /// A year.
    Yearly,
}

impl Period {
    /// The first day of the period that `date` lies in, which stands for the period.
    pub(crate) fn first_day(self, date: Date) -> Date {
        match self {
            Self::Daily => date,
            Self::Weekly => {
                let since_monday = date.weekday().to_monday_zero_offset();
                date.saturating_sub(Span::new().days(since_monday))
            }
            Self::Monthly => date.first_of_month(),
            Self::Yearly => date.first_of_year(),
        }
    }

    /// The first day of the oldest of `count` periods (at least one), the last of which holds `date`. If the calendar
    /// does not reach back that far, all that it holds is kept.
    fn oldest_kept(self, date: Date, count: NonZeroU32) -> Date {
        let earlier = i64::from(count.get()) - 1;
        let span = match self {
            Self::Daily => Span::new().try_days(earlier),
            Self::Weekly => Span::new().try_weeks(earlier),
            Self::Monthly => Span::new().try_months(earlier),
            Self::Yearly => Span::new().try_years(earlier),
        };
        span.and_then(|span| self.first_day(date).checked_sub(span))
            .unwrap_or(Date::MIN)
    }

    /// How people and the ISO call the period that begins on `first_day`.
    pub(crate) fn label(self, first_day: Date) -> String {
        match self {
            Self::Daily => first_day.to_string(),
            Self::Weekly => {
                let week = first_day.iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Self::Monthly => format!("{:04}-{:02}", first_day.year(), first_day.month()),
            Self::Yearly => format!("{:04}", first_day.year()),
        }
    }
}

impl fmt::Display for Period {
    /// The noun: day, week, month, year.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daily => "day",
            Self::Weekly => "week",
            Self::Monthly => "month",
            Self::Yearly => "year",
        })
    }
}

/// What the service itself says of a backup, from its metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// When the service created the namespace.
    pub created_at: Timestamp,
    /// Whether it is read-only, which only a verified backup becomes.
    pub sealed: bool,
}

/// A namespace whose name reads as a backup of one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Its name.
    pub name: BackupName,
    /// What the service says of it; `None` while nobody has asked.
    pub evidence: Option<Evidence>,
}

/// Why a backup stays.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Keep {
    /// The plan has no rule that would ever let a backup go.
    NoRetention,
    /// Made by hand; kept for ever.
    Manual,
    /// Its slot lies in the future: some clock was wrong, so its age can't be judged.
    FutureSlot,
    /// The service created it at a time that its name can't explain: it is not one of ours.
    NotOurs {
        /// When the service created it.
        created_at: Timestamp,
    },
    /// Never verified, so it may be anything, and counts for nothing.
    Unsealed,
    /// Nobody asked the service about it, because it is not due whatever the answer.
    NotAsked,
    /// The plan's `hold` names it.
    Held,
    /// One of the newest sealed backups of its source.
    Floor {
        /// How many of them stay.
        min: NonZeroU32,
    },
    /// Needed to return to an instant inside the recovery window.
    Window {
        /// When it leaves the window, if a newer sealed backup has superseded it.
        until: Option<Timestamp>,
    },
    /// The newest sealed backup as of the end of a calendar period that is kept.
    Period {
        /// How long the period is.
        period: Period,
        /// Which one, in the plan's zone: `2026-11-21`, `2026-W47`, `2026-11` or `2026`.
        of: String,
    },
    /// The newest backup of its source is not known to be sealed, so nothing of that source is deleted.
    NewestUnsealed,
    /// The source no longer exists. Without it no new backup can take an old one's place, so all of them stay.
    SourceGone,
    /// A dry run: the run would make and seal it.
    Planned,
    /// This run did not end with a sealed backup of the source, so nothing of that source is deleted.
    JobNotSealed,
    /// A restore reads it.
    BeingRestored {
        /// Which one, in the journal's name for it.
        restore: String,
    },
}

impl Keep {
    /// Whether it is a rule of the policy, which time and newer backups end.
    #[must_use]
    pub fn is_a_rule(&self) -> bool {
        matches!(
            self,
            Self::NotAsked | Self::Floor { .. } | Self::Window { .. } | Self::Period { .. }
        )
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRetention => f.write_str("the plan keeps everything"),
            Self::Manual => f.write_str("made by hand, kept for ever"),
            Self::FutureSlot => f.write_str("its slot lies in the future"),
            Self::NotOurs { created_at } => write!(
                f,
                "not ours: created {created_at:.0}, which its name can't explain"
            ),
            Self::Unsealed => f.write_str("never verified (unsealed)"),
            Self::NotAsked => f.write_str("not asked about: not due whatever the answer"),
            Self::Held => f.write_str("held by the plan"),
            Self::Floor { min } => write!(f, "among the {min} newest sealed"),
            Self::Window { until: Some(until) } => {
                write!(f, "inside the recovery window until {until:.0}")
            }
            Self::Window { until: None } => {
                f.write_str("inside the recovery window: nothing has superseded it")
            }
            Self::Period { period, of } => write!(f, "the newest sealed as of the {period} {of}"),
            Self::NewestUnsealed => {
                f.write_str("the source's newest backup is not known to be sealed")
            }
            Self::SourceGone => f.write_str("its source no longer exists"),
            Self::Planned => f.write_str("to be made by this run"),
            Self::JobNotSealed => f.write_str("this run did not seal a backup of the source"),
            Self::BeingRestored { restore } => write!(f, "being restored ({restore})"),
        }
    }
}

/// The newer sealed backup that made one superfluous.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Superseded {
    /// Name of the newer sealed backup.
    pub by: String,
    /// When it existed: the later of its slot and its creation.
    pub at: Timestamp,
}

/// What happens to one backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It stays, for every reason listed (at least one).
    Keep(Vec<Keep>),
    /// No rule keeps it.
    Due(Superseded),
}

/// One backup and what happens to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The backup.
    pub name: BackupName,
    /// Keep or due, with the reasons.
    pub verdict: Verdict,
}

/// Whether a backup is known to be ours and verified. Only such backups supersede others or count for a floor.
#[must_use]
pub fn good(backup: &Backup, now: Timestamp) -> bool {
    backup.evidence.is_some_and(|evidence| evidence.sealed) && disowned(backup, now).is_none()
}

/// Why a backup counts for nothing here: by hand, dated in the future, or created when its name can't explain.
fn disowned(backup: &Backup, now: Timestamp) -> Option<Keep> {
    let slot = backup.name.slot().instant();
    if backup.name.class() == Class::Manual {
        return Some(Keep::Manual);
    }
    if slot.duration_since(now) > CLOCK_MARGIN {
        return Some(Keep::FutureSlot);
    }
    let created_at = backup.evidence?.created_at;
    let lag = created_at.duration_since(slot);
    let explained = (-CLOCK_MARGIN..=LATEST_START).contains(&lag);
    (!explained).then_some(Keep::NotOurs { created_at })
}

/// The later of a backup's slot and its creation: before it, nobody could have restored from this backup.
fn usable_since(backup: &Backup) -> Timestamp {
    let slot = backup.name.slot().instant();
    backup
        .evidence
        .map_or(slot, |evidence| slot.max(evidence.created_at))
}

/// A policy at one instant: where its window and the calendar periods that it keeps begin just then.
struct Rules<'a> {
    policy: &'a Policy,
    now: Timestamp,
    /// Before this instant a backup must have been superseded to have left the recovery window.
    window_start: Option<Timestamp>,
    /// The first day of the oldest period that each rule keeps.
    oldest_kept: Vec<(Period, Date)>,
}

/// A calendar period by its length and its first day.
type Of = (Period, Date);

impl<'a> Rules<'a> {
    fn at(policy: &'a Policy, now: Timestamp) -> Self {
        let before = |length: SignedDuration| now.saturating_sub(length).unwrap_or(Timestamp::MIN);
        // The earlier of both dates is nearly always the one before the margin; but Newfoundland used to set its
        // clocks back at one minute past midnight, into the day before.
        let today = policy.date(before(CLOCK_MARGIN)).min(policy.date(now));
        let periods = policy.periods;
        let counts = [
            (Period::Daily, periods.daily),
            (Period::Weekly, periods.weekly),
            (Period::Monthly, periods.monthly),
            (Period::Yearly, periods.yearly),
        ];
        let oldest = |(period, count): (Period, u32)| {
            Some((period, period.oldest_kept(today, NonZeroU32::new(count)?)))
        };
        Self {
            policy,
            now,
            window_start: policy.window().map(before),
            oldest_kept: counts.into_iter().filter_map(oldest).collect(),
        }
    }

    /// The kept period that a slot counts for, by each rule: its own, or the oldest one kept, whose state is that of the
    /// newest backup before it when it has none. A slot just ahead of the local clock may lie in the next one; it counts.
    fn kept_periods(&self, slot: Slot) -> Vec<Of> {
        if self.oldest_kept.is_empty() {
            return Vec::new();
        }
        let date = self.policy.date(slot.instant());
        let of = |(period, oldest): &Of| (*period, period.first_day(date).max(*oldest));
        self.oldest_kept.iter().map(of).collect()
    }

    fn holds(&self, backup: &Backup) -> bool {
        let hold = &self.policy.hold;
        !hold.is_empty() && hold.contains(backup.name.namespace().as_str())
    }

    /// Every reason to keep one backup, given the good ones that are newer, the next of which is `successor`.
    fn reasons(&self, backup: &Backup, newer: &Met, successor: Option<&Backup>) -> Vec<Keep> {
        let mut reasons = Vec::new();
        reasons.extend(disowned(backup, self.now));
        match backup.evidence {
            None => reasons.push(Keep::NotAsked),
            Some(evidence) if !evidence.sealed => reasons.push(Keep::Unsealed),
            Some(_) => {}
        }
        if self.holds(backup) {
            reasons.push(Keep::Held);
        }
        let min = self.policy.min;
        if newer.count < min.get() && good(backup, self.now) {
            reasons.push(Keep::Floor { min });
        }
        if self.policy.keeps_everything() {
            reasons.push(Keep::NoRetention);
        }
        reasons.extend(self.inside_window(successor));
        if good(backup, self.now) {
            reasons.extend(self.newest_of_periods(backup, newer));
        }
        reasons
    }

    fn inside_window(&self, successor: Option<&Backup>) -> Option<Keep> {
        let (length, start) = self.policy.window().zip(self.window_start)?;
        let Some(superseded) = successor.map(usable_since) else {
            return Some(Keep::Window { until: None });
        };
        let until = superseded.saturating_add(length).ok();
        (superseded >= start).then_some(Keep::Window { until })
    }

    /// The kept periods whose state a good backup is.
    fn newest_of_periods(&self, backup: &Backup, newer: &Met) -> impl Iterator<Item = Keep> {
        let periods = self.kept_periods(backup.name.slot()).into_iter();
        let newest = periods.filter(|of| !newer.oldest_of.contains_key(of));
        newest.map(|(period, first_day)| Keep::Period {
            period,
            of: period.label(first_day),
        })
    }
}

/// What a walk from the newest backup to the oldest has met so far, by index.
#[derive(Default)]
struct Met {
    count: u32,
    newest: Option<usize>,
    /// The last one met: the successor of whatever comes next.
    oldest: Option<usize>,
    /// The last one met in each kept period.
    oldest_of: BTreeMap<Of, usize>,
}

impl Met {
    fn add(&mut self, index: usize, periods: Vec<Of>) {
        self.count += 1;
        self.newest.get_or_insert(index);
        self.oldest = Some(index);
        for of in periods {
            self.oldest_of.insert(of, index);
        }
    }
}

/// Decides about every backup of one source in one target. `backups` are sorted by slot, oldest first.
#[must_use]
pub fn plan(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<Decision> {
    let rules = Rules::at(policy, now);
    let newest_unsealed = newest_owned(backups, now)
        .and_then(|index| backups.get(index))
        .is_some_and(|newest| !good(newest, now));
    let mut newer = Met::default();
    let mut decisions = Vec::with_capacity(backups.len());
    for (index, backup) in backups.iter().enumerate().rev() {
        let successor = newer.oldest.and_then(|index| backups.get(index));
        let mut reasons = rules.reasons(backup, &newer, successor);
        if newest_unsealed {
            reasons.push(Keep::NewestUnsealed);
        }
        let verdict = match successor {
            Some(by) if reasons.is_empty() => Verdict::Due(Superseded {
                by: by.name.to_string(),
                at: usable_since(by),
            }),
            _ => Verdict::Keep(reasons),
        };
        decisions.push(Decision {
            name: backup.name.clone(),
            verdict,
        });
        if good(backup, now) {
            newer.add(index, rules.kept_periods(backup.name.slot()));
        }
    }
    decisions.reverse();
    decisions
}

/// The newest backup that is ours as far as we know; what is set aside can't block or protect a source.
fn newest_owned(backups: &[Backup], now: Timestamp) -> Option<usize> {
    backups
        .iter()
        .rposition(|backup| disowned(backup, now).is_none())
}

/// Which backups the service must be asked about before [`plan`] can call any of them due, by index.
///
/// Ask, fill in the evidence, and call again until nothing is left: a source in its steady state costs a few
/// questions, not one per backup, and none about what its week or month keeps. Deciding on this evidence deletes
/// exactly what deciding on everybody's would. (It may name another [`Superseded::by`]: without a recovery window it
/// does not matter which newer backup that is, so nobody asks.)
#[must_use]
pub fn unasked(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<usize> {
    let rules = Rules::at(policy, now);
    let newest = newest_owned(backups, now);
    let newest_evidence = newest
        .and_then(|index| backups.get(index))
        .and_then(|newest| newest.evidence);
    if policy.keeps_everything() || newest_evidence.is_some_and(|evidence| !evidence.sealed) {
        return Vec::new();
    }
    let newest_unasked = newest.filter(|_| newest_evidence.is_none());
    let mut ask = BTreeSet::new();
    let mut newer = Newer::default();
    for (index, backup) in backups.iter().enumerate().rev() {
        let unsealed = backup.evidence.is_some_and(|evidence| !evidence.sealed);
        if unsealed || disowned(backup, now).is_some() {
            continue;
        }
        let periods = rules.kept_periods(backup.name.slot());
        let next = newer.next().and_then(|index| backups.get(index));
        if !rules.holds(backup) && newer.may_supersede(&rules, &periods, next) {
            if backup.evidence.is_none() {
                ask.insert(index);
            } else {
                ask.extend(newer.unsettled(&rules, &periods));
                ask.extend(newest_unasked);
            }
        }
        match backup.evidence {
            None => newer.unasked.add(index, periods),
            Some(_) => newer.good.add(index, periods),
        }
    }
    ask.into_iter().collect()
}

/// The newer backups of one: those known to be good, and those that may be, because nobody asked.
#[derive(Default)]
struct Newer {
    good: Met,
    unasked: Met,
}

impl Newer {
    /// The next newer one that may be good.
    fn next(&self) -> Option<usize> {
        let next = self.good.oldest.into_iter().chain(self.unasked.oldest);
        next.min()
    }

    /// Whether they would make the backup due if all of them were good, `next` being the next one.
    fn may_supersede(&self, rules: &Rules<'_>, periods: &[Of], next: Option<&Backup>) -> bool {
        // A backup that nobody asked about can't be usable before its slot.
        let left_window = |next| {
            rules
                .window_start
                .is_none_or(|start| usable_since(next) < start)
        };
        let may_hold =
            |of| self.good.oldest_of.contains_key(of) || self.unasked.oldest_of.contains_key(of);
        next.is_some_and(left_window)
            && self.good.count + self.unasked.count >= rules.policy.min.get()
            && periods.iter().all(may_hold)
    }

    /// Whom to ask next so that it is no longer only a possibility.
    fn unsettled(&self, rules: &Rules<'_>, periods: &[Of]) -> Vec<usize> {
        let mut ask = Vec::new();
        if rules.window_start.is_some() {
            ask.extend(
                self.unasked
                    .oldest
                    .filter(|_| self.next() == self.unasked.oldest),
            );
        }
        if self.good.count < rules.policy.min.get() {
            ask.extend(self.unasked.newest);
        }
        let unsettled = periods
            .iter()
            .filter(|of| !self.good.oldest_of.contains_key(of));
        ask.extend(unsettled.filter_map(|of| self.unasked.oldest_of.get(of)));
        ask
    }
}

/// The newer good backups that make a due one superfluous: its successor, the `min` newest, and one in every kept
/// period that it counts for. Whoever wants to prove the deletion must be shown these, and needs no others.
///
/// The successor nearly always lies in all these periods; see `Rules::at` for when it does not.
#[must_use]
pub fn vouching<'b>(
    due: &BackupName,
    backups: &'b [Backup],
    policy: &Policy,
    now: Timestamp,
) -> Vec<&'b BackupName> {
    let rules = Rules::at(policy, now);
    let newer = |backup: &&Backup| backup.name.slot() > due.slot() && good(backup, now);
    let newer: Vec<&BackupName> = backups
        .iter()
        .rev()
        .filter(newer)
        .map(|backup| &backup.name)
        .collect();
    let min = usize::try_from(policy.min.get()).unwrap_or(usize::MAX);
    let mut vouching: Vec<&BackupName> = newer.iter().take(min).copied().collect();
    vouching.extend(newer.iter().skip(min).next_back());
    for of in rules.kept_periods(due.slot()) {
        let inside = |name: &&&BackupName| rules.kept_periods(name.slot()).contains(&of);
        if !vouching.iter().any(|name| inside(&name)) {
            vouching.extend(newer.iter().find(inside));
        }
    }
    vouching
}

/// What falls due within the next `days` days of 24 hours if nothing else happens: no new backup, no deletion, no other
/// policy. Each name with the number of days until then; 0 is due already. Soonest first.
///
/// Only what is known to be sealed can fall due, so this wants everybody's evidence.
#[must_use]
pub fn falls_due(
    backups: &[Backup],
    policy: &Policy,
    now: Timestamp,
    days: u32,
) -> Vec<(BackupName, u32)> {
    let mut found: Vec<(BackupName, u32)> = Vec::new();
    for day in 0..=days {
        let later = SignedDuration::from_hours(24 * i64::from(day));
        let then = now.saturating_add(later).unwrap_or(Timestamp::MAX);
        for decision in plan(backups, policy, then) {
            let due = matches!(decision.verdict, Verdict::Due(_));
            if due && !found.iter().any(|(name, _)| *name == decision.name) {
                found.push((decision.name, day));
            }
        }
    }
    found
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "retention_properties.rs"]
mod properties;
