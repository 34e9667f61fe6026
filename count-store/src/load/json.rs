//! A JSON array of objects, read as a stream: no more than a row is in memory.
//!
//! Everything is checked from inside the parser, because that is where serde_json
//! adds the line to an error.

use std::fmt;
use std::io::Read;

use backup_sharing_count::reply::quote;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Add, Place, Refusal};
use crate::columns::{COLUMNS, Column, Row, names};

/// Reads all rows of a file.
pub fn read(file: impl Read, add: &mut Add) -> Result<(), Refusal> {
    let mut json = serde_json::Deserializer::from_reader(file);
    let mut row = None;
    let read = json.deserialize_seq(Array { add, row: &mut row });
    read.and_then(|()| json.end()).map_err(|error| refusal(&error, row))
}

/// `row` is the one that was being read, if one was.
fn refusal(error: &serde_json::Error, row: Option<u64>) -> Refusal {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let why = match text.strip_suffix(&position) {
        _ if error.is_eof() => "the file ends before its array does",
        Some(why) => why,
        None => &text,
    };
    let line = error.line().try_into().unwrap_or(u64::MAX);
    let place = row.map_or(Place::Line(line), |row| Place::Row { row, line });
    Refusal { place, why: why.to_owned() }
}

struct Array<'r, 't> {
    add: &'r mut Add<'t>,
    /// The number of the row that is being read, from 1.
    row: &'r mut Option<u64>,
}

impl<'de> Visitor<'de> for Array<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        for number in 1.. {
            *self.row = Some(number);
            if array.next_element_seed(Object(self.add))?.is_none() {
                break;
            }
        }
        *self.row = None;
        Ok(())
    }
}

struct Object<'r, 't>(&'r mut Add<'t>);

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an object with the members {}", names())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut values: [Option<String>; COLUMNS.len()] = Default::default();
        while let Some(name) = object.next_key::<String>()? {
            let mut columns = COLUMNS.iter().zip(&mut values);
            let Some((column, slot)) = columns.find(|(column, _)| column.name == name) else {
                let (names, name) = (names(), quote(name.as_bytes()));
                return Err(A::Error::custom(format!("expected the members {names}, got {name}")));
            };
            let value = column.parse(&object.next_value::<Value>()?.text(column)?);
            if slot.replace(value.map_err(A::Error::custom)?).is_some() {
                return Err(A::Error::custom(format!("{} is given twice", column.name)));
            }
        }
        let mut row = Row::default();
        for ((column, value), slot) in COLUMNS.iter().zip(values).zip(&mut row) {
            *slot = match value {
                None if !column.may_be_empty => {
                    return Err(A::Error::custom(format!("{} is missing", column.name)));
                }
                value => value.unwrap_or_default(),
            };
        }
        (self.0)(&row).map_err(A::Error::custom)
    }
}

/// A member's value; `null` is how JSON leaves one out.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(Option<String>),
    Other(IgnoredAny),
}

impl Value {
    fn text<E: Error>(self, column: &Column) -> Result<String, E> {
        match self {
            Value::Text(text) => Ok(text.unwrap_or_default()),
            Value::Other(_) => Err(E::custom(format!("{}: expected a string", column.name))),
        }
    }
}
