//! Faults under load: what clients get while a store dies, breaks off, floods or lies, and while
//! Envoy is given another configuration or told to leave.
//!
//! | module | holds |
//! |---|---|
//! | [`bench`] | an Envoy under load; a fault that comes and goes |
//! | [`real`], [`scripted`] | faults of the store |
//! | [`pair`] | faults of one store of two |
//! | [`updates`], [`drain`] | what happens to Envoy itself |
//! | [`row`] | what was seen, and the judgement |

mod bench;
mod drain;
mod pair;
mod real;
mod row;
mod scripted;
mod updates;

use std::path::Path;

use testkit::Result;

use crate::{Scale, Section};

pub use bench::{open_after, upstream};
pub use real::load as load_database;
pub use row::{grouped, short, statuses};

const INTRODUCTION: &str = "\
Envoy with two workers, `store.timeout` 0.4 s and, except where said, `http.async_response_buffer_limit` 128 KiB. 32
connections ask and ask: counts of a hundred projects with eight filters each, requests the filter rejects, requests
for the upstream; and clients hang up. What is asked has one right answer, so a count given to the wrong client
would be seen. Eight of the connections never need the store. *Lost* is a request without a whole answer; *crossed* one
sent while Envoy closed the connection between two requests, or the listener; Envoy's own counter of connections closed
with a request in them tells it from a lost one. Load, store and Envoy share two cores.
";

const STOPPED: &str = "
A store that is stopped answers nothing (504), until its queue of new connections is full (128) and Envoy can make
no more (503).
";

/// Runs it.
pub fn run(scale: Scale) -> Result<Section> {
    let mut section = table(None, scale)?;
    section.text = format!("{INTRODUCTION}\n{}", section.text);
    Ok(section)
}

/// The table alone, with this Envoy or the usual one.
pub fn table(envoy: Option<&Path>, scale: Scale) -> Result<Section> {
    let mut rows = real::rows(envoy, scale)?;
    rows.extend(scripted::rows(envoy, scale)?);
    rows.extend(pair::rows(envoy, scale)?);
    let mut notes = String::new();
    for strategy in ["immediate", "gradual"] {
        let (row, note) = updates::row(envoy, scale, strategy)?;
        notes.push_str(&format!("\n{}: {note}\n", row.fault));
        rows.push(row);
    }
    rows.push(drain::row(envoy, scale)?);
    let mut section = Section { text: row::HEAD.to_owned(), failures: Vec::new() };
    for row in &rows {
        section.text.push_str(&row.line());
        section.failures.extend(row.judge(scale));
    }
    section.text.push_str(STOPPED);
    section.text.push_str(&notes);
    Ok(section)
}
