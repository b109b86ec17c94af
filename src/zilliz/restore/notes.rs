//! What a restore of clusters writes down for the invocation that carries on, and what that one reads.
//!
//! An intent stands here before a request is sent, and the job and cluster before anything is asked about them. What must
//! never stand here: a password. Only where it went does.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::asked::{Asked, Loads, Rename, Version};
use super::password::Place;
use crate::journal::{Entry, JobLine};
use crate::service::Region;

/// One fact about a restore. An `item` is the new cluster, or one of the collections, counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum RestoreNote {
    /// What was asked for.
    Asked {
        /// The plan's name.
        plan: String,
        /// The request.
        asked: Box<Asked>,
    },
    /// What is restored, and as what; a later one counts.
    Chosen {
        /// The choice.
        chosen: Box<Chosen>,
    },
    /// Written before a request that restores.
    Intended {
        /// Which.
        item: usize,
        /// When it was about to be sent, by the service's clock.
        at: Timestamp,
    },
    /// The request was refused, or nothing came of it.
    Refused {
        /// Which.
        item: usize,
    },
    /// The service is at it.
    Begun {
        /// Which.
        item: usize,
        /// By what it is followed.
        begun: Begun,
    },
    /// How far it is, or how it ended; the last one counts.
    Told {
        /// Which.
        item: usize,
        /// As `jobs` shows it.
        line: JobLine,
    },
}

/// A restore that the service is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The new cluster, or the one that receives collections.
    pub cluster: String,
    /// The job; unknown when the answer was lost.
    pub job: Option<String>,
    /// When it was begun, by the service's clock.
    pub at: Timestamp,
    /// Where the password went; none where there is none.
    pub password: Option<PasswordFate>,
}

/// Where a one-time password went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PasswordFate {
    /// A dry run: into this secret, if it can be written.
    ForSecret {
        /// Name or ARN.
        secret: String,
    },
    /// It was written.
    InSecret {
        /// Name or ARN.
        secret: String,
    },
    /// The terminal that began the restore shows it once.
    ForTheTerminal,
    /// Nobody has it; a new one has to be set.
    Lost,
}

/// What is restored, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// From which backup.
    pub backup: ChosenBackup,
    /// As what.
    pub way: Way,
}

/// A backup that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenBackup {
    /// Its id.
    pub id: String,
    /// The cluster that it is a backup of.
    pub cluster: String,
    /// What that one was called.
    pub cluster_name: Option<String>,
    /// Where the file lies.
    pub region: Region,
    /// Of when it is.
    pub created_at: Option<Timestamp>,
    /// `CLUSTER` or `COLLECTION`.
    pub kind: String,
    /// Its bytes.
    pub bytes: Option<u64>,
    /// How large that cluster is, if it is still there.
    pub cu_size: Option<u64>,
}

/// What comes of it, with everything that the request left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A cluster is made.
    NewCluster {
        /// Its name.
        name: String,
        /// Its project.
        project: String,
        /// Its size.
        cu_size: u64,
        /// Whether collections are loaded again.
        loads: Loads,
        /// Its version; `None` leaves it to the service.
        version: Option<Version>,
        /// Where its password goes.
        password: Place,
    },
    /// Collections come into one that exists.
    Into {
        /// Its id.
        cluster: String,
        /// Which, and as what; empty is all.
        collections: Vec<Rename>,
        /// Whether they are loaded.
        loaded: bool,
        /// How large it is, if the service says so.
        #[serde(default)]
        cu_size: Option<u64>,
    },
}

impl Way {
    /// How large the cluster is that receives what is restored, if that is known.
    #[must_use]
    pub fn cu_size(&self) -> Option<u64> {
        match self {
            Self::NewCluster { cu_size, .. } => Some(*cu_size),
            Self::Into { cu_size, .. } => *cu_size,
        }
    }
}

