// Credentials in an upstream's address, which is stored in D1 and shown in lists unencrypted, and which servers log
// with each call. A new address with one is refused; credentials in addresses of older releases are blanked as secrets.
import { API_KEY_PREFIX } from "./api-key.ts";

/** A parameter holds a secret if its name ends in such a word: `key`, `api_key`, `X-Amz-Signature`, `accessToken`. */
const SECRET_WORD =
  /(?:^|[^a-z])(?:key|apikey|token|secret|passwd|password|pwd|auth|authorization|credentials?|sig|signature|jwt)$/;
/** Forms in which providers give out keys: OpenAI and others, RunPod, Hugging Face, Groq, xAI, Replicate, Slack, Waybill; JWTs. */
const KEY_FORM = new RegExp(
  String.raw`^(?:sk-|rpa_|hf_|gsk_|xai-|r8_|xox[a-z]-|${API_KEY_PREFIX}|Bearer\s|eyJ[\w-]+\.)[\w.~+/=-]{8,}$`,
);

/** Why an address is refused, as the rest of a sentence; null: no credential can be recognised in it. */
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

/** The parts of an address that may be credentials. */
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
