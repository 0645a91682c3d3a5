// npm test
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { guess } from "./handler.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));

test("texts are in the languages that they are in", () => {
  const texts = {
    en: "The cat is on the roof, and nobody knows how it got there.",
    de: "Die Katze sitzt auf dem Dach, und niemand weiß, wie sie dorthin kam.",
    fr: "Le chat est sur le toit, et personne ne sait comment il est monté.",
    es: "El gato está en el tejado y nadie sabe cómo ha llegado hasta allí.",
  };
  for (const [language, text] of Object.entries(texts)) assert.equal(guess(text)[0]?.language, language);
});

test("a text without a known word is in no language", () => {
  assert.deepEqual(guess("1234 xyzzy"), []);
});

/** Runs one job in a worker of its own, as the endpoint runs it, and resolves with what the worker prints. */
async function run(job: object) {
  const args = ["worker.ts", "--test_input", JSON.stringify(job)];
  const env = { ...process.env, MODE: "", RUNPOD_WEBHOOK_GET_JOB: "" };
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, env });
  return JSON.parse(stdout);
}

test("a job has the output of its handler", async () => {
  const { output } = await run({ input: { text: "The cat is on the roof.", alternatives: 1 } });
  assert.equal(output.language, "en");
  assert.equal(output.alternatives.length, 1);
});

test("an input that is wrong fails its job", async () => {
  await assert.rejects(run({ input: { text: 1 } }), { code: 1, stdout: /input\.text: must be a string/ });
});
