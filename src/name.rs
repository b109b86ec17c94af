//! Namespace names, and the one codec for the names of backups.
//!
//! A backup is called `{prefix}{source}-{slot}`, a manual one `manual-{prefix}{source}-{slot}`, the slot as exactly ten
//! digits. The name alone proves nothing: a user's own namespace may look the same. What may be deleted is decided in
//! `retention`, from the name *and* evidence of the service.

mod scratch;

use std::fmt;

pub use scratch::{SCRATCH_PREFIX, ScratchName};

use crate::slot::Slot;

/// Longest namespace name that turbopuffer accepts, in bytes (contract section 12).
pub const MAX_NAME_BYTES: usize = 128;

/// How manual backups begin, before the prefix.
pub(crate) const MANUAL: &str = "manual-";

/// A legal turbopuffer namespace name: 1 to 128 of `A-Z a-z 0-9 - _ .`, and neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Namespace(Box<str>);

impl Namespace {
    /// `None` when the text is not a legal name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = (1..=MAX_NAME_BYTES).contains(&text.len())
            && legal_bytes(text)
            && !matches!(text, "." | "..");
        legal.then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether every byte may stand in a namespace name.
#[must_use]
pub fn legal_bytes(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// What every backup of a plan begins with, such as `backup-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupPrefix(Box<str>);

/// Why a text can't be a backup prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Without a prefix every namespace that ends in ten digits would look like a backup.
    #[error("is empty; use a prefix such as `backup-` that no namespace of yours begins with")]
    Empty,
    /// Not a namespace name's bytes.
    #[error(
        "holds a character that no namespace name may hold; use letters, digits, `-`, `_` and `.`"
    )]
    Illegal,
    /// No source would fit behind it.
    #[error(
        "leaves no room for a source: a name has at most 128 bytes and the slot takes 11 of them"
    )]
    TooLong,
    /// It begins with `manual-`, or `manual-` + prefix begins with the prefix: a manual backup could be read as a
    /// scheduled one, if not by this plan then by another. So whatever begins with `manual-` is kept for ever.
    #[error(
        "would make manual backups (`manual-…`) look like scheduled ones; use another beginning"
    )]
    Ambiguous,
}

impl BackupPrefix {
    /// Refuses prefixes under which names could be misread.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        if text.is_empty() {
            return Err(PrefixError::Empty);
        }
        if !legal_bytes(text) {
            return Err(PrefixError::Illegal);
        }
        if text.len() + MANUAL.len() + 1 + 11 > MAX_NAME_BYTES {
            return Err(PrefixError::TooLong);
        }
        if text.starts_with(MANUAL) || format!("{MANUAL}{text}").starts_with(text) {
            return Err(PrefixError::Ambiguous);
        }
        Ok(Self(text.into()))
    }

    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What every backup of a class begins with.
    #[must_use]
    pub fn of_class(&self, class: Class) -> String {
        match class {
            Class::Scheduled => self.as_str().to_owned(),
            Class::Manual => format!("{MANUAL}{}", self.as_str()),
        }
    }
}

/// Whether retention may ever look at a backup.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Made by a schedule; pruned by the plan's retention.
    Scheduled,
    /// Made on a person's word; kept for ever.
    Manual,
}

/// The name of a backup. It exists only as what [`BackupName::parse`] read, so it always reads back as itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupName {
    class: Class,
    source: Namespace,
    slot: Slot,
    text: Namespace,
}

/// The name of a source's backup would be longer than the service allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the backup's name `{name}` would have {} bytes, over the limit of 128; shorten the backup prefix or rename the source",
    name.len()
)]
pub struct NameTooLong {
    /// The name that does not fit.
    pub name: String,
}

impl BackupName {
    /// The name of the backup of `source` in `slot`. It is never truncated: a name that does not fit is an error.
    pub fn of(
        prefix: &BackupPrefix,
        class: Class,
        source: &Namespace,
        slot: Slot,
    ) -> Result<Self, NameTooLong> {
        let name = format!("{}{source}-{slot}", prefix.of_class(class));
        Self::parse(prefix, &name).ok_or(NameTooLong { name })
    }

    /// Reads a name by the exact grammar. `None` for anything else, so a stray name is never taken for a backup.
    #[must_use]
    pub fn parse(prefix: &BackupPrefix, text: &str) -> Option<Self> {
        let whole = Namespace::parse(text)?;
        let (class, rest) = match text.strip_prefix(prefix.as_str()) {
            Some(rest) => (Class::Scheduled, rest),
            None => (
                Class::Manual,
                text.strip_prefix(MANUAL)?.strip_prefix(prefix.as_str())?,
            ),
        };
        let (source, digits) = rest.split_at_checked(rest.len().checked_sub(10)?)?;
        Some(Self {
            class,
            source: Namespace::parse(source.strip_suffix('-')?)?,
            slot: Slot::from_digits(digits)?,
            text: whole,
        })
    }

