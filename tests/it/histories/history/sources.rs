//! What stands: sources that come, grow, freeze, thaw, go and come back, and namespaces that are nobody's business of ours.

use lifeboat_emulator::Standing;

use super::{History, Life};
use crate::histories::rules::{self, DAY};
use crate::world::{Asks, OTHER_TARGET, SOURCE, TARGET};

/// Names that look like backups to somebody who looks only at their last ten characters.
const STRAYS: [&str; 8] = [
    "backup-acme-tenant-0012345678",
    "backup-acme-docs-1_2_3_4_56",
    "backup-acme-x--1234567890",
    "backup-acme-a-9999999999",
    "backup-acme-s0-9999999999",
    "backup-acme-",
    "backup-acme-s0-1234567890",
    "backup-globex-s0-1234567890",
];

impl History {
    /// Namespaces that are nobody's business of ours, some of them better disguised than others.
    pub(super) fn plant(&mut self) {
        let now = self.second();
        for stray in STRAYS {
            self.decoy(TARGET, stray.to_owned());
        }
        for days in [1, 3, 5] {
            // By name and creation they could be ours, but they stand in another place or are not selected.
            let slot = now - days * DAY;
            self.decoy(SOURCE, format!("backup-acme-s0-{slot:010}"));
            self.decoy(TARGET, format!("backup-acme-scratch-1-{slot:010}"));
            self.decoy(TARGET, format!("backup-globex-s1-{slot:010}"));
            if self.targets().len() == 1 {
                self.decoy(OTHER_TARGET, format!("backup-acme-s0-{slot:010}"));
            }
        }
        for days in [8, 30] {
            let slot = now - days * DAY;
            self.decoy(TARGET, format!("backup-acme-s1-{slot:010}"));
        }
    }

    fn decoy(&mut self, region: &'static str, name: String) {
        self.world.write_rows(region, &name, 0..3);
        if self.dice.u8(0..4) > 0 {
            self.world.seal(region, &name, true);
        }
        self.decoys.push((region, name));
    }

    pub(super) fn change_sources(&mut self, night: i64) {
        if night == 0 {
            self.write("acme-scratch-1", 5);
        }
        for index in 0..4 {
            let name = format!("acme-s{index}");
            let (live, frozen, rows) = self.sources.get(&name).map_or((false, false, 0), |life| {
                (life.live, life.frozen, life.rows())
            });
            match (live, frozen, self.dice.u32(0..48)) {
                (false, _, 0..20) => {
                    let rows = self.dice.u64(1..150);
                    self.write(&name, rows);
                }
                (true, false, 0..2) if night > 3 => {
                    self.world.delete(SOURCE, &name);
                    self.life(&name).live = false;
                }
                (true, false, 2..20) => self.write(&name, rows + 5),
                (true, false, 20) => {
                    self.world.seal(SOURCE, &name, true);
                    self.life(&name).frozen = true;
                }
                (true, true, 0..12) if self.is_whole(&name) => {
                    self.world.seal(SOURCE, &name, false);
                    self.life(&name).frozen = false;
                    self.tally.add("sources thawed", 1);
                }
                _ => {}
            }
        }
    }

    fn life(&mut self, source: &str) -> &mut Life {
        self.sources.entry(source.to_owned()).or_default()
    }

    fn write(&mut self, source: &str, rows: u64) {
        let now = self.second();
        let from = if self.life(source).live {
            self.life(source).rows()
        } else {
            0
        };
        self.world.write_rows(SOURCE, source, from..rows);
        let life = self.life(source);
        life.live = true;
        life.versions.push((now, rows));
    }

    /// Whether the last copy of a frozen source that anybody asked for was compared, so that thawing it can hide nothing
    /// (the known limit in README.md).
    fn is_whole(&self, source: &str) -> bool {
        let asked = self.copies.iter().filter(|((_, name), _)| {
            rules::read(name.trim_start_matches("manual-")).is_some_and(|(of, _)| of == source)
        });
        for ((region, name), _) in asked {
            let seen = self.world.seen(region);
            let seen = seen.iter().find(|seen| seen.name == *name);
            let deleted = self.was_deleted(name);
            let whole = seen.is_some_and(|seen| seen.read_only && !self.lies(region, seen));
            if !whole && !deleted {
                return false;
            }
        }
        true
    }

    pub(super) fn was_deleted(&self, name: &str) -> bool {
        let asked = self.world.asked.lock().unwrap();
        asked
            .iter()
            .any(|asked| asked.what == Asks::Delete && asked.name == name)
    }

    /// Whether a read-only backup is not what its source was while it was made.
    pub(super) fn lies(&self, region: &'static str, seen: &Standing) -> bool {
        let Some((from, to)) = self.copies.get(&(region, seen.name.clone())) else {
            return false;
        };
        let source = rules::read(seen.name.trim_start_matches("manual-"));
        let life = source.and_then(|(source, _)| self.sources.get(source));
        life.is_some_and(|life| !life.may_have_had(seen.rows, *from, *to + 2 * DAY))
    }

    /// Whether the plan copies no unchanged source, and the newest good backup has what this one has. A stray that is dated
    /// ahead is none: a listing may have left it out.
    pub(super) fn covers(&self, source: &str, standing: &[Standing]) -> bool {
        if self.world.plan.skip_unchanged.is_none() {
            return false;
        }
        let slot_of = |seen: &&Standing| {
            let of_source = rules::read(&seen.name).filter(|(of, _)| *of == source);
            of_source.map(|(_, slot)| slot)
        };
        let is_one = |seen: &&Standing| slot_of(seen).is_some_and(|slot| slot <= self.second());
        let sealed = standing.iter().filter(|seen| seen.read_only);
        let newest = sealed.filter(is_one).max_by_key(slot_of);
        let life = self.sources.get(source);
        newest.is_some_and(|newest| life.is_some_and(|life| life.rows() == newest.rows))
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &str> {
        self.sources
            .iter()
            .filter(|(name, life)| life.live && rules::selected(name))
            .map(|(name, _)| name.as_str())
    }
}
