//! Who may ask about which project.

use std::collections::HashMap;
use std::env;
use std::fs;

use backup_sharing_count::reply::Reply;
use backup_sharing_count::request::{Header, values_of};
use backup_sharing_count::status;

use crate::cli::{Serve, Token};
use crate::error::{Error, Result};

/// A 401 has a challenge (RFC 9110 §11.6.1). No registered scheme takes a token in a header of
/// its own, so this one is called like the header.
const CHALLENGE: &str = "X-Auth-Token realm=\"count-store\"";

/// The environment's tokens, out of sight of `ps`.
const VARIABLE: &str = "COUNT_STORE_TOKENS";

/// The tokens we know, each scoped to one project. None: everybody may ask.
#[derive(Default)]
pub struct Tokens(HashMap<Vec<u8>, String>);

impl Tokens {
    /// Those of the file, the environment and the command line. Where one of the first two
    /// is named and holds none, that is an error: it must not open every project.
    pub fn gather(arguments: &Serve) -> Result<Tokens> {
        let mut tokens = Tokens::default();
        if let Some(file) = &arguments.token_file {
            let name = file.display();
            let reading = Error::while_doing(format!("read the tokens in {name}"));
            let text = fs::read_to_string(file).map_err(reading)?;
            tokens.read(&format!("{name}, line"), lines(&text))?;
        }
        if let Some(value) = env::var_os(VARIABLE) {
            let value = value.into_string();
            let value = value.map_err(|_| Error::new(format!("{VARIABLE} is not UTF-8.")))?;
            tokens.read(&format!("{VARIABLE}, token"), value.split_whitespace().zip(1..))?;
        }
        if !arguments.token.is_empty() {
            tokens.read("--token, number", arguments.token.iter().map(String::as_str).zip(1..))?;
        }
        Ok(tokens)
    }

    /// What is wrong is named by its number, for a secret must not be printed.
    fn read<'a>(
        &mut self,
        place: &str,
        tokens: impl Iterator<Item = (&'a str, usize)>,
    ) -> Result<()> {
        let mut is_empty = true;
        for (token, number) in tokens {
            is_empty = false;
            let wrong = |why| Error::new(format!("{place} {number}: {why}."));
            let Token { secret, project } = token.parse().map_err(wrong)?;
            let project = project.as_str().to_owned();
            if let Some(other) = self.0.insert(secret.into_bytes(), project.clone())
                && other != project
            {
                let why =
                    format!("the token is for {other} already, and a token is for one project");
                return Err(Error::new(format!("{place} {number}: {why}.")));
            }
        }
        match is_empty {
            true => Err(Error::new(format!("{place} 1: expected TOKEN=PROJECT, got nothing."))),
            false => Ok(()),
        }
    }

    /// Whether a request may ask about the project that its path names.
    pub fn admit(&self, project_id: &str, headers: &[Header]) -> std::result::Result<(), Reply> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut given = values_of(headers.iter().copied(), "x-auth-token");
        // Of two tokens, neither is the client's for sure.
        let project = match (given.next(), given.next()) {
            (Some(token), None) => self.0.get(token),
            _ => None,
        };
        match project {
            Some(project) if project.as_str() == project_id => Ok(()),
            Some(_) => Err(Reply::fault(status::FORBIDDEN, "store_project")),
            None => {
                let fault = Reply::fault(status::UNAUTHORIZED, "store_token");
                Err(fault.header("www-authenticate", CHALLENGE.to_owned()))
            }
        }
    }
}

/// The lines of a file that are tokens, and their numbers.
fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let lines = text.trim_start_matches('\u{FEFF}').lines().map(str::trim).zip(1..);
    lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(text: &str, headers: &[(&str, &str)]) -> u16 {
        let mut tokens = Tokens::default();
        if !text.is_empty() {
            tokens.read("file, line", lines(text)).unwrap();
        }
        let headers: Vec<Header> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let admitted = tokens.admit("p1", &headers);
        admitted.map_or_else(|fault| fault.status, |()| 200)
    }

    #[test]
    fn without_tokens_everybody_may_ask() {
        assert_eq!(admit("", &[]), 200);
        assert_eq!(admit("", &[("x-auth-token", "whatever")]), 200);
    }

    #[test]
    fn a_token_opens_its_project_only() {
        let tokens = "\u{FEFF}# who may ask\none=p1\r\n\n  two=p2\none=p1";
        assert_eq!(admit(tokens, &[("x-auth-token", "one")]), 200);
        assert_eq!(admit(tokens, &[("x-auth-token", "two")]), 403);
        assert_eq!(admit(tokens, &[("x-auth-token", "One")]), 401);
        assert_eq!(admit(tokens, &[]), 401);
        assert_eq!(admit(tokens, &[("x-auth-token", "one"), ("x-auth-token", "one")]), 401);
    }

    #[test]
    fn a_bad_list_is_refused_by_number_and_no_secret_is_shown() {
        for (text, why) in [
            ("secret=p1\nsecret=p2", "file, line 2: the token is for p1 already, "),
            ("a=p1\n\nsecret=p.1", "file, line 3: expected a project id after the ="),
            ("secret", "file, line 1: expected TOKEN=PROJECT."),
            ("# none\n", "file, line 1: expected TOKEN=PROJECT, got nothing."),
        ] {
            let read = Tokens::default().read("file, line", lines(text));
            let error = read.unwrap_err().to_string();
            assert!(error.starts_with(why) && !error.contains("secret"), "{error}");
        }
    }
}
