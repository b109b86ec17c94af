//! The command `restore`: its words, whether what it would do is agreed to, and how it is carried on with.
//!
//! What it must never do: begin anything that nobody agreed to, or show a password where it may be kept.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use lifeboat::event::{Request, instant_of};
use lifeboat::report::Outcome;
use lifeboat::restore::RestoreReport;
use lifeboat::terminal::Progress;
use lifeboat::zilliz::ClusterRestoreReport;
use lifeboat::zilliz::restore::asked::Asked;
use lifeboat::{Answer, Lifeboat, terminal};
use serde_json::Value;

use super::interrupting::{Said, handle_until_ctrl_c, listening, said};
use super::{
    BadInput, Shown, connect, exit_code, handle, list, print_answer, read, settings, start_logs,
    text, unwritable,
};

/// What is to be restored, and as what.
#[derive(Args)]
#[group(id = "which", required = true, multiple = false, args = ["names", "prefix", "all", "new_cluster", "into"])]
pub(super) struct Restore {
    /// The namespaces that are to come back.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All whose names begin like this.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// All that the plan selects.
    #[arg(long)]
    all: bool,
    /// The point in time, such as 2026-11-20T00:00:00Z: the newest verified backup of each, no later than this. Without it,
    /// the newest of all.
    #[arg(long, value_name = "TIME", value_parser = instant_of)]
    at: Option<Timestamp>,
    /// What they are called: `{source}` stands for the namespace's own name; `recovered-{source}` unless given.
    #[arg(long = "as", value_name = "TEMPLATE")]
    template: Option<String>,
    /// The region that receives them; the plan's source region unless given.
    #[arg(long, value_name = "REGION")]
    to: Option<String>,
    /// How closely each is compared with its backup: metadata, count, sample, sample:N or full.
    #[arg(long, value_name = "LEVEL")]
    verify: Option<String>,
    /// From which of the plan's targets; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// The secret with the key of the organisation that receives them, if it is another one; or set `RESTORE_API_KEY`.
    #[arg(long, value_name = "SECRET")]
    to_api_key_secret: Option<String>,
    /// What they are encrypted with: `default`, or a key's ARN or resource name.
    #[arg(long, value_name = "KEY")]
    to_encryption_key: Option<String>,
    /// Choose and show, but change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Don't ask. Needed where nobody can be asked.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    clusters: OfClusters,
}

/// What only a restore of clusters has.
#[derive(Args)]
#[command(next_help_heading = "With a plan of Zilliz Cloud")]
struct OfClusters {
    /// Make a cluster of this name from the whole backup, in the backup's region.
    #[arg(long, value_name = "NAME")]
    new_cluster: Option<String>,
    /// Its size in CU, 1 to 1024.
    #[arg(long, value_name = "N")]
    cu_size: Option<u64>,
    /// Its project, by id; the backup's unless given.
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// Its Milvus version, where the backup leaves a choice: latest or original.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// The secret in Secrets Manager that its password is written to, by name or ARN; made if it does not exist.
    #[arg(long, value_name = "SECRET", conflicts_with = "show_password")]
    password_secret: Option<String>,
    /// Show its password on this terminal, once, when all is done.
    #[arg(long, conflicts_with = "json")]
    show_password: bool,
    /// Bring collections into this cluster, which exists, by its id or its name.
    #[arg(long, value_name = "CLUSTER")]
    into: Option<String>,
    /// Which collections, and as what: `database.name=database.name`; may be given several times. Without, all, unloaded.
    #[arg(long = "collection", value_name = "COLLECTION")]
    collections: Vec<String>,
    /// What is loaded: keep (unless given) or release for a new cluster, loaded or unloaded (unless given) for collections.
    #[arg(long, value_name = "STATUS")]
    collection_status: Option<String>,
    /// The cluster that the backup is of, by its id or its name; may be left out where the plan selects one alone.
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<String>,
    /// The region whose backup is restored; the cluster's own unless given.
    #[arg(long, value_name = "REGION")]
    from: Option<String>,
    /// This backup and no other, by its id.
    #[arg(long, value_name = "ID")]
    backup: Option<String>,
}

