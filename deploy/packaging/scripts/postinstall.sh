#!/bin/sh
# Makes the unit's user. A service that runs takes up the new program; one that does not is left so.
set -e
systemd-sysusers replicator.conf
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart replicator.service
fi
