//! The table of response code details: why a request was answered as it was, for Envoy's
//! `%RESPONSE_CODE_DETAILS%`.
//!
//! `edge_…` is answered without asking anyone, `auth_…` because of the caller, `cache_…` from memory, `store_…` after
//! asking the store. The cause follows a colon where the filter knows it: `store_invalid:410`. docs/watching-it.md#answered_by says what each of them means.

/// A name, and the causes that may follow it.
#[derive(Clone, Copy, Debug)]
pub struct Details {
    /// The name, without a cause.
    pub name: &'static str,
    /// The causes. `STATUS` stands for any status that the store sent.
    pub causes: &'static [&'static str],
}

macro_rules! details {
    ($($constant:ident = $name:literal $causes:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "`")]
            pub const $constant: &str = $name;
        )*

        /// All of them.
        pub const ALL: &[Details] = &[$(Details { name: $name, causes: &$causes }),*];

        /// Their places in [`ALL`].
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy)]
        enum Place {
            $($constant),*
        }

        /// The place in [`ALL`] of the name in these details.
        pub fn place(details: &str) -> Option<usize> {
            // Compared with constants, each is a few instructions.
            let place = match details.split_once(':').map_or(details, |(name, _)| name) {
                $($name => Place::$constant,)*
                _ => return None,
            };
            Some(place as usize)
        }
    };
}

details! {
    EDGE_PATH = "edge_path" [];
    EDGE_METHOD = "edge_method" [];
    EDGE_ACCEPT = "edge_accept" [];
    EDGE_BODY = "edge_body" [];
    EDGE_PROJECT = "edge_project" [];
    EDGE_FILTER = "edge_filter" [];
    EDGE_HEADER = "edge_header" [];
    EDGE_UNJUDGED = "edge_unjudged" [];
    AUTH_MISSING = "auth_missing" [];
    AUTH_REFUSED = "auth_refused" ["400", "414", "431", cause::EXPIRED];
    AUTH_PROJECT = "auth_project" [];
    AUTH_ROLE = "auth_role" [];
    AUTH_INVALID = "auth_invalid" ["STATUS", cause::TOO_LARGE, cause::NO_HTTP, cause::BROKEN];
    AUTH_UNAVAILABLE = "auth_unavailable" [
        "STATUS", cause::CONNECT_FAILURE, cause::RESET, cause::CONNECT_TIMEOUT, cause::TLS, cause::NO_HOST, cause::OVERFLOW
    ];
    AUTH_TIMEOUT = "auth_timeout" ["504"];
    AUTH_UNKNOWN_CLUSTER = "auth_unknown_cluster" [];
    CACHE_HIT = "cache_hit" [];
    CACHE_STALE = "cache_stale" [];
    STORE_COUNT = "store_count" [];
    STORE_FAULT = "store_fault" [];
    STORE_ERROR = "store_error" [];
    STORE_INVALID = "store_invalid" ["STATUS", cause::TOO_LARGE, cause::NO_HTTP];
    STORE_BROKEN = "store_broken" [];
    STORE_UNAVAILABLE = "store_unavailable" [
        cause::CONNECT_FAILURE, cause::RESET, cause::CONNECT_TIMEOUT, cause::TLS, cause::NO_HOST, cause::OVERFLOW, "429", "503"
    ];
    STORE_TIMEOUT = "store_timeout" ["408", "504"];
    STORE_UNKNOWN_CLUSTER = "store_unknown_cluster" [];
}

/// The causes that are not a status of the store's.
pub mod cause {
    /// The answer is over 64 KiB.
    pub const TOO_LARGE: &str = "too_large";
    /// The answer is not HTTP, or only a part of the headers came.
    pub const NO_HTTP: &str = "no_http";
    /// No connection: it was refused, the host cannot be reached, or the TLS handshake failed.
    pub const CONNECT_FAILURE: &str = "connect_failure";
    /// The connection ended before the headers of an answer.
    pub const RESET: &str = "reset";
    /// No connection was made within the cluster's `connect_timeout`.
    pub const CONNECT_TIMEOUT: &str = "connect_timeout";
    /// The TLS handshake failed. Envoy 1.39 and later do not tell the filter that: there it is
    /// [`CONNECT_FAILURE`].
    pub const TLS: &str = "tls";
    /// Envoy had no host to ask, or a circuit breaker was open; it does not tell the filter which.
    pub const NO_HOST: &str = "no_host";
    /// The answer broke off.
    pub const BROKEN: &str = "broken";
    /// The token's time was over by this machine's clock.
    pub const EXPIRED: &str = "expired";
    /// A circuit breaker was open.
    pub const OVERFLOW: &str = "overflow";
}
