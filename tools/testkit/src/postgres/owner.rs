//! Whom servers run as.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::process::getuid;

/// Whom a server runs as, and who owns its files: oneself, or for root, as whom PostgreSQL refuses to run, `nobody`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// User and group, if they are not ours.
    other: Option<(u32, u32)>,
}

// === impl Owner ===

impl Owner {
    pub(super) fn of_servers() -> Self {
        static OWNER: OnceLock<Owner> = OnceLock::new();
        *OWNER.get_or_init(|| {
            let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
            Self { other: getuid().is_root().then(|| nobody(&users)) }
        })
    }

    /// A command that runs as the owner, in no other groups.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.other {
            // With a user set, and by root, the standard library empties the list of groups too.
            command.uid(user).gid(group);
        }
        command
    }

    /// Whether the owner may run a program where it is.
    pub(super) fn reaches(self, program: &Path) -> bool {
        let mut command = self.command(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.current_dir("/").status().is_ok_and(|status| status.success())
    }

    /// Makes a file or folder the owner's, without what is in it.
    pub(super) fn takes(self, path: &Path) -> io::Result<()> {
        match self.other {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// The user and group of `nobody` in a passwd(5) file, or what they are almost everywhere.
fn nobody(users: &str) -> (u32, u32) {
    let line = users.lines().find_map(|line| line.strip_prefix("nobody:"));
    let mut numbers = line.unwrap_or_default().split(':').skip(1).map_while(|n| n.parse().ok());
    numbers.next().zip(numbers.next()).unwrap_or((65_534, 65_534))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_looked_up() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:99:98:Nobody:/:/sbin/nologin\n";
        assert_eq!(nobody(users), (99, 98));
        for users in ["", "nobody\n", "nobody:x:1\n", "nobody:x:-2:-2::/:\n"] {
            assert_eq!(nobody(users), (65_534, 65_534), "{users}");
        }
    }
}
