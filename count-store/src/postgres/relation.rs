//! The table or view that is counted in: what it has, and how it is asked.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::schema::{self, FOLDED, TABLE};
use super::why;
use crate::columns::{COLUMNS, Column, Index, found_by};
use crate::sql::{self, Condition, Dialect, Statement};

/// The oldest version with generated columns and `plan_cache_mode`.
const OLDEST: i32 = 12;

/// A table or view, as all servers have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    /// As SQL writes it.
    name: String,
    columns: Vec<(&'static str, Kind)>,
    has_folded: bool,
    /// How many of the indexes of our schema there are.
    indexes: usize,
}

/// What values of a column are to PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// Of a collation in which different texts may be equal.
    LooseText,
    Uuid,
}

/// Why a relation cannot be counted in.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It is this that is wrong with it, after the server's name.
    Said(String),
    /// It could not be looked at.
    Unseen(tokio_postgres::Error),
}

impl Relation {
    /// Looks at the relation `table`, a name as SQL writes it.
    pub(crate) async fn of(client: &Client, table: &str) -> Result<Relation, Unfit> {
        let version = "SELECT current_setting('server_version_num')::int / 10000";
        let version: i32 = client.query_one(version, &[]).await?.try_get(0)?;
        if version < OLDEST {
            return Err(Unfit::Said(format!(
                "is PostgreSQL {version}, and it takes {OLDEST} or newer"
            )));
        }
        let name =
            client.query_typed("SELECT to_regclass($1)::text", &[(&table, Type::TEXT)]).await;
        let name = match name {
            Err(error) if error.code() == Some(&SqlState::INVALID_NAME) => {
                return Err(Unfit::Said(format!("takes {table} for no table's name")));
            }
            name => name?,
        };
        let name: Option<String> = name.first().map(|row| row.try_get(0)).transpose()?.flatten();
        let Some(name) = name else {
            return Err(Unfit::Said(format!("has no table {table} in its database")));
        };
        let relation = Relation::with_columns_of(client, name).await?;
        relation.is_readable(client).await.map(|()| relation)
    }

    async fn with_columns_of(client: &Client, name: String) -> Result<Relation, Unfit> {
        let query = "SELECT attname::text, format_type(atttypid, NULL), \
                     coalesce((SELECT collisdeterministic FROM pg_collation WHERE oid = attcollation), true) \
                     FROM pg_attribute \
                     WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
        let mut there = Vec::new();
        for row in client.query_typed(query, &[(&name, Type::TEXT)]).await? {
            let column: (String, String, bool) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            there.push(column);
        }
        let find = |wanted: &str| there.iter().find(|(name, ..)| name == wanted);
        let missing: Vec<&str> =
            COLUMNS.iter().map(|column| column.name).filter(|name| find(name).is_none()).collect();
        if !missing.is_empty() {
            return Err(Unfit::Said(format!("has no {} in {name}", missing.join(", "))));
        }
        let kind = |(column, kind, is_exact): &(String, String, bool), may_be_uuid: bool| {
            match &**kind {
                "text" | "character varying" if *is_exact => Ok(Kind::Text),
                "text" | "character varying" => Ok(Kind::LooseText),
                "uuid" if may_be_uuid => Ok(Kind::Uuid),
                kind => {
                    let or = if may_be_uuid { " or uuid" } else { "" };
                    Err(Unfit::Said(format!(
                        "has {column} of {name} as {kind}, and it takes text{or} (a view can give that)"
                    )))
                }
            }
        };
        let mut columns = Vec::new();
        for column in &COLUMNS {
            if let Some(found) = find(column.name) {
                columns.push((column.name, kind(found, column.is_uuid())?));
            }
        }
        let has_folded = match find(FOLDED) {
            Some(found) => kind(found, false).map(|_| true)?,
            None => false,
        };
        let indexes = indexes_of(client, &name).await?;
        Ok(Relation { name, columns, has_folded, indexes })
    }

    /// The table that a load makes.
    pub(crate) fn as_loaded() -> Relation {
        let kind = |column: &Column| if column.is_uuid() { Kind::Uuid } else { Kind::Text };
        Relation {
            name: TABLE.to_owned(),
            columns: COLUMNS.iter().map(|column| (column.name, kind(column))).collect(),
            has_folded: true,
            indexes: schema::indexes().len(),
        }
    }

    /// Whether it has the indexes that a load makes, all of them.
    fn is_indexed(&self) -> bool {
        self.indexes == schema::indexes().len()
    }

    /// What an operator should know of it.
    pub(crate) fn advice(&self) -> Option<String> {
        let is_ours = self.indexes > 0 && !self.is_indexed();
        is_ours.then(|| {
            format!(
                "{} lacks indexes that this release makes. Its counts are right, but may be slow. The next \
                 `count-store load` mends that, even of a file without rows.",
                self.name
            )
        })
    }

