//! Requests and answers as text, near enough to HTTP that people can write them as seeds.

use backup_sharing_count::waiting::Waiting;

/// A header field.
pub type Field = (Vec<u8>, Vec<u8>);

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `:status`
    pub status: Vec<u8>,
    /// The other header fields.
    pub headers: Vec<Field>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads a status line, header fields, an empty line and a body. Any bytes are an answer.
    pub fn read(text: &[u8]) -> Answer {
        let (status, rest) = line(text);
        let (headers, body) = fields(rest);
        Answer { status: status.to_vec(), headers, body: body.to_vec() }
    }

    /// The header fields, if the filter wants to see them for this request, as Envoy hands them over: with the time that the
    /// host took.
    pub fn read_headers(&self, waiting: &Waiting) -> Vec<(&[u8], &[u8])> {
        let envoys: (&[u8], &[u8]) = (b"x-envoy-upstream-service-time", b"1");
        let all = borrowed(&self.headers).chain([envoys]);
        all.filter(|_| waiting.reads_headers(&self.status)).collect()
    }
}

/// The first line, without its end, and what follows it.
pub fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// `name: value` lines up to an empty one, and what follows that.
pub fn fields(mut text: &[u8]) -> (Vec<Field>, &[u8]) {
    let mut fields = Vec::new();
    loop {
        let (field, rest) = line(text);
        text = rest;
        if field.is_empty() {
            return (fields, rest);
        }
        // Pseudo-headers begin with a colon.
        let colon = field.iter().skip(1).position(|&byte| byte == b':');
        let (name, value) = field.split_at(colon.map_or(field.len(), |at| at + 1));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        fields.push((name.to_ascii_lowercase(), value.to_vec()));
    }
}

/// Fields as the filter takes them.
pub fn borrowed(fields: &[Field]) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
}

/// The values of all fields called `name`.
pub fn values<'a>(fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    borrowed(fields).filter(move |(other, _)| *other == name.as_bytes()).map(|(_, value)| value)
}

/// The value as text, if every byte of it is printable ASCII.
pub fn printable(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok().filter(|text| text.chars().all(|c| (' '..='~').contains(&c)))
}
