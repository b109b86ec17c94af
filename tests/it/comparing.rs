//! Two namespaces compared at every level: whatever is wrong with a copy is found and named, a copy that is right is
//! never accused, and a source that was written meanwhile is told from damage.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat::certificate::DeletionCertificate;
use lifeboat::name::Namespace;
use lifeboat::run::{Step, Watch};
use lifeboat::service::{
    CopyOrder, Metadata, Page, Patient, Progress, RowId, Rows, Service, ServiceError, Started,
    Wanted,
};
use lifeboat::verify::{self, Compared, End, Level, Mismatch, Terms, Verdict, Way, Wrong};
use lifeboat_emulator::Method;
use serde_json::{Value, json};

use crate::world::{Region, SOURCE, TARGET, World};

const ORDERS: &str = "acme-orders";
const COPY: &str = "backup-acme-orders-1767319200";
const UUID: &str = "00000000-0000-4000-8000-";

fn sample(rows: u32) -> Level {
    Level::Sample(NonZeroU32::new(rows).unwrap())
}

fn upsert(world: &World, region: &str, name: &str, schema: &Value, rows: &[Value]) {
    let metric = schema["vector"]["metric"]
        .as_str()
        .unwrap_or("cosine_distance");
    let mut schema = schema.clone();
    if let Some(vector) = schema["vector"].as_object_mut() {
        vector.remove("metric");
    }
    for rows in rows.chunks(1_000) {
        world.call(
            Method::Post,
            region,
            &format!("/v2/namespaces/{name}"),
            &json!({"schema": schema, "upsert_rows": rows, "distance_metric": metric}),
        );
    }
}

fn schema(ids: &str) -> Value {
    json!({"id": ids, "price": "float", "vector": {"type": "[4]f32", "ann": true}})
}

fn id(kind: &str, number: u64) -> Value {
    match kind {
        "string" => json!(format!("row-{number:05}")),
        "uuid" => json!(format!("{UUID}{number:012x}")),
        _ => json!(number),
    }
}

/// Rows with gaps between their ids, an attribute missing here and there, and floats whose last bits count.
fn rows(kind: &str, count: u64) -> Vec<Value> {
    let row = |number: u64| {
        let part = f32::from(u16::try_from(number % 1_000).unwrap()) / 3.0;
        let mut row = json!({
            "id": id(kind, number * 7), "title": format!("title {number}"), "price": f64::from(part) + 0.1,
            "tags": ["a", format!("{number}")], "vector": [part, -part, 0.0, -0.0],
        });
        if number.is_multiple_of(5) {
            row.as_object_mut().unwrap().remove("price");
        }
        row
    };
    (0..count).map(row).collect()
}

/// A source and a copy with these rows, both written at the beginning; then the copy's slot comes.
async fn world(kind: &str, source: &[Value], copy: &[Value]) -> World {
    let world = World::new(1, &[]);
    upsert(&world, SOURCE, ORDERS, &schema(kind), source);
    upsert(&world, TARGET, COPY, &schema(kind), copy);
    tokio::time::sleep(Duration::from_hours(1)).await;
    world
}

async fn compare(world: &World, level: Level) -> Compared {
    compare_since(world, level, world.now(), 1).await
}

async fn compare_since(world: &World, level: Level, since: Timestamp, seed: u64) -> Compared {
    compare_watched(world, level, (since, seed), Watch(&|_| {})).await
}

async fn compare_watched(
    world: &World,
    level: Level,
    (since, seed): (Timestamp, u64),
    watch: Watch<'_>,
) -> Compared {
    let regions = [SOURCE, TARGET].map(|name| Patient::new(world.region(name), 8));
    let names = [ORDERS, COPY].map(|name| Namespace::parse(name).unwrap());
    let end = |at: usize| End {
        service: &regions[at],
        namespace: &names[at],
    };
    let clock = world.local_clock();
    let terms = Terms {
        level,
        still_since: since,
        seed,
        clock: &clock,
        way: &Way::default(),
        watch,
    };
    verify::compare(end(0), end(1), terms).await.unwrap()
}

const LEVELS: [&str; 4] = ["metadata", "count", "sample:100", "full"];

#[tokio::test(start_paused = true)]
async fn equal_namespaces_are_equal_at_every_level_and_with_every_kind_of_id() {
    for kind in ["uint", "string", "uuid"] {
        let all = rows(kind, 3_000);
        let world = world(kind, &all, &all).await;
        for level in LEVELS {
            let found = compare(&world, level.parse().unwrap()).await;
            assert_eq!(found.verdict, Verdict::Equal, "{kind} {level}: {found:?}");
            assert_eq!((found.rows, found.written_at), ([3_000, 3_000], None));
        }
        let full = compare(&world, Level::Full).await;
        let [one, other] = full.digests.unwrap();
        assert_eq!(one, other);
        assert_eq!(full.cost.rows, 6_000);
        assert!(
            full.cost.requests >= 4 && full.cost.bytes_returned > 100_000,
            "{:?}",
            full.cost
        );
    }
}

