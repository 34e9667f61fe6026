//! The documented API against programs that nobody here wrote: schemathesis, which makes requests
//! of `openapi.yaml`, and clients of the OpenStack family, which read answers their own way. All
//! ask `envoy.yaml` as it ships.
//!
//! | module | holds |
//! |---|---|
//! | [`environment`] | the Python packages they are made of |
//! | [`stack`] | Envoy before a store |
//! | [`contradiction`] | schemathesis, and what it must see in a document that is wrong |
//! | [`clients`] | the clients: asked what they make of an answer |
//! | [`questions`] | what they are asked, and what each must make of it |

mod clients;
mod contradiction;
mod environment;
mod questions;
mod stack;

use testkit::Result;

use crate::{Scale, Section};

/// Runs schemathesis, then the clients.
///
/// # Errors
/// If the environment cannot be made or something cannot be started.
pub fn run(scale: Scale) -> Result<Section> {
    let python = environment::Environment::make()?;
    let mut section = Section::default();
    contradiction::run(&python, scale, &mut section)?;
    questions::run(&python, &mut section)?;
    Ok(section)
}
