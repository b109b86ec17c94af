//! One holder at a time, whatever races, is lost, comes late or is deleted.

use super::*;

async fn taken(journal: &Journal, holder: &str, now: Timestamp) -> Lease {
    journal.acquire("nightly", holder, now).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_held_is_refused_even_to_its_holder() {
    let journal = Bucket::default().journal();
    let lease = taken(&journal, "run-1", now()).await;
    assert_eq!(
        (lease.plan(), lease.holder(), lease.until()),
        ("nightly", "run-1", later(180))
    );
    for holder in ["run-2", "run-1"] {
        let refused = journal
            .acquire("nightly", holder, later(179))
            .await
            .unwrap_err();
        assert_eq!(refused.word(), "lease_held");
        let said = refused.to_string();
        for part in [
            "`nightly`",
            "run-1",
            "02:03:00Z",
            "memory://root/leases/nightly.json",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert!(
        journal.acquire("weekly", "run-2", now()).await.is_ok(),
        "another plan is free"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_believed_until_a_minute_before_it_runs_out() {
    let lease = taken(&Bucket::default().journal(), "run-1", now()).await;
    assert!(lease.is_ours(now()) && lease.is_ours(later(119)));
    assert!(!lease.is_ours(later(120)) && !lease.is_ours(later(999)));
    lease.renew(later(100)).await.unwrap();
    assert!(lease.is_ours(later(219)) && !lease.is_ours(later(220)));
}

#[tokio::test(start_paused = true)]
async fn a_stale_lease_is_taken_over_and_its_old_holder_never_gets_it_back() {
    let journal = Bucket::default().journal();
    let old = taken(&journal, "run-1", now()).await;
    let new = taken(&journal, "run-2", later(180)).await;
    assert_eq!(new.fence(), old.fence() + 1);
    assert!(old.is_ours(later(1)), "it does not know yet");
    for _ in 0..2 {
        let error = old.renew(later(181)).await.unwrap_err();
        assert_eq!(error.word(), "lease_lost");
        assert!(!old.is_ours(now()), "not even in the past");
    }
    assert!(new.is_ours(later(181)));
    new.renew(later(200)).await.unwrap();
    // Not even when the new holder has gone.
    new.release().await.unwrap();
    assert_eq!(
        old.renew(later(202)).await.unwrap_err().word(),
        "lease_lost"
    );
    assert_eq!(old.release().await.unwrap_err().word(), "lease_lost");
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_free_at_once_and_its_fence_lives_on() {
    let journal = Bucket::default().journal();
    let first = taken(&journal, "run-1", now()).await;
    let fence = first.fence();
    first.release().await.unwrap();
    let second = taken(&journal, "run-1", later(1)).await;
    assert_eq!(second.fence(), fence + 1);
}

#[tokio::test(start_paused = true)]
async fn of_any_number_who_race_for_a_lease_exactly_one_wins() {
    for seed in 0..300 {
        let bucket = Bucket::default();
        let stale = seed % 2 == 0;
        if stale {
            taken(&bucket.journal(), "run-0", later(-600)).await;
        }
        let rivals = (0..4).map(|rival| {
            let (journal, store) = bucket.process(seed * 10 + rival);
            store.chances(Chances {
                fails_before: 5,
                fails_after: 15,
                longest_delay: Duration::from_secs(1),
            });
            // All of one event, so alike in everything that they write, but for the nonce.
            async move { journal.acquire("nightly", "run-1", now()).await }
        });
        let outcomes = join_all(rivals).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "seed {seed}: {outcomes:?}");
        for lease in outcomes.iter().flatten() {
            lease.renew(later(10)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_answer_was_lost_is_ours() {
    let bucket = Bucket::default();
    let (journal, store) = bucket.process(0);
    store.next_writes([Fate::FailsAfter]);
    let first = taken(&journal, "run-1", now()).await;
    store.next_writes([Fate::FailsAfter]);
    let second = taken(&journal, "run-2", later(200)).await;
    assert_eq!(second.fence(), first.fence() + 1);
    store.next_writes([Fate::FailsAfter]);
    second.renew(later(245)).await.unwrap();
    assert_eq!(second.until(), later(245 + 180));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_was_heard_and_looked_failed_does_not_lose_the_lease() {
    let (journal, store) = Bucket::default().process(0);
    let lease = taken(&journal, "run-1", now()).await;
    // Heard, but neither its answer nor any look comes through.
    store.next_writes([Fate::FailsAfter, Fate::FailsBefore, Fate::FailsBefore]);
    store.chances(Chances {
        fails_before: 100,
        ..Chances::default()
    });
    let _ = lease.renew(later(45)).await.unwrap_err();
    assert!(
        lease.is_ours(later(119)) && !lease.is_ours(later(121)),
        "it is what it was"
    );
    store.chances(Chances::default());
    lease.renew(later(90)).await.unwrap();
    assert_eq!(lease.until(), later(270));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_carried_out_long_after_does_not_lose_the_lease() {
    let (journal, store) = Bucket::default().process(0);
    let lease = taken(&journal, "run-1", now()).await;
    store.next_writes([
        Fate::ComesLate,
        Fate::FailsBefore,
        Fate::FailsBefore,
        Fate::FailsBefore,
        Fate::FailsBefore,
    ]);
    assert_eq!(
        lease.renew(later(45)).await.unwrap_err().word(),
        "journal_unreachable"
    );
    // It arrives between the next renewal's look and its write.
    let said = lease.renew(later(90)).await.unwrap_err().to_string();
    assert!(said.contains("carried out only now"), "{said}");
    lease.renew(later(91)).await.unwrap();
    assert!(lease.is_ours(later(91 + 119)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_takes_in_the_moment_of_a_renewal_is_lost() {
    let (journal, store) = Bucket::default().process(0);
    let lease = taken(&journal, "run-1", now()).await;
    store.next_writes([
        Fate::ComesLate,
        Fate::FailsBefore,
        Fate::FailsBefore,
        Fate::FailsBefore,
        Fate::FailsBefore,
    ]);
    let taking = journal.acquire("nightly", "run-2", later(181)).await;
    assert_eq!(taking.unwrap_err().word(), "journal_unreachable");
    // It arrives between the renewal's look and its write.
    let lost = lease.renew(later(182)).await.unwrap_err();
    assert_eq!(lost.word(), "lease_lost");
    assert!(!lease.is_ours(later(182)));
}

/// Two processes of one event call their run the same.
#[tokio::test(start_paused = true)]
async fn a_lease_that_a_namesake_took_over_is_lost() {
    let journal = Bucket::default().journal();
    let first = taken(&journal, "run-1", now()).await;
    let second = taken(&journal, "run-1", later(181)).await;
    let lost = first.renew(later(182)).await.unwrap_err();
    assert_eq!(lost.word(), "lease_lost");
    assert!(second.is_ours(later(182)) && !first.is_ours(later(182)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_deletes_is_lost_and_the_next_has_a_higher_fence() {
    let (journal, store) = Bucket::default().process(0);
    let lease = taken(&journal, "run-1", now()).await;
    store.wipe().await;
    assert_eq!(
        lease.renew(later(45)).await.unwrap_err().word(),
        "lease_lost"
    );
    let next = taken(&journal, "run-2", later(46)).await;
    assert!(next.fence() > lease.fence());

    // In the very moment of a renewal, and of a taking.
    store.next_writes([Fate::WipedFirst]);
    assert_eq!(
        next.renew(later(50)).await.unwrap_err().word(),
        "lease_lost"
    );
    let third = taken(&journal, "run-3", later(60)).await;
    store.next_writes([Fate::WipedFirst]);
    let refused = journal
        .acquire("nightly", "run-4", later(600))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("deleted just now"),
        "{refused}"
    );
    assert_eq!(refused.word(), "journal_unreachable");
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_lease_is_named_and_never_overwritten() {
    for (body, fault) in [
        ("", "can't be read as a lease"),
        ("{}", "can't be read as a lease"),
        ("\u{0}\u{1}", "can't be read as a lease"),
        (
            r#"{"plan":"weekly","holder":"x","fence":1,"nonce":1,"expires_at":"2020-01-01T00:00:00Z"}"#,
            "plan `weekly`",
        ),
    ] {
        let bucket = Bucket::default();
        bucket.put("leases/nightly.json", body).await;
        let refused = bucket
            .journal()
            .acquire("nightly", "run-1", now())
            .await
            .unwrap_err();
        let said = refused.to_string();
        assert_eq!(refused.word(), "lease_corrupt");
        let journal = bucket.journal();
        assert_eq!(journal.look_at_lease("nightly").await, Err(refused));
        assert_eq!(journal.look_at_lease("weekly").await, Ok(()));
        assert!(
            said.contains(fault)
                && said.contains("leases/nightly.json")
                && said.contains("delete it"),
            "{said}"
        );
        assert_eq!(
            bucket.get("leases/nightly.json").await.as_deref(),
            Some(body)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_written_over_by_something_else_is_lost() {
    let bucket = Bucket::default();
    let lease = taken(&bucket.journal(), "run-1", now()).await;
    bucket.put("leases/nightly.json", "hello").await;
    assert_eq!(
        lease.renew(later(45)).await.unwrap_err().word(),
        "lease_lost"
    );
    assert_eq!(bucket.get("leases/nightly.json").await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_given_up_in_half_a_minute() {
    let (journal, store) = Bucket::default().process(0);
    store.next_writes([Fate::KilledBefore]);
    let began = tokio::time::Instant::now();
    let error = journal
        .acquire("nightly", "run-1", now())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    assert!(
        began.elapsed() <= Duration::from_mins(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_the_background_and_a_look_at_the_lease_do_not_disturb_each_other() {
    let (journal, store) = Bucket::default().process(3);
    let lease = taken(&journal, "run-1", now()).await;
    store.chances(Chances {
        longest_delay: Duration::from_secs(2),
        ..Chances::default()
    });
    let work = async {
        for second in 0..60 {
            sleep(Duration::from_secs(1)).await;
            assert!(lease.is_ours(later(second)));
        }
    };
    let (one, two, ()) = join3(lease.renew(later(45)), lease.renew(later(46)), work).await;
    one.unwrap();
    two.unwrap();
    assert_eq!(lease.until(), later(46 + 180));
}

/// Written by a clock that is far ahead, or by hand: an honest holder's lasts three minutes from then.
#[tokio::test(start_paused = true)]
async fn a_lease_of_a_clock_that_is_far_ahead_blocks_nobody_for_long() {
    let honest = later(180 + 300);
    for (expires_at, holds) in [
        (honest, true),
        (honest + SignedDuration::from_secs(1), false),
        (later(24 * 3_600), false),
        (Timestamp::MAX, false),
    ] {
        let bucket = Bucket::default();
        let lease = json!({
            "plan": "nightly", "holder": "run-1", "fence": 7, "nonce": 1, "expires_at": expires_at
        });
        bucket.put("leases/nightly.json", &lease.to_string()).await;
        let second = bucket.journal().acquire("nightly", "run-2", now()).await;
        assert_eq!(second.is_err(), holds, "{expires_at}");
        if let Ok(lease) = second {
            assert_eq!(lease.fence(), 8);
        }
    }
}
