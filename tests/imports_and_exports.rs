//! What the release module imports and exports.

#![cfg(test)]

use testkit::wasm::{Host, Module};
use testkit::workspace;

/// The SDK imports the whole ABI, and the standard library what it would print a panic with. What of it the
/// filter calls is in `tests/hostile.rs`.
const IMPORTS: [&str; 40] = [
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_close_stream",
    "env.proxy_continue_stream",
    "env.proxy_define_metric",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_done",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_log_level",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_get_status",
    "env.proxy_grpc_call",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_record_metric",
    "env.proxy_register_shared_queue",
    "env.proxy_remove_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_resolve_shared_queue",
    "env.proxy_send_local_response",
    "env.proxy_set_buffer_bytes",
    "env.proxy_set_effective_context",
    "env.proxy_set_header_map_pairs",
    "env.proxy_set_property",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.proc_exit",
];

/// What the module that is handed out exports.
const EXPORTS: &str = include_str!("../src/glue/exports.txt");

fn module() -> Module {
    Module::load(&workspace::filter_module().unwrap()).unwrap()
}

#[test]
fn the_module_imports_and_exports_what_is_published() {
    let module = module();
    assert_eq!(module.imports(), IMPORTS);
    let (kept, spare): (Vec<_>, Vec<_>) = module.exports().into_iter().partition(is_kept);
    assert_eq!(kept, EXPORTS.lines().collect::<Vec<_>>());
    // What the SDK exports besides; in the module that is handed out, nothing.
    assert!([0, 17].contains(&spare.len()), "{spare:?}");
}

fn is_kept(export: &String) -> bool {
    EXPORTS.lines().any(|kept| kept == export)
}

/// A callback that the glue implements and the list lacks would work in the plain build alone. (One that is on the
/// list and not implemented costs a call: `budgets`.)
#[test]
fn what_the_list_leaves_out_does_nothing() {
    // Contexts are numbered as they are made.
    const ROOT: u32 = 1;
    const REQUEST: u32 = 2;
    let module = module();
    for export in module.exports().iter().filter(|export| !is_kept(export)) {
        for context in [ROOT, REQUEST] {
            let mut host = Host::start(&module, r#"{"mode": "validate"}"#).unwrap();
            host.create().unwrap();
            match host.poke(export, &[context]) {
                Ok(step) => {
                    let mut calls = step.unwrap().calls;
                    // The SDK's own.
                    calls.retain(|call| *call != "proxy_set_effective_context");
                    assert!(calls.is_empty(), "{export}: {calls:?}");
                }
                // A callback of another kind of context, of which this filter makes none.
                Err(trap) => {
                    assert!(trap.to_string().contains("invalid context_id"), "{export}: {trap}");
                }
            }
        }
    }
}
