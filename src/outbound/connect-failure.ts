// Why a call got no connection or no answer, in words for whoever set the address. workerd shows little of it: a failed
// look-up and a failed TLS handshake both come as "internal error", and a refused connect, a reset and an answer that is
// no HTTP (which a TLS port gives to a plain request) as "Network connection lost." (tried with workerd of 2026-10-20).

const ADDRESS = /^(?:\[.*\]|[\d.]+|localhost)$/;
const NO_HANDSHAKE = "the TLS handshake failed, so it may speak http:, or its certificate is not valid for this host";

/** Why there was no connection, after fetch has thrown `cause`. */
export function connectFailure({ protocol, hostname }: URL, cause: unknown): string {
  const isInternal = cause instanceof Error && cause.message.startsWith("internal error");
  if (!isInternal) return "the connection was refused";
  if (protocol === "http:") return "its host name was not found";
  return ADDRESS.test(hostname) ? NO_HANDSHAKE : `its host name was not found, or ${NO_HANDSHAKE}`;
}

/** What a receiver did that has the request and gave no answer. */
export function unanswered({ protocol }: URL): string {
  const closed = "closed the connection without an answer";
  return protocol === "http:" ? `${closed}; it ended, or it speaks https: on this port` : closed;
}
