//! Two weeks of nightly backups in a few seconds, on the built-in emulator, over real HTTP.
//!
//! The same code as in production does the work; only the clock, the region and what goes wrong are made up. It ends in
//! an error if anything stands, or is gone, that should not.

use std::io::{self, Write};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use lifeboat_emulator::{
    ClockMode, Emulator, Fault, Match, Moment, Rule, Settings as EmulatorSettings, serve,
};
use tokio::net::TcpListener;
use turbopuffer::Client;
use turbopuffer::types::{DistanceMetric, Row};

use crate::clock::Clock;
use crate::event::{Action, Request};
use crate::plan::Settings;
use crate::report::{Line, Report, Size};
use crate::terminal::{self, table};
use crate::{Answer, Lifeboat};

const SOURCE_REGION: &str = "aws-us-east-1";
const BACKUP_REGION: &str = "aws-eu-west-1";
const API_KEY: &str = "tpuf_demo";
const FIRST_NIGHT: &str = "2026-11-07T02:00:00Z";
const NIGHTS: u32 = 15;
const NIGHT_OF_THE_FAILURE: u32 = 5;
const NIGHT_OF_THE_LOST_ANSWER: u32 = 7;
const NIGHT_OF_THE_DELETION: u32 = 10;
/// A customer's own namespace that ends in ten digits: the vendor's sample takes it for a backup of 1970.
const STRAY: &str = "backup-acme-tenant-0012345678";
/// Name and rows on the first day; each grows a little every day.
const SOURCES: [(&str, u64); 6] = [
    ("acme-docs", 900),
    ("acme-images", 600),
    ("acme-legacy", 50),
    ("acme-orders", 1_500),
    ("acme-tickets", 300),
    ("acme-users", 400),
];
const ONE_RUN: Duration = Duration::from_mins(2);

/// Why the demo could not be played, or did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The screen or the network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The emulator refused a request of the story.
    #[error("the emulator refused: {0}")]
    Emulator(#[from] turbopuffer::Error),
    /// Anything else that is not as told.
    #[error("{0}")]
    Story(String),
}

/// Plays the demo; everything runs inside this call and ends with it.
pub fn play(out: &mut dyn Write) -> LocalBoxFuture<'_, Result<(), DemoError>> {
    play_to(out).boxed_local()
}

async fn play_to(mut out: &mut dyn Write) -> Result<(), DemoError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/{{region}}", listener.local_addr()?);
    let settings = EmulatorSettings {
        clock: ClockMode::System,
        copy_overhead_ms: 50,
        ..EmulatorSettings::default()
    };
    let emulator = Emulator::new(settings);
    let stage = Stage::new(emulator.clone(), &base_url)?;
    tokio::select! {
        ended = serve(emulator, listener, std::future::pending()) => Ok(ended?),
        told = stage.tell(&mut out) => told,
    }
}

struct Stage {
    emulator: Emulator,
    source: Client,
    target: Client,
    lifeboat: Lifeboat,
}

