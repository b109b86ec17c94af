//! What is checked of every request at the moment it was sent, and of every process when it has ended. Looking
//! changes nothing but what the history remembers.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use lifeboat::event::{Action, Request};
use lifeboat::report::{Report, TargetReport};
use lifeboat_emulator::Standing;

use super::{Ended, History};
use crate::histories::LEASE_IS_CERTIFIED;
use crate::histories::rules::{self, Policy, Scene};
use crate::world::{Asked, Asks, TARGET};

const CLOCKS_AGREE: i64 = 300;
const WEEK: i64 = 7 * rules::DAY;

impl History {
    pub(super) fn check(&mut self, before: usize, ended: &[Ended]) {
        let asked: Vec<Asked> = self.world.asked.lock().unwrap()[before..].to_vec();
        self.looked_at = before + asked.len();
        for one in &asked {
            let Some(of) = ended
                .iter()
                .find(|ended| ended.invocation == one.invocation)
            else {
                panic!("a process that had ended asked for {one:?}")
            };
            self.trace.note(&format!(
                "{} {} {:?} {} {}",
                one.at, one.invocation, one.what, one.region, one.name
            ));
            self.check_asked(one, of);
        }
        for one in ended {
            let of_this: Vec<&Asked> = asked
                .iter()
                .filter(|asked| asked.invocation == one.invocation)
                .collect();
            self.check_brake(one, &of_this, &asked);
            self.check_ended(one, &of_this, ended.len() > 1);
        }
        self.check_lease(&asked, ended);
    }

    /// The rules about one request.
    fn check_asked(&mut self, asked: &Asked, of: &Ended) {
        let request = &of.start.request;
        assert!(
            self.targets().contains(&asked.region),
            "{} was asked to change {}",
            asked.region,
            asked.name
        );
        assert!(!request.dry_run, "a dry run asked for {asked:?}");
        match asked.what {
            Asks::Copy => {
                let plain = asked.name.strip_prefix("manual-");
                assert_eq!(plain.is_some(), request.manual, "{}", asked.name);
                let (source, slot) = rules::read(plain.unwrap_or(&asked.name)).unwrap();
                assert!(rules::selected(source), "{source} was copied");
                assert!(
                    self.slots.contains(&slot),
                    "{} is of a slot that no event named",
                    asked.name
                );
                assert_ne!(request.action, Action::Prune, "a prune copied");
                let at = asked.at.as_second();
                let copy = (asked.region, asked.name.clone());
                self.copies.entry(copy).or_insert((at, at)).1 = at;
            }
            Asks::Seal => {
                let seen = asked.standing.iter().find(|seen| seen.name == asked.name);
                let made_here = self
                    .copies
                    .contains_key(&(asked.region, asked.name.clone()));
                assert!(made_here, "{} was sealed and is not ours", asked.name);
                if let Some(seen) = seen {
                    assert!(
                        !self.lies(asked.region, seen),
                        "{} was sealed with {} rows and is not what its source was, copied from {:?} on: {:?}",
                        asked.name,
                        seen.rows,
                        self.copies.get(&(asked.region, asked.name.clone())),
                        self.sources
                    );
                }
            }
            Asks::Unseal => {
                let copy = (asked.region, asked.name.clone());
                self.unsealed.insert(copy, asked.invocation);
            }
            Asks::Delete => self.check_deletion(asked, of),
        }
    }

    fn check_deletion(&mut self, asked: &Asked, of: &Ended) {
        let Some(seen) = asked.standing.iter().find(|seen| seen.name == asked.name) else {
            return; // asked once more after an answer that was lost
        };
        let apart = (of.start.skew.as_secs() - self.remote_skew).abs();
        assert!(
            apart <= CLOCKS_AGREE,
            "{} was deleted with clocks {apart} seconds apart",
            asked.name
        );
        assert!(!of.start.request.manual, "a manual run deleted");
        let days = self.worst_days.as_ref();
        assert!(
            !days.is_some_and(|days| days.needs(asked.region, &asked.name, asked.at)),
            "{} was deleted while it was being restored",
            asked.name
        );
        let standing = self.as_it_was_read(asked);
        self.check_successor(asked, &standing, of);
        if let (true, Some(gone)) = (LEASE_IS_CERTIFIED, of.start.journal_gone_after) {
            let lost = asked.at.duration_since(of.began)
                > SignedDuration::try_from(gone).unwrap() + SignedDuration::from_mins(3);
            assert!(
                !lost || self.objects.is_none(),
                "{} was deleted after its lease had ended",
                asked.name
            );
        }
        let at = self
            .targets()
            .iter()
            .position(|region| *region == asked.region);
        let policy = Policy::of(&self.world.plan.targets[at.unwrap()]);
        let region = asked.region;
        let scene = Scene {
            standing: &standing,
            policy: &policy,
            lies: &|seen| self.lies(region, seen),
            now: asked.at.as_second(),
        };
        if let Some(why) = scene.why_needed(seen) {
            panic!("{} was deleted at {} although {why}", asked.name, asked.at);
        }
        self.tally.add("deletions asked for", 1);
    }

