// node's JUnit report, in which the canary bears its secret name.
import { junit } from "node:test/reporters";
import { isCanary } from "./log.mjs";
import { name } from "./name.mjs";

async function* named(events) {
  for await (const event of events) {
    yield isCanary(event) ? { ...event, data: { ...event.data, name } } : event;
  }
}

export default (events) => junit(named(events));
