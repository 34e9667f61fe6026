//! Random rows: few values, so that calls hit, and every trap for a comparison.

use super::Random;

/// One row of `backup_sharing`.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    pub backup_id: String,
    pub from_project_id: String,
    pub to_project_id: String,
    pub name: String,
    pub status: String,
    pub volume_id: String,
    pub availability_zone: String,
}

/// Two differ by case alone, two by what LIKE takes for any character, and one
/// begins with another.
pub const PROJECTS: [&str; 7] = ["p1", "P1", "p_1", "p-1", "p11", "17fbda95add24720", "Z"];

pub const STATUSES: [&str; 7] = [
    "available",
    "creating",
    "deleting",
    "error",
    "error_deleting",
    "error_restoring",
    "restoring",
];

/// Cases differ here too, and zones compare as they are.
pub const ZONES: [&str; 7] =
    ["eu-de-01", "eu-de-02", "EU-DE-01", "eu_de-01", "eu%", "Zürich", "zürich"];

/// What names are made of: wildcards and escapes of LIKE and GLOB, quotes, what
/// a query encodes, numbers that a column could take for one, and letters whose
/// case is not ASCII's business: `É` and `é` differ, and neither `K` (the Kelvin
/// sign) nor `ſ` is a `k` or an `s`.
pub const PIECES: [&str; 40] = [
    "a", "B", "db", "DB", "k", "s", "i", "prod", "%", "_", "%%", "\\", "*", "?", "[a]", "'", "\"",
    "''", ";--", " ", "+", "&", "=", "#", "/", "0", "00", "1e3", "É", "é", "e\u{301}", "ß",
    "\u{1E9E}", "\u{212A}", "\u{17F}", "İ", "ı", "Σς", "名前", "😀",
];

pub fn generate(random: &mut Random, count: usize) -> Vec<Row> {
    let uuids: Vec<String> = (0..60).map(|_| uuid(random)).collect();
    let row = |_| Row {
        id: uuid(random),
        backup_id: random.pick(&uuids).clone(),
        from_project_id: random.pick(&PROJECTS).to_string(),
        to_project_id: random.pick(&PROJECTS).to_string(),
        name: name(random),
        status: random.pick(&STATUSES).to_string(),
        volume_id: random.pick(&uuids[..20]).clone(),
        availability_zone: match random.once_in(8) {
            true => String::new(),
            false => random.pick(&ZONES).to_string(),
        },
    };
    (0..count).map(row).collect()
}

/// Empty now and then: a backup need not have a name.
fn name(random: &mut Random) -> String {
    (0..random.below(7)).map(|_| *random.pick(&PIECES)).collect()
}

pub fn uuid(random: &mut Random) -> String {
    let digits = |count| -> String {
        (0..count).map(|_| *random.pick(b"0123456789abcdef") as char).collect()
    };
    [8, 4, 4, 4, 12].map(digits).join("-")
}
