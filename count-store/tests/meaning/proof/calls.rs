//! Random calls: what each means, and one of the many ways to write it.

use super::random::Random;
use super::rows::{self, PIECES, PROJECTS, Row, STATUSES, ZONES};

/// A valid call, as the documentation describes it.
#[derive(Debug)]
pub struct Call {
    project: String,
    share_to_me: Option<bool>,
    volume_id: Option<String>,
    name: Option<String>,
    status: Option<String>,
    backup_id: Option<String>,
    from_project_id: Option<String>,
    to_project_id: Option<String>,
    zone: Option<String>,
}

impl Call {
    /// The documented names of all filters.
    pub const NAMES: [&str; 8] = [
        "share_to_me",
        "volume_id",
        "name",
        "status",
        "backup_id",
        "from_project_id",
        "to_project_id",
        "avalilability_zone",
    ];

    /// A call with any of the filters. Most of their values are those of one row,
    /// so that many of them together still count something.
    pub fn generate(random: &mut Random, rows: &[Row]) -> Call {
        let row = random.pick(rows);
        let share_to_me = [None, Some(false), Some(true)][random.below(3)];
        let side = match share_to_me {
            Some(true) => &row.to_project_id,
            _ => &row.from_project_id,
        };
        Call {
            project: or(random, side, |random| random.pick(&PROJECTS).to_string()),
            share_to_me,
            volume_id: some(random, 4, &row.volume_id, rows::uuid),
            name: some(random, 2, &row.name, name).map(|name| part(random, &name)),
            status: some(random, 4, &row.status, |random| random.pick(&STATUSES).to_string()),
            backup_id: some(random, 4, &row.backup_id, rows::uuid),
            from_project_id: some(random, 4, &row.from_project_id, project),
            to_project_id: some(random, 4, &row.to_project_id, project),
            zone: some(random, 4, &row.availability_zone, |random| random.pick(&ZONES).to_string()),
        }
        .with_values()
    }

    /// The plain loop's body: whether the row is among those counted.
    pub fn counts(&self, row: &Row) -> bool {
        let side = match self.share_to_me {
            Some(true) => &row.to_project_id,
            Some(false) | None => &row.from_project_id,
        };
        let equal = |filter: &Option<String>, value: &str| match filter {
            Some(filter) => filter == value,
            None => true,
        };
        let named = match &self.name {
            Some(part) => row.name.to_ascii_lowercase().contains(&part.to_ascii_lowercase()),
            None => true,
        };
        *side == self.project
            && named
            && equal(&self.volume_id, &row.volume_id)
            && equal(&self.status, &row.status)
            && equal(&self.backup_id, &row.backup_id)
            && equal(&self.from_project_id, &row.from_project_id)
            && equal(&self.to_project_id, &row.to_project_id)
            && equal(&self.zone, &row.availability_zone)
    }

    /// The documented names of the filters given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            self.share_to_me.is_some(),
            self.volume_id.is_some(),
            self.name.is_some(),
            self.status.is_some(),
            self.backup_id.is_some(),
            self.from_project_id.is_some(),
            self.to_project_id.is_some(),
            self.zone.is_some(),
        ];
        Call::NAMES.into_iter().zip(given).filter_map(|(name, given)| given.then_some(name))
    }

    /// A path and query that say this: in any order, case and encoding.
    pub fn target(&self, random: &mut Random) -> String {
        let share_to_me = self.share_to_me.map(|share_to_me| {
            let words = match share_to_me {
                true => ["1", "t", "true", "on", "y", "yes"],
                false => ["0", "f", "false", "off", "n", "no"],
            };
            words[random.below(words.len())].to_owned()
        });
        let zone = *random.pick(&["avalilability_zone", "availability_zone"]);
        let filters = [
            ("share_to_me", &share_to_me, true),
            ("volume_id", &self.volume_id, true),
            ("name", &self.name, true),
            ("status", &self.status, true),
            ("backup_id", &self.backup_id, true),
            ("from_project_id", &self.from_project_id, false),
            ("to_project_id", &self.to_project_id, false),
            (zone, &self.zone, false),
        ];
        let mut pieces = Vec::new();
        for (name, value, any_case) in filters {
            let Some(value) = value else { continue };
            let value = if any_case { random.ascii_case(value) } else { value.clone() };
            pieces.push(format!("{}={}", encode(random, name), encode(random, &value)));
        }
        if random.once_in(10) {
            pieces.push(String::new());
        }
        random.shuffle(&mut pieces);
        let path = format!("/v2/{}/os-vendor-backup-sharing/count", self.project);
        match pieces.is_empty() {
            true => path,
            false => format!("{path}?{}", pieces.join("&")),
        }
    }

    /// An empty value is no filter but an error.
    fn with_values(mut self) -> Call {
        for value in [&mut self.name, &mut self.zone] {
            value.take_if(|value| value.is_empty());
        }
        self
    }
}

/// Mostly `likely`, else what `other` makes.
fn or(random: &mut Random, likely: &str, other: impl Fn(&mut Random) -> String) -> String {
    match random.once_in(6) {
        true => other(random),
        false => likely.to_owned(),
    }
}

/// A value once in `times` times.
fn some(
    random: &mut Random,
    times: usize,
    likely: &str,
    other: impl Fn(&mut Random) -> String,
) -> Option<String> {
    random.once_in(times).then(|| or(random, likely, other))
}

fn project(random: &mut Random) -> String {
    random.pick(&PROJECTS).to_string()
}

fn name(random: &mut Random) -> String {
    random.pick(&PIECES).to_string()
}

/// A substring, at times with a letter in the other case of Unicode, which must
/// not match, or as a pattern of LIKE would write it, which must not either.
fn part(random: &mut Random, name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let start = random.below(letters.len() + 1);
    let end = start + random.below(letters.len() - start + 1);
    let part: String = letters[start..end].iter().collect();
    match random.below(8) {
        0 => part.to_uppercase(),
        1 => part.to_lowercase(),
        2 => format!("%{part}"),
        3 => part.replace('a', "_"),
        _ => part,
    }
}

fn encode(random: &mut Random, text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if byte == b' ' && random.once_in(2) {
            encoded.push('+');
        } else if unreserved && !random.once_in(10) {
            encoded.push(char::from(byte));
        } else if random.once_in(2) {
            encoded += &format!("%{byte:02x}");
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}
