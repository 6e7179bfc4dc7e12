#!/bin/sh
# Says what to install where there is no Java 17 or newer, which Spark 4 needs. Spark looks in JAVA_HOME, then in PATH.
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
[ "${version:-0}" -ge 17 ] && exit 0
[ "$version" = 1 ] && version=8
echo "Spark needs Java 17 or newer, and $java is ${version:+version }${version:-missing}: install one" \
    "(on Debian and Ubuntu: apt-get install default-jre-headless) or point JAVA_HOME to one." >&2
exit 1
