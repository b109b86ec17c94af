//! Listing, at any size.

use std::time::Instant;

use lifeboat_emulator::{Fault, Match, Rule};

use crate::world::{EAST, World};

/// Follows cursors to the end; gives the ids of each page.
fn pages(world: &World, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!(
            "/{EAST}/v1/namespaces?{query}&cursor={}",
            cursor.replace('+', "%2B")
        );
        let got = world.get(&path).body;
        let names = got["namespaces"].as_array().unwrap();
        pages.push(
            names
                .iter()
                .map(|name| name["id"].as_str().unwrap().to_owned())
                .collect(),
        );
        match got["next_cursor"].as_str() {
            Some(next) if pages.len() < 2_000 => next.clone_into(&mut cursor),
            _ => return pages,
        }
    }
}

fn seeded(count: u32) -> World {
    let world = World::new();
    let names = (0..count).map(|index| format!("tenant-{index:07}"));
    world.emulator.seed_namespaces(EAST, names, 10, 1_000);
    world
}

#[test]
fn an_exactly_full_page_has_a_cursor_and_the_last_page_may_be_empty() {
    let world = seeded(6);
    let lengths = |query| {
        pages(&world, query)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths("page_size=3"), [3, 3, 0]);
    assert_eq!(lengths("page_size=4"), [4, 2]);
    assert_eq!(lengths("prefix=tenant-0000005"), [1]);
    assert_eq!(lengths("prefix=nobody"), [0]);
    for query in ["page_size=0", "page_size=1001", "page_size=x", "cursor=x"] {
        assert_eq!(
            world.get(&format!("/{EAST}/v1/namespaces?{query}")).status,
            400
        );
    }
}

#[test]
fn pages_can_be_dropped_repeated_and_looped() {
    let world = seeded(10);
    let fault = |fault| {
        world.emulator.set_faults(vec![
            Rule::new(Match::operation("list"), fault).after(1).times(1),
        ]);
    };
    fault(Fault {
        drop_page: true,
        ..Fault::default()
    });
    assert_eq!(pages(&world, "page_size=3").concat().len(), 7);
    fault(Fault {
        repeat_page: true,
        ..Fault::default()
    });
    let repeated = pages(&world, "page_size=3");
    assert_eq!(repeated.concat().len(), 13);
    fault(Fault {
        loop_cursor: true,
        ..Fault::default()
    });
    let looped = pages(&world, "page_size=3");
    assert_eq!(looped[3], looped[2]);
    world.emulator.set_faults(vec![Rule::new(
        Match::operation("list"),
        Fault {
            loop_cursor: true,
            ..Fault::default()
        },
    )]);
    assert_eq!(
        pages(&world, "page_size=3").len(),
        2_000,
        "a loop without end"
    );
}

#[test]
fn a_million_namespaces_are_listed_page_by_page() {
    let world = seeded(1_000_000);
    let start = Instant::now();
    let names = pages(&world, "page_size=1000").concat();
    assert_eq!(names.len(), 1_000_000);
    assert!(names.is_sorted());
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
