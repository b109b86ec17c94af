//! The last check before a DELETE, from metadata read for it a moment ago.
//!
//! A second pair of eyes: it shares no code with the planner in `retention`, nor with the codec in `name`, so that a
//! mistake in either is stopped here. It has even its own calendar: of a time zone it asks only the offset from UTC, and
//! counts days, weeks, months and years itself. A [`DeletionCertificate`] can be had from [`certify`], [`certify_discard`]
//! and [`certify_scratch`] alone, and the services' `delete` takes nothing else.

use std::cmp::Reverse;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::listing::ReadToTheEnd;

const CLOCKS_AGREE_WITHIN_SECONDS: i64 = 5 * 60;
const MADE_WITHIN_SECONDS: i64 = 7 * 24 * 60 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// What a lease must still last, so that the DELETE has been answered before another run may begin.
const LEASE_LEFT_SECONDS: i64 = 60;
/// No copy takes as long (contract section 6), so what a drill made before that is nobody's work any more.
const NO_DRILL_TAKES_SECONDS: i64 = DAY_SECONDS;

/// The right to delete one namespace, once.
#[derive(Debug)]
pub struct DeletionCertificate {
    namespace: String,
}

impl DeletionCertificate {
    /// The namespace that may be deleted.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// One namespace as the service showed it just now.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Its name.
    pub namespace: String,
    /// When the service created it.
    pub created_at: Timestamp,
    /// The seal.
    pub read_only: bool,
    /// The `Date` of the service's answer.
    pub answered_at: Option<Timestamp>,
}

/// What is claimed: that `candidate` is due under the plan, and these siblings show it.
pub struct Claim<'a> {
    /// The backup to delete.
    pub candidate: &'a Witness,
    /// Backups of the same source, read just now; those that are no proof count for nothing.
    pub siblings: &'a [Witness],
    /// The plan's backup prefix.
    pub prefix: &'a str,
    /// Whether the plan selects this source.
    pub selects: &'a dyn Fn(&str) -> bool,
    /// Recovery window, days of 24 hours; 0 is no such rule.
    pub window_days: u32,
    /// The last days, the present one included, of which the newest sealed backup stays, or the newest before if a day
    /// has none; 0 is no such rule.
    pub daily: u32,
    /// The same for weeks, Monday to Sunday.
    pub weekly: u32,
    /// The same for months.
    pub monthly: u32,
    /// The same for years.
    pub yearly: u32,
    /// Where these begin and end.
    pub zone: &'a TimeZone,
    /// Sealed backups of the source that must remain; at least one does.
    pub min: u32,
    /// Whether the plan holds the backup of this name.
    pub held: &'a dyn Fn(&str) -> bool,
    /// Whether a restore holds the backup, read just now; `None` when it could not be read.
    pub being_restored: Option<bool>,
    /// What keeps other runs of the plan away.
    pub lease: Lease,
    /// The proof that the listing of backups was read to its end, without repeats. Nothing else makes one, so having it is
    /// the whole check.
    pub listing: &'a ReadToTheEnd,
    /// The local clock.
    pub now: Timestamp,
}

/// A run's exclusive hold on its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// There is no journal, so there are no leases.
    NoJournal,
    /// It was lost, or its holder knows that it ends within a minute.
    Lost,
    /// Ours between these instants, by whatever clock: both the local one and the service's must lie there.
    Ours {
        /// When the lease ends that this one took the place of, unless its holder had given it back; else long ago.
        from: Timestamp,
        /// When it ends.
        until: Timestamp,
    },
}

