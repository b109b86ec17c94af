//! The screen that stdout is, if it is one: how wide, and whether it shows colours.
//!
//! The door looks once. Pipes, files and tests have no screen, so what they get is plain and as wide as it must be.

use std::fmt;
use std::sync::OnceLock;

use comfy_table::{
    Cell, Color, ColumnConstraint, ContentArrangement, Row, TableComponent, Width, presets,
};
use console::{Term, measure_text_width, style};

use crate::report::Outcome;

static SCREEN: OnceLock<Screen> = OnceLock::new();

#[derive(Clone, Copy, Debug, Default)]
struct Screen {
    /// In characters.
    width: Option<u16>,
    /// Not when `NO_COLOR` is set.
    colours: bool,
}

/// Looks what stdout is. From then on, everything is drawn for it.
pub fn look() {
    let stdout = Term::stdout();
    let screen = Screen {
        width: stdout.size_checked().map(|(_, columns)| columns),
        colours: console::colors_enabled(),
    };
    // Looking twice changes nothing.
    let _ = SCREEN.set(screen);
}

fn screen() -> Screen {
    SCREEN.get().copied().unwrap_or_default()
}

/// A table that fits the screen when it is shown.
#[derive(Clone, Debug)]
pub struct Table {
    drawn: comfy_table::Table,
    width: Option<u16>,
}

/// A table with this header.
#[must_use]
pub fn table(header: &[&str]) -> Table {
    let screen = screen();
    let mut drawn = comfy_table::Table::new();
    drawn
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Dynamic)
        .force_no_tty();
    if screen.colours {
        drawn.enforce_styling();
    }
    if let Some(width) = screen.width {
        drawn.set_width(width);
    }
    drawn.set_header(header.iter().copied());
    Table {
        drawn,
        width: screen.width,
    }
}

impl Table {
    /// Adds a row.
    pub fn add_row(&mut self, row: impl Into<Row>) -> &mut Self {
        self.drawn.add_row(row);
        self
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drawn.is_empty()
    }

    /// How long the longest word of each column is, and whether it may be broken when there is no room.
    fn longest_words(&self) -> Vec<(u16, Breaks)> {
        let header = self.drawn.header().into_iter();
        let mut longest: Vec<(u16, Breaks)> = header
            .flat_map(Row::cell_iter)
            .map(|title| (0, Breaks::of(&title.content())))
            .collect();
        let header = self.drawn.header().into_iter();
        for row in header.chain(self.drawn.row_iter()) {
            for (cell, (longest, _)) in row.cell_iter().zip(&mut longest) {
                let content = cell.content();
                let words = content.split([' ', '\n']).map(measure_text_width);
                let word = words.max().unwrap_or_default();
                *longest = u16::try_from(word).unwrap_or(u16::MAX).max(*longest);
            }
        }
        longest
    }

    /// How wide each column is to be; `None` where all fits anyway, or nothing helps.
    fn fitted(&self, wanted: &[u16]) -> Option<Vec<u16>> {
        let (width, longest) = (self.width?, self.longest_words());
        let whole = WORDS_UNBROKEN.iter().filter(|most| **most >= SHORT_WORD);
        let whole = whole.map(|most| (most, Breaks::AtLast));
        let broken = WORDS_UNBROKEN.iter().map(|most| (most, Breaks::Never));
        whole.chain(broken).find_map(|(most, from)| {
            let words = longest.iter().map(|(word, breaks)| {
                if *breaks < from {
                    *word.min(most)
                } else {
                    *word
                }
            });
            fitted(wanted, &words.collect::<Vec<_>>(), width)
        })
    }
}

/// When a column's words are broken for want of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Breaks {
    /// Before anything else.
    AtOnce,
    /// When nothing else helps: a name that is to be typed somewhere.
    AtLast,
    /// An instant.
    Never,
}

