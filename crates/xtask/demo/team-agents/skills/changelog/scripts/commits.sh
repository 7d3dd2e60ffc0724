#!/bin/sh
# Prints the subjects of the commits since the last tag.
exec git log --format=%s "$(git describe --tags --abbrev=0)..HEAD"
