//! What a run that makes backups by hand writes down for the invocation that carries on, and what that one reads.
//!
//! Backups have no name of ours, so this is the only place that says which are this run's: an intent stands here before
//! the request is sent, and the backup's id before anything is asked about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::ByHand;
use crate::journal::{Entry, JobLine, RunRecord};
use crate::service::Region;
use crate::zilliz::wire::Cluster;

/// One fact about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Note {
    /// What was asked for.
    Wished {
        /// Which clusters or collections.
        of: ByHand,
    },
    /// Clusters that it is of, before anything is asked for.
    Meant {
        /// As they were then.
        clusters: Vec<Meant>,
    },
    /// Something was wrong with policies or regions, for which more time is no remedy: only tiers are left.
    Failed {
        /// What. Nobody wrote that down before there was this field.
        #[serde(default)]
        news: Vec<News>,
    },
    /// What failed then was judged anew, and nothing was wrong.
    Mended,
    /// Written before what shows it is changed or forgotten.
    News {
        /// What is to be told.
        news: News,
    },
    /// Written before the request that switches a policy on, which makes a first backup at once.
    Enabled {
        /// The cluster's id.
        cluster: String,
        /// When, by the service's clock.
        at: Timestamp,
    },
    /// Written before the request that makes a backup.
    Intended {
        /// The cluster's id.
        cluster: String,
        /// What the request may have made, if its answer is lost.
        intent: Intent,
    },
    /// The request was refused, or nothing came of it: it has made nothing.
    Refused {
        /// The cluster's id.
        cluster: String,
    },
    /// A backup of this run.
    Begun {
        /// The cluster's id.
        cluster: String,
        /// The backup.
        begun: Begun,
    },
    /// A copy of it was seen.
    CopySeen {
        /// The cluster's id.
        cluster: String,
        /// Where it lies.
        region: Region,
        /// Its id.
        backup: String,
    },
}

/// A cluster of which a backup by hand is, as it was when that began. It may be dropped or renamed before the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meant {
    /// Its id.
    pub cluster: String,
    /// Its name.
    pub name: Option<String>,
    /// Its project.
    pub project: Option<String>,
    /// Where it runs, and where the original of its backup lies.
    pub region: Option<Region>,
}

impl Meant {
    fn of(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.cluster_id.clone(),
            name: cluster.cluster_name.clone(),
            project: cluster.project_id.clone(),
            region: cluster.region_id.clone(),
        }
    }

    /// The cluster, for questions about its backups.
    #[must_use]
    pub fn as_it_was(&self) -> Cluster {
        let Self {
            cluster,
            name,
            project,
            region,
        } = self.clone();
        Cluster {
            cluster_id: cluster,
            cluster_name: name,
            project_id: project,
            region_id: region,
            ..Cluster::default()
        }
    }
}

/// Something that a report is to say. Whoever found it may die before its report is read, so the run's last word says it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The cluster's id, if it is of one.
    pub cluster: Option<String>,
    /// The region, if it is of one.
    pub region: Option<Region>,
    /// The failure's word; none where it is only worth a look.
    pub error: Option<String>,
    /// What happened and what to do.
    pub message: String,
}

/// By what a backup is found whose request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// When the request was about to be sent, by the service's clock.
    pub at: Timestamp,
    /// Backups made by hand that were there then, as far as they could be taken for this one.
    pub there: Vec<String>,
}

/// A backup that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Its id.
    pub backup: String,
    /// The job that makes it; unknown when the answer was lost.
    pub job: Option<String>,
    /// When it was begun, by the service's clock.
    pub at: Timestamp,
    /// It was found after a request that nobody answered, so somebody else may have had it made.
    #[serde(default)]
    pub adopted: bool,
}

/// What the line of a backup says that was found after silence.
pub const ADOPTED: &str =
    "found after a request that was not answered, so somebody else may have had it made";

/// Whether a line is of such a backup, or of a copy of one.
#[must_use]
pub fn is_adopted(line: &JobLine) -> bool {
    line.message.as_deref() == Some(ADOPTED)
}

/// What earlier invocations of a run wrote down about one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// A request may have been sent, and nobody saw what came of it.
    pub intent: Option<Intent>,
    /// The backup that came of it.
    pub begun: Option<Begun>,
    /// Copies that were seen, by region.
    pub copies: BTreeMap<Region, String>,
    /// The last line of each region.
    pub lines: BTreeMap<Region, JobLine>,
}

