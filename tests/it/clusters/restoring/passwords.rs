//! The one-time password goes to its place, or is said to be lost, and nobody else sees it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use lifeboat::report::Outcome;
use lifeboat::restore::How;
use lifeboat::zilliz::restore::notes::PasswordFate;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;
use tracing::instrument::WithSubscriber;

use super::{Desk, SECRET, anew, asked, failures, is_kept, states};
use crate::clusters::{HOME, MINUTES};

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_when_its_password_would_have_no_place() {
    let desk = Desk::new().await.with_journal();
    desk.safe.is_locked.set(true);
    let report = desk.restore(anew()).await;
    assert_eq!(failures(&report), "password_place");
    assert!(
        report.failures.shown[0]
            .message
            .contains("secretsmanager:PutSecretValue")
    );
    assert_eq!(
        (
            desk.account.calls("zilliz.restore_cluster"),
            desk.is_open().await
        ),
        (0, false)
    );
    // The place is there and jams a moment later: the password is offered again.
    desk.safe.is_locked.set(false);
    desk.safe.jams.set(3);
    let report = desk.restore(anew()).await;
    assert_eq!(
        (report.outcome, is_kept(&report)),
        (Outcome::Succeeded, true),
        "{report:#?}"
    );
    let desk = Desk::new().await.with_journal();
    desk.safe.jams.set(99);
    let report = desk.restore(anew()).await;
    assert_eq!(
        (failures(&report).as_str(), states(&report).as_str()),
        ("password_lost", "restored")
    );
    assert_eq!(report.password_went, Some(PasswordFate::Lost));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_gets_the_password_once_and_nobody_else_begins_for_it() {
    let desk = Desk::new().await.with_journal();
    let mut event = anew();
    event.as_object_mut().unwrap().remove("password_secret");
    let mut asked = asked(event);
    assert!(asked.show_password());
    let report = desk.restore_within(&asked, How::Whole, MINUTES).await;
    assert_eq!(
        (report.outcome, &report.password_went),
        (Outcome::Succeeded, &Some(PasswordFate::ForTheTerminal))
    );
    let told = report.one_time.as_ref().unwrap();
    assert!(!told.expose().is_empty() && !format!("{report:?}").contains(told.expose()));
    assert!(
        !serde_json::to_string(&report)
            .unwrap()
            .contains(told.expose())
    );
    // Killed before anything was begun, it is not for the five-minute tick to begin.
    let desk = Desk::new().await.with_journal();
    desk.account.faults(json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": {"status": 503, "latency_ms": 20_000}}]));
    let killed = tokio::time::timeout(
        Duration::from_secs(10),
        desk.restore_within(&asked, How::Whole, MINUTES),
    )
    .await;
    assert!(killed.is_err());
    desk.account.faults(json!([]));
    tokio::time::sleep(Duration::from_mins(5)).await;
    let report = desk.tick().await;
    assert_eq!(
        (failures(&report).as_str(), report.stays_open),
        ("abandoned", false),
        "{report:#?}"
    );
    assert!(desk.made().is_empty());
}

/// Ctrl-C during the long wait: the report comes with the password, and the same command carries on.
#[tokio::test(start_paused = true)]
async fn an_interrupted_restore_loses_no_password_and_carries_on() {
    let desk = Desk::new().await.with_journal();
    let mut event = anew();
    event.as_object_mut().unwrap().remove("password_secret");
    let mut asked = asked(event);
    asked.show_password();
    let interrupts = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        desk.stop.notify_one();
    };
    let (report, ()) = tokio::join!(desk.restore_within(&asked, How::Whole, MINUTES), interrupts);
    assert_eq!(
        (states(&report).as_str(), report.stays_open),
        ("incomplete", true),
        "{report:#?}"
    );
    assert!(report.one_time.is_some());
    let report = desk.restore_within(&asked, How::Whole, MINUTES).await;
    assert_eq!(
        (report.outcome, report.one_time.is_some()),
        (Outcome::Succeeded, false),
        "{report:#?}"
    );
    assert!(
        report
            .warnings
            .shown
            .iter()
            .any(|warning| warning.contains("the terminal that began this restore"))
    );
    desk.one_is_back(HOME);
}

/// Whatever writes, and at every level, down to the libraries'.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl io::Write for Tape {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The password of every cluster that the emulator made is in no log line of any level, no report, no debug output and no
/// object of the journal; not even when half of its answer is all that came.
#[tokio::test(start_paused = true)]
async fn nobody_but_its_place_sees_the_password() {
    // With one subscriber alone, `tracing` would ask other tests' threads, which have none, whether a line is wanted.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    for fault in [
        json!({}),
        json!({"truncate": true}),
        json!({"status": 500, "commit": "after"}),
        // A proxy's, which cut the answer short and said that it was whole.
        json!({"status": 200, "commit": "after", "body": r#"{"code":0,"data":{"username":"db_admin","password":"half-an-answer"#}),
    ] {
        let desk = Desk::new().await.with_journal();
        let is_lost = fault != json!({});
        desk.account.faults(
            json!([{"match": {"operation": "zilliz.restore_cluster"}, "fault": fault, "times": 1}]),
        );
        let tape = Tape::default();
        let lines = {
            let tape = tape.clone();
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_writer(move || tape.clone())
                .finish()
        };
        let report = desk.restore(anew()).with_subscriber(lines).await;
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        let mut seen = String::from_utf8(tape.0.lock().unwrap().clone()).unwrap();
        assert!(
            seen.contains("restore ended"),
            "nothing was recorded: {seen}"
        );
        seen.push_str(&serde_json::to_string(&report).unwrap());
        seen.extend([format!("{report:?}")]);
        let objects = desk.objects.as_ref().unwrap();
        let paths: Vec<_> = objects.list(None).try_collect().await.unwrap();
        assert!(!paths.is_empty());
        for object in paths {
            let body = objects
                .get(&object.location)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            seen.push_str(std::str::from_utf8(&body).unwrap());
        }
        // What is told of the half that came would begin like this.
        assert!(
            !seen.contains("\\\"password\\\"") && !seen.contains("\"username\""),
            "{seen}"
        );
        let password = desk
            .safe
            .kept
            .borrow()
            .get(SECRET)
            .map(|(_, password)| password.clone());
        assert_eq!(password.is_none(), is_lost);
        assert!(!seen.contains("half-an-answer"), "{seen}");
        if let Some(password) = password {
            assert!(password.len() > 8 && !seen.contains(&password));
        }
    }
}
