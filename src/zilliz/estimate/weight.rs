//! What a cluster's next backup is taken to weigh, and how sure that is.

use crate::zilliz::client::Client;
use crate::zilliz::transport::Transport;
use crate::zilliz::wire::{Backup, Cluster};

/// Which weights are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Whatever is known.
    All,
    /// What backups tell of themselves.
    BackupsAlone,
}

/// Bytes of a cluster's next backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// As its newest backup.
    OfBackup(u64),
    /// It has none, so as what it stores. Unknown: how that and a backup of it differ.
    Stored(u64),
    /// Nothing tells it.
    Unknown,
}

impl Weight {
    /// From the backups, or else from the cluster, which is asked for what a listing does not tell.
    pub(super) async fn of<T: Transport>(
        cluster: &Cluster,
        listed: &[Backup],
        client: &Client<T>,
    ) -> Self {
        if let Some(bytes) = newest(listed) {
            return Self::OfBackup(bytes);
        }
        let mut stored = cluster.storage_size;
        if stored.is_none() {
            // Where it can't be asked, nothing is known, which is told; all others' costs are no worse for it.
            let described = client.cluster(&cluster.cluster_id).await.ok().flatten();
            stored = described.and_then(|cluster| cluster.storage_size);
        }
        // The documentation's examples say 0 of clusters of every kind, so that is no size.
        stored
            .filter(|bytes| *bytes > 0)
            .map_or(Self::Unknown, Self::Stored)
    }

    pub(super) fn bytes(self, counted: Counted) -> Option<u64> {
        match self {
            Self::OfBackup(bytes) => Some(bytes),
            Self::Stored(bytes) if counted == Counted::All => Some(bytes),
            Self::Stored(_) | Self::Unknown => None,
        }
    }
}

/// Copies weigh what their original does, so it does not matter where the newest stands.
pub(super) fn newest(backups: &[Backup]) -> Option<u64> {
    let whole = backups.iter().filter(|backup| {
        backup.backup_type.as_deref() == Some("CLUSTER")
            && backup.status.as_deref() == Some("AVAILABLE")
    });
    whole.max_by_key(|backup| backup.create_time)?.size
}
