//! Whether the other experiments see: a fault is planted in the module, between Envoy and the filter, and the
//! quick form of an experiment is run with it. It must fail, and say why.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use testkit::workspace;
use walrus::ir::{BinaryOp, ExtendedLoad, LoadKind, MemArg, StoreKind};
use walrus::{FunctionId, InstrSeqBuilder, LocalId, MemoryId, Module};

use crate::{Findings, Options};

/// A fault, and who must see it.
struct Fault {
    what: &'static str,
    plant: fn(&mut Module) -> Result<()>,
    /// Experiments, and a word of what each must complain of; the first one also in the quick form.
    seen_by: &'static [(&'static str, &'static str)],
}

const FAULTS: [Fault; 4] = [
    Fault {
        what: "a panic on an answer that broke off",
        plant: panic_without_headers,
        seen_by: &[("wasm_host", "trapped"), ("faults", "trapped")],
    },
    Fault {
        what: "a leak of 64 bytes with each request",
        plant: leak,
        seen_by: &[("wasm_host", "grew")],
    },
    Fault {
        what: "403 for another method, not 405",
        plant: |module| replies(module, forbid),
        seen_by: &[
            ("wasm_host", "refused with Some(405), and ended as Reply"),
            ("overload", "undocumented"),
            ("faults", "undocumented"),
        ],
    },
    Fault {
        what: "a count whose last digit is one too high",
        plant: |module| replies(module, count_one_more),
        seen_by: &[("wasm_host", "became"), ("overload", "gave 200"), ("faults", "wrong counts")],
    },
];

/// A line of the page.
#[derive(Debug, Serialize)]
struct Seen {
    planted: &'static str,
    experiment: &'static str,
    said: String,
    /// Whether it said what it should have.
    seen: bool,
}

/// Runs it.
pub fn run(options: &Options) -> Result<Findings> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let (mut seen, mut failures) = (Vec::new(), Vec::new());
    for Fault { what, plant, seen_by } in FAULTS {
        let mut module = Module::from_file(workspace::filter_module()?)?;
        plant(&mut module).with_context(|| format!("plant {what}"))?;
        let path = folder.path().join("planted.wasm");
        module.emit_wasm_file(&path)?;
        for (experiment, word) in &seen_by[..options.pick(1, seen_by.len())] {
            eprintln!("   {what}: {experiment}");
            let said = complaint(experiment, &path)?;
            let sentence = said.lines().find(|line| line.contains(word));
            if sentence.is_none() {
                failures.push(format!("`{experiment}` did not see {what}: {said:?}"));
            }
            let said = brief(sentence.unwrap_or(&said));
            let planted = Seen { planted: what, experiment, said, seen: sentence.is_some() };
            seen.push(planted);
        }
    }
    Findings::new(json!({ "seen": seen }), failures)
}

/// What an experiment complains of with this module; nothing if it passes.
fn complaint(experiment: &str, module: &Path) -> Result<String> {
    let mut again = Command::new(std::env::current_exe().context("find this program")?);
    again.args(["--quick", experiment]).env(workspace::FILTER_MODULE, module);
    let output = again.output().context("run the experiment again")?;
    let said = String::from_utf8_lossy(&output.stderr);
    // Behind what it says of its progress, and an empty line.
    let (_, complaint) = said.split_once("\n\n").unwrap_or_default();
    Ok(if output.status.success() { String::new() } else { complaint.trim().to_owned() })
}

/// Cut, fit for a table.
fn brief(said: &str) -> String {
    let line = said.replace('\n', " ").replace('|', "\\|");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Without headers there is no answer: it broke off.
fn panic_without_headers(module: &mut Module) -> Result<()> {
    before(module, "proxy_on_http_call_response", |body, arguments, _| {
        body.local_get(arguments[2]).i32_const(0).binop(BinaryOp::I32Eq);
        body.if_else(None, |body| _ = body.unreachable(), |_| {});
    })
}

fn leak(module: &mut Module) -> Result<()> {
    before(module, "proxy_on_request_headers", |body, _, allocate| {
        body.i32_const(64).call(allocate).drop();
    })
}

/// Has a callback do something before what it does; the module's own allocator may be called.
fn before(
    module: &mut Module,
    callback: &str,
    build: impl FnOnce(&mut InstrSeqBuilder, &[LocalId], FunctionId),
) -> Result<()> {
    let callback = module.exports.get_func(callback)?;
    let allocate = module.exports.get_func("proxy_on_memory_allocate")?;
    module.replace_exported_func(callback, |(body, arguments)| {
        build(body, arguments, allocate);
        arguments.iter().for_each(|argument| _ = body.local_get(*argument));
        body.call(callback);
    })?;
    Ok(())
}

/// Has something done to replies on their way to Envoy.
fn replies(
    module: &mut Module,
    build: fn(&mut InstrSeqBuilder, &[LocalId], MemoryId),
) -> Result<()> {
    const REPLY: (&str, &str) = ("env", "proxy_send_local_response");
    let reply = module.imports.get_func(REPLY.0, REPLY.1)?;
    let memory = module.get_memory_id()?;
    let kind = module.funcs.get(reply).ty();
    let (envoys, _) = module.add_import_func(REPLY.0, REPLY.1, kind);
    module.replace_imported_func(reply, |(body, arguments)| {
        build(body, arguments, memory);
        arguments.iter().for_each(|argument| _ = body.local_get(*argument));
        body.call(envoys);
    })?;
    Ok(())
}

/// The arguments are the status, the details (pointer and length), the body (the same), and more.
fn forbid(body: &mut InstrSeqBuilder, arguments: &[LocalId], _: MemoryId) {
    body.local_get(arguments[0]).i32_const(405).binop(BinaryOp::I32Eq);
    let forbidden = |body: &mut InstrSeqBuilder| _ = body.i32_const(403).local_set(arguments[0]);
    body.if_else(None, forbidden, |_| {});
}

/// The body is `{"count":37}`: its last digit stands before its last byte. 9 becomes 0.
fn count_one_more(body: &mut InstrSeqBuilder, arguments: &[LocalId], memory: MemoryId) {
    let at = MemArg { align: 1, offset: 0 };
    let place = |body: &mut InstrSeqBuilder| {
        body.local_get(arguments[3]).local_get(arguments[4]).binop(BinaryOp::I32Add);
        body.i32_const(2).binop(BinaryOp::I32Sub);
    };
    let count = |body: &mut InstrSeqBuilder| {
        place(body);
        place(body);
        body.load(memory, LoadKind::I32_8 { kind: ExtendedLoad::ZeroExtend }, at);
        body.i32_const(i32::from(b'0') - 1).binop(BinaryOp::I32Sub);
        body.i32_const(10).binop(BinaryOp::I32RemU);
        body.i32_const(i32::from(b'0')).binop(BinaryOp::I32Add);
        body.store(memory, StoreKind::I32_8 { atomic: false }, at);
    };
    body.local_get(arguments[0]).i32_const(200).binop(BinaryOp::I32Eq);
    body.if_else(None, count, |_| {});
}