impl Chosen {
    /// What is asked for, one request each.
    #[must_use]
    pub fn items(&self) -> Vec<Item<'_>> {
        match &self.way {
            Way::Into { collections, .. } if !collections.is_empty() => {
                collections.iter().map(Item::Collection).collect()
            }
            Way::Into { .. } => vec![Item::AllCollections],
            Way::NewCluster { .. } => vec![Item::Cluster],
        }
    }

    /// An item as `jobs` shows it before anything is known of it.
    #[must_use]
    pub fn line(&self, item: Item<'_>) -> JobLine {
        let (source, target) = match (&self.way, item) {
            (Way::NewCluster { name, .. }, _) => (self.backup.cluster.clone(), name.clone()),
            (Way::Into { cluster, .. }, Item::Collection(rename)) => {
                (rename.from.to_string(), format!("{cluster}/{}", rename.to))
            }
            (Way::Into { cluster, .. }, _) => ("all collections".to_owned(), cluster.clone()),
        };
        JobLine {
            backup: Some(self.backup.id.clone()),
            ..JobLine::of(&target, &self.backup.region, &source, "planned")
        }
    }
}

/// One request of a restore.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// For a new cluster.
    Cluster,
    /// For one collection.
    Collection(&'a Rename),
    /// For all of them.
    AllCollections,
}

/// What earlier invocations wrote down about one item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastItem {
    /// A request may have been sent then, and nobody saw what came of it.
    pub intent: Option<Timestamp>,
    /// What came of it.
    pub begun: Option<Begun>,
    /// The last line.
    pub line: Option<JobLine>,
}

impl PastItem {
    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<&JobLine> {
        self.line.as_ref().filter(|line| has_ended(line))
    }
}

/// Whether a line is of something that is over.
#[must_use]
pub fn has_ended(line: &JobLine) -> bool {
    matches!(line.state.as_str(), RESTORED | FAILED)
}

/// It is there.
pub const RESTORED: &str = "restored";
/// It did not come back.
pub const FAILED: &str = "failed";
/// The service is at it, or it is not begun.
pub const INCOMPLETE: &str = "incomplete";

/// Everything that was written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// The plan's name and the request; `None` when the invocation that opened it died at once.
    pub asked: Option<(String, Asked)>,
    /// The choice.
    pub chosen: Option<Chosen>,
    items: BTreeMap<usize, PastItem>,
}

impl Past {
    /// Reads the entries in their order.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut past = Self::default();
        for entry in entries {
            if let Entry::ClusterRestore { note } = entry {
                past.note(note);
            }
        }
        past
    }

    fn note(&mut self, note: &RestoreNote) {
        match note {
            RestoreNote::Asked { plan, asked } => {
                self.asked = Some((plan.clone(), (**asked).clone()));
            }
            RestoreNote::Chosen { chosen } => self.chosen = Some((**chosen).clone()),
            RestoreNote::Intended { item, at } => self.at(*item).intent = Some(*at),
            RestoreNote::Refused { item } => self.at(*item).intent = None,
            RestoreNote::Begun { item, begun } => {
                let item = self.at(*item);
                (item.intent, item.begun) = (None, Some(begun.clone()));
            }
            RestoreNote::Told { item, line } => self.at(*item).line = Some(line.clone()),
        }
    }

    fn at(&mut self, item: usize) -> &mut PastItem {
        self.items.entry(item).or_default()
    }

    /// What is known of one item.
    #[must_use]
    pub fn item(&self, item: usize) -> PastItem {
        self.items.get(&item).cloned().unwrap_or_default()
    }

    /// The choice, if a request of it may have been sent; before that, it is made anew.
    #[must_use]
    pub fn begun(&self) -> Option<&Chosen> {
        let sent = |item: &PastItem| {
            item.intent.is_some() || item.begun.is_some() || item.ended().is_some()
        };
        let chosen = self.chosen.as_ref()?;
        self.items.values().any(sent).then_some(chosen)
    }

    /// Each item of the choice as it was last told.
    #[must_use]
    pub fn lines(&self) -> Vec<JobLine> {
        let Some(chosen) = &self.chosen else {
            return Vec::new();
        };
        let items = chosen.items();
        let lines = items.into_iter().enumerate().map(|(at, item)| {
            let past = self.item(at);
            past.line.unwrap_or_else(|| JobLine {
                state: INCOMPLETE.to_owned(),
                started_at: past.begun.as_ref().map(|begun| begun.at),
                progress: Some(
                    if past.begun.is_some() {
                        "begun"
                    } else {
                        "not begun yet"
                    }
                    .to_owned(),
                ),
                ..chosen.line(item)
            })
        });
        lines.collect()
    }
}
