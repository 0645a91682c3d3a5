// What a provider of each kind must have, and may not have. Each field by itself was checked before.
import { isWebhookSecret } from "../access/webhook-secret.ts";
import { CPU_TYPE, type OfferFacts, offerProblem } from "./fleet-candidates.ts";
import type { SettingProblem } from "./fleet-rules.ts";

/** A provider as it would be stored. */
export interface ProviderFacts {
  readonly kind: "none" | "webhook" | "runpod" | "local";
  readonly url: string | null;
  /** In the clear, as the request gives it; undefined: it gives none. */
  readonly credential: string | undefined;
  /** Is there one already, or will one be made? */
  readonly hasCredential: boolean;
  readonly offers: readonly OfferFacts[];
}

/** The first rule that is broken; null: none is. */
export function providerProblem({
  kind,
  url,
  credential,
  hasCredential,
  offers,
}: ProviderFacts): SettingProblem | null {
  const signs = signsCalls(kind);
  if (kind === "none" && url !== null) return problem("url", "is not for the kind none, which calls nobody");
  if (signs && url === null) return problem("url", `is required for the kind ${kind}: where its calls go`);
  if (kind === "none" && credential !== undefined)
    return problem("credential", "is not for the kind none, which calls nobody");
  if (signs && credential !== undefined && !isWebhookSecret(credential)) {
    return problem(
      "credential",
      "must be a secret of Standard Webhooks, whsec_ and 24 to 64 bytes in base64, or be left out at its creation",
    );
  }
  if (kind === "runpod" && credential === undefined && !hasCredential) {
    return problem("credential", "is required for the kind runpod: an API key of RunPod's");
  }
  const cpuAt = offers.findIndex(({ gpuTypeId }) => gpuTypeId === CPU_TYPE);
  if (kind === "runpod" && cpuAt >= 0) {
    const message = "must be a GPU type: of the kind runpod no machine without a GPU is made, as a hook can do";
    return problem(`offers.${cpuAt}.gpuTypeId`, message);
  }
  return offersProblem(offers);
}

/** Are the calls to providers of this kind signed, instead of opened by a key? */
export function signsCalls(kind: ProviderFacts["kind"]): boolean {
  return kind === "webhook" || kind === "local";
}

/**
 * The first variable that RunPod may replace by a secret of the account that pays for the pod (`{{ RUNPOD_SECRET_name }}`); null: there is
 * none. On an operator's account it would give the operator's secrets to the tenant's image.
 */
export function variableWithSecret(variables: Readonly<Record<string, string>>): string | null {
  return Object.entries(variables).find(([, value]) => value.includes("{{"))?.[0] ?? null;
}

function offersProblem(offers: readonly OfferFacts[]): SettingProblem | null {
  for (const [at, offer] of offers.entries()) {
    const found = offerProblem(offer);
    if (found !== null) return problem(`offers.${at}.${found.member}`, found.message);
  }
  return null;
}

function problem(field: string, message: string): SettingProblem {
  return { field, message };
}
