// Tenants with live jobs, and the receivers of their webhooks: one text for all jobs that name them, and counters that are gone
// with the last job, so that memory does not grow with everybody who ever came.
import { hostBytes, tenantBytes } from "../../core/scheduling/live-bytes.ts";

export interface LiveTenant {
  readonly tenantId: string;
  waiting: number;
  running: number;
  webhooksOwed: number;
  /** Live jobs, and others that owe something. */
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

  /** One more job of the tenant. */
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

  /** The job calls back to this host; null: it calls nobody. */
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

  /** A job is gone, and with the last one what is known of its receiver and tenant. */
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
