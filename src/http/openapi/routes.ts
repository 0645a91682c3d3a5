// GET /openapi.json and /v2/openapi.json: the description of this deployment, for whoever asks.
import { rawAnswer } from "../kit/answer.ts";
import { readKey } from "../kit/auth.ts";
import { enterAnybody } from "../kit/enter.ts";
import type { DescribedOperation } from "../kit/operation-doc.ts";
import { refuseAsProblem, refuseAsRunPodProblem } from "../kit/problem.ts";
import { type Route, route } from "../kit/route.ts";
import { type DocumentInfo, makeDocument } from "./document.ts";
import { TAGS } from "./tags.ts";

/** Of the descriptions, not of the software: it is raised when an operation changes so that a client must be changed. */
const VERSION = "1.0.0";

const WHOLE: DocumentInfo = {
  title: "Waybill",
  version: VERSION,
  description:
    "RunPod's API over GPUs of your own choice. Under /v2/{endpoint} are jobs, as RunPod Serverless has them; under /v2/serverless and beside " +
    "it RunPod's management API; under /v1 everything that Waybill has beyond it. A key is sent as a bearer token.",
};

const MANAGEMENT: DocumentInfo = {
  title: "Waybill: RunPod's management API",
  version: VERSION,
  description:
    "The operations of RunPod's management API that this deployment has. /openapi.json describes all others.",
};

/** `operations` is asked when a document is first wanted: the whole one describes also the routes of this file. */
export function openApiRoutes(operations: () => readonly DescribedOperation[]): readonly Route[] {
  const whole = once(() => makeDocument(operations(), WHOLE, TAGS));
  const management = once(() =>
    makeDocument(
      operations().filter(({ doc }) => doc.plane === "v2"),
      MANAGEMENT,
      TAGS,
    ),
  );
  return [
    route({
      method: "GET",
      path: "/openapi.json",
      enter: enterAnybody,
      dialect: { readKey, refuse: refuseAsProblem },
      handler: async (c) => rawAnswer(200, whole(), c.get("requestId")),
    }),
    route({
      method: "GET",
      path: "/v2/openapi.json",
      enter: enterAnybody,
      dialect: { readKey, refuse: refuseAsRunPodProblem },
      handler: async (c) => rawAnswer(200, management(), c.get("requestId")),
    }),
  ];
}

/** The text of a document takes some 50 ms to make, so it is made once an isolate, and not before it is asked for. */
function once(make: () => object): () => string {
  let made: string | undefined;
  return () => {
    made ??= JSON.stringify(make());
    return made;
  };
}
