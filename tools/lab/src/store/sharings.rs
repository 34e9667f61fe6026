//! The data: sharings made from their number alone, so that any of them can be told without the others.
//!
//! Some projects are *watched*: they share, or are shared, a known number of backups, and are there
//! in every table that is large enough. All other sharings are of projects with a hundred each.

use std::io::{self, Write};

/// How many sharings watched projects have.
pub const SIZES: [u64; 3] = [10, 1_000, 100_000];

/// The columns, as the first line of a file.
const HEADER: &str =
    "id,backup_id,from_project_id,to_project_id,name,status,volume_id,availability_zone";

/// The columns' values.
pub type Sharing = [String; 8];

/// Which end of its sharings a project is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It shares.
    From,
    /// It is shared to.
    To,
}

/// A project whose counts are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its end.
    pub side: Side,
    /// Its number of sharings.
    pub size: u64,
}

/// Those in a table of this number of rows: at most a quarter of it.
pub fn watched(rows: u64) -> impl Iterator<Item = Watched> {
    let sizes = SIZES.into_iter().filter(move |size| size * 8 <= rows);
    sizes.flat_map(|size| [Side::From, Side::To].map(|side| Watched { side, size }))
}

/// Writes a whole table as CSV.
///
/// # Errors
/// If it cannot be written.
pub fn write(rows: u64, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "{HEADER}")?;
    (0..rows).try_for_each(|number| writeln!(to, "{}", sharing(rows, number).join(",")))
}

/// The sharing of this number in a table of this number of rows.
fn sharing(rows: u64, number: u64) -> Sharing {
    // As time brings them: the rows of a project are all over the table. The factor is a prime, so
    // each place is taken once.
    let place = (u128::from(number) * 2_654_435_761 + 12_345) % u128::from(rows);
    let place = u64::try_from(place).unwrap_or_default();
    let mut start = 0;
    for project in watched(rows) {
        if place < start + project.size {
            return project.sharing(place, place - start);
        }
        start += project.size;
    }
    let (project, number) = ((place - start) / 100, (place - start) % 100);
    sharing_of(place, number, Side::From, (2 << 40) | project, 100)
}

impl Watched {
    /// Its id.
    pub fn project(self) -> String {
        project(self.key())
    }

    /// One of its sharings, which says what to ask for.
    pub fn sample(self) -> Sharing {
        self.sharing(0, self.size / 2)
    }

    fn sharing(self, place: u64, number: u64) -> Sharing {
        sharing_of(place, number, self.side, self.key(), self.size)
    }

    fn key(self) -> u64 {
        (1 << 40) | (u64::from(self.side == Side::To) << 32) | self.size
    }
}

/// The `number`th sharing of a project with `size`: three of each backup, thirty of each volume, one
/// in a hundred with each number in its name, one in ten with a status, one in three in a zone.
fn sharing_of(place: u64, number: u64, side: Side, key: u64, size: u64) -> Sharing {
    let of_project = |number: u64| (key << 20) ^ number;
    let partner = hash(key, number) % (size / 10).clamp(5, 100);
    let partner = project((3 << 40) | (hash(key, partner) % 1_000_000));
    let (from, to) = match side {
        Side::From => (project(key), partner),
        Side::To => (partner, project(key)),
    };
    let status = match hash(4, of_project(number)) % 10 {
        0 => "creating",
        1..=6 => "available",
        7 => "error",
        8 => "deleting",
        _ => "restoring",
    };
    [
        uuid(1, place),
        uuid(2, of_project(number / 3)),
        from,
        to,
        format!("Backup-{:02} of volume-{}", (number / 7) % 100, number / 30),
        status.to_owned(),
        uuid(3, of_project(number / 30)),
        format!("eu-de-0{}", 1 + (number / 3) % 3),
    ]
}

fn project(key: u64) -> String {
    format!("{:016x}{:016x}", hash(5, key), hash(6, key))
}

fn uuid(kind: u64, key: u64) -> String {
    let (one, two) = (hash(kind, key), hash(kind + 10, key));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        one >> 32,
        (one >> 16) & 0xFFFF,
        one & 0xFFF,
        two >> 52,
        two & 0xFFFF_FFFF_FFFF
    )
}

/// A step of SplitMix64. It is no generator's: the same sharing must come from its number again.
fn hash(kind: u64, key: u64) -> u64 {
    let mut mixed = key.wrapping_add(kind.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_table_has_the_rows_it_says() {
        let sharings: Vec<Sharing> = (0..10_000).map(|number| sharing(10_000, number)).collect();
        let ids: HashSet<&str> = sharings.iter().map(|sharing| sharing[0].as_str()).collect();
        assert_eq!(ids.len(), 10_000);
        for watched in watched(10_000) {
            let column = if watched.side == Side::From { 2 } else { 3 };
            let project = watched.project();
            let its = sharings.iter().filter(|sharing| sharing[column] == project);
            assert_eq!(its.count() as u64, watched.size, "{watched:?}");
            assert_eq!(watched.sample()[column], project);
        }
        assert_eq!(watched(10_000).count(), 4);
    }
}
