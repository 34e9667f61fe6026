//! PostgreSQL, or an engine that speaks its protocol: one server or several with the same rows.
//!
//! | module | holds |
//! |---|---|
//! | `url` | the URL, and what else it takes to connect |
//! | `tls` | what of a certificate is looked at |
//! | `session` | a connection, and a question on it |
//! | `relation` | the table or view, and how it is asked |
//! | `server` | one server: its connections, and whether it is in trouble |
//! | `lag` | how far each server is behind |
//! | `servers` | which server is asked, and which one after it |
//! | `schema` | the table and indexes that a load makes |
//! | `load` | how rows come into the table |

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

pub(crate) use load::Loader;
pub(crate) use schema::TABLE;
pub(crate) use servers::{Choices, Servers};
pub use url::{Url, is_url};

/// What an error of the driver means, for an operator: what the server said, or the causes of a failure.
fn why(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !why.ends_with(&text) {
            why = format!("{why}: {text}");
        }
        cause = error.source();
    }
    why
}
