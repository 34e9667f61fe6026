//! The URL of a database, and what else it takes to connect to each of its servers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::{Tls, Verify, tls};
use crate::error::{Error, Result};

/// The environment's password, as libpq knows it: out of sight of `ps`.
const VARIABLE: &str = "PGPASSWORD";

/// Where PostgreSQL listens, if nothing else is said.
const PORT: u16 = 5432;

/// A `postgres://` URL with one server in it or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    config: Config,
    ssl: Ssl,
    root: Option<PathBuf>,
    prefers_standby: bool,
}

/// What `sslmode` says, as libpq means it
/// (<https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ssl {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// All that is needed to connect.
pub(crate) struct Settings {
    pub(crate) servers: Vec<Address>,
    pub(crate) tls: Tls,
    /// Whether a primary is only asked when there is no standby to ask.
    pub(crate) prefers_standby: bool,
}

/// One server: what to call it, and how to reach it.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) config: Config,
}

/// Whether something that stands for a database is such a URL.
pub fn is_url(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Url, String> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut ssl, mut root, mut prefers_standby) = (Ssl::default(), None, false);
        let mut others = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let decoded = percent_decode_str(value).decode_utf8();
            let value = decoded.map_err(|_| format!("{name} is not UTF-8"))?;
            match name {
                "sslmode" => ssl = Ssl::parse(&value)?,
                "sslrootcert" => root = Some(PathBuf::from(&*value)),
                // The driver tells a standby by whether its sessions are read-only, and all of ours are.
                "target_session_attrs" => {
                    prefers_standby = match &*value {
                        "any" => false,
                        "prefer-standby" => true,
                        _ => {
                            return Err(
                                "target_session_attrs: expected any or prefer-standby; to ask \
                                         some servers only, name only these"
                                    .to_owned(),
                            );
                        }
                    }
                }
                "connect_timeout" => {
                    return Err("connect_timeout is not taken: see --timeout".to_owned());
                }
                "load_balance_hosts" => {
                    return Err(
                        "load_balance_hosts is not taken: servers are asked in turn".to_owned()
                    );
                }
                _ => others.push(parameter),
            }
        }
        let config: Config = format!("{base}?{}", others.join("&"))
            .parse()
            .map_err(|error: tokio_postgres::Error| super::why(&error))?;
        let url = Url { config, ssl, root, prefers_standby };
        url.check().map(|()| url)
    }
}

