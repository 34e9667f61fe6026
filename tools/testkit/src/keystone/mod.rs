//! A real Keystone, OpenStack's identity service: installed once (`provision`), run ([`process`]), and spoken
//! to ([`directory`], [`tokens`]). Nothing here knows what the filter does.
//!
//! ```no_run
//! use testkit::keystone::{Keystone, Scope};
//!
//! # fn main() -> testkit::Result<()> {
//! let keystone = Keystone::start()?; // Or shared(), or options(). Dropped, it is gone.
//! let project = keystone.create_project("proj-a")?;
//! let alice = keystone.create_user("alice")?;
//! keystone.grant(&alice, "reader", Scope::Project(&project))?;
//! let token = keystone.token(&alice, Scope::Project(&project))?;
//! assert_eq!(keystone.ask_about_itself(&token)?.status, 200);
//! keystone.disable_user(&alice)?;
//! assert_eq!(keystone.ask_about_itself(&token)?.status, 401);
//! keystone.kill(); // And keystone.restart() at the same address; pause() and resume(); break_database().
//! # Ok(())
//! # }
//! ```

pub mod calls;
pub mod directory;
mod options;
pub mod process;
mod provision;
pub mod tokens;

pub use directory::{DOMAIN, Scope, User};
pub use options::Options;
pub use process::Keystone;
