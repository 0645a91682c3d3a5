// Credentials in an upstream's address: it stands in D1 and in lists in the clear, and goes into the server's logs with every
// call. One that is given anew is refused; those that older releases took are known secrets like any other.
import { API_KEY_PREFIX } from "./api-key.ts";

/** The last word of a parameter's name that says what it holds: `key`, `api_key`, `X-Amz-Signature`, `accessToken`. */
const SECRET_WORD =
  /(?:^|[^a-z])(?:key|apikey|token|secret|passwd|password|pwd|auth|authorization|credentials?|sig|signature|jwt)$/;
/** Forms in which providers give out keys: OpenAI and others, RunPod, Hugging Face, Groq, xAI, Replicate, Slack, Waybill; JWTs. */
const KEY_FORM = new RegExp(
  String.raw`^(?:sk-|rpa_|hf_|gsk_|xai-|r8_|xox[a-z]-|${API_KEY_PREFIX}|Bearer\s|eyJ[\w-]+\.)[\w.~+/=-]{8,}$`,
);

/** Why an address may not be given; null: it holds no credential that can be seen. */
export function addressProblem(address: string, credential: string | null): string | null {
  const url = URL.parse(address);
  if (url === null) return null;
  const named = [...url.searchParams].find(([name, value]) => value !== "" && isSecretName(name));
  if (named !== undefined) return `must not hold a credential (its parameter ${named[0]})`;
  const isIn =
    credential !== null && credential !== "" && [address, decode(address)].some((text) => text.includes(credential));
  const isKey = piecesOf(url).some((piece) => KEY_FORM.test(piece));
  return isIn || isKey ? "must not hold a credential" : null;
}

/** What in an address may be one. */
export function secretsInAddress(address: string): string[] {
  const url = URL.parse(address);
  if (url === null) return [];
  const named = [...url.searchParams].filter(([name]) => isSecretName(name)).map(([, value]) => value);
  return [...named, ...piecesOf(url).filter((piece) => KEY_FORM.test(piece))];
}

function isSecretName(name: string): boolean {
  return SECRET_WORD.test(name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase());
}

function piecesOf(url: URL): string[] {
  return [...url.pathname.split("/").map(decode), ...url.searchParams.values()];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
