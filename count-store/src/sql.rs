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
    /// How the parameter of a number, from 1, is written.
    fn place(&self, number: usize) -> String;

    /// That a column has the value at `place`.
    fn equals(&self, column: &str, place: &str) -> String;

    /// That a column, in lower case as ASCII knows it, has the text at `place` in it; `%` and `_` are themselves.
    fn contains(&self, column: &str, place: &str) -> String;

    /// The count of the rows for which all conditions hold. The first is on the project's side.
    fn select(&self, conditions: &[Condition]) -> String;
}

/// What a row has to be.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The column that has to have one value; nothing if it has to have a part.
    pub column: Option<&'static str>,
    /// As the dialect says it.
    pub text: String,
}

/// The statement that answers a call with one row of one integer.
///
/// The path's project always is one side, so no call can count a row that the
/// project has no part in.
pub fn count(dialect: &impl Dialect, request: &CountRequest) -> Statement {
    let side = if request.filters.share_to_me() { "to_project_id" } else { "from_project_id" };
    let equals = |column, place: &str| Condition {
        column: Some(column),
        text: dialect.equals(column, place),
    };
    let mut conditions = vec![equals(side, &dialect.place(1))];
    let mut parameters = vec![request.project.as_str().to_owned()];
    for (filter, value) in request.filters.given() {
        let place = dialect.place(parameters.len().saturating_add(1));
        let (condition, parameter) = match filter.meaning {
            Meaning::Side => continue,
            Meaning::Equals(column) => (equals(column, &place), value.as_str().to_owned()),
            Meaning::Contains(column) => {
                let text = dialect.contains(column, &place);
                (Condition { column: None, text }, value.as_str().to_ascii_lowercase())
            }
        };
        conditions.push(condition);
        parameters.push(parameter);
    }
    Statement { text: dialect.select(&conditions), parameters }
}

/// All of them, as one condition.
pub(crate) fn all<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> String {
    let texts: Vec<&str> =
        conditions.into_iter().map(|condition| condition.text.as_str()).collect();
    texts.join(" AND ")
}
