#!/bin/sh
# Ends the service when the package goes, and not when another version takes its place: dpkg says remove, rpm 0.
set -e
case "$1" in
remove | 0) if [ -d /run/systemd/system ]; then systemctl disable --now replicator.service; fi ;;
esac
