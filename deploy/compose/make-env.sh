#!/usr/bin/env bash
# Print the .env file of compose.yaml with fresh random secrets, for a first installation:
#   make-env.sh https://tocsin.example.com > .env && chmod 600 .env
# Keep it: what was encrypted with TOCSIN_ENCRYPTION_KEYS cannot be read without it. Passwords may be replaced one by one at any
# time, the superuser's excepted; the next `docker compose up` gives the roles their new ones.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }

password() { openssl rand -hex 24; }

cat <<EOF
TOCSIN_PUBLIC_URL=${1%/}
TOCSIN_SUPERUSER_PASSWORD=$(password)
TOCSIN_OWNER_PASSWORD=$(password)
TOCSIN_APP_PASSWORD=$(password)
TOCSIN_SYSTEM_PASSWORD=$(password)
TOCSIN_BACKUP_PASSWORD=$(password)
TOCSIN_BROKER_PASSWORD=$(password)
TOCSIN_TOKEN_PEPPER=$(openssl rand -hex 32)
TOCSIN_ENCRYPTION_KEYS=$(date +%Y)a:$(openssl rand -base64 32)
EOF
