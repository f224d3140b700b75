#!/bin/sh
# Exits with 1, and says so on stderr, if Node.js is too old for the tests.
node -e '
const [major] = process.versions.node.split(".").map(Number)
if (major < 22) {
  console.error(`Node.js 22 or newer is needed, this is ${process.version}`)
  process.exit(1)
}'