impl Past {
    /// A backup was begun. What was known of another one before is none of it.
    fn begin(&mut self, begun: &Begun) {
        let same = self.begun.as_ref().map(|known| &known.backup) == Some(&begun.backup);
        if !same {
            *self = Self::default();
        }
        (self.intent, self.begun) = (None, Some(begun.clone()));
    }

    /// How it ended where it was refused, so that none was begun.
    pub(super) fn refused(&self) -> Option<&JobLine> {
        let is_of_none = self.begun.is_none() && self.intent.is_none();
        let is_it = |line: &&JobLine| line.backup.is_none() && line.state == "failed";
        self.lines.values().find(is_it).filter(|_| is_of_none)
    }

    /// Ids of the backup and of its copies, as far as they were seen.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        let begun = self.begun.iter().map(|begun| &begun.backup);
        begun.chain(self.copies.values())
    }
}

/// Everything that was written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pasts {
    /// What was asked for.
    pub wished: Option<ByHand>,
    /// What was wrong with policies or regions when they were judged, if anything was.
    pub failed: Option<Vec<News>>,
    /// What else the run's last word is to say.
    pub news: Vec<News>,
    /// When policies were about to be switched on, by cluster.
    enabled: BTreeMap<String, Timestamp>,
    meant: BTreeMap<String, Meant>,
    clusters: BTreeMap<String, Past>,
}

