//! A JSON array of objects, read as a stream: no more than a row is in memory.
//!
//! Everything is checked from inside the parser, because that is where serde_json
//! adds the line to an error.

use std::fmt;
use std::io::Read;

use backup_sharing_count::filters::quote;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::rows::Rows;
use super::{Place, Refusal};
use crate::columns::{COLUMNS, Column, Row, names};

/// Reads all rows of a file.
pub fn read(file: impl Read, rows: &mut Rows) -> Result<(), Refusal> {
    let mut json = serde_json::Deserializer::from_reader(file);
    let mut row = None;
    let read = json.deserialize_seq(Array { rows, row: &mut row });
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
    rows: &'r mut Rows<'t>,
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
            if array.next_element_seed(Object(self.rows))?.is_none() {
                break;
            }
        }
        *self.row = None;
        Ok(())
    }
}

struct Object<'r, 't>(&'r mut Rows<'t>);

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
        while let Some(place) = object.next_key_seed(Name)? {
            let Some((column, value)) = COLUMNS.iter().zip(&mut values).nth(place) else {
                continue;
            };
            if value.replace(object.next_value_seed(Value(column))?).is_some() {
                return Err(A::Error::custom(format!("{} is given twice", column.name)));
            }
        }
        let mut row = Row::default();
        for ((column, value), slot) in COLUMNS.iter().zip(values).zip(&mut row) {
            *slot = value.ok_or_else(|| A::Error::custom(format!("{} is missing", column.name)))?;
        }
        self.0.add(&row).map_err(A::Error::custom)
    }
}

/// A member's name; its value is the place in [`COLUMNS`].
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<usize, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        COLUMNS.iter().position(|column| column.name == name).ok_or_else(|| {
            let name = quote(name.as_bytes());
            E::custom(format!("expected the members {}, got {name}", names()))
        })
    }
}

struct Value(&'static Column);

impl<'de> DeserializeSeed<'de> for Value {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Value {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} to be {}", self.0.name, self.0.expected())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<String, E> {
        self.0.parse(value).map_err(E::custom)
    }

    /// `null` is how JSON leaves a value out.
    fn visit_unit<E: Error>(self) -> Result<String, E> {
        self.visit_str("")
    }
}
