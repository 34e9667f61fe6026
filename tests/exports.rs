//! What the release module imports and exports.

#![cfg(test)]

use testkit::wasm::{Host, Module};
use testkit::workspace;

/// The SDK imports the whole ABI, and the standard library what it would print a panic with. What of it the
/// filter calls is in `tests/hostile.rs`.
const IMPORTS: [&str; 37] = [
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_close_stream",
    "env.proxy_continue_stream",
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
    "env.proxy_log",
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

/// What the SDK exports besides, and the plain build with it.
const SPARE_EXPORTS: [&str; 17] = [
    "proxy_on_done",
    "proxy_on_downstream_connection_close",
    "proxy_on_downstream_data",
    "proxy_on_foreign_function",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_log",
    "proxy_on_new_connection",
    "proxy_on_queue_ready",
    "proxy_on_response_body",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
    "proxy_on_upstream_connection_close",
    "proxy_on_upstream_data",
    "proxy_on_vm_start",
];

fn module() -> Module {
    Module::load(&workspace::filter_module().unwrap()).unwrap()
}

#[test]
fn the_module_imports_and_exports_what_is_published() {
    let module = module();
    assert_eq!(module.imports(), IMPORTS);
    let mut exports: Vec<&str> = EXPORTS.lines().collect();
    // `FILTER_MODULE` may name the one or the other build.
    if module.exports().iter().any(|export| *export == SPARE_EXPORTS[0]) {
        exports.extend(SPARE_EXPORTS);
        exports.sort_unstable();
    }
    assert_eq!(module.exports(), exports);
}

/// A callback that the glue implements and the list lacks would work in the plain build alone. (One that is on the
/// list and not implemented costs a call: `budgets.rs`.)
#[test]
fn what_the_list_leaves_out_does_nothing() {
    // Contexts are numbered as they are made.
    const ROOT: u32 = 1;
    const REQUEST: u32 = 2;
    let module = module();
    for export in module.exports().iter().filter(|export| SPARE_EXPORTS.contains(&&***export)) {
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
