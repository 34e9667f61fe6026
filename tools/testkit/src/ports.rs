//! Ports that are free, and an address that refuses connections.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, anyhow};
use socket2::{Domain, Socket, Type};

use crate::Result;

/// A loopback port that was free a moment ago.
///
/// Prefer port 0 where the program can report what it got
/// ([`Envoy::listener_address`](crate::envoy::Envoy::listener_address)): another process may take
/// this one first.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("finding a free port on 127.0.0.1")?;
    Ok(listener.port())
}

/// Whether a listener could be opened at `address` now.
pub fn port_is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// An address that refuses connections for as long as this value lives.
///
/// The port is bound, and no socket listens on it: the kernel refuses every connection, and no other
/// process can be given the port meanwhile. A port merely freed gives no such promise.
#[derive(Debug)]
pub struct DeadAddress {
    address: SocketAddr,
    _bound: Socket,
}

/// An address on 127.0.0.1 that refuses connections.
pub fn dead_address() -> Result<DeadAddress> {
    bound(false)
}

/// An address on 127.0.0.1 that is dead until a program listens there which sets SO_REUSEADDR and is told the port, as servers
/// are. Linux gives the port to nobody else, whether that program runs or not.
pub(crate) fn reserve() -> Result<DeadAddress> {
    bound(true)
}

fn bound(shared: bool) -> Result<DeadAddress> {
    let bind = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(shared)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket();
        Ok::<_, std::io::Error>((address, socket))
    };
    match bind().context("reserving a port on 127.0.0.1")? {
        (Some(address), _bound) => Ok(DeadAddress { address, _bound }),
        (None, _) => Err(anyhow!("The reserved port has no IP address.")),
    }
}

// === impl DeadAddress ===

impl DeadAddress {
    /// The address; it refuses connections until `self` is dropped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Display for DeadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_free_port_can_be_taken() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        assert!(port_is_free(address));
        let _taken = TcpListener::bind(address).unwrap();
        assert!(!port_is_free(address));
    }

    #[test]
    fn a_dead_address_refuses() {
        for dead in [dead_address().unwrap(), reserve().unwrap()] {
            let error = TcpStream::connect(dead.address()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn a_reserved_address_is_for_who_is_told() {
        let reserved = reserve().unwrap();
        assert!(!port_is_free(dead_address().unwrap().address()));
        // The standard library sets SO_REUSEADDR, as servers do.
        for _ in 0..2 {
            let _listens = TcpListener::bind(reserved.address()).unwrap();
            TcpStream::connect(reserved.address()).unwrap();
        }
    }
}
