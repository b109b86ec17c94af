//! The terminal door: the same requests as the Lambda function's, from a command line.
//!
//! Report on stdout, logs on stderr. Exit status 0: all good; 1: something was not done; 2: bad input or configuration.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use lifeboat::clock::Clock;
use lifeboat::event::{Action, Event, Picked, Request};
use lifeboat::plan::Settings;
use lifeboat::preflight::{self, Verdict};
use lifeboat::report::{Outcome, Size};
use lifeboat::terminal::{self, Progress};
use lifeboat::verify::Level;
use lifeboat::{Answer, Lifeboat, demo, telemetry};

/// A person may wait longer than a function, but not for ever.
const LONGEST_RUN: Duration = Duration::from_hours(24);

/// Scheduled, verified, cross-region backups for turbopuffer.
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
    Backup {
        /// The instant this backup stands for, such as 2026-11-21T02:00:00Z; a repeated one continues the same backup.
        #[arg(long, value_name = "TIME")]
        scheduled_time: Option<Timestamp>,
        /// Make backups that are kept for ever; nothing is deleted.
        #[arg(long, conflicts_with = "approve")]
        manual: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Show what retention would delete now and in the next days, with every reason and the hash that approves it.
    Plan(Shown),
    /// Delete what retention no longer needs, and nothing else.
    Prune(Options),
    /// Go on with every run that was left open: long copies, and what a killed invocation did not do.
    Resume(Shown),
    /// Show every backup, and why it stays.
    List(Shown),
    /// Show the jobs that the journal remembers, one line each.
    Jobs(Shown),
    /// Check the configuration and show what it means.
    Check {
        /// Ask every region of every plan, too: key, listing, reading, clocks, names too long for a backup. Changes nothing.
        #[arg(long)]
        online: bool,
    },
    /// Compare backups with their live sources, or where these are gone or were written since with their like in another
    /// target; says what was proven, and changes nothing. Without names, the newest of every source.
    Verify {
        #[command(flatten)]
        picked: PickedMany,
        #[command(flatten)]
        shown: Shown,
    },
    /// Seal backups that somebody else made, such as the vendor's sample, so that retention counts and governs them.
    Seal {
        /// How closely each is compared first: metadata, count, sample:N or full; the plan's level if left out.
        #[arg(long, value_name = "LEVEL")]
        level: Option<Level>,
        #[command(flatten)]
        named: Named,
    },
    /// Delete backups by name, for good; never the newest sealed one of a source.
    Discard {
        #[command(flatten)]
        named: Named,
    },
    /// Carry out an event as the Lambda function would.
    Invoke {
        /// A file with the event as JSON, or `-` for standard input.
        event: String,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Live through two weeks of nightly backups on the built-in emulator; needs no account and leaves nothing behind.
    Demo,
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

/// Which backups are compared.
#[derive(Args)]
struct PickedMany {
    /// Whole names of backups, as `lifeboat list` shows them.
    #[arg(value_name = "NAME", conflicts_with_all = ["prefix", "newest", "all"])]
    names: Vec<String>,
    /// Backups of the sources whose names begin like this.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// The newest backup of each source (as without this word).
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

/// Which backups are changed by hand, and whether that is meant.
#[derive(Args)]
struct Named {
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

impl PickedMany {
    fn picked(self) -> Picked {
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

/// What the process says and how it ends when nothing could be done.
struct BadInput(String);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Backup {
            scheduled_time,
            manual,
            options,
        } => {
            let json = options.shown.json;
            let request = Request {
                scheduled_time,
                manual,
                ..options.request(Action::Backup)
            };
            carry_out(request, json).await
        }
        Command::Plan(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::Prune, true), json).await
        }
        Command::Prune(options) => {
            let json = options.shown.json;
            carry_out(options.request(Action::Prune), json).await
        }
        Command::Resume(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::Resume, false), json).await
        }
        Command::Jobs(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::Jobs, false), json).await
        }
        Command::List(shown) => {
            let json = shown.json;
            carry_out(shown.request(Action::List, false), json).await
        }
        Command::Check { online } => check(online).await,
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
    };
    ended.unwrap_or_else(|BadInput(message)| {
        // Nothing can be said when stderr is closed; the exit status still tells.
        let _ = writeln!(io::stderr(), "lifeboat: {message}");
        ExitCode::from(2)
    })
}

/// Shows what would be done, asks whether that is meant, and does it.
async fn by_hand(action: Action, level: Option<Level>, named: Named) -> Result<ExitCode, BadInput> {
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
    if could != ExitCode::SUCCESS || !is_meant(action, &listed) {
        return Ok(ExitCode::FAILURE);
    }
    let mut request = request;
    request.picked.yes = true;
    carry_out(request, json).await
}

/// Asks on the terminal; anything but the word of the action is a no.
fn is_meant(action: Action, names: &str) -> bool {
    let word = action.word();
    let asked = write!(
        io::stderr(),
        "Really {word} {names}? Type `{word}` to do it: "
    );
    let mut answer = String::new();
    asked.is_ok() && io::stdin().read_line(&mut answer).is_ok() && answer.trim() == word
}

async fn carry_out(request: Request, json: bool) -> Result<ExitCode, BadInput> {
    start_logs();
    let settings = settings()?;
    if request.action == Action::Check && !json {
        request
            .choose(&settings.plans)
            .map_err(|error| BadInput(error.to_string()))?;
        return show_settings(&settings);
    }
    let clock = Clock::system();
    let run_id = format!("terminal-{}", clock.now().as_millisecond());
    let lifeboat = Lifeboat::connect(settings, clock).map_err(BadInput)?;
    let progress = Progress::new();
    let answer = lifeboat
        .handle(&request, run_id, LONGEST_RUN, Size::Whole, &|step| {
            progress.show(&step);
        })
        .await;
    progress.finish();
    let answer = answer.map_err(|refused| BadInput(refused.to_string()))?;
    print_answer(&answer, json)
        .map_err(|error| BadInput(format!("the report can't be written: {error}")))?;
    let good = answer
        .reports()
        .all(|report| report.outcome == Outcome::Succeeded);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
    }
}

async fn check(online: bool) -> Result<ExitCode, BadInput> {
    let settings = settings()?;
    let shown = show_settings(&settings)?;
    if !online {
        return Ok(shown);
    }
    start_logs();
    let findings = preflight::look(&settings, &Clock::system())
        .await
        .map_err(BadInput)?;
    terminal::write_findings(&mut io::stdout().lock(), &findings)
        .map_err(|error| BadInput(format!("the findings can't be shown: {error}")))?;
    let bad = findings.iter().any(|found| found.verdict == Verdict::Bad);
    Ok(ExitCode::from(u8::from(bad)))
}

fn show_settings(settings: &Settings) -> Result<ExitCode, BadInput> {
    let shown = terminal::write_settings(&mut io::stdout().lock(), settings);
    shown.map_err(|error| BadInput(format!("the configuration can't be shown: {error}")))?;
    Ok(ExitCode::SUCCESS)
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

/// Beside a progress bar only what went wrong is shown; in a pipe or a file, every step.
fn start_logs() {
    let quiet = io::stderr().is_terminal();
    let level = std::env::var("LIFEBOAT_LOG")
        .unwrap_or_else(|_| if quiet { "error" } else { "info" }.to_owned());
    let as_json = std::env::var("LIFEBOAT_LOG_FORMAT").is_ok_and(|format| format == "json");
    telemetry::for_terminal(&level, as_json);
}

async fn play_demo() -> ExitCode {
    telemetry::for_terminal("error", false);
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
