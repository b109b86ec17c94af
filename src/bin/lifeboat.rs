//! The terminal door: the same requests as the Lambda function's, from a command line.
//!
//! Report on stdout, logs on stderr. Exit status 0: all good; 1: something was not done; 2: bad input or configuration.
//!
//! Commands that ask, or that have many options, have files of their own: `restoring`, `drilling`, `picking`, `pruning`; so
//! has Ctrl-C, `interrupting`.

// What stands beside a binary's root would be binaries of their own; these stand in a folder.
#[path = "lifeboat/drilling.rs"]
mod drilling;
#[path = "lifeboat/interrupting.rs"]
mod interrupting;
#[path = "lifeboat/picking.rs"]
mod picking;
#[path = "lifeboat/pruning.rs"]
mod pruning;
#[path = "lifeboat/restoring.rs"]
mod restoring;

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use jiff::Timestamp;
use lifeboat::clock::Clock;
use lifeboat::event::{Action, ByHand, Event, Request, instant_of};
use lifeboat::journal::JournalUrl;
use lifeboat::plan::Settings;
use lifeboat::report::{Outcome, Size};
use lifeboat::run::Step;
use lifeboat::terminal::{self, Progress};
use lifeboat::verify::Level;
use lifeboat::{Answer, Lifeboat, demo, telemetry};
use serde_json::Value;
use tracing::Level as LogLevel;

use drilling::{Drill, try_out};
use interrupting::handle_or_drop;
use picking::{Named, PickedMany, by_hand};
use pruning::{Prune, prune};
use restoring::{Restore, bring_back};

/// A person may wait longer than a function, but not for ever.
const LONGEST_RUN: Duration = Duration::from_hours(24);

