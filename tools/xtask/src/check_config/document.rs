//! YAML and JSON as trees whose values are those that Envoy, or Kubernetes, reads in them.

use std::collections::HashMap;

use anyhow::{Context, bail};
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use testkit::Result;

/// How a word of YAML that stands in no quotes becomes a number. They agree about truth values, `on` and `n` among them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Integers of 32 bits are numbers; all others, and fractions, are texts.
    Envoy,
    /// All numbers are numbers.
    Kubernetes,
}

/// A value, and the line on which it begins. JSON is read without lines.
#[derive(Clone)]
pub struct Node {
    pub line: Option<usize>,
    pub content: Content,
}

#[derive(Clone)]
pub enum Content {
    /// A word of YAML that stands in no quotes.
    Plain(String),
    Scalar(Kind),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The member of this name, or of one of these if it has several spellings. Of equal ones the last counts.
    pub fn get(&self, names: &[&str]) -> Option<&Node> {
        let Content::Map(members) = &self.content else { return None };
        members.iter().rev().find(|(name, _)| names.contains(&name.as_str())).map(|(_, node)| node)
    }

    /// The names of its members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let members = if let Content::Map(members) = &self.content { &members[..] } else { &[] };
        members.iter().map(|(name, _)| name.as_str())
    }

    /// What stands at the end of this path.
    pub fn at(&self, path: &[&[&str]]) -> Option<&Node> {
        path.iter().try_fold(self, |node, names| node.get(names))
    }

    /// It as a text, if it is one in either dialect.
    pub fn text(&self) -> Option<String> {
        match self.kind(Dialect::Kubernetes) {
            Kind::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// Its value.
    pub fn kind(&self, dialect: Dialect) -> Kind {
        let value = |node: &Node| Value { kind: Some(node.kind(dialect)) };
        match &self.content {
            Content::Plain(word) => plain(word, dialect),
            Content::Scalar(kind) => kind.clone(),
            Content::List(nodes) => {
                Kind::ListValue(ListValue { values: nodes.iter().map(value).collect() })
            }
            Content::Map(members) => {
                let fields = members.iter().map(|(name, node)| (name.clone(), value(node)));
                Kind::StructValue(Struct { fields: fields.collect() })
            }
        }
    }
}

/// What yaml-cpp, with which Envoy reads YAML, and go-yaml make of a word.
fn plain(word: &str, dialect: Dialect) -> Kind {
    let text = || Kind::StringValue(word.to_owned());
    if let "" | "~" | "null" | "Null" | "NULL" = word {
        return Kind::NullValue(0);
    }
    if let Some(truth) = truth(word) {
        return Kind::BoolValue(truth);
    }
    match (integer(word), dialect) {
        (Some(number), Dialect::Envoy) => match i32::try_from(number) {
            Ok(number) => Kind::NumberValue(number.into()),
            Err(_) => Kind::StringValue(number.to_string()),
        },
        (Some(number), Dialect::Kubernetes) => Kind::NumberValue(number as f64),
        (None, Dialect::Kubernetes)
            if word.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)) =>
        {
            word.parse().map_or_else(|_| text(), Kind::NumberValue)
        }
        (None, _) => text(),
    }
}

fn truth(word: &str) -> Option<bool> {
    let lower = word.to_ascii_lowercase();
    let capitalised = lower.get(..1)?.to_ascii_uppercase() + lower.get(1..)?;
    if ![lower.clone(), lower.to_ascii_uppercase(), capitalised].iter().any(|one| one == word) {
        return None;
    }
    match lower.as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Decimal, `0` and octal, or `0x` and hexadecimal.
fn integer(word: &str) -> Option<i64> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    let (digits, radix) =
        hexadecimal.map_or((digits, if is_octal { 8 } else { 10 }), |digits| (digits, 16));
    let sign = if word.starts_with('-') { "-" } else { "" };
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().filter(|_| are_digits)
}

/// A JSON text.
pub fn json(text: &str) -> serde_json::Result<Node> {
    serde_json::from_str(text).map(of_json)
}