impl Breaks {
    fn of(title: &str) -> Self {
        match title {
            "backup" => Self::AtLast,
            title if title.ends_with("(UTC)") => Self::Never,
            _ => Self::AtOnce,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut drawn = self.drawn.clone();
        let fitted = self.fitted(&drawn.column_max_content_widths());
        let columns = drawn.column_iter_mut().zip(fitted.unwrap_or_default());
        for (column, width) in columns {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        drawn.fmt(f)
    }
}

/// Spaces beside a cell's content. Between two columns there is one more.
const PADDING: u16 = 2;
/// Words up to this length are not broken, or as many of these lengths as there is room for. One digest would leave none for
/// anything else.
const WORDS_UNBROKEN: [u16; 8] = [64, 48, 32, 24, 16, 12, 8, 4];
/// Before other words are broken that are as short as this, names are.
const SHORT_WORD: u16 = 12;

/// How wide each column is, so that no word is broken and those with the longest sentences get what is left; `None` where all
/// fits anyway, or not even the words do.
fn fitted(wanted: &[u16], words: &[u16], width: u16) -> Option<Vec<u16>> {
    let columns = || {
        wanted
            .iter()
            .zip(words)
            .map(|(wanted, word)| (*wanted, *word.min(wanted)))
    };
    let sum = |widths: &mut dyn Iterator<Item = u16>| -> u32 {
        widths.map(|one| u32::from(one) + u32::from(PADDING)).sum()
    };
    let (all, least) = (
        sum(&mut columns().map(|(wanted, _)| wanted)),
        sum(&mut columns().map(|(_, word)| word)),
    );
    let between = u32::try_from(wanted.len().saturating_sub(1)).unwrap_or_default();
    let width = u32::from(width).saturating_sub(between);
    if all <= width || least > width {
        return None;
    }
    let (left, lacking) = (width - least, all - least);
    let share = |(wanted, word): (u16, u16)| {
        let more = u32::from(wanted - word) * left / lacking;
        word + PADDING + u16::try_from(more).unwrap_or_default()
    };
    Some(columns().map(share).collect())
}

/// A state as a table's cell: green where all is well, red where a backup or a restore is not what it should be, yellow
/// where somebody should look.
pub(super) fn state(shown: &str) -> Cell {
    let colour = match shown.split(' ').next().unwrap_or_default() {
        "sealed" | "already_sealed" | "covered" | "restored" | "equal" | "yes" | "protected"
        | "in_force" | "available" | "proven" => Color::Green,
        "failed" | "over_budget" | "damaged" | "differs" | "NO" | "missing" | "stale"
        | "window_missed" | "copy_missing" => Color::Red,
        "incomplete" | "drifted" | "unproven" | "vanished" | "due" | "no" | "?" | "in_making"
        | "applied" | "repaired" | "unknown" | "open" | "copying" | "comparing" | "waiting" => {
            Color::Yellow
        }
        _ => Color::Reset,
    };
    let cell = Cell::new(shown);
    match colour {
        Color::Reset => cell,
        colour => cell.fg(colour),
    }
}

/// How something ended, for a headline.
pub(super) fn outcome(outcome: Outcome) -> String {
    let shown = match outcome {
        Outcome::Succeeded => style("succeeded").green(),
        Outcome::Failed => style("FAILED").red(),
        Outcome::Incomplete => style("is INCOMPLETE").yellow(),
    };
    shown.bold().force_styling(screen().colours).to_string()
}

/// Bytes in the unit that turbopuffer bills in: powers of ten.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let units = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    match units.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size),
        None => format!("{bytes} bytes"),
    }
}

/// How many there are of something: `1 source`, `2 sources`.
#[must_use]
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        let shown = [0, 1, 2].map(|number| count(number, "policy", "policies"));
        assert_eq!(shown, ["0 policies", "1 policy", "2 policies"]);
    }

    #[test]
    fn bytes_are_shown_in_powers_of_ten() {
        for (count, shown) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (91_750_400, "91.7 MB"),
            (2_000_000_000_000, "2.0 TB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }

    #[test]
    fn no_word_is_broken_while_there_is_room_and_sentences_get_the_rest() {
        // Plan, target, state, and a sentence of 100 letters.
        let (wanted, words) = ([7, 13, 6, 100], [7, 13, 6, 10]);
        assert_eq!(fitted(&wanted, &words, 200), None, "all fits");
        assert_eq!(fitted(&wanted, &words, 30), None, "not even the words do");
        let [plan, target, state, sentence] = fitted(&wanted, &words, 80).unwrap()[..] else {
            panic!()
        };
        assert_eq!([plan, target, state], [9, 15, 8]);
        assert_eq!(sentence, 80 - 9 - 15 - 8 - 3);
        // Where nothing is a sentence, columns of several words are broken between them.
        let shared = fitted(&[13, 10, 30], &[13, 5, 6], 50).unwrap();
        assert!(shared[0] == 15 && shared[1] >= 7 && shared.iter().sum::<u16>() <= 48);
    }

    #[test]
    fn without_a_screen_everything_is_plain_and_in_one_line() {
        let mut table = table(&["state", "why"]);
        table.add_row([state("failed"), Cell::new("a very long reason ".repeat(20))]);
        let drawn = format!("{table}{}", outcome(Outcome::Failed));
        assert!(!drawn.contains('\u{1b}'), "{drawn:?}");
        assert_eq!(drawn.lines().count(), 3);
    }
}
