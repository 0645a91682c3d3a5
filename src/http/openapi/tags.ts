// The groups of operations, in the order in which they are shown.

export const TAGS: Readonly<Record<string, string>> = {
  Jobs: "Submit jobs, and read what became of them. The calls under /v2/{endpoint} are RunPod's",
  OpenAI: "Endpoints as OpenAI servers",
  "Load-balanced": "Workers that are web servers of their own",
  Serverless: "RunPod's management API: endpoints",
  Endpoints: "Endpoints, with everything that Waybill has beyond RunPod's words",
  Upstreams: "The servers that an endpoint's jobs are sent to",
  "Worker keys": "Keys with which an endpoint's workers fetch its jobs",
  Workers: "The workers of an endpoint, and how one is taken out of service",
  Usage: "The bill, line by line",
  Prices: "GPU types and what they cost, now and later",
  Webhooks: "Webhooks that could not be delivered",
  Keys: "API keys: who may do what, and until when",
  Tenants: "Who pays, and how many of their jobs may wait",
  Audit: "Who changed what, and when",
  Operations: "For operators of the deployment",
  "Pulling workers": "For RunPod's worker images, which fetch their jobs",
  About: "What needs no key",
};
