//! Faults, the clock, the log and determinism, through the control plane where it has one.

use std::time::Duration;

use lifeboat_emulator::{Corruption, Delivery, Fault, Match, Method, Moment, Rule, Settings};
use serde_json::{Value, json};

use crate::world::{EAST, WEST, World};

fn always(operation: &str, fault: Fault) -> Vec<Rule> {
    vec![Rule::new(Match::operation(operation), fault)]
}

#[test]
fn statuses_come_before_or_after_the_request_takes_effect() {
    let world = World::new();
    let rules = json!([
        {"match": {"operation": "write"}, "fault": {"status": 503, "retry_after": 2, "retry_after_ms": 1500}, "times": 1},
        {"match": {"operation": "write"}, "fault": {"status": 500, "commit": "after", "latency_ms": 30,
            "body": "<html/>", "content_type": "text/html"}, "times": 1},
    ]);
    assert_eq!(world.post("/_emulator/faults", &rules).status, 200);
    let path = format!("/{EAST}/v2/namespaces/orders");
    let write = || world.post(&path, &json!({"upsert_rows": [{"id": 1}]}));
    let first = write();
    assert_eq!(
        (first.status, first.header("retry-after")),
        (503, Some("2"))
    );
    assert_eq!(first.header("retry-after-ms"), Some("1500"));
    assert_eq!(world.metadata(EAST, "orders").status, 404);
    let second = write();
    assert_eq!(
        (second.status, second.header("content-type")),
        (500, Some("text/html"))
    );
    assert_eq!(second.delay, Duration::from_millis(30));
    assert_eq!(world.metadata(EAST, "orders").status, 200);
    let fired = world.get("/_emulator/faults").body;
    assert_eq!(fired["rules"][0]["fired"], 1);
    assert_eq!(world.delete("/_emulator/faults").body, json!({"rules": []}));
}

#[test]
fn connections_break() {
    let world = World::new();
    world.fill(EAST, "orders", 2);
    let reset = Fault {
        reset: Some(Moment::After),
        ..Fault::default()
    };
    world.emulator.set_faults(always("delete", reset));
    let answer = world.raw(
        Method::Delete,
        &format!("/{EAST}/v2/namespaces/orders"),
        &Value::Null,
    );
    assert!(matches!(answer.delivery, Delivery::Reset));
    assert_eq!(world.metadata(EAST, "orders").status, 404);
    let truncate = Fault {
        truncate: true,
        ..Fault::default()
    };
    world.emulator.set_faults(always("list", truncate));
    let answer = world.raw(Method::Get, &format!("/{EAST}/v1/namespaces"), &Value::Null);
    assert!(matches!(answer.delivery, Delivery::Truncated(_)));
}

#[test]
fn what_took_effect_took_its_time() {
    let world = World::new();
    world.fill(EAST, "orders", 2);
    let reset = Fault {
        reset: Some(Moment::After),
        ..Fault::default()
    };
    world.emulator.set_faults(always("copy", reset));
    let path = format!("/{EAST}/v2/namespaces/copy");
    let answer = world.raw(
        Method::Post,
        &path,
        &json!({"copy_from_namespace": "orders"}),
    );
    assert!(matches!(answer.delivery, Delivery::Reset));
    assert!(answer.delay >= Duration::from_millis(200), "{answer:?}");
    assert_eq!(world.metadata(EAST, "copy").status, 200);
}

#[test]
fn deletes_lie_keys_die_and_dates_are_off() {
    let world = World::new();
    world.fill(EAST, "orders", 2);
    world.emulator.set_faults(always(
        "delete",
        Fault {
            delete_lies: true,
            ..Fault::default()
        },
    ));
    assert_eq!(
        world.delete(&format!("/{EAST}/v2/namespaces/orders")).body,
        json!({"status": "OK"})
    );
    let skewed = Fault {
        clock_skew_seconds: Some(-3600),
        ..Fault::default()
    };
    world.emulator.set_faults(always("metadata", skewed));
    let got = world.metadata(EAST, "orders");
    assert_eq!(got.header("date"), Some("Sat, 21 Nov 2026 01:00:00 GMT"));
    world.emulator.set_faults(always(
        "metadata",
        Fault {
            revoke_key: true,
            ..Fault::default()
        },
    ));
    assert_eq!(world.metadata(EAST, "orders").status, 401);
    assert_eq!(world.get(&format!("/{EAST}/v1/namespaces")).status, 401);
}