/// Why a deletion was refused. The backup stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The service's answer has no date, or another one than the local clock.
    #[error(
        "the local clock and the service's differ by more than five minutes, or the service did not say its time, or took minutes to answer"
    )]
    ClocksDisagree,
    /// Another run of the plan may have begun, or may begin before the deletion has ended.
    #[error("the run's lease has ended, or ends within a minute")]
    LeaseLost,
    /// The lease was taken over from a run that may, by another clock, still be at work.
    #[error(
        "another run had the lease before, and by the service's clock that has not ended yet; the next run decides"
    )]
    EarlierLeaseLasts,
    /// Neither a recovery window nor calendar periods: nothing may go.
    #[error("the plan has no rule by which a backup could go")]
    NoRule,
    /// Made by hand.
    #[error("it was made by hand")]
    Manual,
    /// The plan's `hold` names it.
    #[error("the plan holds it")]
    Held,
    /// A restore reads it.
    #[error("it is being restored")]
    BeingRestored,
    /// The journal did not say what restores hold.
    #[error("the journal can't be read, so it may be being restored")]
    HoldsUnread,
    /// The name is not exactly prefix, source, hyphen, ten digits.
    #[error("the name is not a backup of this plan")]
    NotABackupName,
    /// The plan does not select the source.
    #[error("the plan does not select its source")]
    NotSelected,
    /// Creation and slot do not belong together.
    #[error("the service created it at a time its name can't explain")]
    NotOurs,
    /// Never verified, or unsealed since.
    #[error("it is not sealed")]
    Unsealed,
    /// The newest backup of the source is not sealed, or it is in doubt.
    #[error("the newest backup of its source is not sealed")]
    NewestUnsealed,
    /// No sealed backup superseded it, or not before the recovery window began.
    #[error("no newer sealed backup superseded it before the recovery window")]
    NotSuperseded,
    /// Too few newer sealed backups would remain.
    #[error("too few newer sealed backups would remain")]
    BelowFloor,
    /// Discarding is by name, and this is another one.
    #[error("another backup was named")]
    NotNamed,
    /// It was to be discarded, and nothing newer would remain.
    #[error(
        "it is the newest sealed backup of its source in this target, which can't be discarded: back the source up again first, or unfreeze and delete it by hand"
    )]
    NewestSealed,
    /// Nothing newer shows the state of a day, week, month or year that is kept.
    #[error("it is the newest sealed backup as of a calendar period that the plan keeps")]
    NewestOfPeriod,
    /// No drill of this plan gives such a name, or not to the copy of this backup.
    #[error("its name is none that a drill of this plan gives")]
    NotAScratch,
    /// A scratch inherits its backup's flag, and nobody but its new owner takes it away.
    #[error("it can be written, so somebody may have taken it over")]
    TakenOver,
    /// It may still be being drilled.
    #[error(
        "the drill that made it may still be at work: it is open in the journal, or the journal can't be read, or the scratch is younger than a day"
    )]
    BeingDrilled,
}

/// Checks the claim. Whatever it can't prove from the witnesses is a refusal.
pub fn certify(claim: &Claim<'_>) -> Result<DeletionCertificate, Refusal> {
    let today =
        agreed_time(claim.now, claim.candidate.answered_at).ok_or(Refusal::ClocksDisagree)?;
    alone(claim.lease, claim.now, claim.candidate)?;
    if claim.window_days == 0 && period_counts(claim) == [0; 4] {
        return Err(Refusal::NoRule);
    }
    let (source, slot) = deletable(claim)?;
    let newer = newer_siblings(claim, source, slot);
    if newer.last().is_some_and(|newest| !newest.sealed) {
        return Err(Refusal::NewestUnsealed);
    }
    let sealed: Vec<&Newer> = newer.iter().filter(|newer| newer.sealed).collect();
    let successor = sealed.first().ok_or(Refusal::NotSuperseded)?;
    if claim.window_days > 0 && !outside_window(successor.existed, claim.window_days, today) {
        return Err(Refusal::NotSuperseded);
    }
    if sealed.len() < usize::try_from(claim.min.max(1)).unwrap_or(usize::MAX) {
        return Err(Refusal::BelowFloor);
    }
    if newest_of_a_kept_period(claim, slot, &sealed, today) {
        return Err(Refusal::NewestOfPeriod);
    }
    Ok(DeletionCertificate {
        namespace: claim.candidate.namespace.clone(),
    })
}

/// What is claimed: that a person named `candidate` in full, and that it can be spared.
pub struct DiscardClaim<'a> {
    /// What the person wrote.
    pub named: &'a str,
    /// The backup to delete.
    pub candidate: &'a Witness,
    /// Every other backup of the same source, read just now.
    pub siblings: &'a [Witness],
    /// The plan's backup prefix.
    pub prefix: &'a str,
    /// Whether the plan selects this source.
    pub selects: &'a dyn Fn(&str) -> bool,
    /// Whether the plan holds the backup of this name. Whether a restore holds it, the caller has looked before.
    pub held: &'a dyn Fn(&str) -> bool,
    /// What keeps runs of the plan away.
    pub lease: Lease,
    /// The proof that the listing of backups was read to its end, without repeats. Nothing else makes one, so having it is
    /// the whole check.
    pub listing: &'a ReadToTheEnd,
    /// The local clock.
    pub now: Timestamp,
}

