//! Envoy's own HTTP filters, as they stand beside ours.

use serde_json::{Value, json};

use super::config::extension;

/// Refuses everything with 403.
pub fn rbac() -> Value {
    let config = json!({"rules": {"action": "ALLOW", "policies": {}}});
    extension("rbac", "extensions.filters.http.rbac.v3.RBAC", config)
}

/// Refuses with 401 what has no token, as no test has.
pub fn jwt_authn() -> Value {
    let keys = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"c2VjcmV0"}]}"#;
    let config = json!({
        "providers": {"tokens": {"local_jwks": {"inline_string": keys}}},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "tokens"}}],
    });
    extension("jwt_authn", "extensions.filters.http.jwt_authn.v3.JwtAuthentication", config)
}

/// Asks a cluster about each request.
pub fn ext_authz(cluster: &str) -> Value {
    let uri = format!("http://{cluster}");
    let server = json!({"uri": uri, "cluster": cluster, "timeout": "20s"});
    let config = json!({"http_service": {"server_uri": server}});
    extension("ext_authz", "extensions.filters.http.ext_authz.v3.ExtAuthz", config)
}

/// Runs a Lua program.
pub fn lua(source: &str) -> Value {
    let config = json!({"default_source_code": {"inline_string": source}});
    extension("lua", "extensions.filters.http.lua.v3.Lua", config)
}

/// Holds requests until they are whole.
pub fn buffer(max_request_bytes: u32) -> Value {
    let config = json!({"max_request_bytes": max_request_bytes});
    extension("buffer", "extensions.filters.http.buffer.v3.Buffer", config)
}
