#!/bin/sh
# Starts Grafana: start.sh COMMAND [ARGS...]
#
# Grafana reads the configured password of its administrator only when it creates its database. If the file
# GRAFANA_PASSWORD_FILE has changed since the last start, this script sets the password of an existing database.
# It fails if it cannot: the previous password would stay valid.
set -eu

digest=$(sha256sum <"$GRAFANA_PASSWORD_FILE")
record=$GF_PATHS_DATA/admin_password.sha256

if [ -e "$GF_PATHS_DATA/grafana.db" ] && [ "$digest" != "$(cat "$record" 2>/dev/null)" ]; then
  echo "the password of Grafana's administrator has changed: setting it"
  if ! "${GRAFANA:-grafana}" cli --homepath="$GF_PATHS_HOME" --config="$GF_PATHS_CONFIG" \
    admin reset-admin-password --password-from-stdin <"$GRAFANA_PASSWORD_FILE"; then
    echo "Grafana does not start: the password in its database could not be set from $GRAFANA_PASSWORD_FILE" >&2
    exit 78
  fi
fi
echo "$digest" >"$record"
exec "$@"
