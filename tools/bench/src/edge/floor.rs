//! The least that a wasm filter can cost: modules that make the host calls without which the job cannot
//! be done, and decide nothing. What our filter costs beyond them is ours; what they cost beyond Envoy
//! alone is Envoy's way into a virtual machine and back.
//!
//! A rejection reads the head and sends the known answer. A count reads the head, sends a callout of four
//! headers, reads status and body of its answer, and replies what it knows. Another path is read, as in a
//! large head, and goes on.

use std::fs;
use std::path::PathBuf;

use testkit::{Error, Result, workspace};

use super::cases::{Case, End};
use super::config::Answer;

/// Where things stand in the module's memory.
const OUT: (u32, u32) = (16, 20);
const PATH_NAME: u32 = 64;
const STATUS_NAME: u32 = 80;
const DETAILS: u32 = 128;
const CLUSTER: u32 = 256;
const NO_TRAILERS: u32 = 288;
const ASKED: u32 = 320;
const HEADERS: u32 = 1024;
const BODY: u32 = 2048;
/// What the host hands over; read by nobody.
const SCRATCH: u32 = 4096;
/// The request of each callout, by its token.
const REQUESTS: u32 = 65_536;

const IMPORTS: &str = r#"
  (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $act_for (param i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)"#;

/// Writes the module for a case that ends in this answer, and returns the file.
pub fn build(case: &Case, answer: &Answer) -> Result<PathBuf> {
    let bytes =
        wat::parse_str(text(case, answer)).map_err(Error::while_doing("build the floor"))?;
    let folder = workspace::target_dir().join("bench");
    let file = folder.join(format!("floor_{}.wasm", case.name));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, bytes));
    written.map_err(Error::while_doing(format!("write {}", file.display())))?;
    Ok(file)
}

fn text(case: &Case, answer: &Answer) -> String {
    let (pointer, size) = OUT;
    let out = format!("(i32.const {pointer}) (i32.const {size})");
    let fields = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (headers, details) = (serialize(&fields.collect::<Vec<_>>()), b"edge_floor");
    let asked = serialize(&[
        (":method", "GET"),
        (":path", case.path()),
        (":authority", "store"),
        ("accept", "application/json"),
    ]);
    let send = format!(
        "(drop (call $send (i32.const {}) (i32.const {DETAILS}) (i32.const {}) (i32.const {BODY})
           (i32.const {}) (i32.const {HEADERS}) (i32.const {}) (i32.const -1)))",
        answer.status,
        details.len(),
        answer.body.len(),
        headers.len()
    );
    let read_head = format!("(drop (call $pairs (i32.const 0) {out}))");
    let place = format!(
        "(i32.add (i32.const {REQUESTS}) (i32.shl (i32.and (local.get $token) (i32.const 1023)) (i32.const 2)))"
    );
    let (head, action) = match case.end {
        End::Passed => (
            format!("(drop (call $value (i32.const 0) (i32.const {PATH_NAME}) (i32.const 5) {out}))"),
            0,
        ),
        End::Rejected => (format!("{read_head} {send}"), 4),
        End::Counted => (
            format!(
                "{read_head} (drop (call $call (i32.const {CLUSTER}) (i32.const 5) (i32.const {ASKED})
                   (i32.const {}) (i32.const 0) (i32.const 0) (i32.const {NO_TRAILERS}) (i32.const 4)
                   (i32.const 1000) (i32.const {pointer})))
                 (local.set $token (i32.load (i32.const {pointer})))
                 (i32.store {place} (local.get $request))",
                asked.len()
            ),
            4,
        ),
    };
    let data: String = [
        (PATH_NAME, &b":path"[..]),
        (STATUS_NAME, b":status"),
        (DETAILS, details),
        (CLUSTER, b"store"),
        (ASKED, &asked),
        (HEADERS, &headers),
        (BODY, answer.body.as_bytes()),
    ]
    .iter()
    .map(|(at, bytes)| format!("\n  (data (i32.const {at}) \"{}\")", escape(bytes)))
    .collect();
    format!(
        "(module {IMPORTS}
  (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) i32.const {SCRATCH})
  (func (export \"proxy_on_request_headers\") (param $request i32) (param i32 i32) (result i32)
    (local $token i32) {head} (i32.const {action}))
  (func (export \"proxy_on_http_call_response\")
    (param i32) (param $token i32) (param i32 i32 i32)
    (drop (call $act_for (i32.load {place})))
    (drop (call $value (i32.const 6) (i32.const {STATUS_NAME}) (i32.const 7) {out}))
    (drop (call $buffer (i32.const 4) (i32.const 0) (i32.const 65537) {out})) {send}){data})"
    )
}

/// Fields in the host's form.
fn serialize(fields: &[(&str, &str)]) -> Vec<u8> {
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = size(fields.len()).to_vec();
    for (name, value) in fields {
        bytes.extend([size(name.len()), size(value.len())].concat());
    }
    for (name, value) in fields {
        bytes.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    bytes
}

/// As a string of the text format.
fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
