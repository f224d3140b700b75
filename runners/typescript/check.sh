#!/bin/sh
# Says what the tests would miss here.
node -e '
const [major] = process.versions.node.split(".").map(Number)
if (major < 22) {
  console.error(`Node.js 22 or newer is needed, this is ${process.version}`)
  process.exit(1)
}'
