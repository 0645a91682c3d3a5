// Which URLs Waybill may call, judged from the text alone, because a Worker cannot look up or choose DNS answers. Used
// when a URL is saved and again at each send. WHATWG parsing turns hex, octal, decimal, full-width and percent forms of
// an address into one form, so the host is judged after parsing, and the text before it.
import type { Reach } from "../core/access/reach.ts";

const URL_MAX_CHARS = 2_048;
const PORTS = new Set(["", "443", "8443"]);
const NOT_PRINTABLE_ASCII = /[^\x21-\x7e]/;

/** Names that never lead to the public internet. */
const RESERVED_SUFFIXES = [
  "localhost",
  "local",
  "localdomain",
  "internal",
  "intranet",
  "private",
  "corp",
  "lan",
  "home",
  "arpa",
  "test",
  "example",
  "invalid",
  "onion",
  "alt",
  "svc",
  "cluster",
  "docker",
  "consul",
  "workgroup",
];
/** Services whose names resolve to an address within the name or to loopback, and Workers' shared domain (loops). */
const REFUSED_DOMAINS = [
  "nip.io",
  "sslip.io",
  "xip.io",
  "xip.name",
  "localtest.me",
  "lvh.me",
  "vcap.me",
  "lacolhost.com",
  "127-0-0-1.org.uk",
  "rbndr.us",
  "1u.ms",
  "traefik.me",
  "local.gd",
  "fuf.me",
  "ip6.name",
  "lh.link",
  "backname.io",
  "workers.dev",
];
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const EMBEDDED_IPV4 = /(^|[.-])\d{1,3}([.-])\d{1,3}\2\d{1,3}\2\d{1,3}([.-]|$)/;

export type UrlVerdict = { readonly ok: true; readonly url: URL } | { readonly ok: false; readonly message: string };

/**
 * Judges a URL that a tenant or an operator gave. `allowPrivate` still allows no other scheme, no user information and
 * not this deployment: it would call itself for as long as somebody pays, from no address that a limit could count.
 */
export function checkUrl(text: string, reach: Reach): UrlVerdict {
  if (text.length > URL_MAX_CHARS) return refuse(`must have at most ${URL_MAX_CHARS} characters`);
  if (NOT_PRINTABLE_ASCII.test(text)) return refuse("must be printable ASCII without spaces (a name in punycode)");
  if (text.includes("\\")) return refuse("must not contain a backslash");
  const schemes = reach.allowPrivate ? "http: or https:" : "https:";
  if (!/^https?:\/\/[^/]/i.test(text)) return refuse(`must be an absolute ${schemes} URL`);
  if (text.includes("#")) return refuse("must not have a fragment");
  // Checked in the text, because the parser drops an empty `@` or `:@`.
  if (/^[^/]+\/\/[^/?]*@/.test(text)) return refuse("must not hold a user name or password");
  const url = URL.parse(text);
  if (url === null) return refuse("is not a valid URL");
  if (url.username !== "" || url.password !== "") return refuse("must not hold a user name or password");
  if (isOwn(url, reach)) return refuse("must not lead to this deployment itself");
  if (reach.allowPrivate) return { ok: true, url };
  if (url.protocol !== "https:") return refuse("must be an absolute https: URL");
  if (!PORTS.has(url.port)) return refuse("must use port 443 or 8443");
  const problem = hostProblem(url.hostname);
  return problem === null ? { ok: true, url } : refuse(problem);
}

/** Does this deployment answer for the host? The parser has unified case and the forms of an address already. */
function isOwn(url: URL, { allowPrivate, publicUrl, lbDomain, requestUrl }: Reach): boolean {
  const own = publicUrl === null ? null : URL.parse(publicUrl);
  const asked = requestUrl === undefined ? null : URL.parse(requestUrl);
  // A developer's machine has other servers on other ports; a deployment's host is its own on all ports.
  const isOnPort = (server: URL | null) => !allowPrivate || server === null || server.port === url.port;
  const host = bareHost(url.hostname);
  if ([own, asked].some((server) => server !== null && host === bareHost(server.hostname) && isOnPort(server)))
    return true;
  const domain = lbDomain === null ? null : bareHost(lbDomain.toLowerCase());
  return domain !== null && isOnPort(own) && (host === domain || host.endsWith(`.${domain}`));
}

/** One name for a host: a dot at its end has no meaning, and a machine has many names for itself. */
function bareHost(host: string): string {
  const bare = host.replace(/\.+$/, "");
  return LOOPBACK.test(bare) ? "localhost" : bare;
}

const LOOPBACK =
  /^(?:localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[\da-f]{2}:[\da-f]{1,4}\]|\[::ffff:0:0\])$/;

function hostProblem(host: string): string | null {
  if (host.startsWith("[") || IPV4.test(host)) return "must name a host, not an IP address";
  if (host.endsWith(".")) return "must not end its host name with a dot";
  const labels = host.split(".");
  const last = labels.at(-1) ?? "";
  if (labels.length < 2) return "must have a full host name";
  if (labels.some((label) => !/^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/.test(label)))
    return "has a host name that is not valid";
  if (!/[a-z]/.test(last)) return "must name a host, not an IP address";
  if (RESERVED_SUFFIXES.includes(last)) return `must not use the reserved name .${last}`;
  if (REFUSED_DOMAINS.some((domain) => host === domain || host.endsWith(`.${domain}`))) {
    return "must not use a name that stands for an address or for a shared Workers domain";
  }
  if (EMBEDDED_IPV4.test(host)) return "must not have an IP address within its host name";
  return null;
}

function refuse(message: string): UrlVerdict {
  return { ok: false, message };
}
