// Where calls to addresses of tenants and operators may go, by the deployment's settings.

/** `publicUrl` and `lbDomain` name the deployment's own hosts, which may not be called; null: not set. */
export interface Reach {
  /** For development on one machine: `http:`, private addresses and every port. */
  readonly allowPrivate: boolean;
  readonly publicUrl: string | null;
  readonly lbDomain: string | null;
  /** The URL of the request that gives the address: its host is the deployment's own, too, for this request alone. */
  readonly requestUrl?: string;
}
