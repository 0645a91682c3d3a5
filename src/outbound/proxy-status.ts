// Statuses that a proxy answers in place of a server that it could not reach, so that the server surely has not begun.

/**
 * Refused, unreachable, failed TLS, failed DNS, with what each means. A deployed Worker gets one of them for a closed port. 520, 522 and
 * 524 are left out: the server may have begun.
 */
export const NOT_REACHED: ReadonlyMap<number, string> = new Map([
  [521, "the connection was refused"],
  [523, "its host cannot be reached"],
  [525, "the TLS handshake failed"],
  [526, "its certificate is not valid"],
  [530, "its host name was not found"],
]);
