//! The count store as its data grows, beside SQLite alone.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the data, made from a seed |
//! | [`database`] | the data loaded, and SQLite alone on it |
//! | [`queries`] | the calls |
//! | [`service`] | the store, asked |
//! | [`counts`] | how long each count takes |
//! | [`measure`] | what the service adds, and how many counts it answers |
//! | [`judge`] | how long they may |
//! | [`table`], [`chart`] | what they showed |

pub mod chart;
pub mod counts;
pub mod database;
pub mod judge;
pub mod measure;
pub mod queries;
pub mod rows;
pub mod service;
pub mod table;

use std::time::Duration;

use testkit::{Error, Result};

use self::database::Load;
use self::measure::Effort;
use self::service::Store;
use crate::machine::Cores;
use crate::oha::Oha;
use crate::{Options, Section};

/// Rows of the tables, and their names for `--case`.
const TABLES: [(&str, u64); 4] =
    [("10^4", 10_000), ("10^5", 100_000), ("10^6", 1_000_000), ("10^7", 10_000_000)];

/// In `docs/`.
const CHART: &str = "performance-store.svg";

/// Runs it.
///
/// # Errors
/// If it could not be measured, or the store counts otherwise than SQLite.
pub fn run(options: &Options) -> Result<Section> {
    let effort = effort(options);
    let cores = Cores::new()?;
    let oha = Oha::install(&cores)?;
    let mut stores = Vec::new();
    for rows in tables(options)? {
        eprintln!("   {rows} rows …");
        stores.push(Store::new(rows)?);
    }
    eprintln!("   counts …");
    let cells = counts::cells(&stores, effort)?;
    // Of the largest table that has them.
    let (mut overhead, mut many) = (None, None);
    for store in &stores {
        overhead = measure::overhead(store, &cells, effort)?.or(overhead);
        many = measure::many(&store.table, &oha, &cores, effort)?.or(many);
    }
    let loads: Vec<Load> = stores.iter().map(|store| store.table.load).collect();
    Ok(Section {
        text: table::text(&loads, &cells, overhead.as_ref(), many.as_ref(), CHART),
        data: table::data(&loads, &cells, overhead.as_ref(), many.as_ref()),
        charts: vec![(CHART, chart::draw(&cells)?)],
        missed: judge::missed(&cells, overhead.as_ref()),
    })
}

/// Those named, or all.
fn tables(options: &Options) -> Result<Vec<u64>> {
    let named = &options.cases;
    let known = |name: &&String| TABLES.iter().any(|(known, _)| known == name);
    if let Some(unknown) = named.iter().find(|name| !known(name)) {
        let names = TABLES.map(|(name, _)| name).join(", ");
        return Err(Error::new(format!("There is no table {unknown}. There are {names}.")));
    }
    let wanted = |(at, (name, _)): &(usize, (&str, u64))| match named.is_empty() {
        true => !options.quick || *at == 0,
        false => named.iter().any(|it| it == name),
    };
    Ok(TABLES.into_iter().enumerate().filter(wanted).map(|(_, (_, rows))| rows).collect())
}

fn effort(options: &Options) -> Effort {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 12 });
    let seconds = options.seconds.unwrap_or(if options.quick { 0.2 } else { 4.0 });
    let turn = Duration::from_secs_f64(seconds / 80.0);
    Effort { rounds, turn, many: Duration::from_secs_f64(seconds) }
}
