//! The part `store` in small, without the load: the store counts as SQLite does, and what is judged
//! by steps, not by time, holds.

#![cfg(test)]

use std::time::Duration;

use bench::store::measure::Effort;
use bench::store::service::Store;
use bench::store::{chart, counts, judge, table};

#[test]
fn steps_are_those_of_the_matches_among_any_number_of_rows() {
    let effort = Effort { rounds: 1, turn: Duration::ZERO, many: Duration::ZERO };
    let stores = [1_000, 10_000].map(|rows| Store::new(rows).unwrap());
    let cells = counts::cells(&stores, effort).unwrap();
    let mut missed = judge::missed(&cells, None);
    missed.retain(|sentence| sentence.contains("steps"));
    assert_eq!(missed, Vec::<String>::new());
    assert_eq!(judge::pairs(&cells).len(), 16, "8 counts of each of 2 projects are in both");
    let loads = stores.map(|store| store.table.load);
    assert!(table::text(&loads, &cells, None, None, "chart.svg").contains("volume_id"));
    assert!(chart::draw(&cells).unwrap().contains("no filter, 1000"));
}
