//! What a case expects, against what came.

use super::text::repeat;
use super::{Expected, ExpectedCallout};

// === impl ExpectedCallout ===

impl ExpectedCallout {
    /// The callout's target: path and query.
    pub fn target(&self) -> String {
        repeat(&self.target)
    }

    /// Says what is wrong with a callout as the filter sends it, if anything is.
    pub fn check(&self, sent: &[(&str, &str)]) -> std::result::Result<(), String> {
        let target = self.target();
        let mut headers = vec![
            (":method", "GET"),
            (":path", target.as_str()),
            (":authority", self.authority.as_str()),
            ("accept", "application/json"),
        ];
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        match sent == headers {
            true => Ok(()),
            false => Err(format!("expected the callout {headers:?}, got {sent:?}")),
        }
    }
}

// === impl Expected ===

impl Expected {
    /// Says what is wrong with a reply as the filter sends it, if anything is.
    pub fn check(
        &self,
        status: u32,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::result::Result<(), String> {
        if status != u32::from(self.status) {
            return Err(format!("expected {}, got {status}: {body}", self.status));
        }
        self.check_body(body)?;
        let values = |wanted: &str| -> Vec<&str> {
            headers.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| *value).collect()
        };
        for (name, expected) in &self.headers {
            if values(name) != [expected] {
                return Err(format!("expected {name}: {expected}, got {headers:?}"));
            }
        }
        match self.without.iter().find(|name| !values(name).is_empty()) {
            Some(name) => Err(format!("expected no {name}, got {headers:?}")),
            None => Ok(()),
        }
    }

    /// Says what is wrong with a body, if anything is.
    pub fn check_body(&self, body: &str) -> std::result::Result<(), String> {
        let expected = match (&self.body, &self.fault, &self.message, &self.starts) {
            (Some(body), None, None, None) => repeat(body),
            (None, Some(fault), Some(message), None) => {
                let message = serde_json::Value::from(repeat(message));
                format!(r#"{{"{fault}":{{"code":{},"message":{message}}}}}"#, self.status)
            }
            (None, Some(fault), None, Some(start)) => {
                let start = format!(r#"{{"{fault}":{{"code":{},"message":"{start}"#, self.status);
                return match body.starts_with(&start) && body.ends_with(r#""}}"#) {
                    true => Ok(()),
                    false => Err(format!("expected a body that starts {start}, got {body}")),
                };
            }
            _ => return Err("the case expects neither a body nor a fault".to_owned()),
        };
        match body == expected {
            true => Ok(()),
            false => Err(format!("expected the body {expected}, got {body}")),
        }
    }
}
