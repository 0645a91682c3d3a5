// The floor that the broker is measured against: the same upstream call between two calls of an object that do nothing.
// Nothing that keeps a job safe can cost less on this platform.
import { DurableObject } from "cloudflare:workers";

interface FloorEnv {
  readonly FLOOR: DurableObjectNamespace<FloorObject>;
  readonly UPSTREAM_URL: string;
}

/** Stands where the broker's object stands. */
export class FloorObject extends DurableObject<FloorEnv> {
  nothing(): void {}
}

export default {
  /** `POST /stream/...` passes the answer on as it comes, any other path when it has come whole. */
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const isStream = pathname.startsWith("/stream/");
    const path = isStream ? pathname.slice("/stream".length) : pathname;
    const object = env.FLOOR.getByName("floor");
    await object.nothing();
    const answer = await fetch(`${env.UPSTREAM_URL}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: request.body,
    });
    const headers = { "Content-Type": answer.headers.get("Content-Type") ?? "application/json" };
    if (isStream && answer.body !== null) {
      const { readable, writable } = new IdentityTransformStream();
      ctx.waitUntil(answer.body.pipeTo(writable).then(() => object.nothing()));
      return new Response(readable, { status: answer.status, headers });
    }
    const body = await answer.arrayBuffer();
    await object.nothing();
    return new Response(body, { status: answer.status, headers });
  },
} satisfies ExportedHandler<FloorEnv>;
