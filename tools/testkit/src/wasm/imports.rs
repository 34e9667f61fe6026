//! Which host calls there are.

use anyhow::anyhow;
use wasmtime::error::Context;
use wasmtime::{Caller, ImportType, Linker, Val};

use super::calls;
use super::guest::{Guest, Out, Span};
use super::state::State;
use crate::Result;

const ENV: &str = "env";
const WASI: &str = "wasi_snapshot_preview1";

/// Exactly the imports that `module` declares. The SDK imports the whole ABI; what this filter does not
/// call of it is a trap.
pub(super) fn link(module: &wasmtime::Module) -> Result<Linker<State>> {
    let mut linker = Linker::new(module.engine());
    for import in module.imports() {
        let defined = served(&mut linker, &import).or_else(|| trap(&mut linker, &import));
        let defined = defined.ok_or_else(|| {
            let name = full_name(&import);
            anyhow!("The module imports {name}, which this host does not know.")
        });
        defined?.with_context(|| format!("defining {}", full_name(&import)))?;
    }
    Ok(linker)
}

/// An import of the ABI, or of the standard library, that says its name when it is called.
fn trap(linker: &mut Linker<State>, import: &ImportType) -> Option<Defined> {
    let function = import.ty().func().filter(|_| [ENV, WASI].contains(&import.module()))?.clone();
    let name = full_name(import);
    let call = move |_: Caller<'_, State>, _: &[Val], _: &mut [Val]| {
        Err(wasmtime::Error::msg(format!(
            "The filter calls {name}, which this host does not serve."
        )))
    };
    Some(linker.func_new(import.module(), import.name(), function, call).map(drop))
}

/// An import as tests and messages call it.
pub(super) fn full_name(import: &ImportType) -> String {
    format!("{}.{}", import.module(), import.name())
}

type Defined = wasmtime::Result<()>;

/// Defines an import that the filter calls. A wrong signature shows when the module is
/// instantiated.
fn served(linker: &mut Linker<State>, import: &ImportType) -> Option<Defined> {
    // One row for each: the arguments of the ABI, put together to what they mean.
    macro_rules! row {
        ($name:literal, |$guest:ident, $($argument:ident),+| $call:expr) => {
            linker.func_wrap(import.module(), $name, |caller: Caller<'_, State>, $($argument: u32),+| {
                Guest::serve(caller, $name, |$guest| $call)
            })
        };
    }
    macro_rules! row64 {
        ($name:literal, $kind:expr) => {
            linker.func_wrap(
                import.module(),
                $name,
                |caller: Caller<'_, State>, metric: u32, value: u64| {
                    Guest::serve(caller, $name, |guest| calls::metric(guest, $kind, metric, value))
                },
            )
        };
    }
    let linked = match (import.module(), import.name()) {
        (ENV, "proxy_log") => {
            row!("proxy_log", |guest, _level, at, size| calls::log(guest, Span(at, size)))
        }
        (ENV, "proxy_get_current_time_nanoseconds") => {
            row!("proxy_get_current_time_nanoseconds", |guest, at| calls::current_time(guest, at))
        }
        (ENV, "proxy_get_log_level") => {
            row!("proxy_get_log_level", |guest, at| calls::log_level(guest, at))
        }
        (ENV, "proxy_set_tick_period_milliseconds") => {
            row!("proxy_set_tick_period_milliseconds", |guest, millis| {
                calls::set_tick_period(guest, millis)
            })
        }
        (ENV, "proxy_set_property") => {
            row!("proxy_set_property", |guest, path, size, value, length| {
                calls::set_property(guest, Span(path, size), Span(value, length))
            })
        }
        (ENV, "proxy_get_shared_data") => {
            row!("proxy_get_shared_data", |guest, key, size, data, length, version| {
                calls::shared_data(guest, Span(key, size), Out(data, length), version)
            })
        }
        (ENV, "proxy_set_shared_data") => {
            row!("proxy_set_shared_data", |guest, key, size, value, length, version| {
                calls::set_shared_data(guest, Span(key, size), Span(value, length), version)
            })
        }
        (ENV, "proxy_get_header_map_value") => {
            row!("proxy_get_header_map_value", |guest, kind, name, size, data, length| {
                calls::header_map_value(guest, kind, Span(name, size), Out(data, length))
            })
        }
        (ENV, "proxy_get_header_map_pairs") => {
            row!("proxy_get_header_map_pairs", |guest, kind, data, length| {
                calls::header_map_pairs(guest, kind, Out(data, length))
            })
        }
        (ENV, "proxy_get_buffer_bytes") => {
            row!("proxy_get_buffer_bytes", |guest, kind, start, size, data, length| {
                calls::buffer_bytes(guest, kind, Span(start, size), Out(data, length))
            })
        }
        (ENV, "proxy_send_local_response") => {
            row!("proxy_send_local_response", |guest, status, d, ds, b, bs, h, hs, _grpc| {
                calls::send_local_response(guest, status, Span(d, ds), Span(b, bs), Span(h, hs))
            })
        }
        (ENV, "proxy_http_call") => {
            row!("proxy_http_call", |guest, c, cs, h, hs, _b, _bs, _t, _ts, timeout, token| {
                calls::http_call(guest, Span(c, cs), Span(h, hs), timeout, token)
            })
        }
        (ENV, "proxy_continue_stream") => {
            row!("proxy_continue_stream", |guest, kind| calls::continue_stream(guest, kind))
        }
        (ENV, "proxy_close_stream") => {
            row!("proxy_close_stream", |guest, kind| calls::close_stream(guest, kind))
        }
        (ENV, "proxy_set_effective_context") => {
            row!("proxy_set_effective_context", |guest, id| calls::set_effective_context(guest, id))
        }
        (ENV, "proxy_define_metric") => {
            row!("proxy_define_metric", |guest, kind, name, size, at| {
                calls::define_metric(guest, kind, Span(name, size), at)
            })
        }
        (ENV, "proxy_increment_metric") => {
            row64!("proxy_increment_metric", calls::metric::COUNTER)
        }
        (ENV, "proxy_record_metric") => row64!("proxy_record_metric", calls::metric::HISTOGRAM),
        (WASI, "environ_sizes_get") => {
            row!("environ_sizes_get", |guest, count, size| {
                calls::environ_sizes_get(guest, count, size)
            })
        }
        (WASI, "fd_write") => {
            row!("fd_write", |guest, _fd, at, count, written| {
                calls::fd_write(guest, Span(at, count), written)
            })
        }
        _ => return None,
    };
    Some(linked.map(drop))
}
