//! Who vouches for the caller (docs/contract.md#callers): nobody, an earlier filter, or Keystone.

mod header;
mod keystone;
mod token;

use std::rc::Rc;

pub use header::VouchedHeader;
pub use keystone::{Keystone, KeystoneSettings, Verdict, overflow, timed_out};
pub use token::key;

/// Who vouches for the caller at the edge (`auth.mode`).
#[derive(Clone, Debug)]
pub enum Auth {
    /// An earlier filter, which says the caller's project in a header.
    Header(VouchedHeader),
    /// The identity service, which is asked about the caller's token.
    Keystone(Rc<Keystone>),
}