impl Stage {
    fn new(emulator: Emulator, base_url: &str) -> Result<Self, DemoError> {
        let client = |region: &str| {
            let client = Client::builder()
                .api_key(API_KEY)
                .base_url(base_url)
                .region(region)
                .build();
            client.map_err(|error| DemoError::Story(error.to_string()))
        };
        let environment = [
            ("SOURCE_REGION", SOURCE_REGION),
            ("BACKUP_REGION", BACKUP_REGION),
            ("SOURCE_PREFIX", "acme-"),
            ("TURBOPUFFER_API_KEY", API_KEY),
            ("TURBOPUFFER_BASE_URL", base_url),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_environment(&environment)
            .map_err(|faults| DemoError::Story(faults.to_string()))?;
        let clock = emulator.clone();
        let lifeboat = Lifeboat::connect(settings, Clock::new(move || clock.now()))
            .map_err(DemoError::Story)?;
        Ok(Self {
            source: client(SOURCE_REGION)?,
            target: client(BACKUP_REGION)?,
            emulator,
            lifeboat,
        })
    }

    async fn tell(&self, out: &mut impl Write) -> Result<(), DemoError> {
        writeln!(
            out,
            "Two weeks of nightly backups: acme-* in {SOURCE_REGION} → {BACKUP_REGION}, recovery window 7 days.\n"
        )?;
        let mut nights = table(&[
            "night",
            "sealed",
            "failed",
            "deleted",
            "standing",
            "what happened",
        ]);
        let mut newest = None;
        for night in 1..=NIGHTS {
            let slot = first_night() + SignedDuration::from_hours(24 * i64::from(night - 1));
            self.emulator.set_now(slot - SignedDuration::from_hours(6));
            self.write_rows(night).await?;
            let story = self.stage_night(night).await?;
            self.emulator.set_now(slot);
            let report = self.run(Action::Backup, Some(slot)).await?;
            self.emulator.set_faults(Vec::new());
            let standing = report.pruning.backups - report.pruning.deleted;
            nights.add_row([
                slot.strftime("%a %-d %b").to_string(),
                report.jobs.sealed.to_string(),
                report.jobs.failed.to_string(),
                report.pruning.deleted.to_string(),
                standing.to_string(),
                story.to_owned(),
            ]);
            check_night(night, &report)?;
            newest = Some(report);
        }
        writeln!(out, "{nights}\n")?;
        let list = self.run(Action::List, None).await?;
        show_what_stands(out, &list)?;
        check_end(newest.as_ref(), &list)?;
        writeln!(
            out,
            "\nEverything stands that should, and nothing else is gone. Next: README.md, \"Deploy\"."
        )?;
        Ok(())
    }

    /// The day's work of the customers: every namespace grows.
    async fn write_rows(&self, night: u32) -> Result<(), DemoError> {
        for (name, rows) in SOURCES {
            if name == "acme-legacy" && night > 1 {
                continue;
            }
            let from = if night == 1 {
                0
            } else {
                rows + u64::from(night) * 10
            };
            let to = if night == 1 { rows } else { from + 10 };
            let rows = (from..to).map(|id| {
                let angle = f32::from(u16::try_from(id).unwrap_or(u16::MAX));
                Row::new(id)
                    .vector([angle.sin(), angle.cos(), 0.5, -0.5])
                    .insert("title", format!("{name} no. {id}"))
                    .insert("day", night)
            });
            let write = self
                .source
                .namespace(name)
                .write()
                .distance_metric(DistanceMetric::CosineDistance);
            write.upsert_rows(rows).send().await?;
        }
        Ok(())
    }

    /// What goes wrong in one night.
    async fn stage_night(&self, night: u32) -> Result<&'static str, DemoError> {
        let copies_of = |source: &str| Match {
            source: Some(source.to_owned()),
            ..Match::operation("start_copy")
        };
        match night {
            NIGHT_OF_THE_FAILURE => {
                let fault = Fault {
                    fail_operation: true,
                    ..Fault::default()
                };
                self.emulator
                    .set_faults(vec![Rule::new(copies_of("acme-images"), fault)]);
                Ok("the service gives up the copy of acme-images: the others go on")
            }
            NIGHT_OF_THE_LOST_ANSWER => {
                let fault = Fault {
                    reset: Some(Moment::After),
                    ..Fault::default()
                };
                self.emulator
                    .set_faults(vec![Rule::new(copies_of("acme-orders"), fault).times(1)]);
                Ok("the answer about acme-orders is lost: its copy is found, compared and adopted")
            }
            NIGHT_OF_THE_DELETION => {
                self.source
                    .namespace("acme-legacy")
                    .delete_all()
                    .send()
                    .await?;
                let row = Row::new(1_u64).insert("title", "a customer's own data");
                self.target
                    .namespace(STRAY)
                    .write()
                    .upsert_rows([row])
                    .send()
                    .await?;
                Ok("acme-legacy is deleted by mistake; its backups stay")
            }
            _ => Ok(""),
        }
    }