fn of_json(value: serde_json::Value) -> Node {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    let content = match value {
        Null => Content::Scalar(Kind::NullValue(0)),
        Bool(truth) => Content::Scalar(Kind::BoolValue(truth)),
        // `None` is for numbers of any precision, which are not compiled in.
        Number(number) => {
            Content::Scalar(number.as_f64().map_or(Kind::NullValue(0), Kind::NumberValue))
        }
        String(text) => Content::Scalar(Kind::StringValue(text)),
        Array(values) => Content::List(values.into_iter().map(of_json).collect()),
        Object(members) => {
            Content::Map(members.into_iter().map(|(name, value)| (name, of_json(value))).collect())
        }
    };
    Node { line: None, content }
}

/// The documents of a YAML text.
pub fn yaml(text: &str) -> Result<Vec<Node>> {
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { parser, anchors: HashMap::new(), copied: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        if !matches!(
            event,
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd
        ) {
            documents.push(reader.node(event, span)?);
        }
    }
    Ok(documents)
}

/// How many bytes of memory aliases may stand for, so that few bytes do not become many. Nesting is the parser's to limit.
const MAX_COPIED: usize = 10_000_000;

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What has an anchor, and its size.
    anchors: HashMap<usize, (Node, usize)>,
    copied: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>> {
        loop {
            match self.parser.next().transpose()? {
                Some((Event::Comment(..), _)) => {}
                event => return Ok(event),
            }
        }
    }

    /// The next event of a list or object, unless it ends.
    fn inside(&mut self) -> Result<Option<(Event<'t>, Span)>> {
        let (event, span) = self.next()?.context("it ends too soon")?;
        Ok((!matches!(event, Event::SequenceEnd | Event::MappingEnd)).then_some((event, span)))
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node> {
        let line = Some(span.start.line());
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                // `!` makes a text of a word.
                let is_text = tag.is_some_and(|tag| is_tag(&tag, ""));
                let content = match style {
                    ScalarStyle::Plain if !is_text => Content::Plain(text.into_owned()),
                    _ => Content::Scalar(Kind::StringValue(text.into_owned())),
                };
                (content, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut nodes = Vec::new();
                while let Some((event, span)) = self.inside()? {
                    nodes.push(self.node(event, span)?);
                }
                (Content::List(nodes), anchor)
            }
            Event::MappingStart(_, anchor, _) => (Content::Map(self.members()?), anchor),
            Event::Alias(anchor) => {
                // It may stand inside of what it names.
                let known = self.anchors.get(&anchor).context("an alias of what has not ended");
                let (node, size) = known.with_context(|| format!("line {}", span.start.line()))?;
                self.copied += size;
                if self.copied > MAX_COPIED {
                    bail!("its aliases stand for more than {MAX_COPIED} bytes");
                }
                return Ok(node.clone());
            }
            _ => bail!("line {}: no value", span.start.line()),
        };
        let node = Node { line, content };
        if anchor > 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn members(&mut self) -> Result<Vec<(String, Node)>> {
        let mut members = Vec::new();
        while let Some((event, span)) = self.inside()? {
            // Envoy ignores such a member.
            let is_ignored = event.tag().is_some_and(|tag| is_tag(tag, "ignore"));
            let name = match self.node(event, span)?.content {
                Content::Plain(name) | Content::Scalar(Kind::StringValue(name)) => name,
                _ => bail!("line {}: a name that is no text", span.start.line()),
            };
            let (event, span) = self.next()?.context("it ends too soon")?;
            let node = self.node(event, span)?;
            if !is_ignored {
                members.push((name, node));
            }
        }
        Ok(members)
    }
}

fn is_tag(tag: &Tag, name: &str) -> bool {
    tag.original() == format!("!{name}")
}

/// In memory, about.
fn size(node: &Node) -> usize {
    size_of::<Node>()
        + match &node.content {
            Content::Plain(text) | Content::Scalar(Kind::StringValue(text)) => text.len(),
            Content::Scalar(_) => 0,
            Content::List(nodes) => nodes.iter().map(size).sum(),
            Content::Map(members) => {
                members.iter().map(|(name, node)| name.len() + size(node)).sum()
            }
        }
}
