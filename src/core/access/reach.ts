// Where calls to addresses of tenants and operators may go, as the deployment's settings say it.

/** `publicUrl` and `lbDomain` name the deployment's own hosts; null: it has said none. */
export interface Reach {
  /** For development on one machine: `http:`, private addresses and every port. */
  readonly allowPrivate: boolean;
  readonly publicUrl: string | null;
  readonly lbDomain: string | null;
  /** What the request came to that gives the address: one more host of the deployment's own, for this request alone. */
  readonly requestUrl?: string;
}