impl Pasts {
    /// Reads the entries in their order; a later one about the same thing counts. `earlier` is how the same run ended when
    /// it was finished before: what it made is not made again.
    #[must_use]
    pub fn of(entries: &[Entry], earlier: Option<&RunRecord>) -> Self {
        let mut pasts = Self::default();
        for line in earlier.iter().flat_map(|record| &record.jobs) {
            pasts.finished(line);
        }
        for entry in entries {
            match entry {
                Entry::Cluster { note } => pasts.note(note),
                Entry::Ended { job } => {
                    let past = pasts.at(&job.source);
                    past.lines.insert(job.region.clone(), job.clone());
                }
                _ => {}
            }
        }
        pasts
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Wished { of } => self.wished = Some(of.clone()),
            Note::Meant { clusters } => {
                let meant = clusters.iter().cloned();
                let meant = meant.map(|meant| (meant.cluster.clone(), meant));
                self.meant.extend(meant);
            }
            Note::Failed { news } => self.failed = Some(news.clone()),
            Note::Mended => self.failed = None,
            Note::News { news } if self.news.contains(news) => {}
            Note::News { news } => self.news.push(news.clone()),
            Note::Enabled { cluster, at } => {
                self.enabled.insert(cluster.clone(), *at);
            }
            Note::Intended { cluster, intent } => self.at(cluster).intent = Some(intent.clone()),
            Note::Refused { cluster } => self.at(cluster).intent = None,
            Note::Begun { cluster, begun } => self.at(cluster).begin(begun),
            Note::CopySeen {
                cluster,
                region,
                backup,
            } => {
                self.at(cluster)
                    .copies
                    .insert(region.clone(), backup.clone());
            }
        }
    }

    /// A record of history. The original comes first, and bears the run's backup; one that failed, or was never begun, may be
    /// made anew, and then what was copied of it are no copies of the new one.
    fn finished(&mut self, line: &JobLine) {
        let meant = self.meant.entry(line.source.clone());
        meant.or_insert_with(|| Meant {
            cluster: line.source.clone(),
            region: Some(line.region.clone()),
            ..Meant::default()
        });
        let past = self.at(&line.source);
        let is_original = past.lines.is_empty();
        let is_of_none = is_original && line.backup.is_none();
        if is_of_none || (!is_original && past.begun.is_none()) {
            return;
        }
        if let (Some(backup), Some(at)) = (&line.backup, line.started_at) {
            if !is_original {
                past.copies.insert(line.region.clone(), backup.clone());
            } else if line.state != "failed" {
                past.begun = Some(Begun {
                    backup: backup.clone(),
                    job: None,
                    at,
                    adopted: is_adopted(line),
                });
            }
        }
        past.lines.insert(line.region.clone(), line.clone());
    }

    fn at(&mut self, cluster: &str) -> &mut Past {
        self.clusters.entry(cluster.to_owned()).or_default()
    }

    /// The last line of everything that was written down, of each cluster the original first.
    #[must_use]
    pub fn lines(&self) -> Vec<JobLine> {
        let lines = self.clusters.values().flat_map(|past| {
            let original = past.begun.as_ref().map(|begun| begun.backup.as_str());
            let is_original = move |line: &&JobLine| line.backup.as_deref() == original;
            let (first, then): (Vec<_>, Vec<_>) = past.lines.values().partition(is_original);
            first.into_iter().chain(then)
        });
        lines.cloned().collect()
    }

    /// Ids of those that were found after a request that nobody answered.
    pub fn adopted_ids(&self) -> impl Iterator<Item = &String> {
        let adopted = |past: &&Past| past.begun.as_ref().is_some_and(|begun| begun.adopted);
        self.clusters.values().filter(adopted).flat_map(Past::ids)
    }

    /// Ids of all backups and copies that were seen.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.clusters.values().flat_map(Past::ids)
    }

    /// Whether nobody saw what came of a request.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.clusters.values().any(|past| past.intent.is_some())
    }

    /// The clusters that a backup by hand is of, as far as that was written down.
    pub fn meant(&self) -> impl Iterator<Item = &Meant> {
        self.meant.values()
    }

    /// Those of which that is still to be written down.
    pub fn not_yet_meant<'a>(&self, clusters: impl Iterator<Item = &'a Cluster>) -> Vec<Meant> {
        let new = clusters.filter(|cluster| !self.meant.contains_key(&cluster.cluster_id));
        new.map(Meant::of).collect()
    }

    /// When an invocation of this run was about to switch a cluster's policy on, if one was.
    #[must_use]
    pub fn enabled_at(&self, cluster: &str) -> Option<Timestamp> {
        self.enabled.get(cluster).copied()
    }

    /// What is known of one cluster.
    #[must_use]
    pub fn of_cluster(&self, cluster: &str) -> Past {
        self.clusters.get(cluster).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RunKey;
    use crate::name::Class;
    use crate::slot::Slot;

    const CLUSTER: &str = "in01-1";

    fn at() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn begun(backup: &str) -> Entry {
        let begun = Begun {
            backup: backup.into(),
            job: None,
            at: at(),
            adopted: false,
        };
        let cluster = CLUSTER.into();
        Entry::Cluster {
            note: Note::Begun { cluster, begun },
        }
    }

    fn line(region: &str, backup: &str, state: &str) -> JobLine {
        JobLine {
            backup: Some(backup.into()),
            started_at: Some(at()),
            ..JobLine::of(region, region, CLUSTER, state)
        }
    }

    fn copy_seen(backup: &str) -> Entry {
        let note = Note::CopySeen {
            cluster: CLUSTER.into(),
            region: "far".into(),
            backup: backup.into(),
        };
        Entry::Cluster { note }
    }

    fn ended(region: &str, backup: &str, state: &str) -> Entry {
        let job = line(region, backup, state);
        Entry::Ended { job }
    }

    fn ids(pasts: &Pasts) -> Vec<&str> {
        pasts.ids().map(String::as_str).collect()
    }

    #[test]
    fn what_failed_is_read_where_nobody_wrote_down_what_it_was() {
        let entry = r#"{"event": "cluster", "note": {"what": "failed"}}"#;
        let entries = [serde_json::from_str(entry).unwrap()];
        assert_eq!(Pasts::of(&entries, None).failed, Some(Vec::new()));
    }

    #[test]
    fn a_new_original_has_no_copy_and_no_end_of_the_old_one() {
        let old = [
            begun("old"),
            copy_seen("old-copy"),
            ended("far", "old-copy", "available"),
            ended("home", "old", "failed"),
        ];
        let told_again = [old.as_slice(), &[begun("old")]].concat();
        assert_eq!(ids(&Pasts::of(&told_again, None)), ["old", "old-copy"]);
        let anew = [old.as_slice(), &[begun("new")]].concat();
        let anew = Pasts::of(&anew, None);
        assert_eq!(ids(&anew), ["new"]);
        assert_eq!(anew.lines(), []);
    }

    #[test]
    fn of_a_run_that_ended_a_failed_original_leaves_nothing_that_its_successor_could_take_for_its_own()
     {
        let record = |state: &str| RunRecord {
            key: RunKey {
                plan: "prod".into(),
                slot: Slot::of(at()).unwrap(),
                class: Class::Manual,
            },
            run_id: "one".into(),
            outcome: "failed".into(),
            reason: None,
            opened_at: at(),
            closed_at: Some(at()),
            asked: None,
            jobs: vec![line("home", "old", state), line("far", "copy", "available")],
            deleted: 0,
        };
        let stands = Pasts::of(&[], Some(&record("available")));
        assert_eq!(ids(&stands), ["old", "copy"]);
        let failed = Pasts::of(&[], Some(&record("failed")));
        assert_eq!(ids(&failed).len(), 0);
        let past = failed.of_cluster(CLUSTER);
        assert_eq!(past.lines.keys().collect::<Vec<_>>(), ["home"]);
    }
}
