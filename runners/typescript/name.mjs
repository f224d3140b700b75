// The canary's name comes on stdin. It is read before any test is loaded.
import { readFileSync } from "node:fs";

export const name = readFileSync(0, "utf8").trim();
