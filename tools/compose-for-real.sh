#!/usr/bin/env bash
# Every profile of docker-compose.yml in a real Docker engine, on a machine that can pull no image: those that the Dockerfile and
# docker-compose.yml start from are made of Debian's packages, this machine's rustup and the tests' Envoy. It shows what clients,
# Envoy's log and Prometheus say, fails if that is not as it must be, and takes down all that it started.
#
# As root, on Debian with docker.io, docker-compose, debootstrap, curl, and what the README asks for. If no engine runs, it starts
# one, whose images stay in target/compose-for-real (and the bridge docker0 in the kernel). Of Grafana there is no package: `observe`
# runs without it.
set -euo pipefail
cd "$(dirname "$0")/.."

project=compose-for-real home=$PWD/target/compose-for-real engine='' failed=0
mkdir -p "$home"
temporary=$(mktemp -d)
export COMPOSE_PROJECT_NAME=$project EDGE_PORT=${EDGE_PORT:-18000} CLUSTER_PORT=${CLUSTER_PORT:-18001}
export EDGE_IMAGE=$project-edge STORE_IMAGE=$project-store EXPLORER_IMAGE=$project-explorer STORE_BASE_IMAGE=$project-debian \
  RUST_IMAGE=$project-rust ENVOY_IMAGE=$project-envoy PYTHON_IMAGE=$project-python POSTGRES_IMAGE=$project-postgres \
  PROMETHEUS_IMAGE=$project-prometheus