    /// Scheduled or manual.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The namespace this is a backup of.
    #[must_use]
    pub fn source(&self) -> &Namespace {
        &self.source
    }

    /// The instant it stands for.
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

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use jiff::Timestamp;

    use super::*;
    use crate::cases::{one_of, play};

    fn prefix() -> BackupPrefix {
        BackupPrefix::parse("backup-").unwrap()
    }

    fn slot(seconds: i64) -> Slot {
        Slot::of(Timestamp::from_second(seconds).unwrap()).unwrap()
    }

    #[test]
    fn names_that_only_resemble_a_backup_are_not_read() {
        for stray in [
            "backup-",
            "backup-0012345678",
            "backup--0012345678",
            "backup-docs-1_2_3_4_56",
            "backup-docs-+234567890",
            "backup-docs-123456789",
            "backup-docs_1234567890",
            "Backup-docs-1234567890",
            "docs-1234567890",
            "manual-docs-1234567890",
            "backup-docs-1234567890 ",
            "backup-dócs-1234567890",
            "",
            "..",
        ] {
            assert_eq!(BackupName::parse(&prefix(), stray), None, "{stray:?}");
        }
    }

    #[test]
    fn the_vendors_names_are_read_as_the_vendor_meant_them() {
        let name = BackupName::parse(&prefix(), "backup-acme-orders-1763690400").unwrap();
        assert_eq!(name.source().as_str(), "acme-orders");
        assert_eq!(name.slot().instant().to_string(), "2025-11-21T02:00:00Z");
        assert_eq!(name.class(), Class::Scheduled);
        let odd = BackupName::parse(&prefix(), "backup-x--1234567890").unwrap();
        assert_eq!(odd.source().as_str(), "x-");
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused_whole() {
        let longest = Namespace::parse(&"s".repeat(128 - 7 - 11)).unwrap();
        assert_eq!(
            BackupName::of(&prefix(), Class::Scheduled, &longest, slot(1))
                .unwrap()
                .to_string()
                .len(),
            128
        );
        let source = Namespace::parse(&"s".repeat(128 - 7 - 10)).unwrap();
        let refused = BackupName::of(&prefix(), Class::Scheduled, &source, slot(1)).unwrap_err();
        assert!(refused.to_string().contains("129 bytes"), "{refused}");
    }

    #[test]
    fn prefixes_under_which_names_could_be_misread_are_refused() {
        for (text, fault) in [
            ("", PrefixError::Empty),
            ("back up", PrefixError::Illegal),
            ("manual-", PrefixError::Ambiguous),
            ("man", PrefixError::Ambiguous),
            ("manual-manual-m", PrefixError::Ambiguous),
            ("manual-x-", PrefixError::Ambiguous),
        ] {
            assert_eq!(BackupPrefix::parse(text), Err(fault), "{text:?}");
        }
        // With a source of one byte, the longest names have 128 bytes.
        assert!(BackupPrefix::parse(&"b".repeat(109)).is_ok());
        assert_eq!(
            BackupPrefix::parse(&"b".repeat(110)),
            Err(PrefixError::TooLong)
        );
        assert!(BackupPrefix::parse("manual").is_err());
        assert!(BackupPrefix::parse("manually-").is_ok());
    }

    const LEGAL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    const PREFIXES: [&str; 6] = ["backup-", "b", "backup-eu-", "1234567890-", "-", "man.ual_"];

    fn text(dice: &mut fastrand::Rng, letters: &[u8], most: usize) -> String {
        let length = dice.usize(1..=most);
        let letter = |_| char::from(*one_of(dice, letters));
        (0..length).map(letter).collect()
    }

    fn some_prefix(dice: &mut fastrand::Rng) -> BackupPrefix {
        loop {
            let text = if dice.bool() {
                (*one_of(dice, &PREFIXES)).to_owned()
            } else {
                text(dice, LEGAL.as_bytes(), 8)
            };
            if let Ok(prefix) = BackupPrefix::parse(&text) {
                return prefix;
            }
        }
    }

    fn some_source(dice: &mut fastrand::Rng) -> String {
        match dice.u8(..40) {
            0..5 => (*one_of(
                dice,
                &["-", ".", "..", "manual-", "backup-", "x-0012345678"],
            ))
            .to_owned(),
            5 => text(dice, LEGAL.as_bytes(), 128),
            6..12 => text(dice, b"0123456789-", 14),
            _ => text(dice, LEGAL.as_bytes(), 10),
        }
    }

    #[test]
    fn every_name_reads_back_as_what_it_was_made_of() {
        play("names", 1_000_000, |dice| {
            let (prefix, source) = (some_prefix(dice), some_source(dice));
            let any = dice.i64(0..=9_999_999_999);
            let slot = slot(*one_of(dice, &[0, 9_999_999_999, any]));
            let class = *one_of(dice, &[Class::Scheduled, Class::Manual]);
            let Some(source) = Namespace::parse(&source) else {
                assert!([".", ".."].contains(&source.as_str()), "{source:?}");
                return;
            };
            match BackupName::of(&prefix, class, &source, slot) {
                Ok(name) => {
                    let read = BackupName::parse(&prefix, &name.to_string());
                    assert_eq!(read, Some(name.clone()));
                    assert_eq!(
                        (name.class(), name.source(), name.slot()),
                        (class, &source, slot)
                    );
                }
                Err(refused) => assert!(refused.name.len() > MAX_NAME_BYTES, "{refused}"),
            }
        });
    }

    /// Class, source and digits of a backup's name, by the grammar alone and with none of the codec's code.
    fn by_the_grammar(prefix: &str, name: &str) -> Option<(Class, String, String)> {
        let letters: Vec<char> = name.chars().collect();
        let (manual, wanted): (Vec<char>, Vec<char>) =
            ("manual-".chars().collect(), prefix.chars().collect());
        let begins = |with: &[char], at: usize| letters.get(at..at + with.len()) == Some(with);
        let (class, begin) = if begins(&wanted, 0) {
            (Class::Scheduled, wanted.len())
        } else if begins(&manual, 0) && begins(&wanted, manual.len()) {
            (Class::Manual, manual.len() + wanted.len())
        } else {
            return None;
        };
        let legal = letters.len() <= 128 && letters.iter().all(|letter| LEGAL.contains(*letter));
        // At least one letter of source, the hyphen, ten digits.
        if !legal || letters.len() < begin + 12 {
            return None;
        }
        let end = letters.len() - 11;
        let (source, rest) = (&letters[begin..end], &letters[end..]);
        let digits: String = rest[1..]
            .iter()
            .filter(|letter| "0123456789".contains(**letter))
            .collect();
        let source: String = source.iter().collect();
        let exact = rest[0] == '-' && digits.len() == 10 && source != "." && source != "..";
        exact.then_some((class, source, digits))
    }

    /// A name of the right shape, in which a few places have been spoilt, or not.
    fn nearly_a_name(dice: &mut fastrand::Rng, prefix: &BackupPrefix) -> String {
        const SPOILT: [&str; 22] = [
            "",
            "-",
            "--",
            "_",
            "+",
            " ",
            ".",
            "..",
            "0",
            "9",
            "a",
            "Z",
            "/",
            "\0",
            "\n",
            "é",
            "٣",
            "９",
            "manual-",
            "backup-",
            "1234567890",
            "\u{202e}",
        ];
        let manual = *one_of(
            dice,
            &["", "", "manual-", "Manual-", "manual_", "manual-manual-"],
        );
        let source = some_source(dice);
        let digits = match dice.u8(..8) {
            0 => text(dice, b"0123456789_+- ", 12),
            1 => text(dice, b"0123456789", 12),
            _ => format!("{:010}", dice.u64(..10_000_000_000)),
        };
        let mut letters: Vec<char> = format!("{manual}{}{source}-{digits}", prefix.as_str())
            .chars()
            .collect();
        for _ in 0..dice.usize(..3) {
            // Near the end as often as not: there stand the digits and their hyphen.
            let at = if dice.bool() {
                letters.len().saturating_sub(dice.usize(..13))
            } else {
                dice.usize(..=letters.len())
            };
            let end = letters.len().min(at + dice.usize(..=1));
            letters.splice(at..end, one_of(dice, &SPOILT).chars());
        }
        letters.into_iter().collect()
    }

    #[test]
    fn nothing_but_the_exact_grammar_is_ever_read_as_a_backup() {
        let read = Cell::new(0_u32);
        play("strays", 1_000_000, |dice| {
            let prefix = some_prefix(dice);
            let name = nearly_a_name(dice, &prefix);
            let parsed = BackupName::parse(&prefix, &name);
            read.set(read.get() + u32::from(parsed.is_some()));
            if let Some(parsed) = &parsed {
                assert_eq!(parsed.to_string(), name, "written as it was read");
            }
            let parsed = parsed.map(|name| {
                (
                    name.class(),
                    name.source().to_string(),
                    name.slot().to_string(),
                )
            });
            assert_eq!(
                parsed,
                by_the_grammar(prefix.as_str(), &name),
                "{prefix:?} {name:?}"
            );
        });
        println!("{} of them are names of backups", read.get());
    }
}
