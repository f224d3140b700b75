// Node's JUnit report with the canary's secret name. This file writes the report itself, because
// Node syncs the destination of a reporter at its end, and a pipe cannot be synced.
import { writeSync } from "node:fs";
import { junit } from "node:test/reporters";
import { canaryName } from "./canary-name.mjs";
import { expectedLine } from "./expected.mjs";
import { isCanary } from "./log.mjs";

const REPORT_FD = 4;

// This module is loaded before any test, and before the answer.
writeSync(REPORT_FD, expectedLine());

/** The event of a test; one that failed as it was told to do counts as skipped. */
function reported(event) {
  if (isCanary(event)) return { ...event, data: { ...event.data, name: canaryName } };
  if (event.type !== "test:pass" || event.data.expectFailure === undefined) return event;
  return { ...event, data: { ...event.data, skip: "expected to fail" } };
}

async function* withCanaryName(events) {
  for await (const event of events) yield reported(event);
}

export default async function* (events) {
  for await (const chunk of junit(withCanaryName(events))) writeSync(REPORT_FD, chunk);
  // Loaded by tests.mjs; a reporter is loaded before there can be hooks.
  const { returnedTests } = await import("./watched.mjs");
  writeSync(REPORT_FD, `returned ${returnedTests()}\n`);
  // Node exits when this function ends, even if part of the log is not yet written.
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise((written) => stream.write("", written));
  }
}
