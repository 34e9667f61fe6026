//! What a load leaves in the folder: files that whoever may read them can serve, with an
//! empty log, whatever went wrong.

#![cfg(test)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::{Folder, Server, csv, header, line, said};

/// The bytes of the file beside the database whose name ends so, if there is one.
fn size(folder: &Folder, end: &str) -> Option<u64> {
    fs::metadata(folder.path(&format!("count.db{end}"))).ok().map(|metadata| metadata.len())
}

fn reader_of_a_log(folder: &Folder) -> Server {
    folder.fill(&csv(0, 3));
    let server = folder.serve(&[]);
    assert_eq!(server.count(), 3);
    server
}

#[test]
fn a_load_leaves_an_empty_log() {
    let folder = Folder::new();
    let left =
        || (size(&folder, "-wal"), size(&folder, "-shm").is_some(), size(&folder, "-journal"));
    assert!(!folder.load("bad.csv", csv(6, 9) + &line(6)).status.success());
    assert_eq!(left(), (None, false, None));
    folder.fill(&csv(0, 3));
    assert_eq!(left(), (Some(0), true, None));
    folder.fill(&csv(3, 6));
    assert_eq!(left(), (Some(0), true, None));
    assert!(!folder.load("bad.csv", csv(6, 9) + &line(0)).status.success());
    assert_eq!(left(), (Some(0), true, None));
}

#[test]
fn beside_a_server_the_log_is_empty_after_each_load() {
    let folder = Folder::new();
    let server = reader_of_a_log(&folder);
    folder.fill(&csv(10, 5_010));
    assert_eq!((server.count(), size(&folder, "-wal")), (5_003, Some(0)));
    assert!(!folder.load("bad.csv", csv(6_000, 11_000) + &line(0)).status.success());
    assert_eq!((server.count(), size(&folder, "-wal")), (5_003, Some(0)));
}

#[test]
fn a_load_that_cannot_be_written_gives_its_space_back() {
    let folder = Folder::new();
    let server = reader_of_a_log(&folder);
    // No file may be larger than 512 KiB, and the rows of these files take more.
    let rows = folder.write("rows.csv", csv(10, 5_010));
    let load = folder.loading(&rows);
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1024; exec \"$@\"", "sh"])
        .arg(load.get_program())
        .args(load.get_args())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.starts_with("count-store: Could not write to the database "), "{said}");
    assert!(said.ends_with(". Nothing was loaded.\n"), "{said}");
    assert_eq!((server.count(), size(&folder, "-wal")), (3, Some(0)));
    folder.fill(&csv(10, 5_010));
    assert_eq!(server.count(), 5_003);
}

fn is_root(folder: &Folder) -> bool {
    fs::metadata(folder.path("")).unwrap().uid() == 0
}

/// The command that serves as a user who may only read in the folder.
fn serving_as_reader(folder: &Folder) -> Command {
    fs::set_permissions(folder.database(), Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o555)).unwrap();
    let command = folder.serving();
    if !is_root(folder) {
        return command;
    }
    // Root may write all the same, and only root can become another user. The program is
    // copied, for the folder it is in may be closed to others; and by another process,
    // for a file that is open for writing here cannot be run.
    let program = folder.path("count-store");
    let copied = program.exists() || {
        let mut copy = Command::new("cp");
        copy.arg(command.get_program()).arg(&program).status().unwrap().success()
    };
    assert!(copied);
    let mut other = Command::new(program);
    other.args(command.get_args()).uid(65534).gid(65534);
    other
}

#[test]
fn a_link_to_a_database_leads_to_its_log_too() {
    let folder = Folder::with_rows(3);
    fs::create_dir(folder.path("release")).unwrap();
    for end in ["", "-wal", "-shm"] {
        let name = format!("count.db{end}");
        fs::rename(folder.path(&name), folder.path("release").join(&name)).unwrap();
    }
    std::os::unix::fs::symlink("release/count.db", folder.database()).unwrap();
    assert_eq!(Server::start(serving_as_reader(&folder)).count(), 3);
    let_write(&folder);
}

fn let_write(folder: &Folder) {
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn who_may_only_read_serves_what_was_loaded_and_what_is_loaded_meanwhile() {
    let folder = Folder::with_rows(3);
    let server = Server::start(serving_as_reader(&folder));
    assert_eq!(server.count(), 3);
    let_write(&folder);
    for (from, to) in [(10, 20), (100, 5_100), (6_000, 6_001)] {
        let before = server.count();
        folder.fill(&csv(from, to));
        assert_eq!(server.count(), before + u64::from(to - from));
    }
    // With a server that writes to no log, and without one.
    let second = Server::start(serving_as_reader(&folder));
    assert_eq!(second.count(), server.count());
    drop((server, second));
    let third = Server::start(serving_as_reader(&folder));
    assert_eq!(third.count(), 5_014);
    let_write(&folder);
}

#[test]
fn without_its_log_a_database_is_served_by_its_owner_and_others_say_what_to_do() {
    let folder = Folder::with_rows(3);
    let delete_log = || {
        for end in ["-wal", "-shm"] {
            // As a copy of the database alone would be.
            fs::remove_file(folder.path(&format!("count.db{end}"))).unwrap();
        }
    };
    delete_log();
    let mut command = serving_as_reader(&folder);
    // What another user made, the loader could not write to.
    if is_root(&folder) {
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o777)).unwrap();
    }
    let output = command.output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let name = folder.database().display().to_string();
    let sentence = format!(
        "count-store: Could not read the database {name}: the files -wal and -shm, which it needs, \
         are not beside it, and are not made by this user. Its owner can load into it again, even a \
         file without rows, which makes them.\n"
    );
    assert_eq!(said, sentence);
    assert_eq!(size(&folder, "-shm"), None);

    let_write(&folder);
    folder.fill(&header());
    assert_eq!(Server::start(serving_as_reader(&folder)).count(), 3);
    let_write(&folder);
    delete_log();
    assert_eq!(folder.serve(&[]).count(), 3);
}

#[test]
fn who_may_not_read_is_told_which_file() {
    let folder = Folder::with_rows(3);
    for name in ["count.db-shm", "count.db-wal", "count.db"] {
        let mut command = serving_as_reader(&folder);
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o000)).unwrap();
        let output = command.output().unwrap();
        let path = folder.path(name).display().to_string();
        let end = format!(": this user may not read {path}.\n");
        assert!(said(&output).ends_with(&end), "{}", said(&output));
        let_write(&folder);
    }
}
