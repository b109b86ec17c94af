//! The screen that stdout is, if it is one: how wide, and whether it shows colours.
//!
//! The door looks once. Pipes, files and tests have no screen, so what they get is plain and as wide as it must be.

use std::sync::OnceLock;

use comfy_table::{
    Cell, Color, ColumnConstraint, ContentArrangement, Table, TableComponent, Width, presets,
};
use console::{Term, style};

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

/// A table that fits the screen.
#[must_use]
pub fn table(header: &[&str]) -> Table {
    let screen = screen();
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Dynamic)
        .force_no_tty();
    if screen.colours {
        table.enforce_styling();
    }
    if let Some(width) = screen.width {
        table.set_width(width);
    }
    table.set_header(header.iter().copied());
    for (column, title) in table.column_iter_mut().zip(header) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least(title))));
    }
    table
}

/// How narrow a column may become: an instant is not broken, nor a title's longest word, and a sentence needs some room.
fn least(title: &str) -> u16 {
    const PADDING: usize = 2;
    const INSTANT: usize = "2026-11-22T12:46:58Z".len();
    const SENTENCE: usize = 24;
    let content = if title.ends_with("(UTC)") {
        INSTANT
    } else if title.starts_with("what ") || title == "why" {
        SENTENCE
    } else {
        title.split(' ').map(str::len).max().unwrap_or_default()
    };
    u16::try_from(content + PADDING).unwrap_or_default()
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
        | "applied" | "repaired" | "unknown" => Color::Yellow,
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn without_a_screen_everything_is_plain_and_in_one_line() {
        let mut table = table(&["state", "why"]);
        table.add_row([state("failed"), Cell::new("a very long reason ".repeat(20))]);
        let drawn = format!("{table}{}", outcome(Outcome::Failed));
        assert!(!drawn.contains('\u{1b}'), "{drawn:?}");
        assert_eq!(drawn.lines().count(), 3);
    }
}
