//! What each organisation would be billed for, in logical bytes and requests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::route::Op;

/// Bytes at least billed for a query.
pub(crate) const QUERY_MINIMUM: u64 = 1_280_000_000;
/// Bytes at least billed for a write.
pub(crate) const WRITE_MINIMUM: u64 = 10_000;

/// One organisation's sums.
#[derive(Debug, Default, Serialize)]
struct Account {
    bytes_written: u64,
    bytes_queried: u64,
    bytes_returned: u64,
    copies: u64,
    branches: u64,
    requests: BTreeMap<&'static str, u64>,
    bytes_stored: i128,
    storage_byte_seconds: i128,
    #[serde(skip)]
    counted_to: Option<Timestamp>,
}

impl Account {
    /// Adds what was stored since the last change.
    fn accrue(&mut self, now: Timestamp) {
        let since = self.counted_to.replace(now).unwrap_or(now);
        let seconds = now.duration_since(since).as_secs().max(0);
        self.storage_byte_seconds += self.bytes_stored * i128::from(seconds);
    }
}

/// The sums of all organisations.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    accounts: BTreeMap<String, Account>,
}

impl Bill {
    fn account(&mut self, organisation: &str) -> &mut Account {
        self.accounts.entry(organisation.to_owned()).or_default()
    }

    pub(crate) fn request(&mut self, organisation: &str, op: Op) {
        *self
            .account(organisation)
            .requests
            .entry(op.name())
            .or_default() += 1;
    }

    pub(crate) fn written(&mut self, organisation: &str, bytes: u64) {
        self.account(organisation).bytes_written += bytes;
    }

    pub(crate) fn queried(&mut self, organisation: &str, queried: u64, returned: u64) {
        let account = self.account(organisation);
        account.bytes_queried += queried;
        account.bytes_returned += returned;
    }

    pub(crate) fn copied(&mut self, organisation: &str, branch: bool) {
        let account = self.account(organisation);
        if branch {
            account.branches += 1;
        } else {
            account.copies += 1;
        }
    }

    /// Notes that storage went from `before` to `after` bytes.
    pub(crate) fn stored(&mut self, organisation: &str, before: u64, after: u64, now: Timestamp) {
        let account = self.account(organisation);
        account.accrue(now);
        account.bytes_stored += i128::from(after) - i128::from(before);
    }

    pub(crate) fn view(&mut self, now: Timestamp) -> Json {
        for account in self.accounts.values_mut() {
            account.accrue(now);
        }
        json!({"organisations": self.accounts})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_summed_over_time() {
        let mut bill = Bill::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        bill.stored("o", 0, 100, at(0));
        bill.stored("o", 100, 50, at(10));
        let view = bill.view(at(20));
        assert_eq!(
            view["organisations"]["o"]["storage_byte_seconds"],
            json!(1500)
        );
    }
}
