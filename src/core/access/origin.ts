// Origins of pages, as browsers write them in `Origin`: scheme, host and port, and nothing else.

/** On this machine a page needs no TLS: nobody on the way could change it. */
const LOCAL_HOSTS: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Why pages of this origin cannot be let in, as the rest of a sentence; null: they can. */
export function originProblem(text: string): string | null {
  // Node 20, which the command line runs on, has no URL.parse.
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || text.includes("*") || !["http:", "https:"].includes(url.protocol)) {
    return "must be an origin such as https://app.example: scheme, host and port, without a path and without *";
  }
  if (url.origin !== text) return `must be written as browsers send it: ${url.origin}`;
  if (url.protocol === "http:" && !LOCAL_HOSTS.has(url.hostname)) return "must be https, unless it is this machine";
  return null;
}
