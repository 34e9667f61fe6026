//! Who may ask about which project.

use std::collections::HashMap;

use backup_sharing_count::call::{Header, values_of};
use backup_sharing_count::reply::Fault;
use backup_sharing_count::status;

use crate::cli::Token;
use crate::error::{Error, Result};

/// Where a client gets a token, in the form of keystonemiddleware. There is no
/// such service behind a reference store, so its name is one that never resolves.
const CHALLENGE: &str = "Keystone uri=\"https://keystone.example/v3\"";

/// The tokens we know, each scoped to one project. None: everybody may ask.
pub struct Tokens(HashMap<Vec<u8>, String>);

impl Tokens {
    pub fn new(tokens: Vec<Token>) -> Result<Tokens> {
        let mut known = HashMap::new();
        for Token { secret, project } in tokens {
            if known.insert(secret.into_bytes(), project.as_str().to_owned()).is_some() {
                let why = "Two of the --token have the same token; a token is for one project.";
                return Err(Error::new(why));
            }
        }
        Ok(Tokens(known))
    }

    /// Whether a request may ask about the project that its path names.
    pub fn admit(&self, project_id: &str, headers: &[Header]) -> std::result::Result<(), Fault> {
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
            Some(_) => Err(Fault::new(status::FORBIDDEN, "store_project")),
            None => {
                let fault = Fault::new(status::UNAUTHORIZED, "store_token");
                Err(fault.header("www-authenticate", CHALLENGE.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use backup_sharing_count::reply::Reply;

    use super::*;

    fn admit(tokens: &[&str], headers: &[(&str, &str)]) -> u16 {
        let tokens = tokens.iter().map(|token| token.parse().unwrap()).collect();
        let headers: Vec<Header> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let admitted = Tokens::new(tokens).unwrap().admit("p1", &headers);
        admitted.map_or_else(|fault| Reply::from(fault).status, |()| 200)
    }

    #[test]
    fn without_tokens_everybody_may_ask() {
        assert_eq!(admit(&[], &[]), 200);
        assert_eq!(admit(&[], &[("x-auth-token", "whatever")]), 200);
    }

    #[test]
    fn a_token_opens_its_project_only() {
        let tokens = ["one=p1", "two=p2"];
        assert_eq!(admit(&tokens, &[("x-auth-token", "one")]), 200);
        assert_eq!(admit(&tokens, &[("x-auth-token", "two")]), 403);
        assert_eq!(admit(&tokens, &[("x-auth-token", "One")]), 401);
        assert_eq!(admit(&tokens, &[]), 401);
        assert_eq!(admit(&tokens, &[("x-auth-token", "one"), ("x-auth-token", "one")]), 401);
    }

    #[test]
    fn a_token_is_for_one_project() {
        let tokens = ["one=p1", "one=p2"].map(|token| token.parse().unwrap());
        assert!(Tokens::new(tokens.into()).is_err());
    }
}
