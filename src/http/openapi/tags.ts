// The groups of operations, in the order in which they are shown.

export const TAGS: Readonly<Record<string, string>> = {
  Jobs: "Submit jobs, and read what became of them. The calls under /v2/{endpoint} are RunPod's",
  OpenAI: "Endpoints as OpenAI servers",
  "Load-balanced": "Workers that are web servers of their own",
  Serverless: "RunPod's management API: endpoints",
  Endpoints: "Endpoints, with everything that Waybill has beyond RunPod's words",
  Workers: "The workers of an endpoint, and how one is taken out of service",
  Usage: "The bill, line by line",
  Webhooks: "Webhooks that could not be delivered",
  Audit: "Who changed what, and when",
  Operations: "For operators of the deployment",
  "Pulling workers": "For RunPod's worker images, which fetch their jobs",
  About: "What needs no key",
};
