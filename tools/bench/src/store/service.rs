//! The store as a process on a table, asked over one connection that stays open.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use testkit::count_store::CountStore;
use testkit::{Error, Result};

use super::database::Table;
use super::rows::{Watched, watched};

/// A table, and the service on it.
#[derive(Debug)]
pub struct Store {
    /// The table.
    pub table: Table,
    /// The service.
    pub service: CountStore,
}

/// A connection that asks one thing again and again.
///
/// It does no more than it must: what it takes is measured as the service's.
#[derive(Debug)]
pub struct Asking {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

// === impl Store ===

impl Store {
    /// Loads a table and starts the service.
    pub fn new(rows: u64) -> Result<Store> {
        let table = Table::load(rows)?;
        let service = serve(&table)?;
        Ok(Store { table, service })
    }

    /// Whether a project is in the table.
    pub fn has(&self, project: Watched) -> bool {
        watched(self.table.load.rows).any(|it| it == project)
    }
}

/// Starts the service on a table.
pub fn serve(table: &Table) -> Result<CountStore> {
    CountStore::start(&table.file, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

// === impl Asking ===

impl Asking {
    /// Connects.
    pub fn new(address: SocketAddr, target: &str) -> Result<Asking> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = connect()
            .map_err(|error: std::io::Error| Error::while_doing("ask the store")(error))?;
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: store\r\naccept: application/json\r\n\r\n");
        Ok(Asking { stream, request: request.into_bytes(), answer: vec![0; 4096] })
    }

    /// Asks once, and returns the count.
    pub fn ask(&mut self) -> Result<u64> {
        let answer = self.exchange().map_err(Error::while_doing("ask the store"))?;
        let number = answer.strip_prefix("HTTP/1.1 200 OK\r\n").and_then(|answer| {
            let (_, number) = answer.rsplit_once("\r\n\r\n{\"count\":")?;
            number.strip_suffix('}')?.parse().ok()
        });
        number.ok_or_else(|| Error::new(format!("The store answered {answer:?}.")))
    }

    fn exchange(&mut self) -> std::io::Result<&str> {
        self.stream.write_all(&self.request)?;
        let mut length = 0;
        // Every answer is an object, and no header has a brace.
        while length == 0 || self.answer.get(length - 1) != Some(&b'}') {
            let read = self.stream.read(self.answer.get_mut(length..).unwrap_or_default())?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            length += read;
        }
        let answer = self.answer.get(..length).unwrap_or_default();
        std::str::from_utf8(answer).map_err(|_| std::io::ErrorKind::InvalidData.into())
    }
}
