// Node's report for people, without the canary.
import { Readable } from "node:stream";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const CANARY_FILE = fileURLToPath(new URL("tests.mjs", import.meta.url));

export const isCanary = (event) => event.data?.file === CANARY_FILE && event.data.name === "canary";

async function* withoutCanary(events) {
  for await (const event of events) {
    const isTotal = event.type === "test:diagnostic" && event.data.nesting === 0;
    if (!isTotal && !isCanary(event)) yield event;
  }
}

export default async function* (events) {
  yield* Readable.from(withoutCanary(events)).pipe(new spec());
}
