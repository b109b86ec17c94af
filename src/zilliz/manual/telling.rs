//! What is told of a backup by hand or a tier: its lines in the report and the journal, and the doubt about what was found.

use jiff::Timestamp;

use super::Hand;
use crate::journal::JobLine;
use crate::zilliz::copies::{Record, State};
use crate::zilliz::facts::Facts;
use crate::zilliz::notes::{ADOPTED, Begun};
use crate::zilliz::transport::Transport;

impl<T: Transport> Hand<'_, T> {
    /// What is told of a backup that was found after silence. A tier is told of with its record.
    pub(super) fn doubt_about(&self, begun: &Begun) -> Option<String> {
        if !begun.adopted || matches!(self.facts, Facts::Tier(_)) {
            return None;
        }
        let id = &begun.backup;
        let found = format!(
            "the request for the backup was not answered, and {id} was found after it and taken for what it made; somebody else may have had it made at the same time"
        );
        if self.others.are_all {
            return Some(found);
        }
        Some(format!(
            "{found}, and whether it is a tier, which the plan deletes one day, only the journal of the nightly runs knows: look at `lifeboat list` there before you rely on it, or set LIFEBOAT_JOURNAL and ask again"
        ))
    }

    pub(super) fn line(&self, begun: &Begun, record: &Record, now: Timestamp) -> JobLine {
        let (state, progress, error) = match &record.state {
            State::Available => ("available", None, None),
            State::InMaking(shown) => ("incomplete", Some(shown.clone()), None),
            State::Failed(word, message) => ("failed", None, Some((*word, message.clone()))),
        };
        JobLine {
            backup: record.backup.clone(),
            bytes_written: record.size.unwrap_or(0),
            started_at: Some(begun.at),
            ended_at: (state != "incomplete").then_some(now),
            progress,
            error: error.as_ref().map(|(word, _)| (*word).to_owned()),
            message: error
                .map(|(_, message)| message)
                .or_else(|| begun.adopted.then(|| ADOPTED.to_owned())),
            ..self.blank(&record.region, state)
        }
    }

    /// The original's, and then those of its copies.
    pub(super) fn regions(&self) -> impl Iterator<Item = &str> {
        let targets = self.plan.targets.iter();
        std::iter::once(self.home()).chain(targets.map(|target| target.region.as_str()))
    }

    /// What a dry run shows: the original, and then a copy for each target.
    pub(super) fn planned(&self, what: &str) -> Vec<JobLine> {
        let planned = self.regions().map(|region| JobLine {
            progress: Some(what.to_owned()),
            ..self.blank(region, "planned")
        });
        planned.collect()
    }

    /// The original's line while there is no backup yet.
    pub(super) fn line_before(&self, why: &str) -> JobLine {
        JobLine {
            progress: Some(why.to_owned()),
            ..self.blank(self.home(), "incomplete")
        }
    }

    /// The original's line where there will be none.
    pub(super) fn line_of_none(&self, word: &str, message: &str) -> JobLine {
        JobLine {
            error: Some(word.to_owned()),
            message: Some(message.to_owned()),
            ..self.blank(self.home(), "failed")
        }
    }

    fn blank(&self, region: &str, state: &str) -> JobLine {
        JobLine::of(region, region, &self.cluster.cluster_id, state)
    }
}
