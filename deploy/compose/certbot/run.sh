#!/bin/sh
# Gets the gateway's certificate from an ACME authority (Let's Encrypt, where nothing else is said) by http-01 through the
# gateway, looks twice a day whether it is due, and gives each new one to the gateway, which notices by itself. What failed is
# tried again after 20 minutes: Let's Encrypt refuses a name that failed five times within an hour.
set -eu
: "${PGO_CERTBOT_HOSTS:?the names that the certificate is for, by commas}"
: "${PGO_CERTBOT_EMAIL:?the address that the authority writes to}"
state=${CERTBOT_STATE:-/etc/letsencrypt}
webroot=${CERTBOT_WEBROOT:-/var/acme}
target=${CERTBOT_TARGET:-/gateway-certs}
every=${CERTBOT_EVERY:-43200}
again=${CERTBOT_AGAIN:-1200}

# put replaces a file in one step.
put() {
	cmp -s "$1" "$2" && return
	cp "$1" "$2.new"
	chmod 0444 "$2.new" # nginx is another user; the directory is closed to others
	mv "$2.new" "$2"
}

trap 'exit 0' TERM INT
while :; do
	pause=$every
	# shellcheck disable=SC2086 # CERTBOT_ARGS are words
	certbot certonly --non-interactive --agree-tos --email "$PGO_CERTBOT_EMAIL" --webroot --webroot-path "$webroot" \
		--config-dir "$state" --work-dir "$state/work" --logs-dir "$state/logs" --max-log-backups 5 \
		--cert-name pgo --domains "$PGO_CERTBOT_HOSTS" --expand --keep-until-expiring ${CERTBOT_ARGS:-} || {
		echo "certbot got no certificate; the gateway keeps the one it has. The next try is in $again s" >&2
		pause=$again
	}
	if [ -e "$state/live/pgo/fullchain.pem" ]; then
		put "$state/live/pgo/privkey.pem" "$target/gateway.key"
		put "$state/live/pgo/fullchain.pem" "$target/gateway.crt"
	fi
	sleep "$pause" &
	wait $!
done
