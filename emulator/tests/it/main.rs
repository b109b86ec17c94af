//! The emulator from outside: calls in-process on a manual clock, raw HTTP, and the official Rust client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests a panic is the assertion"
)]

mod copies;
mod faults;
mod http;
mod listing;
mod namespaces;
mod sdk;
mod world;
mod zilliz;
