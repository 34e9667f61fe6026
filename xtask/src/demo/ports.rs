//! Which ports the demo listens on.

use std::net::{Ipv4Addr, SocketAddr};

use testkit::ports::{free_port, port_is_free};
use testkit::{Error, Result};

/// The port given by `option`; else `usual`; else any free one.
pub fn choose(option: &str, given: Option<u16>, usual: u16) -> Result<SocketAddr> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match given {
        Some(port) if !port_is_free(at(port)) => Err(Error::new(format!(
            "Port {port} is in use. Give another with {option}, or leave {option} out."
        ))),
        Some(port) => Ok(at(port)),
        None if port_is_free(at(usual)) => Ok(at(usual)),
        None => Ok(at(free_port()?)),
    }
}
