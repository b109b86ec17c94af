//! Ready-made rows for bulk seeding: plain enough to share, varied enough to verify.

use std::sync::Arc;

use crate::keys::DEFAULT_ORGANISATION;
use crate::rows;
use crate::schema::Schema;
use crate::state::State;
use crate::store::{Data, Key, Namespace};

/// `rows` documents with a title, a number and a small vector, said to hold `bytes` in all.
pub(crate) fn data(rows: u64, bytes: u64) -> Data {
    let mut data = Data::default();
    let mut schema = Schema::default();
    for id in 0..rows {
        let sent = serde_json::json!({
            "id": id, "title": format!("row {id}"), "number": id, "vector": [id % 7, id % 11, 0.5, 1],
        });
        let serde_json::Value::Object(sent) = sent else {
            continue;
        };
        // These rows are valid by construction.
        if let Ok(read) = rows::read(&mut schema, sent) {
            data.replace(read.id, Some(Arc::new(read.row)));
        }
    }
    data.schema = schema;
    data.bytes = bytes;
    data
}

impl State {
    /// See [`crate::Emulator::seed_namespaces`].
    pub(crate) fn seed(
        &mut self,
        region: &str,
        names: impl Iterator<Item = String>,
        rows: u64,
        bytes: u64,
    ) {
        let now = self.clock.now();
        let shared = Arc::new(data(rows, bytes));
        for name in names {
            let key = Key {
                organisation: DEFAULT_ORGANISATION.to_owned(),
                region: region.to_owned(),
                name,
            };
            let namespace = Namespace::new(Arc::clone(&shared), now);
            let before = self
                .store
                .put(&key, namespace)
                .map_or(0, |old| old.data.bytes);
            self.bill.stored(DEFAULT_ORGANISATION, before, bytes, now);
        }
    }
}
