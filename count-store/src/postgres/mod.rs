//! PostgreSQL, or an engine that speaks its protocol: one server or several with the same rows.
//!
//! | module | holds |
//! |---|---|
//! | `url` | the URL, and what else it takes to connect |
//! | `tls` | what of a certificate is looked at |
//! | `session` | a connection, and a question on it |
//! | `relation` | the table or view, and how it is asked |
//! | `door` | how connections to a server are made and made ready |
//! | `server` | one server: its connections, and whether it is in trouble |
//! | `lag` | how far each server is behind |
//! | `servers` | which server is asked, and which one after it |
//! | `schema` | the table and indexes that a load makes |
//! | `load` | how rows come into the table |

mod door;
mod lag;
mod load;
mod relation;
mod schema;
mod server;
mod servers;
mod session;
mod tls;
mod url;

use std::error::Error as _;

use backup_sharing_count::request::CountRequest;

use crate::sql::{self, Statement};
pub(crate) use load::Loader;
use relation::Relation;
pub use schema::SETTINGS;
pub(crate) use schema::TABLE;
pub(crate) use servers::{Choices, Servers};
pub(crate) use url::{Url, is_url};

/// The statement that answers a call from the table that a load makes, in a session with these [`SETTINGS`].
pub fn count(request: &CountRequest) -> Statement {
    sql::count(&Relation::as_loaded(), request)
}

/// One line, and not a long one, whatever a server sends.
fn one_line(text: &str) -> String {
    const MOST: usize = 300;
    text.chars().take(MOST).map(|one| if one.is_control() { '\u{FFFD}' } else { one }).collect()
}

/// What an error of the driver means, for an operator: what the server said, or the causes of a failure.
fn why(error: &tokio_postgres::Error) -> String {
    let mut why = match error.as_db_error() {
        Some(said) => said.message().to_owned(),
        None => error.to_string(),
    };
    let mut cause = if error.as_db_error().is_some() { None } else { error.source() };
    while let Some(error) = cause {
        let text = error.to_string();
        if !why.ends_with(&text) {
            why = format!("{why}: {text}");
        }
        cause = error.source();
    }
    if why.ends_with("password missing") {
        why.push_str(": PGPASSWORD or --password-file");
    }
    one_line(&why)
}
