#!/usr/bin/env bash
# Print Tocsin's Secrets with fresh random values, for a first installation:
#   make-secrets.sh NAMESPACE [POSTGRESQL_HOST [REDIS_HOST]] | kubectl apply -f -
# Run again it makes NEW values: what was encrypted with the old key cannot be read any more. Where an External Secrets
# operator or Sealed Secrets keeps them, these are the names and keys it must provide.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
namespace=$1
postgresql=${2:-postgresql}
redis=${3:-valkey}

random() { openssl rand -hex 24; }

secret() { # name, then key=value...
  local name=$1 pair
  shift
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: Opaque\nstringData:\n' "$name" "$namespace"
  for pair in "$@"; do
    printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"
  done
}

superuser=$(random)
broker=$(random)
url() { printf 'postgresql+asyncpg://tocsin_%s:%s@%s:5432/tocsin' "$1" "$(random)" "$postgresql"; }

secret tocsin-database "app-url=$(url app)" "system-url=$(url system)"
secret tocsin-migration "owner-url=$(url owner)"
secret tocsin-backup "backup-url=$(url backup)"
secret tocsin-superuser "password=$superuser" "dsn=postgresql://postgres:$superuser@$postgresql:5432/postgres"
secret tocsin-redis "url=redis://:$broker@$redis:6379/0" "password=$broker"
secret tocsin-keys "encryption-keys=$(date +%Y)a:$(openssl rand -base64 32)" "token-pepper=$(openssl rand -hex 32)"
