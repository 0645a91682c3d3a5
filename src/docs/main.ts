// The page /docs: every operation of /openapi.json by group, with a search.
import {
  type Answer,
  type Call,
  curlOf,
  type Group,
  groupsOf,
  matches,
  type OpenApi,
  type Parameter,
  resolve,
  type Schema,
} from "./description.ts";
import "./docs.css";
import { element, part } from "./element.ts";
import { fieldsOf } from "./fields.ts";

/** An operation on the page. Its details are made when it is first opened. */
interface Shown {
  readonly call: Call;
  readonly node: HTMLDetailsElement;
}

/** A group on the page. */
interface ShownGroup {
  readonly node: HTMLElement;
  readonly shown: readonly Shown[];
}

async function main(): Promise<void> {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`/openapi.json answered ${response.status}`);
  const api: OpenApi = await response.json();
  const groups = groupsOf(api);
  part("about").append(` Version ${api.info.version}. ${api.info.description}`);
  part("tags").append(element("ul", {}, ...groups.map(linkOf)));
  const shown = groups.map((group) => showGroup(api, group));
  part("operations").append(...shown.map(({ node }) => node));
  const search = part("search") as HTMLInputElement;
  search.addEventListener("input", () => narrow(shown, search.value.trim()));
  narrow(shown, "");
  const openNamed = () => openById(decodeURIComponent(location.hash.slice(1)));
  addEventListener("hashchange", openNamed);
  openNamed();
}

function idOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

function linkOf({ name, calls }: Group): HTMLElement {
  return element("li", {}, element("a", { href: `#${idOf(name)}` }, name), ` ${calls.length}`);
}

function showGroup(api: OpenApi, { name, description, calls }: Group): ShownGroup {
  const id = idOf(name);
  const shown = calls.map((call) => ({ call, node: showCall(api, call) }));
  const heading = element("h2", { id }, name);
  const about = element("p", {}, description);
  return {
    node: element("section", { "aria-labelledby": id }, heading, about, ...shown.map(({ node }) => node)),
    shown,
  };
}

function showCall(api: OpenApi, call: Call): HTMLDetailsElement {
  const method = element("span", { class: `method ${call.method.toLowerCase()}` }, call.method);
  const summary = element("span", { class: "summary" }, call.summary);
  const node = element("details", { class: "operation", id: call.operationId });
  node.append(element("summary", {}, method, element("code", {}, call.path), summary));
  node.addEventListener("toggle", () => node.append(element("div", {}, ...detailsOf(api, call))), { once: true });
  return node;
}

function detailsOf(api: OpenApi, call: Call): HTMLElement[] {
  const { parameters = [], requestBody, responses } = call;
  const body = requestBody?.content["application/json"]?.schema;
  return [
    element("p", {}, call.description),
    ...(parameters.length === 0 ? [] : [element("h3", {}, "Parameters"), parametersOf(api, parameters)]),
    ...(body === undefined ? [] : [element("h3", {}, requestBody?.required ? "Body" : "Body, optional")]),
    ...(body === undefined ? [] : [fieldsOf(api, body)]),
    element("h3", {}, "Answers"),
    ...Object.entries(responses).map(([status, answer]) => answerOf(api, status, resolve(api, answer))),
    element("h3", {}, "With curl"),
    element(
      "pre",
      { tabindex: "0", "aria-label": "A call with curl" },
      element("code", {}, curlOf(api, call, location.origin)),
    ),
  ];
}

/** Parameters read like the fields of a body. */
function parametersOf(api: OpenApi, parameters: readonly Parameter[]): HTMLElement {
  const described = parameters.map(({ name, in: place, description = "", schema }): [string, Schema] => [
    name,
    { ...schema, description: `In the ${place}. ${description}` },
  ]);
  const required = parameters.filter((one) => one.required).map(({ name }) => name);
  return fieldsOf(api, { type: "object", properties: Object.fromEntries(described), required });
}

function answerOf(api: OpenApi, status: string, { description = "", content = {} }: Answer): HTMLElement {
  const head = [element("strong", {}, status), ` ${description}`];
  const types = Object.keys(content).join(", ");
  const [schema] = Object.values(content).flatMap((one) => (one.schema === undefined ? [] : [one.schema]));
  if (schema === undefined) return element("p", {}, ...head, types === "" ? "" : ` (${types})`);
  const node = element("details", {}, element("summary", {}, ...head), element("p", { class: "note" }, types));
  node.append(fieldsOf(api, schema));
  return node;
}

/** Hides what the search does not name; the number of the rest is announced. */
function narrow(groups: readonly ShownGroup[], search: string): void {
  let count = 0;
  for (const { node, shown } of groups) {
    for (const one of shown) one.node.hidden = !matches(one.call, search);
    const left = shown.filter((one) => !one.node.hidden).length;
    node.hidden = left === 0;
    count += left;
  }
  part("found").textContent = count === 1 ? "1 operation" : `${count} operations`;
}

/** Opens the operation that the address names. */
function openById(id: string): void {
  const node = document.getElementById(id);
  if (node instanceof HTMLDetailsElement) node.open = true;
  node?.scrollIntoView();
}

main().catch((error: unknown) => {
  part("operations").append(element("p", { role: "alert" }, `The description cannot be shown: ${String(error)}`));
});
