//! Which backups are drilled: the newest sealed one of each source that was named, drawn or is the oldest.
//!
//! Only sealed backups are: a drill shows that what was vouched for comes back. What can't be drilled is told, never left out.

use futures_util::FutureExt;
use jiff::Timestamp;
use tracing::error;

use super::{Drill, Pick, by_age, by_lot};
use crate::name::{BackupName, Namespace};
use crate::restore::{BySource, Candidates, NotChosen, Point, Taken, Which};
use crate::retention::Backup;
use crate::service::Service;
use crate::slot::CLOCK_MARGIN;

/// Why a source's backups can't be drilled.
const UNVERIFIED: &str = "it has no verified backup, and a drill shows that verified ones come back; compare and seal one first (`lifeboat seal NAME`)";

impl<S: Service> Drill<'_, '_, S> {
    /// Picks what was asked for. What goes wrong is in the report.
    pub(super) async fn pick(&mut self) -> Vec<Taken> {
        let candidates = Candidates {
            plan: self.world.plan,
            target: self.world.target,
            backups: self.world.backups,
            witness: self.world.witness(),
            until: self.until,
        };
        let named = self.named();
        let which = match &self.asked.pick {
            Pick::Names(_) => {
                Which::Names(named.iter().map(|(source, _)| source.to_string()).collect())
            }
            Pick::Random(_) | Pick::Oldest(_) => Which::All,
        };
        let by_source = match candidates.list(&which).boxed_local().await {
            Ok(by_source) => by_source,
            Err(error) => {
                error!(error = error.word(), detail = %error, "listing failed");
                self.report.fail(None, error.word(), error.to_string());
                return Vec::new();
            }
        };
        self.report.sources = u64::try_from(by_source.len()).unwrap_or(u64::MAX);
        let taken = match &self.asked.pick {
            Pick::Names(_) => self.take_named(&candidates, by_source, named).await,
            Pick::Random(amount) => {
                let amount = amount.of(by_source.len());
                self.draw(&candidates, by_source, amount).await
            }
            Pick::Oldest(amount) => {
                let amount = amount.of(by_source.len());
                self.take_oldest(&candidates, by_source, amount).await
            }
        };
        if taken.is_empty() && self.report.failures.is_empty() {
            let (prefix, region) = (&self.world.target.prefix, self.world.backups.region());
            self.report.fail(None, "nothing_to_drill", format!(
                "no verified backup `{}…` of what the plan selects stands in {region}; `lifeboat list` shows what there is",
                prefix.as_str()
            ));
        }
        taken
    }

    /// The sources that were named, each once, and the backup if it was one.
    fn named(&mut self) -> Vec<(Namespace, Option<BackupName>)> {
        let Pick::Names(names) = &self.asked.pick else {
            return Vec::new();
        };
        let mut sources: Vec<(Namespace, Option<BackupName>)> = Vec::new();
        for name in names {
            let backup = BackupName::parse(&self.world.target.prefix, name);
            let source = match &backup {
                Some(backup) => Some(backup.source().clone()),
                None => Namespace::parse(name),
            };
            match source {
                Some(source) if sources.iter().any(|(other, _)| *other == source) => {
                    let why = format!(
                        "another name stands for a backup of {source}, too; drill them one after the other"
                    );
                    self.report.add_missing(name, why);
                }
                Some(source) => sources.push((source, backup)),
                None => self
                    .report
                    .add_missing(name, "it is no namespace's name".to_owned()),
            }
        }
        sources
    }

    async fn take_named(
        &mut self,
        candidates: &Candidates<'_, S>,
        mut by_source: BySource,
        named: Vec<(Namespace, Option<BackupName>)>,
    ) -> Vec<Taken> {
        for (source, backup) in named {
            if let (Some(backup), Some(known)) = (backup, by_source.get_mut(&source)) {
                known.retain(|known| known.name == backup);
            }
        }
        let mut taken = Vec::new();
        for (source, chosen) in self.choose(candidates, by_source).await {
            match chosen {
                Ok(Some(chosen)) => taken.push(chosen),
                Ok(None) => self
                    .report
                    .add_missing(source.as_str(), UNVERIFIED.to_owned()),
                Err(NotChosen::Lacking(lacking)) => {
                    self.report
                        .add_missing(source.as_str(), lacking.to_string());
                }
                Err(other) => self.fail_source(&source, &other),
            }
        }
        taken
    }

