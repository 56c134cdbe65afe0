#!/bin/sh
# Writes what depends on the environment, then starts nginx. Afterwards it looks every few seconds whether an address
# or a certificate has changed, and reloads nginx then: nginx itself looks names up only once.
#
#   ATTUNE_OPENSEARCH_URL, ATTUNE_OPENSEARCH_CA_FILE, ATTUNE_OPENSEARCH_VERIFY_CERTIFICATES   as for the sidecar
#   SIDECAR_URL               where the sidecar is
#   SIDECAR_CA_FILE           authorities for its certificate, where it speaks HTTPS; default: no check
#   TLS_CERTIFICATE, TLS_KEY  files; with them nginx speaks HTTPS alone
#   PORT, HEALTH_PORT         default 8080 and 8081
#   CONNECTIONS_PER_ADDRESS   how many one client may have open at a time, default 512
#   CLIENT_SECONDS            how long a client may take for the head of a request, and from one read or write of a body
#                             to the next, default 30
#   WORKERS                   processes, default 2
#   RELOAD_SECONDS            how often addresses and certificates are looked at, default 10
set -eu

opensearch=${ATTUNE_OPENSEARCH_URL:-http://opensearch:9200}
sidecar=${SIDECAR_URL:-http://sidecar:8080}
folder=/tmp/attune

part() { # part URL N: 1 its scheme, 2 its host, 4 its port, 5 its path
  printf '%s\n' "$1" | sed -nE "s#^(https?)://(\[[^]]*\]|[^:/]+)(:([0-9]+))?(/.*)?\$#\\$2#p"
}

host() { part "$1" 2 | tr -d '[]'; }

port() {
  given=$(part "$1" 4)
  case $given$(part "$1" 1) in https) echo 443 ;; http) echo 80 ;; *) echo "$given" ;; esac
}

# The last known addresses stay where a name cannot be looked up; before there are any, connections are refused.
upstream() { # upstream NAME URL KEEPALIVE
  found=$(getent ahosts "$(host "$2")" | awk '{print index($1, ":") ? "[" $1 "]" : $1}' | sort -u)
  if [ -n "$found" ] || [ ! -s "$folder/$1.addresses" ]; then
    echo "${found:-127.0.0.1:1}" >"$folder/$1.addresses"
  fi
  echo "upstream $1 {"
  while read -r address; do
    case $address in 127.0.0.1:1) ;; *) address=$address:$(port "$2") ;; esac
    echo "    server $address max_fails=2 fail_timeout=5s;"
  done <"$folder/$1.addresses"
  echo "    keepalive 64;"
  echo "    keepalive_timeout $3;"
  echo "}"
}

location() { # location NAME URL AUTHORITIES
  path=$(part "$2" 5)
  echo "proxy_pass $(part "$2" 1)://$1${path%/}\$request_uri;"
  echo "proxy_ssl_name $(host "$2");"
  if [ -n "$3" ]; then
    echo "proxy_ssl_verify on;"
    echo "proxy_ssl_verify_depth 4;"
    echo "proxy_ssl_trusted_certificate $3;"
  fi
}

listen() { # listen PORT OPTIONS
  echo "listen $1$2;"
  [ ! -e /proc/net/if_inet6 ] || echo "listen [::]:$1$2;"
}

upstreams() {
  upstream opensearch "$opensearch" 60s
  upstream sidecar "$sidecar" 60s # less than the sidecar keeps an idle connection open
  [ -z "${TLS_CERTIFICATE:-}" ] || echo "# certificate $(cat "$TLS_CERTIFICATE" "$TLS_KEY" | cksum)"
}

watch_changes() {
  while sleep "${RELOAD_SECONDS:-10}"; do
    upstreams >"$folder/upstreams.new"
    if ! cmp -s "$folder/upstreams.conf" "$folder/upstreams.new"; then
      cp "$folder/upstreams.new" "$folder/upstreams.conf"
      nginx -e stderr -c /etc/attune/nginx.conf -s reload || true
    fi
  done
}

for address in "$opensearch" "$sidecar"; do
  if [ -z "$(host "$address")" ]; then
    echo "nginx: $address is not an address: write http://NAME:PORT or https://NAME:PORT" >&2
    exit 2
  fi
done
mkdir -p "$folder"
authorities=${ATTUNE_OPENSEARCH_CA_FILE:-/etc/ssl/certs/ca-certificates.crt}
[ "${ATTUNE_OPENSEARCH_VERIFY_CERTIFICATES:-true}" != false ] || authorities=
location opensearch "$opensearch" "$authorities" >"$folder/opensearch.conf"
location sidecar "$sidecar" "${SIDECAR_CA_FILE:-}" >"$folder/sidecar.conf"
{
  listen "${PORT:-8080}" "${TLS_CERTIFICATE:+ ssl}"
  for directive in client_header_timeout client_body_timeout send_timeout; do
    echo "$directive ${CLIENT_SECONDS:-30}s;"
  done
  echo "limit_conn addresses ${CONNECTIONS_PER_ADDRESS:-512};"
  if [ -n "${TLS_CERTIFICATE:-}" ]; then
    echo "ssl_certificate $TLS_CERTIFICATE;"
    echo "ssl_certificate_key $TLS_KEY;"
  fi
} >"$folder/server.conf"
listen "${HEALTH_PORT:-8081}" "" >"$folder/health.conf"
upstreams >"$folder/upstreams.conf"
watch_changes &
exec nginx -e stderr -c /etc/attune/nginx.conf -g "daemon off; worker_processes ${WORKERS:-2};"
