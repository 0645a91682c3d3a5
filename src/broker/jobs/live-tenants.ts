// Tenants with live jobs, and the hosts that receive their webhooks. All jobs of a tenant share its one string and its
// counters, which go with its last job, so that memory does not grow with every tenant that ever came.
import { hostBytes, tenantBytes } from "../../core/scheduling/live-bytes.ts";

export interface LiveTenant {
  readonly tenantId: string;
  waiting: number;
  running: number;
  webhooksOwed: number;
  /** Jobs that are live, or are over and still owe a usage line or a webhook. */
  jobs: number;
  readonly hosts: Map<string, { readonly host: string; jobs: number }>;
}

export class LiveTenants {
  readonly #byId = new Map<string, LiveTenant>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get(tenantId: string): LiveTenant | undefined {
    return this.#byId.get(tenantId);
  }

  all(): Iterable<LiveTenant> {
    return this.#byId.values();
  }

  /** Counts one more job of the tenant. */
  enter(tenantId: string): LiveTenant {
    let tenant = this.#byId.get(tenantId);
    if (tenant === undefined) {
      tenant = { tenantId, waiting: 0, running: 0, webhooksOwed: 0, jobs: 0, hosts: new Map() };
      this.#byId.set(tenantId, tenant);
      this.#bytes += tenantBytes(tenantId);
    }
    tenant.jobs += 1;
    return tenant;
  }

  /** Counts one more job whose webhook goes to this host; null: the job has no webhook to send. */
  enterHost(tenant: LiveTenant, host: string | null): string | null {
    if (host === null) return null;
    let receiver = tenant.hosts.get(host);
    if (receiver === undefined) {
      receiver = { host, jobs: 0 };
      tenant.hosts.set(host, receiver);
      this.#bytes += hostBytes(host);
    }
    receiver.jobs += 1;
    return receiver.host;
  }

  /** Removes a job; the entries of its receiver and of its tenant go with the last job that has them. */
  leave(tenant: LiveTenant, host: string | null): void {
    const receiver = host === null ? undefined : tenant.hosts.get(host);
    if (receiver !== undefined) {
      receiver.jobs -= 1;
      if (receiver.jobs === 0) {
        tenant.hosts.delete(receiver.host);
        this.#bytes -= hostBytes(receiver.host);
      }
    }
    tenant.jobs -= 1;
    if (tenant.jobs > 0) return;
    this.#byId.delete(tenant.tenantId);
    this.#bytes -= tenantBytes(tenant.tenantId);
  }
}
