//! The names of scratch namespaces: copies that a drill makes of backups, and deletes.
//!
//! Such a name is `lifeboat-drill-{ten digits}-{twenty letters}`, the digits the drill's slot, and the letters all of `a` to
//! `p`. It ends in a letter, so no grammar of backups, the vendor's included, finds a time at its end. The first twelve
//! letters stand for the backup, the last eight are a check over the plan's name and everything before them: nobody's own
//! namespace has such a name by chance. Selectors leave out whatever merely looks like this ([`ScratchName::resembles`]);
//! a deletion asks for the check, and for evidence of the service.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{BackupName, Namespace};
use crate::slot::Slot;

/// What every scratch name begins with.
pub const SCRATCH_PREFIX: &str = "lifeboat-drill-";
/// Letters that stand for the backup: 48 bits, so that the scratches of one drill never meet.
const OF_THE_BACKUP: usize = 12;
/// Letters that check the rest: 32 bits.
const CHECK: usize = 8;

/// The name of a scratch namespace of one plan's drills.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScratchName {
    slot: Slot,
    text: Namespace,
}

impl ScratchName {
    /// What the copy of `backup` is called in the drill of `slot`: always the same.
    #[must_use]
    pub fn of(plan: &str, slot: Slot, backup: &BackupName) -> Self {
        let begin = begin(slot, backup);
        let text = format!("{begin}{}", check(plan, &begin));
        Self {
            slot,
            text: Namespace(text.into()),
        }
    }

    /// Reads a name that a drill of this plan gave; `None` for anything else, also for another plan's.
    #[must_use]
    pub fn parse(plan: &str, text: &str) -> Option<Self> {
        let (slot, begin) = shape(text)?;
        let ours = text.strip_prefix(begin)? == check(plan, begin);
        ours.then(|| Self {
            slot,
            text: Namespace(text.into()),
        })
    }

    /// Whether a name has the shape of a scratch's, whichever plan's. What has is never a source of any plan.
    #[must_use]
    pub fn resembles(text: &str) -> bool {
        shape(text).is_some()
    }

    /// Whether it is what a drill calls the copy of this backup.
    #[must_use]
    pub fn is_of(&self, backup: &BackupName) -> bool {
        self.text.as_str().starts_with(&begin(self.slot, backup))
    }

    /// The drill's slot.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The whole name, as the service knows it.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.text
    }
}

impl fmt::Display for ScratchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Everything but the check.
fn begin(slot: Slot, backup: &BackupName) -> String {
    let tag = letters(backup.namespace().as_str().as_bytes(), OF_THE_BACKUP);
    format!("{SCRATCH_PREFIX}{slot}-{tag}")
}

fn check(plan: &str, begin: &str) -> String {
    // No name holds a line break, so two plans' texts are never alike.
    letters(format!("{plan}\n{begin}").as_bytes(), CHECK)
}

/// The first half-bytes of the SHA-256, each as a letter from `a` to `p`.
fn letters(of: &[u8], count: usize) -> String {
    let hash = Sha256::digest(of);
    let halves = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves
        .take(count)
        .map(|half| char::from(b'a' + half))
        .collect()
}

/// The slot, and everything but the last eight letters.
fn shape(text: &str) -> Option<(Slot, &str)> {
    let (digits, tag) = text.strip_prefix(SCRATCH_PREFIX)?.split_once('-')?;
    let slot = Slot::from_digits(digits)?;
    let exact =
        tag.len() == OF_THE_BACKUP + CHECK && tag.bytes().all(|byte| matches!(byte, b'a'..=b'p'));
    let begin = text.get(..text.len().checked_sub(CHECK)?)?;
    exact.then_some((slot, begin))
}

#[cfg(test)]
mod tests {
    use super::super::{BackupPrefix, Class};
    use super::*;
    use crate::cases::{one_of, play};

    fn slot(digits: &str) -> Slot {
        Slot::from_digits(digits).unwrap()
    }

