//! A valid call as the callout that asks the store (protocol `vbs`: the
//! documented call itself).

use std::rc::Rc;
use std::time::Duration;

use super::printable;
use crate::call::{CountRequest, Header};
use crate::details;
use crate::filters::Value;
use crate::percent;
use crate::reply::Fault;
use crate::route;
use crate::status;

/// Where and how the store is asked (`store` of the plugin configuration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The Envoy cluster.
    pub cluster: String,
    /// The `:authority` of the callout.
    pub authority: String,
    /// What stands before `/v2/…`; empty, or an absolute path.
    pub path_prefix: String,
    /// How long the whole answer may take. At least 1 ms: Envoy reads 0 as no
    /// timeout at all.
    pub timeout: Duration,
    /// The client's headers that go along, in lower case.
    pub forward_headers: Vec<String>,
    /// How many times a callout may be sent again; 0 to 3.
    pub retries: u32,
}

/// The question to a store, as an HTTP request for the host to send. It may be sent again, long after the
/// client's headers have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    store: Rc<Store>,
    /// The path, and behind it the values of the forwarded headers: printable ASCII.
    text: String,
    path_end: usize,
    /// Of each forwarded header, its place in `forward_headers` and where its value ends.
    forwarded: Vec<(usize, usize)>,
}

impl Callout {
    /// The store that is asked.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The header fields, pseudo-headers first.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        let Callout { store, text, path_end, forwarded } = self;
        let mut headers = Vec::with_capacity(forwarded.len().saturating_add(4));
        headers.extend([
            (":method", "GET"),
            (":path", text.get(..*path_end).unwrap_or_default()),
            (":authority", store.authority.as_str()),
            ("accept", "application/json"),
        ]);
        let mut start = *path_end;
        headers.extend(forwarded.iter().filter_map(|&(name, end)| {
            let value = text.get(start..end)?;
            start = end;
            Some((store.forward_headers.get(name)?.as_str(), value))
        }));
        headers
    }
}

impl Store {
    /// The callout for a valid call, with what `headers` holds to be forwarded.
    ///
    /// # Errors
    /// 400 if a header to be forwarded cannot be, or is an ambiguous token.
    pub fn ask<'a>(
        self: &Rc<Store>,
        request: &CountRequest,
        headers: impl Iterator<Item = Header<'a>>,
    ) -> Result<Callout, Fault> {
        let mut text = self.path(request);
        let path_end = text.len();
        let forwarded = self.forward(headers, &mut text)?;
        Ok(Callout { store: Rc::clone(self), text, path_end, forwarded })
    }

    fn path(&self, request: &CountRequest) -> String {
        // Room for all eight filters and some headers: to grow costs more.
        let mut path = String::with_capacity(1024);
        path.push_str(&self.path_prefix);
        path.push_str(route::BEFORE);
        path.push_str(request.project.as_str());
        path.push_str(route::AFTER);
        let mut separator = '?';
        for (filter, value) in request.filters.given() {
            path.push(separator);
            path.push_str(filter.name);
            path.push('=');
            match value {
                Value::Text(text) => percent::encode_into(&mut path, text.as_str()),
                // All others consist of unreserved characters.
                plain => path.push_str(plain.as_str()),
            }
            separator = '&';
        }
        path
    }

    /// Appends the values to be forwarded to `text`. An allow-list: a header that is not on it could
    /// desynchronise the store's connection or override the timeout.
    fn forward<'a>(
        &self,
        headers: impl Iterator<Item = Header<'a>>,
        text: &mut String,
    ) -> Result<Vec<(usize, usize)>, Fault> {
        let mut forwarded = Vec::with_capacity(self.forward_headers.len());
        let mut bytes: usize = 0;
        let mut tokens: usize = 0;
        // Most headers of a request have a length that no name on the list has.
        let bit = |name: &[u8]| 1_u64.wrapping_shl(u32::try_from(name.len()).unwrap_or_default());
        let listed = self.forward_headers.iter().map(|name| bit(name.as_bytes()));
        let lengths = listed.fold(0, |all, one| all | one);
        for (name, value) in headers {
            if lengths & bit(name) == 0 {
                continue;
            }
            let mut listed = self.forward_headers.iter();
            let Some(at) = listed.position(|listed| listed.as_bytes() == name) else { continue };
            // The host checks no value: CR and LF would split the message.
            let Some(value) = printable(value) else {
                // It may be a secret, so it is not repeated.
                let name = str::from_utf8(name).unwrap_or_default();
                return Err(bad_header(&[name, ": expected printable ASCII"]));
            };
            text.push_str(value);
            forwarded.push((at, text.len()));
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
            tokens = tokens.saturating_add(usize::from(name == TOKEN.as_bytes()));
        }
        if forwarded.len() > MAX_FIELDS || bytes > MAX_BYTES {
            let most = format!("{MAX_FIELDS} of them, and {MAX_BYTES} bytes");
            return Err(bad_header(&["headers to be forwarded: expected at most ", &most]));
        }
        if tokens > 1 {
            return Err(bad_header(&[TOKEN, ": expected one, got several"]));
        }
        Ok(forwarded)
    }
}

/// The host takes 1,023 fields and 1 MiB of header map, and says of more what it says of a cluster
/// that it does not know. Envoy's own limits are lower unless somebody raised them.
const MAX_FIELDS: usize = 1000;
const MAX_BYTES: usize = 900_000;

/// Two of these could mean one project to the edge's logs and another to the store.
const TOKEN: &str = "x-auth-token";

fn bad_header(message: &[&str]) -> Fault {
    Fault::new(status::BAD_REQUEST, details::EDGE_HEADER).message(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::Filters;
    use crate::reply::Reply;
    use crate::values::ProjectId;

    #[test]
    fn more_headers_than_the_host_takes_are_the_clients_fault() {
        let store = Rc::new(Store {
            cluster: "counts".to_owned(),
            authority: "counts".to_owned(),
            path_prefix: String::new(),
            timeout: Duration::from_secs(1),
            forward_headers: vec!["tracestate".to_owned()],
            retries: 2,
        });
        let project = ProjectId::parse("p1").unwrap();
        let request = CountRequest { project, filters: Filters::default() };
        let details = |headers: &[Header]| {
            store
                .ask(&request, headers.iter().copied())
                .map(drop)
                .map_err(|fault| Reply::from(fault).details)
        };
        let field: Header = (b"tracestate", b"a");
        assert_eq!(details(&vec![field; 1000]), Ok(()));
        assert_eq!(details(&vec![field; 1001]), Err("edge_header".into()));
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(details(&[(b"tracestate", long.as_bytes())]), Err("edge_header".into()));
    }
}
