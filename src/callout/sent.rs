//! The HTTP request of a callout.

use std::rc::Rc;

use super::{Service, TOKEN, printable};
use crate::details;
use crate::reply::Reply;
use crate::request::Header;
use crate::status;

/// The HTTP request of a callout. It owns its text, because it may be sent again when the client's headers can no
/// longer be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    service: Rc<Service>,
    /// The path, followed by the values of the other headers: printable ASCII.
    text: String,
    path_end: usize,
    /// For each forwarded header: its place in the service's `forward_headers`, and where its value ends in `text`.
    forwarded: Vec<(usize, usize)>,
    /// The names of the headers whose value is the rest of `text`.
    own: &'static [&'static str],
}

impl Callout {
    /// `GET path`, with those of a client's `headers` that are to be forwarded to the service. `path` is printable
    /// ASCII.
    ///
    /// # Errors
    /// 400 if a header to be forwarded is not printable ASCII, if there are too many, or two tokens.
    pub fn new<'a>(
        service: &Rc<Service>,
        path: String,
        headers: impl Iterator<Item = Header<'a>>,
    ) -> Result<Callout, Reply> {
        let path_end = path.len();
        let mut text = path;
        let forwarded = forward(service, headers, &mut text)?;
        Ok(Callout { service: Rc::clone(service), text, path_end, forwarded, own: &[] })
    }

    /// Adds a header under each of these names. The value is printable ASCII.
    ///
    /// # Errors
    /// 400 if it is too long for a callout.
    pub fn add(&mut self, names: &'static [&'static str], value: &str) -> Result<(), Reply> {
        let more = value.len().saturating_mul(names.len());
        if self.text.len().saturating_add(more) > MAX_BYTES {
            return Err(too_many());
        }
        self.text.push_str(value);
        self.own = names;
        Ok(())
    }

    /// Forwards none of the client's headers if their values have more bytes than `most`.
    pub fn forward_at_most(&mut self, most: usize) {
        if self.text.len().saturating_sub(self.path_end) > most {
            self.text = self.path().to_owned();
            self.forwarded.clear();
        }
    }

    /// About as many bytes as a request takes that waits with it.
    pub fn bytes(&self) -> usize {
        let forwarded = self.forwarded.capacity().saturating_mul(size_of::<(usize, usize)>());
        self.text.capacity().saturating_add(forwarded).saturating_add(512)
    }

    /// The service that is asked.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The path, with its query.
    pub fn path(&self) -> &str {
        self.text.get(..self.path_end).unwrap_or_default()
    }

    /// The forwarded headers, in the client's order: the place of each in the service's `forward_headers`, and its value.
    pub fn forwarded(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut start = self.path_end;
        self.forwarded.iter().filter_map(move |&(name, end)| {
            let value = self.text.get(start..end)?;
            start = end;
            Some((name, value))
        })
    }

    /// The header fields, pseudo-headers first.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        let Callout { service, forwarded, own, .. } = self;
        let most = forwarded.len().saturating_add(own.len()).saturating_add(4);
        let mut headers = Vec::with_capacity(most);
        headers.extend([
            (":method", "GET"),
            (":path", self.path()),
            (":authority", service.authority.as_str()),
            ("accept", "application/json"),
        ]);
        headers.extend(self.forwarded().filter_map(|(name, value)| {
            Some((service.forward_headers.get(name)?.as_str(), value))
        }));
        let end = forwarded.last().map_or(self.path_end, |(_, end)| *end);
        let rest = self.text.get(end..).unwrap_or_default();
        headers.extend(own.iter().map(|name| (*name, rest)));
        headers
    }
}

/// Appends the values to be forwarded to `text`. Only listed headers go along: another could desynchronise the service's
/// connection or override the timeout.
fn forward<'a>(
    service: &Service,
    headers: impl Iterator<Item = Header<'a>>,
    text: &mut String,
) -> Result<Vec<(usize, usize)>, Reply> {
    let mut forwarded = Vec::with_capacity(service.forward_headers.len());
    let mut bytes: usize = 0;
    let mut tokens: usize = 0;
    // Most names in a request have a length that no listed name has.
    let bit = |name: &[u8]| 1_u64.wrapping_shl(u32::try_from(name.len()).unwrap_or_default());
    let listed = service.forward_headers.iter().map(|name| bit(name.as_bytes()));
    let lengths = listed.fold(0, |all, one| all | one);
    for (name, value) in headers {
        if lengths & bit(name) == 0 {
            continue;
        }
        let mut listed = service.forward_headers.iter();
        let Some(at) = listed.position(|listed| listed.as_bytes() == name) else { continue };
        let Some(value) = printable(value) else {
            return Err(not_printable(str::from_utf8(name).unwrap_or_default()));
        };
        text.push_str(value);
        forwarded.push((at, text.len()));
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        tokens = tokens.saturating_add(usize::from(name == TOKEN.as_bytes()));
    }
    if forwarded.len() > MAX_FIELDS || bytes > MAX_BYTES {
        return Err(too_many());
    }
    if tokens > 1 {
        return Err(several_tokens());
    }
    Ok(forwarded)
}

/// The host takes a header map of 1,023 fields and 1 MiB. For a larger one it returns the same status as for an
/// unknown cluster. Envoy's limits for requests are lower unless an operator raised them.
const MAX_FIELDS: usize = 1000;
const MAX_BYTES: usize = 900_000;

/// The caller's token, empty without one.
///
/// # Errors
/// 400 if there are several, or if it is not printable ASCII.
pub fn token<'a>(headers: impl Iterator<Item = Header<'a>>) -> Result<&'a str, Reply> {
    let mut values = crate::request::values_of(headers, TOKEN);
    let token = values.next().unwrap_or_default();
    let token = printable(token).ok_or_else(|| not_printable(TOKEN))?;
    // A service and an access log could read different ones of two.
    match values.next() {
        None => Ok(token),
        Some(_) => Err(several_tokens()),
    }
}

/// The value may be a secret, so it is not repeated.
fn not_printable(name: &str) -> Reply {
    bad_header(&[name, ": expected printable ASCII"])
}

/// A service and an access log could read different ones of two.
fn several_tokens() -> Reply {
    bad_header(&[TOKEN, ": expected one, got several"])
}

fn too_many() -> Reply {
    let most = format!("{MAX_FIELDS} of them, and {MAX_BYTES} bytes");
    bad_header(&["headers to be forwarded: expected at most ", &most])
}

fn bad_header(message: &[&str]) -> Reply {
    Reply::fault_saying(status::BAD_REQUEST, details::EDGE_HEADER, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_headers_than_the_host_takes_are_the_clients_fault() {
        let service = Rc::new(Service {
            forward_headers: vec!["tracestate".to_owned()],
            ..Service::for_tests()
        });
        let details = |headers: &[Header]| {
            let callout = Callout::new(&service, "/".to_owned(), headers.iter().copied());
            callout.map(drop).map_err(|reply| reply.details)
        };
        let field: Header = (b"tracestate", b"a");
        assert_eq!(details(&vec![field; 1000]), Ok(()));
        assert_eq!(details(&vec![field; 1001]), Err("edge_header".into()));
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(details(&[(b"tracestate", long.as_bytes())]), Err("edge_header".into()));
    }
}
