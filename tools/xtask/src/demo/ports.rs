//! Which ports the demo listens on.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use testkit::Result;
use testkit::ports::{free_port, port_is_free};

use super::Options;

/// The port of the README's examples.
pub const LISTENER: u16 = 10000;

/// One for each that listens.
pub struct Ports {
    pub listener: SocketAddr,
    pub store: SocketAddr,
    pub admin: SocketAddr,
    /// Whether the listener's port is neither given nor that of the README.
    pub is_unexpected: bool,
}

impl Ports {
    /// Those given, or an error if one is taken; else the usual ones, or free ones. All as they are now.
    pub fn choose(options: &Options) -> Result<Ports> {
        let listener = choose("--port", options.port, LISTENER)?;
        Ok(Ports {
            listener,
            store: choose("--store-port", options.store_port, 8080)?,
            admin: choose("--admin-port", options.admin_port, 9901)?,
            is_unexpected: options.port.is_none() && listener.port() != LISTENER,
        })
    }
}

/// The port given by `option`; else `usual`; else any free one.
fn choose(option: &str, given: Option<u16>, usual: u16) -> Result<SocketAddr> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match given {
        Some(port) if !port_is_free(at(port)) => Err(anyhow!(
            "Port {port} is in use. Give another with {option}, or leave {option} out."
        )),
        Some(port) => Ok(at(port)),
        None if port_is_free(at(usual)) => Ok(at(usual)),
        None => Ok(at(free_port()?)),
    }
}