#[test]
fn operations_stall_fail_and_lose_their_tokens() {
    for (fault, after) in [
        (
            Fault {
                stall_operation: true,
                ..Fault::default()
            },
            "running",
        ),
        (
            Fault {
                fail_operation: true,
                ..Fault::default()
            },
            "finished",
        ),
        (
            Fault {
                lose_token: true,
                ..Fault::default()
            },
            "404",
        ),
    ] {
        let world = World::new();
        world.fill(EAST, "orders", 2);
        world
            .emulator
            .set_faults(always("start_copy", fault.clone()));
        let path = format!("/{EAST}/v2/namespaces/copy");
        let got = world.post(
            &format!("{path}/async"),
            &json!({"copy_from_namespace": "orders"}),
        );
        let token = got.body["token"].as_str().unwrap();
        world.emulator.advance(Duration::from_hours(48));
        let polled = world.get(&format!("/{EAST}/v1/namespaces/copy/operations/{token}"));
        match polled.status {
            404 => assert_eq!(after, "404"),
            _ => assert_eq!(polled.body["status"], after),
        }
        if fault.fail_operation {
            assert_eq!(polled.body["result"]["error"]["status_code"], 500);
        }
        let there = world.metadata(EAST, "copy").status == 200;
        assert_eq!(there, fault.lose_token, "{fault:?}");
    }
}

#[test]
fn corrupt_copies_differ_in_one_place_and_say_nothing() {
    for how in [
        Corruption::DropRows,
        Corruption::FlipVectorBit,
        Corruption::DropAttribute,
    ] {
        let world = World::new();
        world.fill(EAST, "orders", 20);
        world.emulator.set_faults(always(
            "copy",
            Fault {
                corrupt_copy: Some(how),
                ..Fault::default()
            },
        ));
        let from =
            json!({"copy_from_namespace": {"source_namespace": "orders", "source_region": EAST}});
        let got = world.post(&format!("/{WEST}/v2/namespaces/copy"), &from);
        assert_eq!(got.body["rows_affected"], 20);
        let (source, copy) = (world.rows(EAST, "orders"), world.rows(WEST, "copy"));
        let same = source.iter().filter(|row| copy.contains(row)).count();
        assert_eq!(same, 19, "{how:?}");
    }
}

#[test]
fn one_seed_makes_one_history() {
    let history = |seed| {
        let world = World::with(Settings {
            seed,
            ..Settings::default()
        });
        world.fill(EAST, "orders", 5);
        let rule = json!([{"fault": {"status": 500}, "probability": 0.5}]);
        world.post("/_emulator/faults", &rule);
        let path = |index| format!("/{EAST}/v2/namespaces/c{index}/async");
        let bodies = (0..20).map(|index| {
            world
                .post(&path(index), &json!({"copy_from_namespace": "orders"}))
                .body
        });
        bodies.collect::<Vec<_>>()
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}

#[test]
fn the_control_plane_moves_time_counts_calls_and_resets() {
    let world = World::new();
    world.fill(EAST, "orders", 1);
    let turned = world.post("/_emulator/clock", &json!({"advance_seconds": 3600}));
    assert_eq!(turned.body, json!({"now": "2026-11-21T03:00:00Z"}));
    assert_eq!(turned.header("date"), Some("Sat, 21 Nov 2026 03:00:00 GMT"));
    assert_eq!(world.post("/_emulator/clock", &json!({})).status, 400);
    world.post("/_emulator/clock", &json!({"now": "2030-01-01T00:00:00Z"}));
    assert_eq!(world.emulator.now().to_string(), "2030-01-01T00:00:00Z");
    let log = world.get("/_emulator/log").body;
    assert_eq!(
        log["calls"][0],
        json!({"time": "2026-11-21T02:00:00Z", "method": "POST", "path": "/aws-us-east-1/v2/namespaces/orders",
            "status": 200, "operation": "write", "key_suffix": "0001"})
    );
    let summary = world.get("/_emulator/log?summary=1").body;
    assert_eq!(
        summary,
        json!({"operations": {"write": {"200": 1}}, "total": 1})
    );
    let bill = world.get("/_emulator/bill").body;
    assert_eq!(bill["organisations"]["default"]["bytes_written"], 10_000);
    let set = world.post(
        "/_emulator/settings",
        &json!({"async_hint": {"above_rows": 3}}),
    );
    assert_eq!(set.body["async_hint"], json!({"above_rows": 3}));
    assert_eq!(
        world
            .post("/_emulator/settings", &json!({"speed": 3}))
            .status,
        400
    );
    assert_eq!(
        world
            .post("/_emulator/faults", &json!([{"fault": {"oops": 1}}]))
            .status,
        400
    );
    world.post("/_emulator/reset", &json!({}));
    assert_eq!(world.metadata(EAST, "orders").status, 404);
    assert_eq!(world.emulator.now().to_string(), "2026-11-21T02:00:00Z");
}