    /// Whether this role may ask for all that it will ask for.
    async fn is_readable(&self, client: &Client) -> Result<(), Unfit> {
        let mut columns: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        columns.extend(self.has_folded.then_some(FOLDED));
        let query = format!("SELECT {} FROM {} LIMIT 0", columns.join(", "), self.name);
        match client.simple_query(&query).await {
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Err(Unfit::Said(format!(
                    "lets this role read no {}: {} (GRANT SELECT)",
                    self.name,
                    why(&error)
                )))
            }
            read => read.map(|_| ()).map_err(Unfit::Unseen),
        }
    }

    /// What a session is told before it counts.
    pub(crate) fn settings(&self) -> &'static str {
        if self.is_indexed() { schema::SETTINGS } else { "" }
    }

    /// What fails if there is nothing to count in.
    pub(crate) fn check(&self) -> Statement {
        let text = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1) AS rows", self.name);
        Statement { text, parameters: Vec::new() }
    }

    fn kind(&self, column: &str) -> Kind {
        let kind = self.columns.iter().find(|(name, _)| *name == column);
        kind.map_or(Kind::Text, |&(_, kind)| kind)
    }
}

impl Dialect for Relation {
    fn place(&self, number: usize) -> String {
        format!("${number}")
    }

    fn equals(&self, column: &str, place: &str) -> String {
        match self.kind(column) {
            Kind::Text => format!("{column} = {place}"),
            // The first finds rows by an index, the second leaves those with the very text.
            Kind::LooseText => format!("{column} = {place} AND {column} COLLATE \"C\" = {place}"),
            Kind::Uuid => format!("{column} = {place}::uuid"),
        }
    }

    fn contains(&self, column: &str, place: &str) -> String {
        // Under "C", lower() knows ASCII only, which is what is meant; strpos() takes % and _ literally.
        let folded = match self.has_folded {
            true => format!("{FOLDED} COLLATE \"C\""),
            false => format!("lower({column} COLLATE \"C\")"),
        };
        format!("strpos({folded}, {place}) > 0")
    }

    fn select(&self, conditions: &[Condition]) -> String {
        let name = &self.name;
        // The project's own side once more leaves no fewer rows.
        let side = conditions.first().and_then(|one| one.column);
        let is_best = |column: &&str| {
            side != Some(column) && conditions.iter().any(|one| one.column == Some(column))
        };
        let projects = ["from_project_id", "to_project_id"];
        let mut best_first =
            found_by(Index::FewRows).chain(projects).chain(found_by(Index::ManyRows));
        match best_first.find(is_best) {
            // To the planner many indexes are alike as soon as one page was written to. Conditions outside of the fence, which
            // OFFSET is, choose none.
            Some(best) if self.is_indexed() && conditions.len() > 2 => {
                let is_inside = |at: usize, one: &Condition| at == 0 || one.column == Some(best);
                let within = |inside| {
                    let all = conditions.iter().enumerate();
                    all.filter(move |(at, one)| is_inside(*at, one) == inside).map(|(_, one)| one)
                };
                format!(
                    "SELECT count(*) FROM (SELECT * FROM {name} WHERE {} OFFSET 0) AS found WHERE {}",
                    sql::all(within(true)),
                    sql::all(within(false))
                )
            }
            _ => format!("SELECT count(*) FROM {name} WHERE {}", sql::all(conditions)),
        }
    }
}

/// How many of the indexes of our schema a relation has.
pub(crate) async fn indexes_of(
    client: &Client,
    relation: &str,
) -> Result<usize, tokio_postgres::Error> {
    let names: Vec<String> = schema::indexes().into_iter().map(|(name, _)| name).collect();
    let query = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
                 WHERE indrelid = $1::text::regclass AND indisvalid AND relname = ANY($2)";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&relation, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    let found: i64 = client.query_typed_one(query, &parameters).await?.try_get(0)?;
    Ok(usize::try_from(found).unwrap_or_default())
}

impl From<tokio_postgres::Error> for Unfit {
    fn from(error: tokio_postgres::Error) -> Unfit {
        Unfit::Unseen(error)
    }
}

#[cfg(test)]
mod tests {
    use testkit::postgres::Server;
    use tokio_postgres::NoTls;

    use super::*;

    #[tokio::test]
    async fn a_loaded_table_is_seen_as_what_it_is() {
        let make = || {
            let server = Server::start().unwrap();
            let mut client = server.client().unwrap();
            client.batch_execute(&schema::table()).unwrap();
            for (_, index) in schema::indexes() {
                client.batch_execute(&index).unwrap();
            }
            server
        };
        // Its client blocks.
        let server = tokio::task::spawn_blocking(make).await.unwrap();
        let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(Relation::of(&client, TABLE).await.unwrap(), Relation::as_loaded());
    }
}