/// Checks the claim of a person: any backup of the plan may go, scheduled or manual, sealed or not, that is not the newest
/// sealed one of its source. Whatever can't be proven from the witnesses is a refusal.
pub fn certify_discard(claim: &DiscardClaim<'_>) -> Result<DeletionCertificate, Refusal> {
    let candidate = claim.candidate;
    if agreed_time(claim.now, candidate.answered_at).is_none() {
        return Err(Refusal::ClocksDisagree);
    }
    alone(claim.lease, claim.now, candidate)?;
    if claim.named != candidate.namespace {
        return Err(Refusal::NotNamed);
    }
    if (claim.held)(&candidate.namespace) {
        return Err(Refusal::Held);
    }
    let (class, source, slot) =
        read_any(claim.prefix, &candidate.namespace).ok_or(Refusal::NotABackupName)?;
    if !(claim.selects)(source) {
        return Err(Refusal::NotSelected);
    }
    if !made_for(slot, candidate.created_at) {
        return Err(Refusal::NotOurs);
    }
    let latest = claim.now.as_second() + CLOCKS_AGREE_WITHIN_SECONDS;
    let newer_and_sealed = |sibling: &Witness| {
        let Some((other, of, at)) = read_any(claim.prefix, &sibling.namespace) else {
            return false;
        };
        // What retention keeps for the newest scheduled backup is not made up for by a manual one.
        let as_good = other == class || class == MadeBy::Hand;
        let newer = of == source && at > slot && at <= latest && as_good;
        let believed = agreed_time(claim.now, sibling.answered_at).is_some();
        newer && sibling.read_only && made_for(at, sibling.created_at) && believed
    };
    if candidate.read_only && !claim.siblings.iter().any(newer_and_sealed) {
        return Err(Refusal::NewestSealed);
    }
    Ok(DeletionCertificate {
        namespace: candidate.namespace.clone(),
    })
}

/// What is claimed: that `candidate` is a scratch namespace that a drill of the plan made, and that the drill is over.
pub struct ScratchClaim<'a> {
    /// The namespace to delete.
    pub candidate: &'a Witness,
    /// The plan whose drill it was.
    pub plan: &'a str,
    /// Who says what it is.
    pub word: ScratchWord<'a>,
    /// What keeps other drills of the plan away.
    pub lease: Lease,
    /// The local clock.
    pub now: Timestamp,
}

/// Who says that a namespace is a scratch whose drill is over.
#[derive(Clone, Copy, Debug)]
pub enum ScratchWord<'a> {
    /// This drill itself, now or in the journal: it is its copy of the backup of this name.
    Ours(&'a str),
    /// Nobody but its name, and whether an open drill names it, read just now; `None` when that could not be read.
    Left {
        /// Whether it is.
        open: Option<bool>,
    },
}

/// Checks the claim: the name with its check, the creation, the flag that a copy of a sealed backup is born with, and that
/// nobody drills it any more. A scratch holds only what its backup also holds.
pub fn certify_scratch(claim: &ScratchClaim<'_>) -> Result<DeletionCertificate, Refusal> {
    let candidate = claim.candidate;
    let today = agreed_time(claim.now, candidate.answered_at).ok_or(Refusal::ClocksDisagree)?;
    alone(claim.lease, claim.now, candidate)?;
    let (slot, tag) = read_scratch(claim.plan, &candidate.namespace).ok_or(Refusal::NotAScratch)?;
    if !made_for(slot, candidate.created_at) {
        return Err(Refusal::NotOurs);
    }
    if !candidate.read_only {
        return Err(Refusal::TakenOver);
    }
    match claim.word {
        ScratchWord::Ours(backup) if tag != half_bytes(backup, tag.len()) => {
            return Err(Refusal::NotAScratch);
        }
        ScratchWord::Ours(_) => {}
        ScratchWord::Left { open } => {
            let age = today.duration_since(candidate.created_at);
            let over = age > SignedDuration::from_secs(NO_DRILL_TAKES_SECONDS);
            if open != Some(false) || !over {
                return Err(Refusal::BeingDrilled);
            }
        }
    }
    Ok(DeletionCertificate {
        namespace: candidate.namespace.clone(),
    })
}