# Of each sample the method, the path, the status, who answers (by Envoy's log), and how the body begins.
count=/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count
samples="GET $count 200 store_count {\"count\":98}
GET $count?name=prod&status=available 200 store_count {\"count\":14}
GET $count?share_to_me=maybe 400 edge_filter {\"badRequest\":{\"code\":400,
DELETE $count 405 edge_method {\"badMethod\":{\"code\":405,
GET /healthz 200 via_upstream {\"status\":\"ok\"}
GET / 404 route_not_found {\"itemNotFound\":{\"code\":404,"

say() { printf '\n== %s\n' "$*"; }
# must WHAT COMMAND …: says whether the command succeeds.
must() { if "${@:2}" >/dev/null; then echo "ok      $1"; else echo "FAILED  $1"; failed=1; fi; }
# logged NAME COMMAND …: to a file of that name; if it fails, shows the end of it and ends the script.
logged() { "${@:2}" >"$home/$1.log" 2>&1 || { tail -50 "$home/$1.log"; exit 1; }; }
compose() { if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi; }
# ours KIND …: what compose made of a kind: container, volume, network.
ours() { docker "$1" ls --filter "label=com.docker.compose.project=$project" "${@:2}"; }
container() { ours container -q --filter "label=com.docker.compose.service=$1"; }

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  exec >&3  # a signal may come while a function's output goes elsewhere
  say "Taking everything down"
  rm -f "$temporary/asking"
  compose --profile observe --profile explorer --profile cluster down --volumes --timeout 2 >"$home/down.log" 2>&1 || cat "$home/down.log"
  must "no container, volume or network is left" [ -z "$(ours container -aq; ours volume -q; ours network -q)" ]
  [ -z "$engine" ] || { kill "$engine"; wait "$engine" || true; }
  rm -rf "$temporary"
  exit $((status | failed))
}

stand_ins() {
  local name envoy
  envoy=$PWD/target/envoy/$(sed -n 's/^ARG ENVOY_IMAGE=.*:v//p' Dockerfile)
  [ -e "$envoy/envoy" ] || logged demo cargo demo --once  # which installs it
  if ! docker image inspect "$STORE_BASE_IMAGE" >/dev/null 2>&1; then
    logged debootstrap debootstrap --variant=minbase bookworm "$temporary/debian"
    tar -c -C "$temporary/debian" . | docker import --change "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin" - "$STORE_BASE_IMAGE" >/dev/null
  fi
  # Of PostgreSQL's official image, what docker-compose.yml rests on: who owns what, and the entry point. The certificates, for
  # rustup, Cargo and pip may go by a proxy that only this machine trusts.
  cat >"$temporary/docker-entrypoint.sh" <<'END'
#!/bin/bash -e
chmod 700 "$PGDATA"
[ -e "$PGDATA/PG_VERSION" ] || initdb --username=postgres --pwfile=<(echo "$POSTGRES_PASSWORD") $POSTGRES_INITDB_ARGS
exec "$@"
END
  chmod 755 "$temporary/docker-entrypoint.sh"
  cat >"$temporary/Dockerfile" <<END
FROM $STORE_BASE_IMAGE AS envoy
COPY envoy /usr/local/bin/
FROM $STORE_BASE_IMAGE AS packages
RUN echo 'APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/no-recommends && apt-get update
COPY ca-certificates.crt /etc/ssl/certs/
FROM packages AS rust
RUN apt-get install -y gcc libc6-dev
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:\$PATH
COPY rustup /usr/local/cargo/bin/
RUN cd /usr/local/cargo/bin && ln -s rustup cargo && ln -s rustup rustc
FROM packages AS python
RUN apt-get install -y python3-pip
# Again, after the package of certificates:
COPY ca-certificates.crt /etc/ssl/certs/
FROM packages AS prometheus
RUN apt-get install -y prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
FROM packages AS postgres
RUN apt-get install -y postgresql-15
ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/15/bin:\$PATH
RUN install --directory --owner=postgres --mode=1777 \$PGDATA && install --directory --owner=postgres --mode=3777 /var/run/postgresql
COPY docker-entrypoint.sh /usr/local/bin/
VOLUME \$PGDATA
ENTRYPOINT ["docker-entrypoint.sh"]
END
  for name in envoy rust python prometheus postgres; do
    tar -ch -C "$temporary" Dockerfile docker-entrypoint.sh -C /etc/ssl/certs ca-certificates.crt -C "$envoy" envoy \
      -C "$(dirname "$(command -v rustup)")" rustup | logged $name docker build --target $name --tag $project-$name -
  done
}

# sum_of IMAGE FILE: its SHA-256.
sum_of() {
  local made
  made=$(docker create "$1" none)
  docker cp "$made:$2" - | tar -xO | sha256sum | cut -d' ' -f1
  docker rm "$made" >/dev/null
}

unwell() { ours container -a --format '{{.Status}}' | grep -E 'starting|unhealthy|Restarting|Exited .[1-9]'; }

confined() {
  local id
  for id in $(ours container -q); do
    docker exec "$id" bash -c 'grep -q "^CapEff:.0*$" /proc/1/status && grep -q "^NoNewPrivs:.1" /proc/1/status &&
      grep -q "^[^ ]* / [^ ]* ro," /proc/mounts' || return
  done
}

# up PROFILE SERVICE …: starts them, and waits until all that has a health check is healthy. Without services: all of them.
up() {
  local start=$SECONDS
  logged up compose --profile "$1" up --detach "${@:2}"
  while unwell >/dev/null && [ $((SECONDS - start)) -lt 120 ]; do sleep 0.2; done
  must "$(ours container -q | wc -l) containers run, and are healthy after $((SECONDS - start)) s" [ -z "$(unwell)" ]
  must "each has no capabilities, gets no new privileges, and cannot write its image's files" confined
}

# ask PORT SERVICE: the samples; SERVICE is the Envoy.
ask() {
  local method path expected answer by answers=()
  while read -r method path expected; do
    answers+=("$(curl -s -m 5 -X "$method" -w ' %{http_code} %header{x-request-id}' "http://127.0.0.1:$1$path")")
  done <<<"$samples"
  sleep 11  # Envoy writes its log every ten seconds
  docker logs "$(container "$2")" >"$temporary/log" 2>&1
  while read -r method path expected; do
    by=$(grep -F "\"${answers[0]##* }\"" "$temporary/log" | sed 's/.*"answered_by":"\([^"]*\)".*/\1/') || true
    answer=${answers[0]% *} answers=("${answers[@]:1}")
    answer="${answer##* } $by ${answer% *}"
    must "$method $path: $answer" [ "${answer:0:${#expected}}" = "$expected" ]
  done <<<"$samples"
}

# What Prometheus says of an expression.
value() { docker exec "$(container prometheus)" promtool query instant http://127.0.0.1:9090 "$1" | sed -n 's/.*=> \([^ ]*\) .*/\1/p' || true; }

exec 3>&1
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
if ! docker info >/dev/null 2>&1; then
  export DOCKER_HOST=unix://$temporary/socket
  # In a session of its own: Ctrl-C shall not reach it before it reaches the containers.
  setsid dockerd --host "$DOCKER_HOST" --data-root "$home/engine" --exec-root "$temporary/exec" --pidfile "$temporary/pid" \
    >"$home/engine.log" 2>&1 &
  engine=$!
  until docker info >/dev/null 2>&1; do kill -0 "$engine" && sleep 0.5; done
fi

say "Stand-ins, and the Dockerfile's four images"
REVISION=$(git rev-parse HEAD)
export REVISION
stand_ins
logged build compose --profile explorer build
logged filter docker build --target filter --tag $project-filter --build-arg RUST_IMAGE --build-arg REVISION .
docker image ls --filter "reference=$project-*" --format '{{.Repository}} {{.Size}}' | sort
logged dist cargo xtask dist --revision "$REVISION"
sum=$(sha256sum <target/dist/backup_sharing_count.wasm | cut -d' ' -f1)
must "filter has the module of \`cargo xtask dist\`, $sum" [ "$(sum_of $project-filter /plugin.wasm)" = "$sum" ]
must "edge has it" [ "$(sum_of "$EDGE_IMAGE" /etc/envoy/plugin.wasm)" = "$sum" ]

say "docker compose up"
up none
ask "$EDGE_PORT" envoy

say "docker compose --profile observe up, without Grafana"
up observe envoy prometheus
ask "$EDGE_PORT" envoy
asked=$((2 * $(grep -cE ' (edge|store)_' <<<"$samples")))
for _ in {1..40}; do  # it asks each target every 15 seconds
  counted=$(value 'sum(backup_sharing_count_requests)') targets=$(value 'sum(up)')
  [ "$counted $targets" != "$asked 2" ] || break
  sleep 1
done
must "Prometheus: $targets targets are up, of 2" [ "$targets" = 2 ]
must "Prometheus: sum(backup_sharing_count_requests) is $counted; $asked requests were the filter's to answer" [ "$counted" = "$asked" ]

say "docker compose --profile explorer up explorer, in the place of envoy"
logged stop compose stop envoy
up explorer explorer
ask "$EDGE_PORT" explorer
must "its page and what it loads" curl -sf --fail-early "http://127.0.0.1:$EDGE_PORT/explorer/{,openapi.yaml,swagger-ui.css,swagger-ui-bundle.js}"

say "docker compose --profile cluster up cluster, and servers die while four clients ask"
up cluster cluster
ask "$CLUSTER_PORT" cluster
touch "$temporary/asking"
clients=()
for client in 1 2 3 4; do
  while [ -e "$temporary/asking" ]; do
    curl -s -m 5 -w ' %{http_code}\n' "http://127.0.0.1:$CLUSTER_PORT$count" || echo 'no answer'
  done >"$temporary/counts.$client" &
  clients+=($!)
done
for service in primary store-1 replica-1; do
  sleep 3
  logged kill compose --profile cluster kill "$service"
  echo "        $service killed after $(cat "$temporary"/counts.* | wc -l) answers"
done
sleep 3
rm "$temporary/asking"
wait "${clients[@]}"
cat "$temporary"/counts.* | sort | uniq -c
must "each is the count" [ -z "$(grep -vxF '{"count":98} 200' "$temporary"/counts.*)" ]
up cluster cluster
ask "$CLUSTER_PORT" cluster