/// A comparison of hours has nothing else to show.
#[tokio::test(start_paused = true)]
async fn a_comparison_of_all_rows_says_page_by_page_how_far_it_is() {
    let all = rows("uint", 30_000);
    let world = world("uint", &all, &all).await;
    let told = RefCell::new(Vec::new());
    let watch = |step: Step<'_>| match step {
        Step::Comparing(name, rows, of) => {
            assert_eq!((name.as_str(), of), (COPY, 30_000));
            told.borrow_mut().push(rows);
        }
        other => panic!("{other:?}"),
    };
    let since = (world.now(), 1);
    compare_watched(&world, Level::Full, since, Watch(&watch)).await;
    let told = told.into_inner();
    assert!(
        told.len() > 3 && told.is_sorted_by(|one, next| one < next),
        "{told:?}"
    );
    // The last page ends it, and that is told otherwise.
    assert_eq!(told.first(), Some(&0));
    assert!(told.last() > Some(&20_000), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn one_content_has_one_digest_wherever_and_in_whatever_order_it_was_written() {
    let mut turned = rows("uint", 500);
    turned.reverse();
    let there = world("uint", &turned, &turned).await;
    let here = world("uint", &rows("uint", 500), &turned).await;
    let (here, there) = (
        compare(&here, Level::Full).await,
        compare(&there, Level::Full).await,
    );
    assert_eq!(here.digests.unwrap()[0], there.digests.unwrap()[1]);
}

/// What is done to the rows of a copy.
type Damage = Box<dyn Fn(&mut Vec<Value>)>;

/// Every kind of damage to the copy of 3,000 rows: in words, done, what is found, at which id.
fn damages() -> Vec<(&'static str, Damage, Wrong, u64)> {
    let changed = |name: &str| Wrong::Changed(vec![name.to_owned()]);
    let at = |row: u64| row * 7;
    vec![
        (
            "a missing row",
            Box::new(|rows| drop(rows.remove(1_234))),
            Wrong::Missing,
            at(1_234),
        ),
        (
            "the first missing",
            Box::new(|rows| drop(rows.remove(0))),
            Wrong::Missing,
            at(0),
        ),
        (
            "a truncated copy",
            Box::new(|rows| rows.truncate(2_000)),
            Wrong::Missing,
            at(2_000),
        ),
        (
            "an extra row",
            Box::new(|rows| rows.push(json!({"id": 8, "title": "x"}))),
            Wrong::Extra,
            8,
        ),
        (
            "an extra row at the end",
            Box::new(|rows| rows.push(json!({"id": 1_000_000, "title": "x"}))),
            Wrong::Extra,
            1_000_000,
        ),
        (
            "one bit of a vector",
            Box::new(|rows| {
                let element = f32::from(333_u16).to_bits() ^ 1;
                rows[2_999]["vector"][0] = json!(f32::from_bits(element));
            }),
            changed("vector"),
            at(2_999),
        ),
        (
            "the sign of a zero",
            Box::new(|rows| {
                let vector = rows[7]["vector"].as_array_mut().unwrap();
                vector[3] = json!(0.0);
            }),
            changed("vector"),
            at(7),
        ),
        (
            "the last bit of a float",
            Box::new(|rows| {
                let price = rows[11]["price"].as_f64().unwrap();
                rows[11]["price"] = json!(price.next_up());
            }),
            changed("price"),
            at(11),
        ),
        (
            "a dropped attribute",
            Box::new(|rows| drop(rows[13].as_object_mut().unwrap().remove("title"))),
            changed("title"),
            at(13),
        ),
        (
            "an item more in a list",
            Box::new(|rows| rows[17]["tags"] = json!(["a", "17", ""])),
            changed("tags"),
            at(17),
        ),
        (
            "two rows that changed places",
            Box::new(|rows| {
                let (one, other) = (rows[21]["title"].clone(), rows[22]["title"].clone());
                (rows[21]["title"], rows[22]["title"]) = (other, one);
            }),
            changed("title"),
            at(21),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_full_comparison_finds_every_damage_and_names_it() {
    let sound = rows("uint", 3_000);
    for (what, damage, wrong, id) in damages() {
        let mut damaged = sound.clone();
        damage(&mut damaged);
        let world = world("uint", &sound, &damaged).await;
        let found = compare(&world, Level::Full).await;
        let Verdict::Differs(Mismatch::Content(differences)) = &found.verdict else {
            panic!("{what}: {found:?}")
        };
        let first = &differences.first[0];
        assert_eq!(
            (&first.id, &first.wrong),
            (&RowId::Number(id), &wrong),
            "{what}"
        );
        let [one, other] = found.digests.unwrap();
        assert_ne!(one, other, "{what}");
        // So does a sample of everything, and a mismatch of counts is found by counting.
        let found = compare(&world, sample(10_000)).await;
        assert!(
            matches!(found.verdict, Verdict::Differs(_)),
            "{what}: {found:?}"
        );
        let counted = compare(&world, Level::Count).await.verdict;
        let others = !matches!(wrong, Wrong::Changed(_));
        assert_eq!(
            matches!(counted, Verdict::Differs(Mismatch::Rows { .. })),
            others,
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn null_and_absent_are_one_to_the_service_and_to_the_comparison() {
    let sound = rows("uint", 10);
    let mut nulled = sound.clone();
    nulled[3]["missing"] = Value::Null;
    nulled[5]["price"] = Value::Null; // which the source's row 5 does not have
    let world = world("uint", &sound, &nulled).await;
    assert_eq!(compare(&world, Level::Full).await.verdict, Verdict::Equal);
}

#[tokio::test(start_paused = true)]
async fn another_schema_metric_or_kind_of_id_is_found_at_every_level() {
    let all = rows("uint", 50);
    let euclidean = json!({"id": "uint", "price": "float", "vector": {"type": "[4]f32", "ann": true, "metric": "euclidean_squared"}});
    let narrow = json!({"id": "uint", "price": "float", "vector": {"type": "[4]f16", "ann": true}});
    let unindexed = json!({"id": "uint", "price": {"type": "float", "filterable": false}, "vector": {"type": "[4]f32", "ann": true}});
    let cases = [
        (euclidean, all.clone(), "`vector`"),
        (narrow, all.clone(), "`vector`"),
        (unindexed, all.clone(), "`price`"),
        (schema("string"), rows("string", 50), "`id`"),
    ];
    for (other, copy, names) in cases {
        for level in LEVELS {
            let world = World::new(1, &[]);
            upsert(&world, SOURCE, ORDERS, &schema("uint"), &all);
            upsert(&world, TARGET, COPY, &other, &copy);
            tokio::time::sleep(Duration::from_hours(1)).await;
            let found = compare(&world, level.parse().unwrap()).await;
            let Verdict::Differs(Mismatch::Schema(what)) = &found.verdict else {
                panic!("{names} {level}: {found:?}")
            };
            assert!(what.contains(names), "{what}");
            assert_eq!(found.cost.requests, 0, "no row is paid for");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_implausible_size_is_found_without_reading_a_row() {
    let world = world("uint", &rows("uint", 8_000), &rows("uint", 4_000)).await;
    let found = compare(&world, Level::Metadata).await;
    assert!(
        matches!(
            found.verdict,
            Verdict::Differs(Mismatch::Size {
                rows: 8_000,
                copied_rows: 4_000,
                ..
            })
        ),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_written_source_says_is_drift_and_what_a_still_one_says_is_damage() {
    let sound = rows("uint", 100);
    let mut damaged = sound.clone();
    damaged[5]["title"] = json!("other");
    let world = world("uint", &sound, &damaged).await;
    for level in [sample(1_000), Level::Full] {
        let still = compare_since(&world, level, world.now(), 1).await;
        assert!(matches!(still.verdict, Verdict::Differs(_)), "{still:?}");
        let long_ago = "2025-12-31T00:00:00Z".parse().unwrap();
        let moved = compare_since(&world, level, long_ago, 1).await;
        assert!(matches!(moved.verdict, Verdict::Drifted(_)), "{moved:?}");
        assert_eq!(moved.differences.changed, 1);
        assert_eq!(
            moved.written_at,
            Some("2026-01-01T00:00:00Z".parse().unwrap())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn writes_that_land_while_rows_are_read_are_drift() {
    let all = rows("uint", 3_000);
    let world = world("uint", &all, &all).await;
    // Every answer takes a second: the first is the count, the second the first page.
    world.faults(json!([{"match": {"operation": "query"}, "fault": {"latency_ms": 1_000}}]));
    let writing = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let late = json!({"id": 20_000, "title": "late"});
        upsert(&world, SOURCE, ORDERS, &schema("uint"), &[late]);
    };
    let (found, ()) = tokio::join!(compare(&world, Level::Full), writing);
    let Verdict::Drifted(drift) = &found.verdict else {
        panic!("{found:?}")
    };
    assert_eq!(
        (drift.fewest, drift.most, drift.copied),
        (3_000, 3_001, 3_000)
    );
    assert_eq!(found.differences.missing, 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_or_a_source_that_is_not_there_is_no_equal() {
    let all = rows("uint", 10);
    let world = world("uint", &all, &all).await;
    world.delete(TARGET, COPY);
    let found = compare(&world, Level::Full).await;
    assert_eq!(found.verdict, Verdict::Differs(Mismatch::Missing));
    world.delete(SOURCE, ORDERS);
    let found = compare(&world, Level::Full).await;
    assert!(
        matches!(found.verdict, Verdict::Differs(Mismatch::SourceGone { .. })),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn pages_that_come_no_nearer_the_end_are_an_error() {
    let all = rows("uint", 3_000);
    let world = world("uint", &all, &all).await;
    let regions = [SOURCE, TARGET].map(|name| Looping(world.region(name)));
    let names = [ORDERS, COPY].map(|name| Namespace::parse(name).unwrap());
    let end = |at: usize| End {
        service: &regions[at],
        namespace: &names[at],
    };
    for level in [sample(10), Level::Full] {
        let clock = world.local_clock();
        let terms = Terms {
            level,
            still_since: world.now(),
            seed: 1,
            clock: &clock,
            way: &Way::default(),
            watch: Watch(&|_| {}),
        };
        let error = verify::compare(end(0), end(1), terms).await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("came where a larger id was due"),
            "{level}: {said}"
        );
    }
}

/// A service that pays no heed to where a page should begin.
#[derive(Debug)]
struct Looping(Region);

impl Service for Looping {
    fn region(&self) -> &str {
        self.0.region()
    }

    async fn rows(
        &self,
        namespace: &Namespace,
        wanted: Wanted<'_>,
    ) -> Result<Option<Rows>, ServiceError> {
        let wanted = match wanted {
            Wanted::Whole { limit, .. } => Wanted::Whole { after: None, limit },
            Wanted::Ids { .. } => Wanted::Ids {
                after: None,
                limit: 100,
            },
            of @ Wanted::Of(_) => of,
        };
        self.0.rows(namespace, wanted).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, ServiceError> {
        self.0.list(prefix, cursor).await
    }

    async fn metadata(&self, namespace: &Namespace) -> Result<Option<Metadata>, ServiceError> {
        self.0.metadata(namespace).await
    }

    async fn count(&self, namespace: &Namespace) -> Result<Option<u64>, ServiceError> {
        self.0.count(namespace).await
    }

    async fn start_copy(&self, order: &CopyOrder<'_>) -> Result<Started, ServiceError> {
        self.0.start_copy(order).await
    }

    async fn poll_copy(&self, name: &Namespace, token: &str) -> Result<Progress, ServiceError> {
        self.0.poll_copy(name, token).await
    }

    async fn set_read_only(&self, name: &Namespace, on: bool) -> Result<bool, ServiceError> {
        self.0.set_read_only(name, on).await
    }

    async fn delete(&self, certificate: &DeletionCertificate) -> Result<(), ServiceError> {
        self.0.delete(certificate).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_sample_misses_no_more_than_it_says() {
    let sound = rows("uint", 500);
    let mut damaged = sound.clone();
    for row in damaged.iter_mut().step_by(100) {
        row["title"] = json!("other"); // five of them: one in a hundred
    }
    let world = world("uint", &sound, &damaged).await;
    let (mut misses, rounds) = (0.0, 300_u32);
    let mut said = 0.0;
    for seed in 0..u64::from(rounds) {
        let found = compare_since(&world, sample(100), world.now(), seed).await;
        let sample = found.sample.unwrap();
        assert_eq!((sample.rows, sample.of, sample.seed), (100, 500, seed));
        said = sample.missed_with_probability;
        if found.verdict == Verdict::Equal {
            misses += 1.0;
        }
    }
    // (1 - 0.01)^100 is 0.366; the truth, without putting back, is 0.327.
    assert!((said - 0.366).abs() < 0.001, "{said}");
    let share = misses / f64::from(rounds);
    assert!(
        share < said + 0.05 && share > 0.2,
        "missed {share}, said {said}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_copy_in_ten_kinds_of_rows_too_large_for_a_page_is_read_in_many() {
    let text = "x".repeat(100_000);
    let rows: Vec<Value> = (0..60).map(|id| json!({"id": id, "title": text})).collect();
    let world = world("uint", &rows, &rows).await;
    let found = compare(&world, Level::Full).await;
    assert_eq!(found.verdict, Verdict::Equal);
    // Ten rows of 100 kB are a page of a megabyte.
    assert!((12..=20).contains(&found.cost.requests), "{:?}", found.cost);
}