/// Slot of a scratch and the letters that stand for its backup, if its last eight letters vouch for the rest.
fn read_scratch<'a>(plan: &str, name: &'a str) -> Option<(i64, &'a str)> {
    let (rest, letters) = name.rsplit_once('-')?;
    let (begin, digits) = rest.rsplit_once('-')?;
    let ten_digits = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (tag, check) = letters.split_at_checked(12)?;
    let vouched = name.strip_suffix(check)?;
    let exact = begin == "lifeboat-drill" && ten_digits && check.len() == 8;
    let ours = exact && check == half_bytes(&format!("{plan}\n{vouched}"), 8);
    ours.then_some((digits.parse().ok()?, tag))
}

/// The first half-bytes of a text's SHA-256, 0 as `a` and 15 as `p`.
fn half_bytes(text: &str, count: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let half = |at: usize| {
        let byte = digest.get(at / 2).copied().unwrap_or_default();
        let half = [byte / 16, byte % 16].into_iter().nth(at % 2);
        char::from(b'a' + half.unwrap_or_default())
    };
    (0..count).map(half).collect()
}

/// Who had a backup made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MadeBy {
    Schedule,
    Hand,
}

/// Class, source and slot of a backup of either class.
fn read_any<'a>(prefix: &str, name: &'a str) -> Option<(MadeBy, &'a str, i64)> {
    let (class, rest) = match name.strip_prefix("manual-") {
        Some(rest) => (MadeBy::Hand, rest),
        None => (MadeBy::Schedule, name),
    };
    let (source, slot) = read_name(prefix, rest)?;
    Some((class, source, slot))
}

/// Source and slot of the candidate, if it is a sealed backup of this plan that nobody asked to keep.
fn deletable<'a>(claim: &Claim<'a>) -> Result<(&'a str, i64), Refusal> {
    let candidate = claim.candidate;
    if candidate.namespace.starts_with("manual-") {
        return Err(Refusal::Manual);
    }
    if (claim.held)(&candidate.namespace) {
        return Err(Refusal::Held);
    }
    match claim.being_restored {
        Some(false) => {}
        Some(true) => return Err(Refusal::BeingRestored),
        None => return Err(Refusal::HoldsUnread),
    }
    let (source, slot) =
        read_name(claim.prefix, &candidate.namespace).ok_or(Refusal::NotABackupName)?;
    if !(claim.selects)(source) {
        return Err(Refusal::NotSelected);
    }
    if !made_for(slot, candidate.created_at) {
        return Err(Refusal::NotOurs);
    }
    if !candidate.read_only {
        return Err(Refusal::Unsealed);
    }
    Ok((source, slot))
}

/// The earlier of both clocks, if they agree: the one under which less is due.
fn agreed_time(local: Timestamp, service: Option<Timestamp>) -> Option<Timestamp> {
    let service = service?;
    let apart = local.duration_since(service).abs();
    let agree = apart <= SignedDuration::from_secs(CLOCKS_AGREE_WITHIN_SECONDS);
    agree.then_some(local.min(service))
}

/// Whether no other run of the plan may delete now. Two machines' clocks may be ten minutes apart, though each agrees with the
/// service's; so a lease counts by the service's clock too, which is the same for both.
fn alone(lease: Lease, now: Timestamp, candidate: &Witness) -> Result<(), Refusal> {
    let (from, until) = match lease {
        Lease::NoJournal => return Ok(()),
        Lease::Lost => return Err(Refusal::LeaseLost),
        Lease::Ours { from, until } => (from, until),
    };
    let service = candidate.answered_at.ok_or(Refusal::ClocksDisagree)?;
    let left = until.duration_since(now.max(service));
    if left < SignedDuration::from_secs(LEASE_LEFT_SECONDS) {
        return Err(Refusal::LeaseLost);
    }
    if from > now.min(service) {
        return Err(Refusal::EarlierLeaseLasts);
    }
    Ok(())
}

fn outside_window(existed: Timestamp, days: u32, today: Timestamp) -> bool {
    let window = SignedDuration::from_secs(i64::from(days) * DAY_SECONDS);
    today.duration_since(existed) > window
}

