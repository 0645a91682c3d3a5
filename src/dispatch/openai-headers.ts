// Which headers of an OpenAI server matter to its client; all others are between the server and us.

const KEPT = /^(?:content-type|content-disposition|openai-.+|x-ratelimit-.+)$/;

export function pickHeaders(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => KEPT.test(name)));
}
