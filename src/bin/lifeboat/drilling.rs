//! The command `drill`: its words, and what is said when it is left open.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use lifeboat::event::Request;

use super::interrupting::handle_until_ctrl_c;
use super::{
    BadInput, Shown, connect, exit_code, list, print_answer, read, settings, start_logs, text,
    unwritable,
};

/// Which backups are drilled, and where.
#[derive(Args)]
pub(super) struct Drill {
    /// Namespaces, each for its newest verified backup, or whole names of backups.
    #[arg(value_name = "NAME", conflicts_with_all = ["pick", "count", "share", "seed"])]
    names: Vec<String>,
    /// How sources are picked: `random`, by lot (the default), or `oldest`, those whose newest verified backup is
    /// the oldest.
    #[arg(long, value_name = "HOW")]
    pick: Option<String>,
    /// How many sources; 1 if left out.
    #[arg(long, value_name = "N", conflicts_with = "share")]
    count: Option<u32>,
    /// Instead of --count: a share of the sources, such as 5% or 0.5%, rounded up.
    #[arg(long, value_name = "P%")]
    share: Option<String>,
    /// What the lot is drawn with, as an earlier report says it: the same seed picks the same again.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The region that receives the scratches; the plan's source region unless given, or the backups' own if these have a
    /// key of their own.
    #[arg(long, value_name = "REGION")]
    to: Option<String>,
    /// How closely each is compared with its backup: count, sample, sample:N or full (unless given).
    #[arg(long, value_name = "LEVEL")]
    verify: Option<String>,
    /// From which of the plan's targets; of several, a random drill draws one if this is left out.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// What the scratches are encrypted with: `default`, or a key's ARN or resource name.
    #[arg(long, value_name = "KEY")]
    to_encryption_key: Option<String>,
    /// Pick and show, but change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
}

impl Drill {
    /// The same request as an event's, read by the same rules.
    fn request(&self) -> Result<Request, BadInput> {
        read([
            ("action", Some("drill".into())),
            ("dry_run", Some(self.dry_run.into())),
            ("pick", text(self.pick.as_ref())),
            ("count", self.count.map(Into::into)),
            ("share", text(self.share.as_ref())),
            ("seed", self.seed.map(Into::into)),
            ("to", text(self.to.as_ref())),
            ("verify", text(self.verify.as_ref())),
            ("target", text(self.target.as_ref())),
            ("to_encryption_key", text(self.to_encryption_key.as_ref())),
            ("plan", text(self.shown.plan.as_ref())),
            ("names", list(&self.names)),
        ])
    }
}

/// Drills; nobody is asked, because nothing is changed but what is made for it.
pub(super) async fn try_out(drill: &Drill) -> Result<ExitCode, BadInput> {
    start_logs()?;
    let request = drill.request()?;
    let lifeboat = connect(settings()?)?;
    let goes_on = "`lifeboat resume` finishes the drill and deletes its scratches";
    let answer = handle_until_ctrl_c(&lifeboat, &request, goes_on).await?;
    print_answer(&answer, drill.shown.json).map_err(unwritable)?;
    if answer.drills().any(|report| report.stays_open) {
        let _ = writeln!(
            io::stderr(),
            "lifeboat: `lifeboat resume` carries on, and deletes the scratches"
        );
    }
    Ok(exit_code(&answer))
}
