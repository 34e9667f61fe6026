//! A valid call as the callout that asks the store (protocol `vbs`: the
//! documented call itself).

use std::time::Duration;

use super::printable;
use crate::call::{CountRequest, Header};
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

/// An HTTP request for the host to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout<'a> {
    /// The Envoy cluster.
    pub cluster: &'a str,
    /// How long the whole answer may take.
    pub timeout: Duration,
    authority: &'a str,
    path: String,
    /// Printable ASCII, all of them.
    forwarded: Vec<(&'a str, &'a str)>,
}

impl Callout<'_> {
    /// The header fields, pseudo-headers first.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        let own = [
            (":method", "GET"),
            (":path", self.path.as_str()),
            (":authority", self.authority),
            ("accept", "application/json"),
        ];
        own.into_iter().chain(self.forwarded.iter().copied()).collect()
    }
}

impl Store {
    /// The callout for a valid call, with what `headers` holds to be forwarded.
    ///
    /// # Errors
    /// 400 if a header to be forwarded cannot be, or is an ambiguous token.
    pub fn ask<'a>(
        &'a self,
        request: &CountRequest,
        headers: impl Iterator<Item = Header<'a>>,
    ) -> Result<Callout<'a>, Fault> {
        Ok(Callout {
            cluster: &self.cluster,
            timeout: self.timeout,
            authority: &self.authority,
            path: self.path(request),
            forwarded: self.forwarded(headers)?,
        })
    }

    fn path(&self, request: &CountRequest) -> String {
        // Room for all eight filters: to grow costs more.
        let mut path = String::with_capacity(512);
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

    /// An allow-list: a header that is not on it could desynchronise the
    /// store's connection or override the timeout.
    fn forwarded<'a>(
        &'a self,
        headers: impl Iterator<Item = Header<'a>>,
    ) -> Result<Vec<(&'a str, &'a str)>, Fault> {
        let mut forwarded = Vec::with_capacity(self.forward_headers.len());
        let mut bytes: usize = 0;
        let mut tokens: usize = 0;
        for (name, value) in headers {
            let listed = self.forward_headers.iter().find(|listed| listed.as_bytes() == name);
            let Some(name) = listed else { continue };
            // The host checks no value: CR and LF would split the message.
            let Some(value) = printable(value) else {
                // It may be a secret, so it is not repeated.
                return Err(bad_header(&[name, ": expected printable ASCII"]));
            };
            forwarded.push((name.as_str(), value));
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
            tokens = tokens.saturating_add(usize::from(name == TOKEN));
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
    Fault::new(status::BAD_REQUEST, "edge_header").message(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::Filters;
    use crate::reply::Reply;
    use crate::values::ProjectId;

    #[test]
    fn more_headers_than_the_host_takes_are_the_clients_fault() {
        let store = Store {
            cluster: "counts".to_owned(),
            authority: "counts".to_owned(),
            path_prefix: String::new(),
            timeout: Duration::from_secs(1),
            forward_headers: vec!["tracestate".to_owned()],
            retries: 2,
        };
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
        assert_eq!(details(&vec![field; 1001]), Err("edge_header"));
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(details(&[(b"tracestate", long.as_bytes())]), Err("edge_header"));
    }
}