/// Source and slot, read from the end of the name backwards.
fn read_name<'a>(prefix: &str, name: &'a str) -> Option<(&'a str, i64)> {
    let mut slot = 0;
    let mut power = 1;
    let mut bytes = name.bytes().rev();
    for _ in 0..10 {
        let digit = bytes.next().filter(u8::is_ascii_digit)?;
        slot += i64::from(digit - b'0') * power;
        power *= 10;
    }
    bytes.next().filter(|byte| *byte == b'-')?;
    let source = name.get(prefix.len()..name.len() - 11)?;
    let ours = !prefix.is_empty() && !source.is_empty() && name.starts_with(prefix);
    ours.then_some((source, slot))
}

/// Whether a copy for `slot` could have been created at `created_at`.
fn made_for(slot: i64, created_at: Timestamp) -> bool {
    let earliest = Timestamp::from_second(slot - CLOCKS_AGREE_WITHIN_SECONDS);
    let latest = Timestamp::from_second(slot + MADE_WITHIN_SECONDS);
    earliest.is_ok_and(|earliest| earliest <= created_at)
        && latest.is_ok_and(|latest| created_at <= latest)
}

/// A newer backup of the candidate's source.
struct Newer {
    slot: i64,
    /// Since when it has existed: the later of its slot and its creation.
    existed: Timestamp,
    /// Sealed, by an answer whose time we believe.
    sealed: bool,
}

/// The distinct newer siblings of the same source that are ours, oldest first. Of two answers about one backup the
/// worse counts.
fn newer_siblings(claim: &Claim<'_>, source: &str, slot: i64) -> Vec<Newer> {
    let latest = claim.now.as_second() + CLOCKS_AGREE_WITHIN_SECONDS;
    let read = |sibling: &Witness| {
        let (of, at) = read_name(claim.prefix, &sibling.namespace)?;
        let ours = of == source && at > slot && at <= latest && made_for(at, sibling.created_at);
        let scheduled = Timestamp::from_second(at).ok()?;
        ours.then(|| Newer {
            slot: at,
            existed: scheduled.max(sibling.created_at),
            sealed: sibling.read_only && agreed_time(claim.now, sibling.answered_at).is_some(),
        })
    };
    let mut newer: Vec<Newer> = claim.siblings.iter().filter_map(read).collect();
    newer.sort_unstable_by_key(|newer| (newer.slot, newer.sealed, Reverse(newer.existed)));
    newer.dedup_by_key(|newer| newer.slot);
    newer
}

fn period_counts(claim: &Claim<'_>) -> [u32; 4] {
    [claim.daily, claim.weekly, claim.monthly, claim.yearly]
}

/// Whether the slot is what some kept period is to be restored from: the newest in it, or, if it has none, before it.
fn newest_of_a_kept_period(
    claim: &Claim<'_>,
    slot: i64,
    newer: &[&Newer],
    today: Timestamp,
) -> bool {
    let of = |second| calendar(claim.zone, second);
    let newer: Vec<_> = newer.iter().map(|newer| of(newer.slot)).collect();
    let periods = period_counts(claim)
        .into_iter()
        .zip(of(slot))
        .zip(of(today.as_second()));
    for (index, ((count, period), present)) in periods.enumerate() {
        let oldest_kept = present - i64::from(count) + 1;
        // Something newer that is no younger than this can show the same period's state in its place.
        let last = period.max(oldest_kept);
        let replaced = newer
            .iter()
            .any(|newer| newer.get(index).is_some_and(|newer| *newer <= last));
        if count > 0 && !replaced {
            return true;
        }
    }
    false
}

/// The local day, week, month and year of a Unix second, each as a number that grows by one.
fn calendar(zone: &TimeZone, second: i64) -> [i64; 4] {
    // Ten digits of seconds lie inside what a Timestamp holds, so the fallback is never taken.
    let instant = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    let offset = i64::from(zone.to_offset(instant).seconds());
    let day = (second + offset).div_euclid(DAY_SECONDS);
    // Day 0, the first of 1970, was a Thursday; weeks begin on Mondays.
    let week = (day + 3).div_euclid(7);
    let (year, month) = year_and_month(day);
    [day, week, year * 12 + month, year]
}

/// The Gregorian year and month (1 to 12) of the days since 1970-01-01.
///
/// Years are taken to begin in March, so that the leap day comes last and months lengths repeat; 400 such years always
/// have 146,097 days.
fn year_and_month(day: i64) -> (i64, i64) {
    let since = day + 719_468; // 0000-03-01
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153; // from March
    let year = era * 400 + year_of_era;
    if month < 10 {
        (year, month + 3)
    } else {
        (year + 1, month - 9)
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
