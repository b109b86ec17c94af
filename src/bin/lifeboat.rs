//! The terminal door: the same requests as the Lambda function's, from a command line.
//!
//! Report on stdout, logs on stderr. Exit status 0: all good; 1: something was not done; 2: bad input or configuration.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use jiff::Timestamp;
use lifeboat::clock::Clock;
use lifeboat::event::{Action, ByHand, Event, Picked, Request};
use lifeboat::journal::JournalUrl;
use lifeboat::plan::Settings;
use lifeboat::report::{Outcome, Size};
use lifeboat::run::Step;
use lifeboat::terminal::{self, Progress};
use lifeboat::verify::Level;
use lifeboat::zilliz::ClusterRestoreReport;
use lifeboat::zilliz::restore::asked::Asked;
use lifeboat::{Answer, Lifeboat, demo, telemetry};
use tracing::Level as LogLevel;

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
    #[command(
        after_help = "Examples:\n  lifeboat backup --dry-run\n  lifeboat backup --manual        # before a risky deployment; kept for ever"
    )]
    Backup {
        /// The instant this backup stands for, such as 2026-11-21T02:00:00Z; a repeated one continues the same backup.
        #[arg(long, value_name = "TIME")]
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
    /// Delete what retention no longer needs, and nothing else.
    #[command(
        after_help = "Examples:\n  lifeboat prune --dry-run\n  lifeboat prune --approve 1f0c9a4be27d3356        # the hash that `lifeboat plan` prints\n\nOf a plan of Zilliz Cloud, tiers alone are pruned, with a hash for each region:\n  lifeboat plan --plan prod\n  lifeboat prune --plan prod --approve 9762a1e8d0143f1a"
    )]
    Prune(Options),
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
    /// Tell what the next thirty nights will copy, keep and cost, and how long the next one takes; changes nothing.
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
    /// Compare backups with their live sources, or where these are gone or were written since with their like in another
    /// target; says what was proven, and changes nothing. Without names, the newest of every source.
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
        /// How closely each is compared first: metadata, count, sample:N or full; the plan's level if left out.
        #[arg(long, value_name = "LEVEL")]
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
    /// Live through two weeks of nightly backups on the built-in emulator; needs no account and leaves nothing behind.
    #[command(after_help = "Example:\n  lifeboat demo")]
    Demo,
    /// Print what your shell needs to complete this program's words.
    #[command(
        after_help = "Example:\n  lifeboat completions bash > ~/.local/share/bash-completion/completions/lifeboat"
    )]
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// What is to be restored, and as what.
#[derive(Args)]
#[group(id = "which", required = true, multiple = false, args = ["names", "prefix", "all", "new_cluster", "into"])]
struct Restore {
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
    #[arg(long, value_name = "TIME")]
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
    /// The fields of an event that are given.
    fn fields(&self) -> impl Iterator<Item = (String, serde_json::Value)> {
        let texts = [
            ("new_cluster", &self.new_cluster),
            ("project", &self.project),
            ("version", &self.version),
            ("password_secret", &self.password_secret),
            ("into", &self.into),
            ("collection_status", &self.collection_status),
            ("cluster", &self.cluster),
            ("from", &self.from),
            ("backup", &self.backup),
        ];
        let given = texts
            .into_iter()
            .filter_map(|(field, value)| Some((field, value.as_deref()?.into())));
        let size = self.cu_size.map(|size| ("cu_size", size.into()));
        let named = !self.collections.is_empty();
        let collections = named.then(|| ("collections", self.collections.as_slice().into()));
        let all = given.chain(size).chain(collections);
        all.map(|(field, value)| (field.to_owned(), value))
    }
}

