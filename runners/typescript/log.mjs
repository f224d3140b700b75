// Node's short report for people, without the canary: failures begin in the first lines, which a row keeps.
import { dot } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const CANARY_FILE = fileURLToPath(new URL("tests.mjs", import.meta.url));

export const isCanary = (event) => event.data?.file === CANARY_FILE && event.data.name === "canary";

async function* withoutCanary(events) {
  for await (const event of events) {
    if (!isCanary(event)) yield event;
  }
}

export default (events) => dot(withoutCanary(events));
