//! The configurations that exchanges run under, each with what follows from it.

use std::time::Duration;

use crate::configuration::FORWARDED;
use crate::filters::{DOCUMENTED, LENIENT, Rules};
use crate::retries::Service;

/// A configuration, and what follows from it.
#[derive(Debug)]
pub struct Setup {
    /// As the filter gets it.
    pub json: &'static str,
    /// Whether a store is asked.
    pub counts: bool,
    /// `filters`
    pub rules: Rules,
    /// `store.authority`
    pub authority: &'static str,
    /// `store.path_prefix`
    pub prefix: &'static str,
    /// `store.timeout`
    pub timeout: Duration,
    /// `store.forward_headers`. Without a store, the default ones of tracing, which Keystone gets.
    pub forwarded: &'static [&'static str],
    /// `store.retries`
    pub retries: usize,
    /// `auth`
    pub auth: Auth,
    /// `cache`, if it is on.
    pub cache: Option<Cache>,
}

/// `cache`
#[derive(Debug)]
pub struct Cache {
    /// `.ttl`
    pub ttl: Duration,
    /// `.stale_if_error`
    pub stale_if_error: Duration,
    /// `.max_entries`
    pub max_entries: usize,
}

/// `auth`
#[derive(Debug)]
pub enum Auth {
    /// `none`
    None,
    /// `header`
    Header {
        /// `auth.header`
        name: &'static str,
        /// `auth.challenge`
        challenge: &'static str,
    },
    /// `keystone`
    Keystone(Keystone),
}

/// `auth.keystone`
#[derive(Debug)]
pub struct Keystone {
    /// `auth.challenge`
    pub challenge: &'static str,
    /// `.authority`
    pub authority: &'static str,
    /// `.path_prefix`
    pub prefix: &'static str,
    /// `.timeout`
    pub timeout: Duration,
    /// `.retries`
    pub retries: usize,
    /// `.roles`
    pub roles: &'static [&'static str],
    /// `.remember`
    pub remember: Duration,
    /// `.max_tokens`
    pub max_tokens: usize,
}

impl Setup {
    /// How the store is asked.
    pub fn store(&self) -> Service {
        Service { details: "store", timeout: self.timeout, retries: self.retries }
    }

    /// The `www-authenticate` of the filter's own 401.
    pub fn challenge(&self) -> &'static str {
        match &self.auth {
            Auth::None => "",
            Auth::Header { challenge, .. } => challenge,
            Auth::Keystone(keystone) => keystone.challenge,
        }
    }
}

impl Keystone {
    /// How it is asked.
    pub fn service(&self) -> Service {
        Service { details: "auth", timeout: self.timeout, retries: self.retries }
    }
}

const DEFAULT: Setup = Setup {
    json: r#"{"store":{"cluster":"store"}}"#,
    counts: true,
    rules: DOCUMENTED,
    authority: "store",
    prefix: "",
    timeout: Duration::from_secs(1),
    forwarded: &FORWARDED,
    retries: 2,
    auth: Auth::None,
    cache: None,
};

const KEYSTONE: Keystone = Keystone {
    challenge: "Keystone",
    authority: "id",
    prefix: "",
    timeout: Duration::from_secs(1),
    retries: 1,
    roles: &[],
    remember: Duration::from_secs(60),
    max_tokens: 10_000,
};

/// All of them.
pub static SETUPS: [Setup; 12] = [
    DEFAULT,
    Setup {
        json: r#"{"store":{"cluster":"store","authority":"legacy.example:8080","path_prefix":"/api/v2",
                 "timeout":"0.016s","retries":3,"forward_headers":["X-Tenant","b3"]},
                 "filters":{"unknown":"ignore","statuses":["ok","gone-2"]}}"#,
        rules: LENIENT,
        authority: "legacy.example:8080",
        prefix: "/api/v2",
        timeout: Duration::from_millis(16),
        forwarded: &["x-tenant", "b3"],
        retries: 3,
        ..DEFAULT
    },
    Setup { json: r#"{"mode":"validate"}"#, counts: false, ..DEFAULT },
    Setup {
        json: r#"{"store":{"cluster":"store","timeout":"0.1s","retries":3}}"#,
        timeout: Duration::from_millis(100),
        retries: 3,
        ..DEFAULT
    },
    Setup { json: r#"{"store":{"cluster":"store","retries":0}}"#, retries: 0, ..DEFAULT },
    Setup {
        json: r#"{"store":{"cluster":"store"},"auth":{"mode":"keystone","keystone":{"cluster":"id"}}}"#,
        auth: Auth::Keystone(KEYSTONE),
        ..DEFAULT
    },
    Setup {
        json: r#"{"store":{"cluster":"store","forward_headers":["X-Tenant","b3"]},
                 "auth":{"mode":"keystone","challenge":"Own","keystone":{
                 "cluster":"id","authority":"id.example:5000","path_prefix":"/identity","timeout":"0.1s","retries":3,
                 "roles":["Member","auditor"],"remember":"5s","max_tokens":2}}}"#,
        forwarded: &["x-tenant", "b3"],
        auth: Auth::Keystone(Keystone {
            challenge: "Own",
            authority: "id.example:5000",
            prefix: "/identity",
            timeout: Duration::from_millis(100),
            retries: 3,
            roles: &["Member", "auditor"],
            remember: Duration::from_secs(5),
            max_tokens: 2,
        }),
        ..DEFAULT
    },
    Setup {
        json: r#"{"mode":"validate","auth":{"mode":"keystone","keystone":{"cluster":"id","remember":"0s"}}}"#,
        counts: false,
        forwarded: FORWARDED.split_at(1).1,
        auth: Auth::Keystone(Keystone { remember: Duration::ZERO, ..KEYSTONE }),
        ..DEFAULT
    },
    Setup {
        json: r#"{"store":{"cluster":"store"},"auth":{"mode":"header","challenge":"Own"}}"#,
        auth: Auth::Header { name: "x-project-id", challenge: "Own" },
        ..DEFAULT
    },
    Setup {
        json: r#"{"mode":"validate","auth":{"mode":"header","challenge":"a=\"b\"","header":"X-Tenant"}}"#,
        counts: false,
        auth: Auth::Header { name: "x-tenant", challenge: "a=\"b\"" },
        ..DEFAULT
    },
    Setup {
        json: r#"{"store":{"cluster":"store","timeout":"0.1s","retries":1},
                 "cache":{"ttl":"5s","stale_if_error":"20s","max_entries":2}}"#,
        timeout: Duration::from_millis(100),
        retries: 1,
        cache: Some(Cache {
            ttl: Duration::from_secs(5),
            stale_if_error: Duration::from_secs(20),
            max_entries: 2,
        }),
        ..DEFAULT
    },
    Setup {
        json: r#"{"store":{"cluster":"store","forward_headers":["X-Tenant","b3"]},"cache":{"ttl":"30s"},
                 "auth":{"mode":"keystone","keystone":{"cluster":"id","remember":"10s"}}}"#,
        forwarded: &["x-tenant", "b3"],
        auth: Auth::Keystone(Keystone { remember: Duration::from_secs(10), ..KEYSTONE }),
        cache: Some(Cache {
            ttl: Duration::from_secs(30),
            stale_if_error: Duration::ZERO,
            max_entries: 1024,
        }),
        ..DEFAULT
    },
];
