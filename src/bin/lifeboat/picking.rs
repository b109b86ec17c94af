//! Commands about some backups, and not a whole plan: `verify` compares them, `seal` and `discard` change them by name.
//!
//! What it must never do: change a backup before somebody has typed the word for it, or said `--yes`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use lifeboat::event::{Action, Picked, Request};
use lifeboat::verify::Level;

use super::interrupting::{Said, listening, said};
use super::{BadInput, Shown, carry_out, unwritable};

/// Which backups are compared.
#[derive(Args)]
pub(super) struct PickedMany {
    /// Whole names of backups, as `lifeboat list` shows them.
    #[arg(value_name = "NAME", conflicts_with_all = ["prefix", "newest", "all"])]
    names: Vec<String>,
    /// Backups of the sources whose names begin like this.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// The newest backup of each source (the default).
    #[arg(long, conflicts_with = "all")]
    newest: bool,
    /// Every backup.
    #[arg(long)]
    all: bool,
    /// Only those in this target.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// How closely: metadata, count, sample:N or full; the plan's level if left out.
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
}

impl PickedMany {
    pub(super) fn picked(self) -> Picked {
        Picked {
            names: self.names,
            prefix: self.prefix,
            newest: self.newest,
            all: self.all,
            target: self.target,
            level: self.level,
            yes: false,
        }
    }
}

/// Which backups are changed by hand, and whether that is meant.
#[derive(Args)]
pub(super) struct Named {
    /// Whole names of backups, as `lifeboat list` shows them.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// The target they stand in; may be left out where they stand in one alone.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Do it without asking; needed where nobody can be asked.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
}

/// Shows what would be done, asks whether that is meant, and does it.
pub(super) async fn by_hand(
    action: Action,
    level: Option<Level>,
    named: Named,
) -> Result<ExitCode, BadInput> {
    let (json, listed) = (named.shown.json, named.names.join(", "));
    let request = Request {
        picked: Picked {
            names: named.names,
            target: named.target,
            level,
            yes: named.yes,
            ..Picked::default()
        },
        ..named.shown.request(action, named.dry_run)
    };
    if named.yes || named.dry_run {
        return carry_out(request, json).await;
    }
    if !io::stdin().is_terminal() {
        return Err(BadInput(format!(
            "nobody can be asked whether it is meant to {} {listed}; look with --dry-run, and then say --yes",
            action.word()
        )));
    }
    let mut trial = request.clone();
    trial.dry_run = true;
    let could = carry_out(trial, false).await?;
    if could != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(no) = is_meant(action, &listed).await?.ends() {
        return Ok(no);
    }
    let mut request = request;
    request.picked.yes = true;
    carry_out(request, json).await
}

/// Asks on the terminal; anything but the word of the action is a no.
pub(super) async fn is_meant(action: Action, names: &str) -> Result<Said, BadInput> {
    let word = action.word();
    let interrupted = listening().await;
    write!(
        io::stderr(),
        "Really {word} {names}? Type `{word}` to do it: "
    )
    .map_err(unwritable)?;
    said(interrupted, |answer| answer == word).await
}
