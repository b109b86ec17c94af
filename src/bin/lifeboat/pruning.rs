//! The command `prune`: shows what is due, asks, and deletes.
//!
//! What it must never do: delete anything before somebody has typed the word for it, or said `--yes` or `--approve`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Args;
use lifeboat::event::Action;

use super::picking::is_meant;
use super::{BadInput, Options, carry_out, settings};

/// What is pruned, and whether that is meant.
#[derive(Args)]
pub(super) struct Prune {
    /// Delete without asking; needed where nobody can be asked.
    #[arg(long, conflicts_with_all = ["dry_run", "approve"])]
    yes: bool,
    #[command(flatten)]
    options: Options,
}

/// Prunes, after somebody has agreed to it.
pub(super) async fn prune(prune: Prune) -> Result<ExitCode, BadInput> {
    let json = prune.options.shown.json;
    let is_agreed = prune.yes || prune.options.dry_run || prune.options.approve.is_some();
    let request = prune.options.request(Action::Prune);
    if is_agreed {
        return carry_out(request, json).await;
    }
    settings()?;
    if !io::stdin().is_terminal() {
        return Err(BadInput(
            "nobody can be asked here whether to delete; look at it with `lifeboat plan`, and say --yes, or --approve with the hash of the list"
                .to_owned(),
        ));
    }
    let mut trial = request.clone();
    trial.dry_run = true;
    let could = carry_out(trial, false).await?;
    if could != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    let meant = is_meant(Action::Prune, "what is due above").await?;
    if let Some(no) = meant.ends() {
        return Ok(no);
    }
    carry_out(request, json).await
}
