// node's JUnit report, in which the canary bears its secret name. It is written here: as the
// destination of a reporter node would sync the pipe at its end, which no pipe can.
import { writeSync } from "node:fs";
import { junit } from "node:test/reporters";
import { isCanary } from "./log.mjs";
import { name } from "./name.mjs";

async function* named(events) {
  for await (const event of events) {
    yield isCanary(event) ? { ...event, data: { ...event.data, name } } : event;
  }
}

const REPORT = 4;

export default async function* (events) {
  for await (const piece of junit(named(events))) writeSync(REPORT, piece);
  // node exits when this has ended, and with it goes what it has not written of the log.
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise((written) => stream.write("", written));
  }
}