    /// Draws sources until there are enough with a sealed backup.
    async fn draw(
        &mut self,
        candidates: &Candidates<'_, S>,
        mut by_source: BySource,
        amount: usize,
    ) -> Vec<Taken> {
        let sources = by_source.keys().cloned().collect();
        let mut lot = by_lot(sources, self.report.seed).into_iter();
        let (mut taken, mut passed_over) = (Vec::new(), Vec::new());
        while taken.len() < amount {
            let next: Vec<_> = lot.by_ref().take(amount - taken.len()).collect();
            if next.is_empty() {
                break;
            }
            let next = next.into_iter().map(|source| {
                let known = by_source.remove(&source).unwrap_or_default();
                (source, known)
            });
            let next: Vec<_> = next.collect();
            for (source, chosen) in self.choose(candidates, next).await {
                match chosen {
                    Ok(Some(chosen)) => taken.push(chosen),
                    Ok(None) | Err(NotChosen::Lacking(_)) => passed_over.push(source),
                    Err(other) => self.fail_source(&source, &other),
                }
            }
        }
        self.warn_about(&passed_over, taken.len() < amount);
        taken
    }

    async fn take_oldest(
        &mut self,
        candidates: &Candidates<'_, S>,
        by_source: BySource,
        amount: usize,
    ) -> Vec<Taken> {
        let (mut newest, mut passed_over) = (Vec::new(), Vec::new());
        for (source, chosen) in self.choose(candidates, by_source).await {
            match chosen {
                Ok(Some(chosen)) => {
                    newest.push((chosen.backup.slot().instant(), source, chosen));
                }
                Ok(None) | Err(NotChosen::Lacking(_)) => passed_over.push(source),
                Err(other) => self.fail_source(&source, &other),
            }
        }
        self.warn_about(&passed_over, newest.len() < amount);
        let oldest = by_age(newest).into_iter().take(amount);
        oldest.map(|(_, _, taken)| taken).collect()
    }

    /// The newest sealed backup of each, in the given order; `None` where only unsealed ones stand.
    async fn choose(
        &self,
        candidates: &Candidates<'_, S>,
        sources: impl IntoIterator<Item = (Namespace, Vec<Backup>)>,
    ) -> Vec<(Namespace, Result<Option<Taken>, NotChosen>)> {
        let now = self.clock.now().saturating_add(CLOCK_MARGIN);
        let point = Point::newest(now.unwrap_or(Timestamp::MAX));
        let chosen = candidates.choose(sources, point).boxed_local();
        let chosen = chosen.await.into_iter().map(|(source, chosen)| {
            (
                source,
                chosen.map(|taken| Some(taken).filter(|taken| taken.sealed)),
            )
        });
        chosen.collect()
    }

    fn fail_source(&mut self, source: &Namespace, why: &NotChosen) {
        let (error, message) = match why {
            NotChosen::Lacking(lacking) => ("no_backup", lacking.to_string()),
            NotChosen::Service(error) => (
                error.word(),
                format!("its backups could not be read, so it is not drilled: {error}"),
            ),
            NotChosen::OutOfTime => (
                "out_of_time",
                "time ran out before a backup was chosen".to_owned(),
            ),
        };
        self.report.fail(Some(source.as_str()), error, message);
    }

    fn warn_about(&mut self, passed_over: &[Namespace], too_few: bool) {
        if let Some(first) = passed_over.first() {
            let instead = if too_few {
                "so fewer are drilled than were asked for"
            } else {
                "and others were drilled in their place"
            };
            let message = format!(
                "{} sources that were picked, such as {first}, have no verified backup, {instead}",
                passed_over.len()
            );
            self.report.warn(message);
        }
    }
}
