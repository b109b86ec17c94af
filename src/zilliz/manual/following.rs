//! Follows a backup and its copies to their end, across invocations, and writes down what is new.
//!
//! What it must never do: forget what was begun, tell the same failure every five minutes, or end without having told it.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{FIRST_LOOK, Hand, LONGEST_WAIT, Made, SECONDS_APART};
use crate::service::{Pace, Region};
use crate::zilliz::client::ZillizError;
use crate::zilliz::copies::{Looks, Record, State, copies_bear_names};
use crate::zilliz::facts::Facts;
use crate::zilliz::notes::{Begun, Note, Past};
use crate::zilliz::run::{describe, left_out};
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::Backup;

/// What was seen of a backup in this invocation and before.
struct Seen {
    begun: Begun,
    copies: BTreeMap<Region, String>,
    available_since: Option<Timestamp>,
    /// Regions of backups, as far as they were told.
    regions: BTreeMap<String, Region>,
    job_is_lost: bool,
    /// Regions whose end is written down.
    told: Vec<Region>,
}

fn had_failed(past: &Past, record: &Record) -> bool {
    let line = past.lines.get(&record.region);
    line.is_some_and(|line| line.state == "failed")
}

impl<T: Transport> Hand<'_, T> {
    /// Looks until original and copies have come to an end, or this invocation has.
    pub(super) async fn follow(&self, begun: Begun, past: &Past) -> Made {
        let available = past
            .lines
            .get(self.home())
            .filter(|line| line.state == "available");
        let mut seen = Seen {
            begun,
            copies: past.copies.clone(),
            available_since: available.and_then(|line| line.ended_at),
            regions: BTreeMap::new(),
            job_is_lost: false,
            told: Vec::new(),
        };
        let mut pace = Pace::new(FIRST_LOOK, LONGEST_WAIT);
        loop {
            let looked = self.look(&mut seen).boxed_local().await;
            let (records, passing) = match looked {
                Ok(records) => (records, None),
                Err(error) if error.passes() => (Vec::new(), Some(error)),
                Err(error) => {
                    // The run stays open, so that what was begun is never forgotten.
                    let message = format!(
                        "the backup {} was begun, and can't be followed: {error}",
                        seen.begun.backup
                    );
                    let open = format!(
                        "the backup {} was begun; `resume` looks again",
                        seen.begun.backup
                    );
                    return Made {
                        failures: vec![(None, error.word(), message), (None, "being_made", open)],
                        ..Made::default()
                    };
                }
            };
            self.remember(&mut seen, &records, past).await;
            let open = records
                .iter()
                .any(|record| matches!(record.state, State::InMaking(_)));
            if (!open && passing.is_none()) || !self.wait(pace.next()).await {
                let made = self.told(&seen, &records, past, passing.as_ref());
                for line in made
                    .lines
                    .iter()
                    .filter(|line| !past.lines.contains_key(&line.region))
                {
                    if line.state == "incomplete" {
                        self.facts.ended(line.clone()).await;
                    }
                }
                return made;
            }
        }
    }

    /// One look at the list, at regions that were not told yet, and at the job.
    async fn look(&self, seen: &mut Seen) -> Result<Vec<Record>, ZillizError> {
        let id = &self.cluster.cluster_id;
        let mut listed = self.client.backups(id).await?;
        let copies_bear_names = copies_bear_names(&listed);
        let begun_at = seen.begun.at;
        // What is older has nothing to do with it, and a cluster may have many.
        listed.retain(|backup| {
            backup
                .create_time
                .is_none_or(|at| at + SECONDS_APART >= begun_at)
                || backup.backup_id == seen.begun.backup
        });
        let unknown: Vec<&Backup> = listed
            .iter()
            .filter(|backup| !seen.regions.contains_key(&backup.backup_id))
            .collect();
        let described = join_all(
            unknown
                .iter()
                .map(|backup| describe(self.client, id, backup)),
        )
        .await;
        let unknown: Vec<String> = unknown
            .iter()
            .map(|backup| backup.backup_id.clone())
            .collect();
        for (backup, described) in unknown.into_iter().zip(described) {
            let region = described?.and_then(|backup| backup.region_id);
            // Whose region was not told is asked for again at the next look.
            seen.regions.extend(region.map(|region| (backup, region)));
        }
        for backup in &mut listed {
            backup.region_id = seen.regions.get(&backup.backup_id).cloned();
        }
        let known = seen.copies.values().chain([&seen.begun.backup]);
        let left_out = left_out(self.client, id, known, &listed).await?;
        listed.extend(left_out);
        let job = match &seen.begun.job {
            Some(job) if !seen.job_is_lost && seen.available_since.is_none() => {
                self.client.job(job).await?
            }
            _ => None,
        };
        seen.job_is_lost |= job.is_none();
        let failed = self.failed_copies(seen, &listed).await?;
        let looks = Looks {
            begun: &seen.begun,
            home: self.home(),
            listed: &listed,
            job: job.as_ref(),
            available_since: seen.available_since,
            copies_bear_names,
            seen: &seen.copies,
            failed: &failed,
            grace: SignedDuration::from_hours(self.plan.grace_hours.into()),
            now: self.client.now(),
        };
        Ok(looks.records(
            self.plan
                .targets
                .iter()
                .map(|target| target.region.as_str()),
        ))
    }

    /// Why copies failed, as far as the service tells: asked only when the original is there and a copy is not.
    async fn failed_copies(
        &self,
        seen: &Seen,
        listed: &[Backup],
    ) -> Result<BTreeMap<Region, String>, ZillizError> {
        let has = |region: &str| {
            listed
                .iter()
                .any(|backup| backup.region_id.as_deref() == Some(region))
        };
        let all_there = self.plan.targets.iter().all(|target| has(&target.region));
        if seen.available_since.is_none() || all_there {
            return Ok(BTreeMap::new());
        }
        let jobs = self
            .client
            .failed_jobs(&self.cluster.cluster_id, seen.begun.at)
            .await?;
        let told = jobs.into_iter().map(|job| {
            let reason = job.reason;
            let reason = reason.unwrap_or_else(|| "the service gives no reason".into());
            (job.region, reason)
        });
        Ok(told.collect())
    }

    /// Writes down what is new: copies that were seen, and what has come to an end.
    async fn remember(&self, seen: &mut Seen, records: &[Record], past: &Past) {
        let now = self.client.now();
        for (at, record) in records.iter().enumerate() {
            let region = &record.region;
            if let (1.., Some(backup)) = (at, &record.backup)
                && seen.copies.get(region) != Some(backup)
            {
                seen.copies.insert(region.clone(), backup.clone());
                let note = Note::CopySeen {
                    cluster: self.cluster.cluster_id.clone(),
                    region: region.clone(),
                    backup: backup.clone(),
                };
                self.facts.write(note).await;
            }
            if at == 0 && record.state == State::Available {
                seen.available_since.get_or_insert(now);
            }
            let line = self.line(&seen.begun, record, now);
            let known = past
                .lines
                .get(region)
                .is_some_and(|known| known.state == line.state);
            if line.state != "incomplete" && !known && !seen.told.contains(region) {
                seen.told.push(region.clone());
                self.facts.ended(line).await;
            }
        }
    }

    fn told(
        &self,
        seen: &Seen,
        records: &[Record],
        past: &Past,
        passing: Option<&ZillizError>,
    ) -> Made {
        let now = self.client.now();
        let mut made = Made {
            lines: records
                .iter()
                .map(|record| self.line(&seen.begun, record, now))
                .collect(),
            ..Made::default()
        };
        if let Some(line) = made
            .lines
            .first_mut()
            .filter(|line| line.state == "available")
        {
            line.ended_at = seen.available_since.or(line.ended_at);
        }
        if let Some(error) = passing {
            made.failures.push((
                None,
                "being_made",
                format!(
                    "the backup {} was begun; how far it is could not be asked: {error}",
                    seen.begun.backup
                ),
            ));
        }
        let in_making = |record: &Record| matches!(record.state, State::InMaking(_));
        // What is known of a tier's failures goes with its record, once all has ended; whoever told them before may have died.
        let is_last_look = matches!(self.facts, Facts::Tier(_)) && !records.iter().any(in_making);
        for record in records {
            let region = Some(record.region.clone());
            match &record.state {
                State::Available => {}
                State::InMaking(shown) => made.failures.push((
                    region,
                    "being_made",
                    format!("not done yet ({shown}); `resume` looks again"),
                )),
                State::Failed(word, message) => {
                    let is_told = self.resumes && !is_last_look && had_failed(past, record);
                    let failures = if is_told {
                        &mut made.failed_before
                    } else {
                        &mut made.failures
                    };
                    failures.push((region, word, message.clone()));
                }
            }
        }
        made
    }
}
