//! CSV (RFC 4180) with a header line.
//!
//! Records end at LF only, and a CR before it is cut here: when the csv crate
//! takes CRLF for the end itself, it counts a line once it has read past it, and
//! the number it gives a row is that of the line before.

use std::io::Read;

use ::csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use backup_sharing_count::reply::quote;

use super::{Add, Place, Refusal};
use crate::columns::{COLUMNS, Row, names};

/// Reads all rows of a file.
pub fn read(file: impl Read, add: &mut Add) -> Result<(), Refusal> {
    // With a line end after the last record too, every record has one.
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(file.chain(&b"\n"[..]));
    let mut bytes = ByteRecord::new();
    let mut header = None;
    while let Some(line) = next_line(&mut reader, &mut bytes)? {
        let refusal = |why| Refusal { place: Place::Line(line), why };
        let fields = fields(&bytes).map_err(refusal)?;
        match &header {
            _ if fields == [""] => {}
            None => header = Some((fields.len(), places(&fields).map_err(refusal)?)),
            Some((columns, places)) => {
                let row = row(&fields, *columns, places).map_err(refusal)?;
                add(&row).map_err(refusal)?;
            }
        }
    }
    let why = || format!("expected a header line with the columns {}, got nothing", names());
    header.map(|_| ()).ok_or_else(|| Refusal { place: Place::Line(1), why: why() })
}

/// Reads a record and says in which line it begins.
fn next_line(
    reader: &mut Reader<impl Read>,
    record: &mut ByteRecord,
) -> Result<Option<u64>, Refusal> {
    let before = reader.position().line();
    match reader.read_byte_record(record) {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        Err(error) => {
            return Err(Refusal { place: Place::Line(before), why: error.to_string() });
        }
    }
    // Blank lines may have come before the record, so its line is told from its
    // end; a quotation that is never closed, though, takes the file's end for its own.
    let inside = record.as_slice().iter().filter(|&&byte| byte == b'\n').count();
    let inside = u64::try_from(inside).unwrap_or(u64::MAX);
    let line = reader.position().line().saturating_sub(1).saturating_sub(inside);
    Ok(Some(line.max(before)))
}

fn fields(record: &ByteRecord) -> Result<Vec<&str>, String> {
    let fields = record.iter().map(str::from_utf8);
    let mut fields: Vec<&str> =
        fields.collect::<Result<_, _>>().map_err(|_| "expected UTF-8".to_owned())?;
    if let Some(last) = fields.last_mut() {
        *last = last.strip_suffix('\r').unwrap_or(last);
    }
    Ok(fields)
}

/// Where in a record each of [`COLUMNS`] stands, if it does.
fn places(header: &[&str]) -> Result<[Option<usize>; COLUMNS.len()], String> {
    let is_known = |name: &str| COLUMNS.iter().any(|column| column.name == name);
    if let Some(unknown) = header.iter().find(|name| !is_known(name)) {
        return Err(format!("expected the columns {}, got {}", names(), quote(unknown.as_bytes())));
    }
    let mut places = [None; COLUMNS.len()];
    for (place, column) in places.iter_mut().zip(&COLUMNS) {
        let mut found = header.iter().enumerate().filter(|(_, name)| **name == column.name);
        *place = match (found.next(), found.next()) {
            (None, _) if !column.may_be_empty => {
                return Err(format!("the column {} is missing", column.name));
            }
            (Some(_), Some(_)) => return Err(format!("the column {} is there twice", column.name)),
            (found, _) => found.map(|(place, _)| place),
        };
    }
    Ok(places)
}

fn row(
    record: &[&str],
    columns: usize,
    places: &[Option<usize>; COLUMNS.len()],
) -> Result<Row, String> {
    if record.len() != columns {
        return Err(format!("expected {columns} values, got {}", record.len()));
    }
    let mut row = Row::default();
    for ((value, column), place) in row.iter_mut().zip(&COLUMNS).zip(places) {
        *value = column.parse(place.and_then(|place| record.get(place)).unwrap_or(&""))?;
    }
    Ok(row)
}