    async fn run(
        &self,
        action: Action,
        scheduled_time: Option<Timestamp>,
    ) -> Result<Report, DemoError> {
        let request = Request {
            action,
            scheduled_time,
            ..Request::default()
        };
        let report = self
            .lifeboat
            .handle(&request, "demo".into(), ONE_RUN, Size::Whole, &|_| ())
            .await;
        match report.map_err(|refused| DemoError::Story(refused.to_string()))? {
            Answer::Run(report) => Ok(*report),
            other => Err(DemoError::Story(format!(
                "a run was answered with {other:?}"
            ))),
        }
    }
}

fn first_night() -> Timestamp {
    // A constant that parses; the beginning of time would only make a stranger demo.
    FIRST_NIGHT.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn show_what_stands(out: &mut impl Write, list: &Report) -> io::Result<()> {
    let mut standing = table(&["source", "backups", "oldest", "newest", "all sealed"]);
    for (name, _) in SOURCES {
        let lines: Vec<&Line> = list
            .decisions
            .shown
            .iter()
            .filter(|line| line.source == name)
            .collect();
        let slot =
            |line: Option<&&Line>| line.map_or_else(String::new, |line| line.slot.to_string());
        let sealed = lines.iter().all(|line| line.sealed == Some(true));
        standing.add_row([
            name.to_owned(),
            lines.len().to_string(),
            slot(lines.first()),
            slot(lines.last()),
            if sealed { "yes" } else { "no" }.to_owned(),
        ]);
    }
    writeln!(out, "What stands in {BACKUP_REGION}:\n{standing}\n")?;
    let told: Vec<Line> = list
        .decisions
        .shown
        .iter()
        .filter(|line| matches!(line.source.as_str(), "acme-images" | "acme-legacy"))
        .cloned()
        .collect();
    writeln!(
        out,
        "Why, for two of them:\n{}",
        terminal::decisions_table(&told)
    )?;
    for stray in &list.strays.shown {
        writeln!(out, "not a backup of this plan, never touched: {stray}")?;
    }
    for line in list
        .decisions
        .shown
        .iter()
        .filter(|line| line.backup == STRAY)
    {
        let why = line
            .keep
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ");
        writeln!(
            out,
            "kept, although its name ends in ten digits: {STRAY} ({why})"
        )?;
    }
    Ok(())
}

/// One job fails in the night of the failure, and no other ever.
fn check_night(night: u32, report: &Report) -> Result<(), DemoError> {
    let failed = u64::from(night == NIGHT_OF_THE_FAILURE);
    let adopted = u64::from(night == NIGHT_OF_THE_LOST_ANSWER);
    if (report.jobs.failed, report.jobs.adopted) == (failed, adopted)
        && report.pruning.refused + report.pruning.failed == 0
    {
        return Ok(());
    }
    Err(DemoError::Story(format!(
        "night {night}: {}",
        report.summary()
    )))
}

/// The newest backup of every source stands, the stray stands, and nothing outside the recovery window does.
fn check_end(newest: Option<&Report>, list: &Report) -> Result<(), DemoError> {
    let lines = &list.decisions.shown;
    let good = |name: &str| {
        lines
            .iter()
            .filter(|line| line.source == name && line.sealed == Some(true))
            .count()
    };
    let bare: Vec<&str> = SOURCES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| good(name) == 0)
        .collect();
    let stray = lines.iter().any(|line| line.backup == STRAY)
        || list.strays.shown.iter().any(|name| name == STRAY);
    let due = lines.iter().filter(|line| line.due).count();
    let pruned = newest.is_some_and(|report| report.pruning.deleted > 0);
    if bare.is_empty() && stray && due == 0 && pruned {
        return Ok(());
    }
    Err(DemoError::Story(format!(
        "without a sealed backup: {bare:?}; stray stands: {stray}; still due: {due}; pruned: {pruned}"
    )))
}