    /// What stood when the process read it. Of two processes without a journal, one may have taken the flag of a frozen
    /// source's good copy away since, to compare it again.
    fn as_it_was_read(&self, asked: &Asked) -> Vec<Standing> {
        let mut standing = asked.standing.clone();
        for seen in &mut standing {
            let by = self.unsealed.get(&(asked.region, seen.name.clone()));
            let by_another = by.is_some_and(|by| *by != asked.invocation);
            seen.read_only |= by_another && !self.lies(asked.region, seen);
        }
        standing
    }

    /// A run deletes nothing of a source before its own backup of it is sealed.
    fn check_successor(&self, asked: &Asked, standing: &[Standing], of: &Ended) {
        let Request {
            action,
            scheduled_time,
            ..
        } = &of.start.request;
        let (Action::Backup | Action::Resume, Some(slot)) = (action, scheduled_time) else {
            return;
        };
        let (source, _) = rules::read(&asked.name).unwrap();
        let name = format!("backup-{source}-{:010}", slot.as_second());
        let sealed = |seen: &Standing| seen.name == name && seen.read_only;
        assert!(
            standing.iter().any(sealed) || self.was_deleted(&name) || self.covers(source, standing),
            "{} was deleted before {name} was sealed",
            asked.name
        );
    }

    /// The rules about a process as a whole.
    fn check_ended(&mut self, ended: &Ended, asked: &[&Asked], in_a_race: bool) {
        self.tally.add("events", 1);
        self.all_is_well.read(ended);
        let Some(answer) = &ended.answer else {
            self.tally.add("kills", 1);
            self.trace
                .note(&format!("{} {} killed", ended.until, ended.invocation));
            return;
        };
        let took = ended
            .until
            .duration_since(ended.began + SignedDuration::try_from(ended.start.after).unwrap());
        let most =
            SignedDuration::try_from(ended.start.time_left).unwrap() + SignedDuration::from_mins(3);
        assert!(took <= most, "a run took {took:#}");
        let report = match answer {
            Ok(report) => report,
            Err(refused) => {
                assert!(asked.is_empty(), "refused, and yet {asked:?}");
                assert!(!refused.to_string().contains("tpuf_test"), "{refused}");
                self.check_refused(ended);
                return self.trace.note(&refused.to_string());
            }
        };
        let text = serde_json::to_string(report).unwrap();
        assert!(!text.contains("tpuf_test"), "the key is in {text}");
        self.trace.note(&text);
        self.check_told(ended, report, asked);
        self.check_approval(ended, report, asked);
        let soundly = ended.start.skew.is_zero()
            && self.remote_skew == 0
            && !self.has_fault("clock_skew_seconds")
            && ended.start.has_a_sound_journal();
        // A process whose clock was ahead may have died and left a lease that lasts longer than any.
        let lasting = report.failures.shown.iter();
        let lasting =
            lasting.filter(|one| one.message.contains("another run had the lease before"));
        let for_lease = u64::try_from(lasting.count()).unwrap();
        assert!(
            report.pruning.refused == for_lease || in_a_race || !soundly,
            "the certificate had to stop the planner: {:#?}",
            report.failures.shown
        );
        self.tally.add(
            "near misses stopped by the certificate",
            report.pruning.refused,
        );
        self.tally.add("sealed", report.jobs.sealed);
        self.tally.add("lost answers adopted", report.jobs.adopted);
        self.tally.add("failed jobs", report.jobs.failed);
        self.tally.add("backups deleted", report.pruning.deleted);
        let braked = report
            .failures
            .shown
            .iter()
            .filter(|one| one.error == "braked");
        self.tally
            .add("lists braked", u64::try_from(braked.count()).unwrap());
    }

    /// Only a slot is ever refused here: one that is wrong by the service's clock, or that ours speaks against while the
    /// service is in trouble and can't be asked.
    fn check_refused(&self, ended: &Ended) {
        let begun = ended.began + SignedDuration::try_from(ended.start.after).unwrap();
        let slot = ended.start.request.scheduled_time.unwrap().as_second();
        let is_wrong = |now: i64| slot - now > CLOCKS_AGREE || now - slot > WEEK - CLOCKS_AGREE;
        let ours = begun.as_second() + ended.start.skew.as_secs();
        assert!(is_wrong(ours), "{slot} was refused though it is right");
        let asked = [begun, ended.until].map(|at| at.as_second() + self.remote_skew);
        assert!(
            asked.into_iter().any(is_wrong) || !self.tonight.is_empty(),
            "{slot} was refused because the local clock is off by {}",
            ended.start.skew
        );
    }