/// Scheduled, verified, cross-region backups for turbopuffer, and for clusters of Zilliz Cloud.
///
/// Configured by the same environment variables as the Lambda function: `SOURCE_REGION`, `BACKUP_REGION`, `SOURCE_PREFIX`,
/// `BACKUP_PREFIX`, `RETENTION_DAYS`, and `TURBOPUFFER_API_KEY` or `TURBOPUFFER_API_KEY_SECRET`; or `LIFEBOAT_CONFIG`, a
/// document with several plans. `lifeboat check` shows what they mean.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Example:\n  SOURCE_REGION=aws-us-east-1 BACKUP_REGION=aws-eu-west-1 SOURCE_PREFIX=acme- \\\n  TURBOPUFFER_API_KEY=tpuf_… lifeboat backup --dry-run\n\nExit status: 0 all good, 1 something was not done, 2 bad input or configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Copy every selected namespace, compare and seal the copies, then delete what retention no longer needs.
    #[command(
        after_help = "Examples:\n  lifeboat backup --dry-run\n  lifeboat backup --manual        # before a risky deployment; kept for ever"
    )]
    Backup {
        /// The instant this backup stands for, such as 2026-11-21T02:00:00Z; a repeated one continues the same backup.
        #[arg(long, value_name = "TIME", value_parser = instant_of)]
        scheduled_time: Option<Timestamp>,
        /// Make backups that are kept for ever; nothing is deleted.
        #[arg(long, conflicts_with = "approve")]
        manual: bool,
        /// Of a plan of Zilliz Cloud: this cluster alone, by its id or its name.
        #[arg(long, value_name = "CLUSTER", requires = "manual")]
        cluster: Option<String>,
        /// Of a plan of Zilliz Cloud: these collections alone, as `name` or `database.name`; may be given several times.
        #[arg(long = "collection", value_name = "COLLECTION", requires = "manual")]
        collections: Vec<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Show what retention would delete now and in the next days, with every reason and the hash that approves it.
    #[command(after_help = "Example:\n  lifeboat plan --json | jq -r '.targets[].deletion_plan'")]
    Plan(Shown),
    /// Delete what retention no longer needs, and nothing else. On a terminal it shows the list and asks first.
    #[command(
        after_help = "Examples:\n  lifeboat prune --dry-run\n  lifeboat prune --yes\n  lifeboat prune --approve 1f0c9a4be27d3356        # the hash that `lifeboat plan` prints\n\nOf a plan of Zilliz Cloud, tiers alone are pruned, with a hash for each region:\n  lifeboat plan --plan prod\n  lifeboat prune --plan prod --approve 9762a1e8d0143f1a"
    )]
    Prune(Prune),
    /// Go on with every run that was left open: long copies, and what a killed invocation did not do.
    #[command(
        after_help = "Example:\n  lifeboat resume        # what the function does every five minutes"
    )]
    Resume(Shown),
    /// Show every backup, and why it stays; of a plan of Zilliz Cloud, those of its clusters in every region, whoever made
    /// them.
    #[command(
        after_help = "Examples:\n  lifeboat list --plan nightly\n  lifeboat list --plan prod --json | jq '.backups.shown[] | select(.method == \"other\")'"
    )]
    List(Shown),
    /// Show what the next thirty nights will copy, keep and cost, and how long the next one takes; changes nothing.
    #[command(after_help = "Example:\n  lifeboat estimate --plan nightly")]
    Estimate(Shown),
    /// Show the jobs that the journal remembers, one line each.
    #[command(
        after_help = "Example:\n  lifeboat jobs --json | jq '.runs[].jobs[] | select(.state == \"failed\")'"
    )]
    Jobs(Shown),
    /// Bring namespaces back: each from its newest verified backup, under a new name, compared, and ready to be written. Or,
    /// with a plan of Zilliz Cloud, a cluster or its collections.
    ///
    /// Nothing is ever overwritten or deleted. It needs the region of the backups and the one that receives them, and no
    /// other. Interrupted, it carries on when the same command is given again.
    #[command(
        after_help = "Examples:\n  lifeboat restore acme-orders --at 2026-11-20T00:00:00Z --dry-run\n  lifeboat restore --all --to gcp-us-central1 --as '{source}' --verify full\n\nExamples for plans of Zilliz Cloud:\n  lifeboat restore --cluster orders-prod --from gcp-us-east4 --new-cluster orders-back --cu-size 8 \\\n    --password-secret lifeboat/orders-back\n  lifeboat restore --cluster orders-prod --into orders-test --collection archive.old=archive.older"
    )]
    Restore(Box<Restore>),
    /// Prove that backups come back: restore some under scratch names, compare them with their backups, say how long that
    /// took, and delete the scratches.
    ///
    /// Without names it draws one source by lot. Nothing that stands is written, and nothing but the scratches is deleted.
    #[command(
        after_help = "Examples:\n  lifeboat drill\n  lifeboat drill --share 5% --verify full --to aws-us-west-2"
    )]
    Drill(Box<Drill>),
    /// Check the configuration and show what it means.
    #[command(after_help = "Example:\n  lifeboat check --online")]
    Check {
        /// Ask every region of every plan, too: key, listing, reading, clocks, names too long for a backup. Changes nothing.
        #[arg(long)]
        online: bool,
        /// Print what was found out as JSON, and not what the configuration means.
        #[arg(long, requires = "online")]
        json: bool,
    },
    /// Compare backups with their live sources or, where these are gone or were written since, with the backup of the same
    /// slot in another target; says what was proven, and changes nothing. Without names, the newest of every source.
    #[command(
        after_help = "Examples:\n  lifeboat verify\n  lifeboat verify --prefix acme- --level full"
    )]
    Verify {
        #[command(flatten)]
        picked: PickedMany,
        #[command(flatten)]
        shown: Shown,
    },
    /// Seal backups that somebody else made, such as the vendor's sample, so that retention counts and governs them.
    #[command(after_help = "Example:\n  lifeboat seal backup-acme-orders-1763690400 --level full")]
    Seal {
        /// How closely each is compared first: count, sample:N or full; the plan's level if left out.
        #[arg(long, value_name = "LEVEL", value_parser = Level::to_seal_on)]
        level: Option<Level>,
        #[command(flatten)]
        named: Named,
    },
    /// Delete backups by name, for good; never the newest sealed one of a source.
    #[command(after_help = "Example:\n  lifeboat discard backup-acme-orders-1763690400 --dry-run")]
    Discard {
        #[command(flatten)]
        named: Named,
    },
    /// Carry out an event as the Lambda function would.
    #[command(
        after_help = "Example:\n  echo '{\"action\": \"backup\", \"dry_run\": true}' | lifeboat invoke -"
    )]
    Invoke {
        /// A file with the event as JSON, or `-` for standard input.
        event: String,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Play two weeks of nightly backups on the built-in emulator; needs no account and leaves nothing behind.
    #[command(after_help = "Example:\n  lifeboat demo")]
    Demo,
    /// Print the script with which your shell completes this program's commands and options.
    #[command(
        after_help = "Example:\n  lifeboat completions bash > ~/.local/share/bash-completion/completions/lifeboat"
    )]
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// For what may delete.
#[derive(Args)]
struct Options {
    /// Decide and show, but change nothing.
    #[arg(long, conflicts_with = "approve")]
    dry_run: bool,
    /// Delete exactly the list that has this hash, or nothing; `lifeboat plan` prints it.
    #[arg(long, value_name = "HASH")]
    approve: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Args)]
