// The answer of an OpenAI server on its way to the client whose own request carries the job, where there is one.
import type { Attempt } from "./attempt.ts";
import type { Answer } from "./classify.ts";
import type { AnswerHead } from "./client-link.ts";

/** The server's headers that matter to its client; all others concern only the server and us. */
const KEPT = /^(?:content-type|content-disposition|openai-.+|x-ratelimit-.+)$/;

/** The head of the client's answer, taken from the server's answer. */
export function headOf({ status, headers }: Answer): AnswerHead {
  return { status, headers: Object.fromEntries([...headers].filter(([name]) => KEPT.test(name))) };
}

/** Hands bytes on as they come. Resolves when there is room for more. */
export async function passOn({ client }: Attempt, answer: Answer, bytes: Uint8Array): Promise<void> {
  if (client?.hasBegun === false) client.begin(headOf(answer));
  await client?.write(bytes);
}
