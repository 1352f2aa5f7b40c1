#!/bin/bash
# Run once by the postgres image, on an empty data directory.
set -euo pipefail
psql -X -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
  -v worker_password="$PULSE_WORKER_PASSWORD" -v ingress_password="$PULSE_INGRESS_PASSWORD" -f /pulse/roles.sql
