//! The callout that asks the store (protocol `vbs`: the documented call itself, docs/contract.md#callout).

use std::rc::Rc;

use super::{StoreSettings, printable};
use crate::details;
use crate::filters::Value;
use crate::percent;
use crate::reply::Reply;
use crate::request::{CountRequest, Header};
use crate::route;
use crate::status;

/// The HTTP request to the store. It owns its text, because it may be sent again when the client's headers can no
/// longer be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    store: Rc<StoreSettings>,
    /// The path, followed by the values of the forwarded headers: printable ASCII.
    text: String,
    path_end: usize,
    /// For each forwarded header: its index in `forward_headers`, and where its value ends in `text`.
    forwarded: Vec<(usize, usize)>,
}

impl Callout {
    /// The store that is asked.
    pub fn store(&self) -> &StoreSettings {
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

impl StoreSettings {
    /// The callout for a valid request, with those of its `headers` that are to be forwarded.
    ///
    /// # Errors
    /// 400 if a header to be forwarded is not printable ASCII, if there are too many, or two tokens.
    pub fn callout<'a>(
        self: &Rc<StoreSettings>,
        request: &CountRequest,
        headers: impl Iterator<Item = Header<'a>>,
    ) -> Result<Callout, Reply> {
        let mut text = self.path(request);
        let path_end = text.len();
        let forwarded = self.forward(headers, &mut text)?;
        Ok(Callout { store: Rc::clone(self), text, path_end, forwarded })
    }

    fn path(&self, request: &CountRequest) -> String {
        // Room for all filters and some headers: growing costs more.
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

    /// Appends the values to be forwarded to `text`. Only listed headers go along: another could desynchronise the
    /// store's connection or override the timeout.
    fn forward<'a>(
        &self,
        headers: impl Iterator<Item = Header<'a>>,
        text: &mut String,
    ) -> Result<Vec<(usize, usize)>, Reply> {
        let mut forwarded = Vec::with_capacity(self.forward_headers.len());
        let mut bytes: usize = 0;
        let mut tokens: usize = 0;
        // Most names in a request have a length that no listed name has.
        let bit = |name: &[u8]| 1_u64.wrapping_shl(u32::try_from(name.len()).unwrap_or_default());
        let listed = self.forward_headers.iter().map(|name| bit(name.as_bytes()));
        let lengths = listed.fold(0, |all, one| all | one);
        for (name, value) in headers {
            if lengths & bit(name) == 0 {
                continue;
            }
            let mut listed = self.forward_headers.iter();
            let Some(at) = listed.position(|listed| listed.as_bytes() == name) else { continue };
            let Some(value) = printable(value) else {
                // The value may be a secret, so it is not repeated.
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

/// The host takes a header map of 1,023 fields and 1 MiB. For a larger one it returns the same status as for an
/// unknown cluster. Envoy's limits for requests are lower unless an operator raised them.
const MAX_FIELDS: usize = 1000;
const MAX_BYTES: usize = 900_000;

/// A store and an access log could read different ones of two tokens.
const TOKEN: &str = "x-auth-token";

fn bad_header(message: &[&str]) -> Reply {
    Reply::fault_saying(status::BAD_REQUEST, details::EDGE_HEADER, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::filters::Filters;
    use crate::values::ProjectId;

    #[test]
    fn more_headers_than_the_host_takes_are_the_clients_fault() {
        let store = Rc::new(StoreSettings {
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
            let callout = store.callout(&request, headers.iter().copied());
            callout.map(drop).map_err(|reply| reply.details)
        };
        let field: Header = (b"tracestate", b"a");
        assert_eq!(details(&vec![field; 1000]), Ok(()));
        assert_eq!(details(&vec![field; 1001]), Err("edge_header".into()));
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(details(&[(b"tracestate", long.as_bytes())]), Err("edge_header".into()));
    }
}