    fn backup(prefix: &str, source: &str) -> BackupName {
        let prefix = BackupPrefix::parse(prefix).unwrap();
        let source = Namespace::parse(source).unwrap();
        BackupName::of(&prefix, Class::Scheduled, &source, slot("1763690400")).unwrap()
    }

    #[test]
    fn a_name_says_what_it_is_and_reads_back() {
        let backup = backup("backup-", "acme-docs");
        let name = ScratchName::of("nightly", slot("1763776800"), &backup);
        let text = name.to_string();
        assert!(text.starts_with("lifeboat-drill-1763776800-"), "{text}");
        assert_eq!(text.len(), 46);
        assert_eq!(name.namespace().as_str(), text);
        assert_eq!(ScratchName::parse("nightly", &text), Some(name.clone()));
        assert!(name.is_of(&backup) && ScratchName::resembles(&text));
        let other = self::backup("backup-", "acme-users");
        assert!(!name.is_of(&other));
        assert_ne!(ScratchName::of("nightly", name.slot(), &other), name);
    }

    #[test]
    fn another_plans_name_and_anything_touched_by_hand_is_not_read() {
        let name = ScratchName::of("nightly", slot("1763776800"), &backup("backup-", "a"));
        let text = name.to_string();
        assert_eq!(ScratchName::parse("weekly", &text), None);
        let later = text.replace("1763776800", "1763776801");
        assert_eq!(ScratchName::parse("nightly", &later), None);
        assert!(ScratchName::resembles(&later), "but it is nobody's source");
    }

    #[test]
    fn nothing_of_another_shape_resembles_one() {
        let tag = "abcdefghijklmnopabcd";
        for text in [
            String::new(),
            "lifeboat-drill-".into(),
            "lifeboat-drill-results".into(),
            format!("lifeboat-drill-1763776800-{tag}x"),
            format!("lifeboat-drill-1763776800-{}", &tag[1..]),
            format!("lifeboat-drill-1763776800-{}q", &tag[1..]),
            format!("lifeboat-drill-1763776800-{}A", &tag[1..]),
            format!("lifeboat-drill-1763776800-{}1", &tag[1..]),
            format!("lifeboat-drill-1763776800_{tag}"),
            format!("lifeboat-drill-176377680-{tag}"),
            format!("lifeboat-drill-17637768000-{tag}"),
            format!("lifeboat-drill-1_63776800-{tag}"),
            format!("Lifeboat-drill-1763776800-{tag}"),
            format!("x-lifeboat-drill-1763776800-{tag}"),
            format!("lifeboat-drill-1763776800-{}é", &tag[2..]),
        ] {
            assert!(!ScratchName::resembles(&text), "{text}");
        }
        assert!(ScratchName::resembles(&format!(
            "lifeboat-drill-1763776800-{tag}"
        )));
    }

    #[test]
    fn no_plan_whatever_its_prefix_reads_a_scratch_as_a_backup() {
        let prefixes = [
            "backup-",
            "lifeboat-drill-",
            "l",
            "lifeboat-",
            "lifeboat-drill-1763776800-",
        ];
        play("scratches", 200_000, |dice| {
            let source: String = (0..dice.usize(1..20))
                .map(|_| char::from(*one_of(dice, b"ab-._019")))
                .collect();
            let Some(source) = Namespace::parse(&source) else {
                return;
            };
            let prefix = BackupPrefix::parse(prefixes[dice.usize(..prefixes.len())]).unwrap();
            let made = slot(&format!("{:010}", dice.u64(..10_000_000_000)));
            let backup = BackupName::of(&prefix, Class::Scheduled, &source, made).unwrap();
            assert!(!ScratchName::resembles(&backup.to_string()), "{backup}");
            let name = ScratchName::of("nightly", made, &backup).to_string();
            assert_eq!(
                ScratchName::parse("nightly", &name).unwrap().to_string(),
                name
            );
            for prefix in prefixes {
                let prefix = BackupPrefix::parse(prefix).unwrap();
                assert_eq!(BackupName::parse(&prefix, &name), None, "{name}");
            }
        });
    }
}
