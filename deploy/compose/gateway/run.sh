#!/bin/sh
# nginx, and a look from time to time at whether its certificate has been renewed: then nginx reads it, and drops no connection.
# So no other container needs to signal this one.
etc=${GATEWAY_ETC:-/etc/gateway}
every=${GATEWAY_LOOK_EVERY:-30}

certificate() { cksum "$etc/certs/gateway.crt" "$etc/certs/gateway.key" 2>/dev/null; }

(
	read=$(certificate)
	while sleep "$every"; do
		now=$(certificate)
		[ "$now" = "$read" ] && continue
		# A certificate whose key is still being written is looked at again.
		nginx -t -q -e stderr -c "$etc/nginx.conf" && kill -HUP $$ && read=$now
	done
) &

exec nginx -e stderr -c "$etc/nginx.conf"