struct Shown {
    /// The plan; may be left out where there is only one, or one called `default`.
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Options {
    fn request(self, action: Action) -> Request {
        Request {
            action,
            plan: self.shown.plan,
            dry_run: self.dry_run,
            approve: self.approve,
            ..Request::default()
        }
    }
}

impl Shown {
    fn request(self, action: Action, dry_run: bool) -> Request {
        Request {
            action,
            plan: self.plan,
            dry_run,
            ..Request::default()
        }
    }
}

/// What the process says and how it ends when nothing could be done.
struct BadInput(String);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = Cli::parse().command;
    terminal::look();
    let ended = match command {
        Command::Backup {
            scheduled_time,
            manual,
            cluster,
            collections,
            options,
        } => {
            let json = options.shown.json;
            let by_hand = match by_hand_of(cluster.as_ref(), &collections) {
                Ok(by_hand) => by_hand,
                Err(BadInput(message)) => return bad_input(&message),
            };
            let request = Request {
                scheduled_time,
                manual,
                by_hand,
                ..options.request(Action::Backup)
            };
            carry_out(request, json).await
        }
        Command::Plan(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::Prune, true), json).await
        }
        Command::Prune(wanted) => prune(wanted).await,
        Command::Resume(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::Resume, false), json).await
        }
        Command::Jobs(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::Jobs, false), json).await
        }
        Command::Estimate(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::Estimate, false), json).await
        }
        Command::List(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::List, false), json).await
        }
        Command::Restore(restore) => bring_back(&restore).await,
        Command::Drill(drill) => try_out(&drill).await,
        Command::Check { online, json } => check(online, json).await,
        Command::Verify { picked, shown } => {
            let json = shown.json;
            let request = Request {
                picked: picked.picked(),
                ..shown.request(Action::Verify, false)
            };
            carry_out(request, json).await
        }
        Command::Seal { level, named } => by_hand(Action::Seal, level, named).await,
        Command::Discard { named } => by_hand(Action::Discard, None, named).await,
        Command::Invoke { event, json } => match read_event(&event) {
            Ok(request) => carry_out(request, json).await,
            Err(bad) => Err(bad),
        },
        Command::Demo => return play_demo().await,
        Command::Completions { shell } => print_completions(shell),
    };
    ended.unwrap_or_else(|BadInput(message)| bad_input(&message))
}

fn bad_input(message: &str) -> ExitCode {
    // Nothing can be said when stderr is closed; the exit status still tells.
    let _ = writeln!(io::stderr(), "lifeboat: {message}");
    ExitCode::from(2)
}

/// What a manual backup of clusters is of.
fn by_hand_of(cluster: Option<&String>, collections: &[String]) -> Result<ByHand, BadInput> {
    let request = read([
        ("manual", Some(true.into())),
        ("cluster", text(cluster)),
        ("collections", list(collections)),
    ]);
    Ok(request?.by_hand)
}

/// A request of those fields that are given, read by the same rules as an event's.
fn read(
    fields: impl IntoIterator<Item = (&'static str, Option<Value>)>,
) -> Result<Request, BadInput> {
    let fields = fields.into_iter();
    let given = fields.filter_map(|(field, value)| Some((field.to_owned(), value?)));
    let event = Value::Object(given.collect());
    Request::from_event(&event.into()).map_err(|error| BadInput(error.at_a_terminal()))
}

/// The value of a field, if it is given.
fn text(given: Option<&String>) -> Option<Value> {
    given.map(|text| text.as_str().into())
}

/// The same of one that may be given several times.
fn list(given: &[String]) -> Option<Value> {
    (!given.is_empty()).then(|| given.into())
}

fn print_completions(shell: Shell) -> Result<ExitCode, BadInput> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lifeboat", &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|error| BadInput(format!("the completions can't be written: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

async fn carry_out(request: Request, json: bool) -> Result<ExitCode, BadInput> {
    start_logs()?;
    let settings = settings()?;
    let lifeboat = connect(settings)?;
    let Some(answer) = handle_or_drop(&lifeboat, &request).await? else {
        return Ok(ExitCode::FAILURE);
    };
    print_answer(&answer, json).map_err(unwritable)?;
    Ok(exit_code(&answer))
}

fn connect(settings: Settings) -> Result<Lifeboat, BadInput> {
    let lifeboat = Lifeboat::connect(settings, Clock::system()).map_err(BadInput)?;
    Ok(match state_directory() {
        Some(directory) => lifeboat.keeping_restores_in(&directory),
        None => lifeboat,
    })
}

/// Where restores are remembered on this machine, as the XDG directories have it.
fn state_directory() -> Option<JournalUrl> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let url = reqwest::Url::from_directory_path(state?.join("lifeboat")).ok()?;
    url.as_str().parse().ok()
}

