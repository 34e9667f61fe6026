//! What a call means to a database with the one relation `backup_sharing`.

use backup_sharing_count::filters::Meaning;
use backup_sharing_count::request::CountRequest;

/// A statement, and the values of its parameters in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// One text for each side with each set of filters.
    pub text: String,
    /// All of them are text.
    pub parameters: Vec<String>,
}

/// How an engine says what all engines mean.
pub trait Dialect {
    /// What stands after `FROM`.
    fn relation(&self) -> &str;

    /// How the parameter of a number, from 1, is written.
    fn place(&self, number: usize) -> String;

    /// That a column has the value at `place`; `given` are all columns that have to have one.
    fn equals(&self, column: &str, place: &str, given: &[&'static str]) -> String;

    /// That a column, in lower case as ASCII knows it, has the text at `place` in it; `%` and `_` are themselves.
    fn contains(&self, column: &str, place: &str) -> String;
}

/// The statement that answers a call with one row of one integer.
///
/// The path's project always is one side, so no call can count a row that the
/// project has no part in.
pub fn count(dialect: &impl Dialect, request: &CountRequest) -> Statement {
    let side = if request.filters.share_to_me() { "to_project_id" } else { "from_project_id" };
    let given = request.filters.given().filter_map(|(filter, _)| match filter.meaning {
        Meaning::Equals(column) => Some(column),
        Meaning::Side | Meaning::Contains(_) => None,
    });
    let given: Vec<&'static str> = given.collect();
    let mut text = format!(
        "SELECT count(*) FROM {} WHERE {}",
        dialect.relation(),
        dialect.equals(side, &dialect.place(1), &[side])
    );
    let mut parameters = vec![request.project.as_str().to_owned()];
    for (filter, value) in request.filters.given() {
        let place = dialect.place(parameters.len().saturating_add(1));
        let (condition, parameter) = match filter.meaning {
            Meaning::Side => continue,
            Meaning::Equals(column) => {
                (dialect.equals(column, &place, &given), value.as_str().to_owned())
            }
            Meaning::Contains(column) => {
                (dialect.contains(column, &place), value.as_str().to_ascii_lowercase())
            }
        };
        text.push_str(" AND ");
        text.push_str(&condition);
        parameters.push(parameter);
    }
    Statement { text, parameters }
}