    /// More than a night explains and more than a quarter needs a person.
    fn check_brake(&self, ended: &Ended, asked: &[&Asked], of_all: &[Asked]) {
        for region in self.targets() {
            let of = |what: Asks| {
                let names = asked
                    .iter()
                    .filter(|asked| asked.region == region && asked.what == what);
                names
                    .map(|asked| &asked.name)
                    .collect::<BTreeSet<_>>()
                    .len()
            };
            let (deleted, sealed) = (of(Asks::Delete), of(Asks::Seal));
            let first = asked
                .iter()
                .find(|asked| asked.region == region && asked.what == Asks::Delete);
            let Some(first) = first else { continue };
            let policy = Policy::of(&self.world.plan.targets[0]);
            let scene = Scene {
                standing: &first.standing,
                policy: &policy,
                lies: &|_| false,
                now: 0,
            };
            // Of two without a journal, one may have deleted since the other listed.
            let raced = of_all.iter().filter(|one| {
                one.region == region && one.what == Asks::Delete && one.at <= first.at
            });
            let raced: BTreeSet<&String> = raced.map(|one| &one.name).collect();
            let stands = |name: &&String| first.standing.iter().any(|seen| seen.name == **name);
            let gone = raced.into_iter().filter(|name| !stands(name)).count();
            let listed = scene.backups() + gone;
            let out_of_proportion = deleted > 2 * sealed + 10 && 4 * deleted > listed;
            assert!(
                !out_of_proportion || ended.start.request.approve.is_some(),
                "{deleted} of {listed} backups were deleted without anybody's word"
            );
        }
    }

    /// The report tells of every deletion, and of none that did not happen.
    fn check_told(&self, ended: &Ended, report: &Report, asked: &[&Asked]) {
        let failed: BTreeSet<&str> = report
            .failures
            .shown
            .iter()
            .filter_map(|failure| failure.backup.as_deref())
            .collect();
        let told: BTreeSet<&str> = report.deleted.shown.iter().map(String::as_str).collect();
        for asked in asked.iter().filter(|asked| asked.what == Asks::Delete) {
            let name = asked.name.as_str();
            assert!(
                told.contains(name) || failed.contains(name),
                "{name} was deleted and nobody told"
            );
        }
        for target in &report.targets {
            assert!(
                target.deletion_stopped.is_none()
                    || target.pruning.deleted == 0
                    || self.clocks_may_differ(ended),
                "deletion was stopped and went on: {target:#?}"
            );
        }
        if self.targets().len() == 1 {
            let seen = self.world.seen(TARGET);
            for name in told {
                let stands = seen.iter().any(|seen| seen.name == name);
                assert!(!stands, "{name} was said to be deleted and stands");
            }
        }
    }

    fn clocks_may_differ(&self, ended: &Ended) -> bool {
        !ended.start.skew.is_zero()
            || self.remote_skew != 0
            || self.has_fault("clock_skew_seconds")
            || self.has_fault("latency_ms")
    }

    /// An approval deletes exactly what its hash was shown for, or nothing.
    fn check_approval(&mut self, ended: &Ended, report: &Report, asked: &[&Asked]) {
        if report.dry_run {
            let due = |target: &TargetReport| {
                let lines = report.decisions.shown.iter();
                let lines = lines.filter(|line| line.due && line.target == target.target);
                lines
                    .map(|line| line.backup.clone())
                    .collect::<BTreeSet<_>>()
            };
            for target in &report.targets {
                if let Some(hash) = &target.deletion_plan {
                    self.shown.insert(hash.to_string(), due(target));
                }
            }
        }
        let Some(approved) = &ended.start.request.approve else {
            return;
        };
        let empty = BTreeSet::new();
        let list = self.shown.get(approved).unwrap_or(&empty);
        for asked in asked.iter().filter(|asked| asked.what == Asks::Delete) {
            assert!(
                list.contains(&asked.name),
                "{} was deleted, and is not on the list of {approved}",
                asked.name
            );
        }
    }

    /// While the journal is sound, at most one process works on the plan at a time.
    fn check_lease(&self, asked: &[Asked], ended: &[Ended]) {
        let sound = ended.iter().all(|ended| ended.start.has_a_sound_journal());
        if self.objects.is_none() || !sound {
            return;
        }
        let span = |invocation: u64| {
            let mut of_this = asked.iter().filter(|asked| asked.invocation == invocation);
            let first = of_this.next()?.at;
            Some((first, of_this.next_back().map_or(first, |last| last.at)))
        };
        for (index, one) in ended.iter().enumerate() {
            for other in &ended[index + 1..] {
                if let (Some(one), Some(other)) = (span(one.invocation), span(other.invocation)) {
                    assert!(
                        one.1 < other.0 || other.1 < one.0,
                        "two invocations worked at once: {one:?} and {other:?}"
                    );
                }
            }
        }
    }
}