async fn handle(
    lifeboat: &Lifeboat,
    request: &Request,
    progress: &Progress,
) -> Result<Answer, BadInput> {
    let run_id = format!("terminal-{}", Clock::system().now().as_millisecond());
    let watch = |step: Step<'_>| progress.show(&step);
    let answer = lifeboat.handle(request, run_id, LONGEST_RUN, Size::Whole, &watch);
    let answer = answer.await;
    progress.finish();
    answer.map_err(|refused| BadInput(refused.to_string()))
}

fn exit_code(answer: &Answer) -> ExitCode {
    let of_runs = answer.reports().map(|report| report.outcome);
    let of_restores = answer.restores().map(|report| report.outcome);
    let good = of_runs
        .chain(of_restores)
        .chain(answer.drills().map(|report| report.outcome))
        .chain(answer.clusters().map(|report| report.outcome))
        .chain(answer.cluster_restores().map(|report| report.outcome))
        .chain(answer.cluster_lists().map(|list| list.outcome))
        .all(|outcome| outcome == Outcome::Succeeded);
    let all_in_order = match answer {
        Answer::Checked(checked) => checked.bad().next().is_none(),
        Answer::Estimated(estimated) => estimated.failures.is_empty(),
        _ => good && answer.not_carried_on().is_empty(),
    };
    if all_in_order {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn unwritable(error: io::Error) -> BadInput {
    BadInput(format!("the report can't be written: {error}"))
}

fn print_answer(answer: &Answer, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, answer)?;
        return writeln!(out);
    }
    match answer {
        Answer::Run(report) => terminal::write_report(&mut out, report),
        Answer::Resumed(resumed) => terminal::write_resumed(&mut out, resumed),
        Answer::Jobs(jobs) => terminal::write_jobs_of_runs(&mut out, jobs),
        Answer::Restored(report) => terminal::write_restore(&mut out, report),
        Answer::Checked(checked) => terminal::write_findings(&mut out, &checked.findings),
        Answer::Estimated(estimated) => terminal::write_estimate(&mut out, estimated),
        Answer::Drilled(report) => terminal::write_drill(&mut out, report),
        Answer::Clusters(report) => terminal::write_clusters(&mut out, report),
        Answer::ClustersRestored(report) => terminal::write_cluster_restore(&mut out, report),
        Answer::ClustersListed(list) => terminal::write_cluster_list(&mut out, list),
    }
}

async fn check(online: bool, json: bool) -> Result<ExitCode, BadInput> {
    if !json {
        show_settings(&settings()?)?;
    }
    if !online {
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request {
        action: Action::Check,
        ..Request::default()
    };
    carry_out(request, json).await
}

fn show_settings(settings: &Settings) -> Result<(), BadInput> {
    let shown = terminal::write_settings(&mut io::stdout().lock(), settings);
    shown.map_err(|error| BadInput(format!("the configuration can't be shown: {error}")))
}

fn settings() -> Result<Settings, BadInput> {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    Settings::from_environment(&environment).map_err(|faults| BadInput(faults.to_string()))
}

fn read_event(path: &str) -> Result<Request, BadInput> {
    let text = if path == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text =
        text.map_err(|error| BadInput(format!("the event `{path}` can't be read: {error}")))?;
    let event: Event = serde_json::from_str(&text)
        .map_err(|error| BadInput(format!("the event `{path}` is not JSON: {error}")))?;
    Request::from_event(&event).map_err(|error| BadInput(error.to_string()))
}

/// Logs to stderr. Without `LIFEBOAT_LOG`: errors alone at a terminal, where a progress bar is shown; every step (INFO) in a
/// pipe or a file.
fn start_logs() -> Result<(), BadInput> {
    let quiet = io::stderr().is_terminal();
    let level = match std::env::var("LIFEBOAT_LOG") {
        Ok(level) => level.parse().map_err(|_| {
            let levels = "error, warn, info, debug or trace";
            BadInput(format!("LIFEBOAT_LOG: `{level}` is no level; use {levels}"))
        })?,
        Err(_) if quiet => LogLevel::ERROR,
        Err(_) => LogLevel::INFO,
    };
    let as_json = match std::env::var("LIFEBOAT_LOG_FORMAT").as_deref() {
        Ok("json") => true,
        Ok("text") | Err(_) => false,
        Ok(other) => {
            let message = format!("LIFEBOAT_LOG_FORMAT: `{other}` is no format; use json or text");
            return Err(BadInput(message));
        }
    };
    telemetry::for_terminal(level, as_json);
    Ok(())
}

async fn play_demo() -> ExitCode {
    telemetry::for_terminal(LogLevel::ERROR, false);
    match demo::play(&mut io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "lifeboat: the demo did not end as it should: {error}"
            );
            ExitCode::FAILURE
        }
    }
}