impl OfClusters {
    /// The fields of an event.
    fn fields(&self) -> [(&'static str, Option<Value>); 11] {
        [
            ("new_cluster", text(self.new_cluster.as_ref())),
            ("project", text(self.project.as_ref())),
            ("version", text(self.version.as_ref())),
            ("password_secret", text(self.password_secret.as_ref())),
            ("into", text(self.into.as_ref())),
            ("collection_status", text(self.collection_status.as_ref())),
            ("cluster", text(self.cluster.as_ref())),
            ("from", text(self.from.as_ref())),
            ("backup", text(self.backup.as_ref())),
            ("cu_size", self.cu_size.map(Into::into)),
            ("collections", list(&self.collections)),
        ]
    }
}

impl Restore {
    /// The same request as an event's, read by the same rules.
    fn request(&self) -> Result<Request, BadInput> {
        let fields = [
            ("action", Some("restore".into())),
            ("dry_run", Some(self.dry_run.into())),
            ("as", text(self.template.as_ref())),
            ("prefix", text(self.prefix.as_ref())),
            ("to", text(self.to.as_ref())),
            ("verify", text(self.verify.as_ref())),
            ("target", text(self.target.as_ref())),
            ("to_api_key_secret", text(self.to_api_key_secret.as_ref())),
            ("to_encryption_key", text(self.to_encryption_key.as_ref())),
            ("plan", text(self.shown.plan.as_ref())),
            ("at", self.at.map(|at| at.to_string().into())),
            ("all", self.all.then(|| true.into())),
            ("names", list(&self.names)),
        ];
        let mut request = read(fields.into_iter().chain(self.clusters.fields()))?;
        if self.clusters.show_password {
            let asked = request.cluster_restore.as_mut();
            let shown = asked.is_some_and(Asked::show_password);
            if !shown {
                return Err(BadInput(
                    "--show-password is for a --new-cluster".to_owned(),
                ));
            }
        }
        Ok(request)
    }
}

/// Restores, after somebody has agreed to what it would do.
pub(super) async fn bring_back(restore: &Restore) -> Result<ExitCode, BadInput> {
    start_logs()?;
    let request = restore.request()?;
    if restore.clusters.show_password && !io::stdout().is_terminal() {
        return Err(BadInput("--show-password needs a terminal: what is written to a pipe or a file may be kept; name a secret with --password-secret".to_owned()));
    }
    let asks = !restore.dry_run && !restore.yes;
    if asks && !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(BadInput(
            "nobody can be asked here whether to restore; look at it with --dry-run, and say --yes"
                .to_owned(),
        ));
    }
    let lifeboat = connect(settings()?)?;
    if asks && let Some(no) = agreed(&lifeboat, &request).await?.ends() {
        return Ok(no);
    }
    let command: Vec<String> = std::env::args().map(|word| quoted(&word)).collect();
    let goes_on = format!("give the same command again: {}", command.join(" "));
    let answer = handle_until_ctrl_c(&lifeboat, &request, &goes_on).await?;
    print_answer(&answer, restore.shown.json).map_err(unwritable)?;
    if let Answer::ClustersRestored(report) = &answer
        && let Some(told) = &report.one_time
    {
        terminal::write_one_time(&mut io::stdout().lock(), told).map_err(unwritable)?;
    }
    let of_clusters = answer.cluster_restores().any(|report| report.stays_open);
    if of_clusters || answer.restores().any(|report| report.stays_open) {
        let _ = writeln!(io::stderr(), "lifeboat: to carry on, {goes_on}");
    }
    Ok(exit_code(&answer))
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Shows what would be restored, and asks. When something is in the way there is nothing to agree to, and when all is
/// done already nothing to ask.
async fn agreed(lifeboat: &Lifeboat, request: &Request) -> Result<Said, BadInput> {
    let dry_run = Request {
        dry_run: true,
        ..request.clone()
    };
    let answer = handle(lifeboat, &dry_run, &Progress::new()).await?;
    let interrupted = listening().await;
    let asked = match &answer {
        Answer::Restored(report) => ask_about(report),
        Answer::ClustersRestored(report) => ask_about_clusters(report),
        _ => Ok(Some(Said::No)),
    };
    match asked.map_err(unwritable)? {
        Some(answered) => Ok(answered),
        None => said(interrupted, |answer| matches!(answer, "y" | "Y" | "yes")).await,
    }
}

/// Writes what would be restored; what is answered already, if there is nothing to ask.
fn ask_about(report: &RestoreReport) -> io::Result<Option<Said>> {
    let mut err = io::stderr().lock();
    if report.counts.planned > 0 {
        terminal::write_planned_restore(&mut err, report)?;
        err.flush()?;
        return Ok(None);
    }
    if report.outcome == Outcome::Succeeded {
        return Ok(Some(Said::Yes));
    }
    terminal::write_restore(&mut err, report)?;
    Ok(Some(Said::No))
}

/// The same for clusters. What was begun or done already needs no agreement.
fn ask_about_clusters(report: &ClusterRestoreReport) -> io::Result<Option<Said>> {
    let mut err = io::stderr().lock();
    if report.outcome != Outcome::Succeeded {
        terminal::write_cluster_restore(&mut err, report)?;
        return Ok(Some(Said::No));
    }
    if report.count("planned") == 0 {
        return Ok(Some(Said::Yes));
    }
    terminal::write_planned_cluster_restore(&mut err, report)?;
    err.flush()?;
    Ok(None)
}
