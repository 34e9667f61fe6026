# Makes of envoy.yaml an Envoy that also serves the API explorer at /explorer/, and names in each answer what gave it. For
# trying out, not for production. `cargo demo` and the Dockerfile's target `explorer` use it.
s/response_headers_to_add: \[\*request_id\]/response_headers_to_add: [*request_id, {header: {key: x-answered-by, value: "%RESPONSE_CODE_DETAILS%"}}]/
/^ *route_config:/a\
            max_direct_response_body_size_bytes: 2097152  # above swagger-ui-bundle.js
/^ *routes:/a\
              - match: {path: /explorer}\
                redirect: {path_redirect: /explorer/}\
              - match: {path: /explorer/}\
                direct_response: {status: 200, body: {filename: /etc/envoy/explorer/index.html}}\
                response_headers_to_add: [{header: {key: content-type, value: text/html}}]\
              - match: {path: /explorer/openapi.yaml}\
                direct_response: {status: 200, body: {filename: /etc/envoy/explorer/openapi.yaml}}\
                response_headers_to_add: [{header: {key: content-type, value: application/yaml}}]\
              - match: {path: /explorer/swagger-ui.css}\
                direct_response: {status: 200, body: {filename: /etc/envoy/explorer/swagger-ui.css}}\
                response_headers_to_add: [{header: {key: content-type, value: text/css}}]\
              - match: {path: /explorer/swagger-ui-bundle.js}\
                direct_response: {status: 200, body: {filename: /etc/envoy/explorer/swagger-ui-bundle.js}}\
                response_headers_to_add: [{header: {key: content-type, value: text/javascript}}]
