//! A request to the filter, and how its callouts ended.

use std::time::Duration;

use crate::http::{self, Field, borrowed, printable, values};
use crate::outcome::Event;

/// A request, and how its callouts ended.
#[derive(Clone, Debug)]
pub struct Request {
    /// So long after the one before has ended.
    pub after: Duration,
    /// `:method`
    pub method: Vec<u8>,
    /// `:path`
    pub target: Vec<u8>,
    /// The other header fields, names in lower case.
    pub headers: Vec<Field>,
    /// How one callout after the other ended. Of those for which there is none, the timeout runs out.
    pub events: Vec<Event>,
}

/// What stands before the first `border`, and what after it.
pub fn cut<'a>(text: &'a [u8], border: &[u8; 6]) -> (&'a [u8], &'a [u8]) {
    let at = text.windows(6).position(|window| window == border);
    let (before, after) = text.split_at(at.unwrap_or(text.len()));
    (before, after.get(6..).unwrap_or_default())
}

impl Request {
    /// Reads one written as text: see [`Exchange::read`](crate::exchange::Exchange::read).
    pub fn read(text: &[u8]) -> Request {
        let (after, rest) = http::line(text);
        let after = str::from_utf8(after).ok().and_then(|millis| millis.parse::<u32>().ok());
        let (request, rest) = http::line(rest);
        let space = request.iter().position(|&byte| byte == b' ').unwrap_or(request.len());
        let (method, target) = request.split_at(space);
        let (headers, mut rest) = http::fields(rest);
        let mut events = Vec::new();
        while !rest.is_empty() && events.len() < 8 {
            let event;
            (event, rest) = cut(rest, b"\n----\n");
            events.push(Event::read(event));
        }
        Request {
            after: Duration::from_millis(after.unwrap_or_default().into()),
            method: method.to_vec(),
            target: target.get(1..).unwrap_or_default().to_vec(),
            headers,
            events,
        }
    }

    /// `:method` and `:path`, then the others.
    pub fn fields(&self) -> Vec<(&[u8], &[u8])> {
        let pseudo: [(&[u8], &[u8]); 2] = [(b":method", &self.method), (b":path", &self.target)];
        pseudo.into_iter().chain(borrowed(&self.headers)).collect()
    }

    /// The values of all fields called `name`.
    pub fn values<'a>(&'a self, name: &'a str) -> Vec<&'a [u8]> {
        values(&self.headers, name).collect()
    }

    /// Those of its fields that are listed, if they are printable; else the name of the first that is not.
    pub fn forwarded(&self, listed: &[&str]) -> Result<Vec<(String, String)>, String> {
        let mut forwarded = Vec::new();
        for (name, value) in borrowed(&self.headers) {
            let Some(name) = listed.iter().find(|listed| listed.as_bytes() == name) else {
                continue;
            };
            let value = printable(value).ok_or(*name)?;
            forwarded.push(((*name).to_owned(), value.to_owned()));
        }
        Ok(forwarded)
    }
}
