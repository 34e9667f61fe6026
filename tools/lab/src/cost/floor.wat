;; The least that a wasm filter can cost: it makes the host calls without which the job cannot be done, and
;; decides nothing. What our filter costs beyond it is ours; what it costs beyond Envoy alone is Envoy's way
;; into a virtual machine and back. floor.rs fills in what stands in braces.
;;
;; A rejection reads the headers and sends the known answer. A count reads them, sends a callout of four headers,
;; reads status and body of its answer, and replies what it knows. Of another path that path is read.
(module
  (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $act_for (param i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  ;; 16 and 20 take what a host call returns; 288 is an empty map of trailers; what the host hands over stands
  ;; from 4096 on, read by nobody; from 65536 on the request of each callout, by its token.
  (data (i32.const 64) ":path")
  (data (i32.const 80) ":status")
  (data (i32.const 128) "edge_floor")
  (data (i32.const 256) "store")
  (data (i32.const 320) "{{ asked.text }}")
  (data (i32.const 1024) "{{ headers.text }}")
  (data (i32.const 2048) "{{ body.text }}")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func $place (param $token i32) (result i32)
    (i32.add (i32.const 65536) (i32.shl (i32.and (local.get $token) (i32.const 1023)) (i32.const 2))))
  (func $reply
    (drop (call $send (i32.const {{ status }}) (i32.const 128) (i32.const 10) (i32.const 2048)
      (i32.const {{ body.length }}) (i32.const 1024) (i32.const {{ headers.length }}) (i32.const -1))))
  (func (export "proxy_on_request_headers") (param $request i32) (param i32 i32) (result i32)
{%- if end == "passed" %}
    (drop (call $value (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 16) (i32.const 20)))
    (i32.const 0))
{%- else %}
    (drop (call $pairs (i32.const 0) (i32.const 16) (i32.const 20)))
{%- if end == "rejected" %}
    (call $reply)
{%- else %}
    (drop (call $call (i32.const 256) (i32.const 5) (i32.const 320) (i32.const {{ asked.length }})
      (i32.const 0) (i32.const 0) (i32.const 288) (i32.const 4) (i32.const 1000) (i32.const 16)))
    (i32.store (call $place (i32.load (i32.const 16))) (local.get $request))
{%- endif %}
    (i32.const 4))
{%- endif %}
  (func (export "proxy_on_http_call_response") (param i32) (param $token i32) (param i32 i32 i32)
    (drop (call $act_for (i32.load (call $place (local.get $token)))))
    (drop (call $value (i32.const 6) (i32.const 80) (i32.const 7) (i32.const 16) (i32.const 20)))
    (drop (call $buffer (i32.const 4) (i32.const 0) (i32.const 65537) (i32.const 16) (i32.const 20)))
    (call $reply)))