impl Restore {
    /// The same request as an event's, read by the same rules.
    fn request(&self) -> Result<Request, BadInput> {
        let mut event = serde_json::json!({"action": "restore", "dry_run": self.dry_run});
        let optional = [
            ("as", &self.template),
            ("prefix", &self.prefix),
            ("to", &self.to),
            ("verify", &self.verify),
            ("target", &self.target),
            ("to_api_key_secret", &self.to_api_key_secret),
            ("to_encryption_key", &self.to_encryption_key),
            ("plan", &self.shown.plan),
            ("at", &self.at.map(|at| at.to_string())),
        ];
        if let Some(fields) = event.as_object_mut() {
            let given = optional.into_iter().filter_map(|(field, value)| {
                let value = value.as_deref()?;
                Some((field.to_owned(), value.into()))
            });
            fields.extend(given);
            fields.extend(self.clusters.fields());
            if self.all {
                fields.insert("all".to_owned(), true.into());
            }
            if !self.names.is_empty() {
                fields.insert("names".to_owned(), self.names.as_slice().into());
            }
        }
        let request = Request::from_event(&event.into());
        let mut request = request.map_err(|error| BadInput(error.to_string()))?;
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

/// Which backups are drilled, and where.
#[derive(Args)]
struct Drill {
    /// Namespaces, each for its newest verified backup, or whole names of backups.
    #[arg(value_name = "NAME", conflicts_with_all = ["pick", "count", "share", "seed"])]
    names: Vec<String>,
    /// How sources are picked: `random`, by lot (as without this word), or `oldest`, those whose newest verified backup is
    /// the oldest.
    #[arg(long, value_name = "HOW")]
    pick: Option<String>,
    /// So many sources; one unless given.
    #[arg(long, value_name = "N", conflicts_with = "share")]
    count: Option<u32>,
    /// So large a share of the sources, such as 5% or 0.5%.
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
    /// From which of the plan's targets; may be left out where there is only one.
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
        let mut event = serde_json::json!({"action": "drill", "dry_run": self.dry_run});
        let optional: [(&str, Option<serde_json::Value>); 9] = [
            ("pick", self.pick.clone().map(Into::into)),
            ("count", self.count.map(Into::into)),
            ("share", self.share.clone().map(Into::into)),
            ("seed", self.seed.map(Into::into)),
            ("to", self.to.clone().map(Into::into)),
            ("verify", self.verify.clone().map(Into::into)),
            ("target", self.target.clone().map(Into::into)),
            (
                "to_encryption_key",
                self.to_encryption_key.clone().map(Into::into),
            ),
            ("plan", self.shown.plan.clone().map(Into::into)),
        ];
        if let Some(fields) = event.as_object_mut() {
            let given = optional
                .into_iter()
                .filter_map(|(field, value)| Some((field.to_owned(), value?)));
            fields.extend(given);
            if !self.names.is_empty() {
                fields.insert("names".to_owned(), self.names.as_slice().into());
            }
        }
        Request::from_event(&event.into()).map_err(|error| BadInput(error.to_string()))
    }
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
            let by_hand = match by_hand_of(cluster, collections) {
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

/// What a manual backup of clusters is of, read by the same rules as an event's.
fn by_hand_of(cluster: Option<String>, collections: Vec<String>) -> Result<ByHand, BadInput> {
    let mut event = serde_json::Map::from_iter([("manual".to_owned(), true.into())]);
    if let Some(cluster) = cluster {
        event.insert("cluster".to_owned(), cluster.into());
    }
    if !collections.is_empty() {
        event.insert("collections".to_owned(), collections.into());
    }
    let event = serde_json::Value::Object(event);
    let request = Request::from_event(&event.into());
    request
        .map(|request| request.by_hand)
        .map_err(|error| BadInput(error.to_string()))
}

fn print_completions(shell: Shell) -> Result<ExitCode, BadInput> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lifeboat", &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|error| BadInput(format!("the completions can't be written: {error}")))?;
    Ok(ExitCode::SUCCESS)
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
    start_logs()?;
    let settings = settings()?;
    let lifeboat = connect(settings)?;
    let answer = handle(&lifeboat, &request).await?;
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

async fn handle(lifeboat: &Lifeboat, request: &Request) -> Result<Answer, BadInput> {
    let run_id = format!("terminal-{}", Clock::system().now().as_millisecond());
    let progress = Progress::new();
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
        _ => good,
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

/// Restores, after somebody has agreed to what it would do.
async fn bring_back(restore: &Restore) -> Result<ExitCode, BadInput> {
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
    if asks && !agreed(&lifeboat, &request).await? {
        return Ok(ExitCode::FAILURE);
    }
    let answer = handle_until_ctrl_c(&lifeboat, &request).await?;
    print_answer(&answer, restore.shown.json).map_err(unwritable)?;
    if let Answer::ClustersRestored(report) = &answer
        && let Some(told) = &report.one_time
    {
        terminal::write_one_time(&mut io::stdout().lock(), told).map_err(unwritable)?;
    }
    let of_clusters = answer.cluster_restores().any(|report| report.stays_open);
    if of_clusters || answer.restores().any(|report| report.stays_open) {
        let command: Vec<String> = std::env::args().map(|word| quoted(&word)).collect();
        let _ = writeln!(
            io::stderr(),
            "lifeboat: to carry on, give the same command again: {}",
            command.join(" ")
        );
    }
    Ok(exit_code(&answer))
}

/// Drills; nobody is asked, because nothing is changed but what is made for it.
async fn try_out(drill: &Drill) -> Result<ExitCode, BadInput> {
    start_logs()?;
    let request = drill.request()?;
    let lifeboat = connect(settings()?)?;
    let answer = handle_until_ctrl_c(&lifeboat, &request).await?;
    print_answer(&answer, drill.shown.json).map_err(unwritable)?;
    if answer.drills().any(|report| report.stays_open) {
        let _ = writeln!(
            io::stderr(),
            "lifeboat: `lifeboat resume` carries on, and deletes the scratches"
        );
    }
    Ok(exit_code(&answer))
}

/// Carries a request out; with Ctrl-C it is left in order.
async fn handle_until_ctrl_c(lifeboat: &Lifeboat, request: &Request) -> Result<Answer, BadInput> {
    let mut answered = pin!(handle(lifeboat, request));
    tokio::select! {
        answer = &mut answered => answer,
        _ = tokio::signal::ctrl_c() => {
            lifeboat.interrupt();
            answered.await
        }
    }
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
async fn agreed(lifeboat: &Lifeboat, request: &Request) -> Result<bool, BadInput> {
    let dry_run = Request {
        dry_run: true,
        ..request.clone()
    };
    let answer = handle(lifeboat, &dry_run).await?;
    if let Answer::ClustersRestored(report) = &answer {
        return agreed_on_clusters(report);
    }
    let Answer::Restored(report) = &answer else {
        return Ok(false);
    };
    let mut err = io::stderr().lock();
    if report.counts.planned == 0 {
        let done = report.outcome == Outcome::Succeeded;
        if !done {
            terminal::write_restore(&mut err, report).map_err(unwritable)?;
        }
        return Ok(done);
    }
    terminal::write_planned_restore(&mut err, report).map_err(unwritable)?;
    err.flush().map_err(unwritable)?;
    is_yes()
}

/// The same for clusters. What was begun or done already needs no agreement.
fn agreed_on_clusters(report: &ClusterRestoreReport) -> Result<bool, BadInput> {
    let mut err = io::stderr().lock();
    if report.outcome != Outcome::Succeeded {
        terminal::write_cluster_restore(&mut err, report).map_err(unwritable)?;
        return Ok(false);
    }
    if report.count("planned") == 0 {
        return Ok(true);
    }
    terminal::write_planned_cluster_restore(&mut err, report).map_err(unwritable)?;
    err.flush().map_err(unwritable)?;
    is_yes()
}

fn is_yes() -> Result<bool, BadInput> {
    let mut said = String::new();
    io::stdin()
        .read_line(&mut said)
        .map_err(|error| BadInput(format!("no answer can be read: {error}")))?;
    Ok(matches!(said.trim(), "y" | "Y" | "yes"))
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

/// Beside a progress bar only what went wrong is shown; in a pipe or a file, every step.
/// Errors alone where a person watches a progress bar; otherwise every line of our own.
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
