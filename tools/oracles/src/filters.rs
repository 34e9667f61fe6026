//! The filters as docs/contract.md#query and docs/contract.md#meaning have them, written down a
//! second time. What the product takes for a filter's name, values or column is judged by this
//! table, and the table knows nothing of the product's own.

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The documented name, under which the store receives it.
    pub name: &'static str,
    /// What clients may call it besides.
    pub aliases: &'static [&'static str],
    /// The values it takes.
    pub domain: Domain,
    /// Which rows it lets through.
    pub meaning: Meaning,
}

/// The values a filter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// `1 t true on y yes` and `0 f false off n no`, without case.
    Boolean,
    /// 8-4-4-4-12 hex digits, without case.
    Uuid,
    /// 1 to 255 characters without controls.
    Text,
    /// One of the configured words, without case.
    Status,
    /// 1 to 64 of `0-9 A-Z a-z _ -`.
    Project,
}

/// Which rows a filter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// True: those shared with the path's project; false: those that it shares.
    Side,
    /// Those whose column has the value.
    Equals(&'static str),
    /// Those whose column contains the value, ASCII letters without case.
    Contains(&'static str),
}

/// How strictly a query is read (`filters`, docs/contract.md#configuration).
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether a name that is no filter is an error.
    pub reject_unknown: bool,
    /// The values `status` takes.
    pub statuses: &'static [&'static str],
}

/// The documented rules.
pub const DOCUMENTED: Rules = Rules {
    reject_unknown: true,
    statuses: &[
        "available", "creating", "deleting", "error", "error_deleting", "error_restoring",
        "restoring",
    ],
};

/// Other rules.
pub const LENIENT: Rules = Rules { reject_unknown: false, statuses: &["ok", "gone-2"] };

/// The filters in the order of the documentation.
pub static FILTERS: [Filter; 8] = [
    filter("share_to_me", Domain::Boolean, Meaning::Side),
    filter("volume_id", Domain::Uuid, Meaning::Equals("volume_id")),
    filter("name", Domain::Text, Meaning::Contains("name")),
    filter("status", Domain::Status, Meaning::Equals("status")),
    filter("backup_id", Domain::Uuid, Meaning::Equals("backup_id")),
    filter("from_project_id", Domain::Project, Meaning::Equals("from_project_id")),
    filter("to_project_id", Domain::Project, Meaning::Equals("to_project_id")),
    Filter {
        aliases: &["availability_zone"],
        ..filter("avalilability_zone", Domain::Text, Meaning::Equals("availability_zone"))
    },
];

const fn filter(name: &'static str, domain: Domain, meaning: Meaning) -> Filter {
    Filter { name, aliases: &[], domain, meaning }
}

impl Domain {
    /// The value as the store receives it, if it is in the domain.
    pub fn read(self, value: &str, rules: &Rules) -> Option<String> {
        let lower = value.to_ascii_lowercase();
        match self {
            Domain::Boolean => match lower.as_str() {
                "1" | "t" | "true" | "on" | "y" | "yes" => Some("true".to_owned()),
                "0" | "f" | "false" | "off" | "n" | "no" => Some("false".to_owned()),
                _ => None,
            },
            Domain::Uuid => is_uuid(value).then_some(lower),
            Domain::Status => rules.statuses.contains(&lower.as_str()).then_some(lower),
            Domain::Project => is_project(value).then(|| value.to_owned()),
            Domain::Text => {
                let is_control = |c| matches!(c, '\0'..='\x1F' | '\x7F'..='\u{9F}');
                let fits = (1..=255).contains(&value.chars().count());
                (fits && !value.chars().any(is_control)).then(|| value.to_owned())
            }
        }
    }
}

fn is_uuid(value: &str) -> bool {
    let groups: Vec<usize> = value.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && value.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Whether `value` is 1 to 64 of `0-9 A-Z a-z _ -`.
pub fn is_project(value: &str) -> bool {
    let others = value.trim_matches(|c: char| c.is_ascii_alphanumeric() || "_-".contains(c));
    (1..=64).contains(&value.len()) && others.is_empty()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filters_are_those_of_the_product() {
        let product = backup_sharing_count::filters::FILTERS.each_ref().map(|filter| filter.name);
        let here = super::FILTERS.each_ref().map(|filter| filter.name);
        for name in product {
            assert!(here.contains(&name), "tools/oracles/src/filters.rs lacks the filter {name}");
        }
        for name in here {
            assert!(product.contains(&name), "src/filters/mod.rs lacks the filter {name}");
        }
    }
}