impl Url {
    fn check(&self) -> std::result::Result<(), String> {
        let config = &self.config;
        let hosts = config.get_hosts().len();
        if config.get_password().is_some() {
            return Err(format!(
                "a password in the URL can be seen in `ps`: put it into the variable {VARIABLE} or into \
                 the file of --password-file"
            ));
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err("expected a user: postgres://USER@HOST/DATABASE".to_owned());
        }
        let is_empty = |host: &Host| matches!(host, Host::Tcp(name) if name.is_empty());
        if hosts == 0 || config.get_hosts().iter().any(is_empty) {
            return Err("expected a host: postgres://USER@HOST/DATABASE".to_owned());
        }
        if ![0, 1, hosts].contains(&config.get_ports().len()) {
            return Err("expected one port, or one for each host".to_owned());
        }
        if ![0, hosts].contains(&config.get_hostaddrs().len()) {
            return Err("expected a hostaddr for each host, or none".to_owned());
        }
        if self.root.is_some() && matches!(self.ssl, Ssl::Disable | Ssl::Prefer) {
            return Err(
                "sslrootcert has no meaning with this sslmode: require, verify-ca or verify-full"
                    .to_owned(),
            );
        }
        let verifies = matches!(self.ssl, Ssl::VerifyCa | Ssl::VerifyFull);
        if verifies && self.root.is_none() {
            return Err(
                "to verify needs sslrootcert=FILE, certificates in PEM; the system's are often in \
                        /etc/ssl/certs/ca-certificates.crt"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Reads the password and the certificates.
    ///
    /// # Errors
    /// Which file or variable, and why.
    pub(crate) fn settings(&self, password_file: Option<&Path>) -> Result<Settings> {
        let password = password(password_file)?;
        let verify = match (self.ssl, &self.root) {
            // As libpq: who names certificates wants to have them looked at.
            (Ssl::VerifyCa | Ssl::Require, Some(root)) => Verify::Chain(root),
            (Ssl::VerifyFull, Some(root)) => Verify::ChainAndName(root),
            _ => Verify::Nothing,
        };
        let tls = tls(&verify)?;
        let servers = 0..self.config.get_hosts().len();
        let servers = servers.filter_map(|at| self.address(at, password.as_deref())).collect();
        Ok(Settings { servers, tls, prefers_standby: self.prefers_standby })
    }

    /// What the URL says of one of its hosts.
    fn address(&self, at: usize, password: Option<&str>) -> Option<Address> {
        let all = &self.config;
        let ports = all.get_ports();
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
        let mut config = Config::new();
        config.port(port).ssl_mode(self.ssl.of_driver());
        config.ssl_negotiation(all.get_ssl_negotiation());
        config.channel_binding(all.get_channel_binding());
        config.application_name(all.get_application_name().unwrap_or("count-store"));
        let name = match all.get_hosts().get(at)? {
            Host::Tcp(host) => {
                config.host(host);
                // An IPv6 address has colons of its own.
                if host.contains(':') {
                    format!("[{host}]:{port}")
                } else {
                    format!("{host}:{port}")
                }
            }
            Host::Unix(folder) => {
                config.host_path(folder);
                format!("{}:{port}", folder.display())
            }
        };
        if let Some(address) = all.get_hostaddrs().get(at) {
            config.hostaddr(*address);
        }
        if let Some(user) = all.get_user() {
            config.user(user);
        }
        if let Some(database) = all.get_dbname() {
            config.dbname(database);
        }
        if let Some(options) = all.get_options() {
            config.options(options);
        }
        if let Some(password) = password {
            config.password(password);
        }
        Some(Address { name, config })
    }
}

impl Ssl {
    fn parse(word: &str) -> std::result::Result<Ssl, String> {
        Ok(match word {
            "disable" => Ssl::Disable,
            "prefer" => Ssl::Prefer,
            "require" => Ssl::Require,
            "verify-ca" => Ssl::VerifyCa,
            "verify-full" => Ssl::VerifyFull,
            _ => {
                return Err("sslmode: expected disable, prefer, require, verify-ca or verify-full"
                    .to_owned());
            }
        })
    }

    fn of_driver(self) -> SslMode {
        match self {
            Ssl::Disable => SslMode::Disable,
            Ssl::Prefer => SslMode::Prefer,
            Ssl::Require | Ssl::VerifyCa | Ssl::VerifyFull => SslMode::Require,
        }
    }
}

/// The password: the first line of the file, or the variable.
fn password(file: Option<&Path>) -> Result<Option<String>> {
    if let Some(file) = file {
        let text = fs::read_to_string(file)
            .map_err(Error::while_doing(format!("read the password in {}", file.display())))?;
        let password = text.lines().next().unwrap_or_default().trim_end_matches('\r');
        return match password {
            "" => Err(Error::new(format!("{} is empty.", file.display()))),
            _ => Ok(Some(password.to_owned())),
        };
    }
    match env::var_os(VARIABLE) {
        Some(value) => {
            let value = value.into_string();
            value.map(Some).map_err(|_| Error::new(format!("{VARIABLE} is not UTF-8.")))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Settings {
        url.parse::<Url>().unwrap().settings(None).unwrap()
    }

    #[test]
    fn each_host_has_a_port() {
        let names = |url: &str| {
            let servers = settings(url).servers;
            servers.into_iter().map(|server| server.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("postgres://u@a/d"), "a:5432");
        assert_eq!(names("postgresql://u@a,b:1,c/d?sslmode=disable"), "a:5432 b:1 c:5432");
        assert_eq!(names("postgres://u@%2Frun%2Fpostgresql/d"), "/run/postgresql:5432");
        assert_eq!(names("postgres://u@[::1]:7,b:8"), "[::1]:7 b:8");
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (url, why) in [
            ("postgres://u:secret@a/d", "a password in the URL can be seen in `ps`"),
            ("postgres://u@a/d?password=secret", "a password in the URL can be seen in `ps`"),
            ("postgres:///d?user=u", "expected a host"),
            ("postgres://u@a,,b/d", "expected a host"),
            ("postgres://u@a/d?sslrootcert=f", "sslrootcert has no meaning with this sslmode"),
            ("postgres://a/d", "expected a user"),
            ("postgres://u@a:x/d", "invalid connection string: invalid value for option `port`"),
            ("postgres://u@a/d?sslmode=verify", "sslmode: expected disable, prefer, require, "),
            ("postgres://u@a/d?sslmode=verify-full", "to verify needs sslrootcert=FILE"),
            ("postgres://u@a/d?connect_timeout=1", "connect_timeout is not taken: see --timeout"),
            (
                "postgres://u@a/d?target_session_attrs=primary",
                "target_session_attrs: expected any ",
            ),
            ("postgres://u@a/d?colour=red", "invalid connection string: unknown option `colour`"),
            ("postgres://u@a,b/d?port=1,2,3", "expected one port, or one for each host"),
        ] {
            let error = url.parse::<Url>().unwrap_err();
            assert!(error.starts_with(why) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn certificates_that_cannot_be_read_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("root.pem");
        let url = format!("postgres://u@a/d?sslmode=verify-full&sslrootcert={}", file.display());
        let error = |url: &str| match url.parse::<Url>().unwrap().settings(None) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(error(&url).contains("Could not read the certificates in "), "{}", error(&url));
        fs::write(&file, "no certificate").unwrap();
        assert!(error(&url).ends_with("root.pem: there is none in it."), "{}", error(&url));
    }
}
