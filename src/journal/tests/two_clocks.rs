//! Two holders on machines whose clocks are apart. Each agrees with the service's within five minutes, so they may be ten
//! apart; whatever they believe, they never both delete, and whoever dies keeps nobody away for long.

use std::rc::Rc;

use super::*;
use crate::certificate::{DiscardClaim, Witness, certify_discard};
use crate::listing::ReadToTheEnd;

/// As long as a DELETE that was allowed may take.
const ON_ITS_WAY: i64 = 60;
/// How often everybody looks, in seconds.
const STEP: i64 = 5;

/// A machine with a clock that is wrong by so many seconds; it knows that as soon as the service has answered.
struct Machine {
    wrong_by: i64,
    knows: bool,
    lease: Option<Rc<Lease>>,
}

impl Machine {
    fn new(wrong_by: i64) -> Self {
        Self {
            wrong_by,
            knows: false,
            lease: None,
        }
    }

    fn local(&self, second: i64) -> Timestamp {
        later(second + self.wrong_by)
    }

    fn latest(&self, second: i64) -> Timestamp {
        let behind = if self.knows { self.wrong_by.min(0) } else { 0 };
        later(second + self.wrong_by - behind)
    }

    /// Whether the certificate lets it delete a backup that nothing else keeps.
    async fn may_delete(&mut self, second: i64) -> bool {
        let Some(lease) = self.lease.clone() else {
            return false;
        };
        // The service's answer about the candidate comes first.
        self.knows = true;
        let local = self.local(second);
        let lease = leased(Some(&*lease), local, self.latest(second)).await;
        let slot = later(-864_000);
        let unsealed = Witness {
            namespace: format!("backup-acme-{:010}", slot.as_second()),
            created_at: slot,
            read_only: false,
            answered_at: Some(later(second)),
        };
        let certified = certify_discard(&DiscardClaim {
            named: &unsealed.namespace,
            candidate: &unsealed,
            siblings: &[],
            prefix: "backup-",
            selects: &|_| true,
            held: &|_| false,
            lease,
            listing: &ReadToTheEnd::for_tests(),
            now: local,
        });
        certified.is_ok()
    }
}

/// The last second at which the first holder could delete, and the first at which another could. The first one's renewals
/// fail from second `cut` on, though it works on as if nothing were; and it learns the service's time at `answered`.
async fn play(holder: i64, taker: i64, cut: i64, answered: i64) -> (i64, i64) {
    let bucket = Bucket::default();
    let (own, store) = bucket.process(1);
    let journal = bucket.journal();
    let mut first = Machine::new(holder);
    let lease = own.acquire("nightly", "first", first.local(0)).await;
    first.lease = Some(Rc::new(lease.unwrap()));
    let mut last = -ON_ITS_WAY;
    for second in (0..2_000).step_by(usize::try_from(STEP).unwrap()) {
        if second == cut {
            store.refuse(faulty_store::Refusal::MayNotWrite);
        }
        if second % 45 == 0 && second > 0 {
            let _ = first
                .lease
                .as_ref()
                .unwrap()
                .renew(first.latest(second))
                .await;
        }
        if second >= answered && first.may_delete(second).await {
            last = second;
        }
        // A new one each time, so that whoever gives it back at once is followed by another.
        let mut other = Machine::new(taker);
        let Ok(lease) = journal
            .acquire("nightly", "other", other.local(second))
            .await
        else {
            continue;
        };
        other.lease = Some(Rc::new(lease));
        if other.may_delete(second).await {
            return (last, second);
        }
        Rc::into_inner(other.lease.take().unwrap())
            .unwrap()
            .release()
            .await
            .unwrap();
    }
    panic!("{holder}, {taker}: the lease of one who died at {cut} is held for ever");
}

#[tokio::test(start_paused = true)]
async fn with_clocks_up_to_ten_minutes_apart_no_two_may_delete_at_once() {
    for holder in (-300..=300).step_by(60) {
        for taker in (-300..=300).step_by(60) {
            for (cut, answered) in [(0, 0), (0, 100), (60, 10), (400, 0), (400, 50)] {
                let (last, first) = play(holder, taker, cut, answered).await;
                assert!(
                    first >= last + ON_ITS_WAY,
                    "clocks {holder} and {taker}, cut off at {cut}: one until {last}, the other from {first}"
                );
                // Its last renewal, three minutes, and as much as either clock is wrong.
                let longest = cut + 180 + holder.max(0) - taker.min(0);
                assert!(
                    first <= longest + STEP,
                    "clocks {holder} and {taker}, cut off at {cut}: nobody until {first}"
                );
            }
        }
    }
}
