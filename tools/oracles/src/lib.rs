//! What the contract says of each input, worked out a second time.
//!
//! Each module holds one reading of the contract that shares no code and no library with the
//! filter's, and a `check` that panics where the two differ. Property tests (`tests/properties`)
//! and fuzz targets (`tools/oracles/fuzz/`) call it with inputs that no person wrote.
//!
//! | module | input | filter | second reading |
//! |---|---|---|---|
//! | [`path`] | a path with its query | `route` | text, rewritten step by step |
//! | [`accept`] | `accept` fields | `accept` | `mediatype` |
//! | [`query`] | a query | `filters` | text, cut and decoded by hand |
//! | [`configuration`] | a plugin configuration | `config` | jiter, `prost-types`, `fluent-uri`, `http` |
//! | [`store_answer`] | a store's answer | `store` | jiter, `chrono` |
//! | [`retries`] | how callouts ended, and when | `waiting` | a table |
//! | [`keystone`] | Keystone's answer | `auth` | jiter, `chrono` |
//! | `counts` | what the store said of questions before | `cache` | a list, and text |
//! | [`exchange`] | requests and how their callouts ended | `edge` | all of the above |
//! | [`sharing`] | requests with equal tokens at the same time | `waiting`, `sharing` | a list of who waits |
//! | [`meaning`] | calls to a store with known rows | `count-store` | a plain loop |
//!
//! [`setups`] are the configurations that exchanges run under, [`request`] is what they are made of, and [`filters`] is the table of filters that [`query`] and [`meaning`] judge by.
//!
//! Where the contract leaves something open, an oracle says so and asks only for an answer.

pub mod accept;
mod asked;
pub mod configuration;
mod counts;
pub mod exchange;
pub mod filters;
pub mod http;
pub mod json;
pub mod keystone;
pub mod meaning;
pub mod outcome;
pub mod path;
pub mod percent;
pub mod query;
pub mod reply;
pub mod request;
pub mod retries;
pub mod setups;
pub mod sharing;
pub mod store_answer;
pub mod target;
