// The agent of the provider `local`: what it takes, what it starts, and what it shows of it. Real processes of real programs.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AgentFolder, areGone, ENDPOINT, isRunning, machine, nameOf, shown, worker } from "./running-agent.ts";

/** Writes its number down, and ends by SIGTERM. */
const SLEEPS = { program: "sh", args: ["-c", "echo $$ >> pids; exec sleep 600"] };
/** The same, but no SIGTERM ends it. */
const STUBBORN = { program: "sh", args: ["-c", "trap '' TERM; echo $$ >> pids; while :; do sleep 1; done"] };
const A = "aaaaaaaaaaaa";
const B = "bbbbbbbbbbbb";
const GRACE_MS = 3_000;

let folder: AgentFolder;

beforeEach(() => {
  folder = new AgentFolder();
});

afterEach(() => folder.close());

const hasError = (pattern: RegExp) => expect.stringMatching(pattern);
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();

describe("a machine", () => {
  it("is made once, shown while it is there, and gone when it is not wanted any more", async () => {
    folder.configure({ "acme/sleeps": SLEEPS });
    const agent = await folder.start();
    const asked = { operation: "create", machine: nameOf(A) } as const;
    const made = await agent.tell(worker("acme/sleeps"), [machine(A)], asked);
    expect(made).toEqual({
      machines: [
        { name: nameOf(A), id: expect.any(String), status: "running", pricePerHour: null, url: null, detail: null },
      ],
      refused: [],
    });
    const [pid = 0] = await folder.pidsCome(1);
    expect(await agent.tell(worker("acme/sleeps"), [machine(A, { id: made.machines[0]?.id ?? "" })])).toEqual(made);
    expect(folder.log(A)).toContain(`process ${pid} has started`);
    const last = await agent.tell(null, [], { operation: "end", machine: nameOf(A) });
    // Its process has just been told to end.
    expect(shown(last)).toEqual({ [A]: "running" });
    await agent.shows({}, null, []);
    expect([folder.pids(), isRunning(pid)]).toEqual([[pid], false]);
  });

  it("that is called has a port of its own, which its worker is told and its url leads to", async () => {
    const listens =
      "require('node:http').createServer((_, r) => r.end(process.env.PORT_HEALTH)).listen(process.env.PORT)";
    folder.configure({ "acme/listens": { program: "node", args: ["-e", listens] } });
    const agent = await folder.start();
    const called = worker("acme/listens", { httpPort: 80, env: { PORT: "80", PORT_HEALTH: "80" } });
    const { machines } = await agent.tell(called, [machine(A), machine(B)]);
    const urls = machines.map(({ url }) => url ?? "");
    expect(new Set(urls).size).toBe(2);
    for (const url of urls) {
      const port = new URL(url).port;
      await expect
        .poll(() => fetch(url).then((answer) => answer.text(), String), { timeout: 10_000, interval: 20 })
        .toBe(port);
    }
    const stopped = await agent.tell(called, [machine(A, { state: "stopped" }), machine(B)]);
    expect(stopped.machines.map(({ url }) => url)).toEqual(urls);
  });

  it("that does not end by SIGTERM is shown until its whole group is killed", async () => {
    folder.configure({ stubborn: STUBBORN });
    const agent = await folder.start();
    await agent.tell(worker("stubborn"), [machine(A)]);
    const pids = await folder.pidsCome(1);
    const beganMs = performance.now();
    await agent.tell(null, []);
    await agent.shows({}, null, []);
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(GRACE_MS - 100);
    await areGone(pids, 0);
  });

  it("takes with it what its program has started, also in groups of their own, and left behind", async () => {
    // `timeout` makes a group of its own.
    const leaves = `echo $$ >> pids; timeout 600 sh -c 'echo $$ >> pids; exec sleep 600' & echo $! >> pids;
      sleep 600 & echo $! >> pids; while [ $(wc -l < pids) -lt 4 ]; do sleep 0.05; done; exit 3`;
    folder.configure({ leaves: { program: "sh", args: ["-c", leaves] } });
    const agent = await folder.start();
    const answer = await agent.shows({ [A]: "failed" }, worker("leaves"), [machine(A)]);
    expect(answer.machines[0]?.detail).toBe("It has ended with code 3.");
    await areGone(await folder.pidsCome(4));
  });

  it("has the environment of the request alone, with PATH, HOME and what its image adds", async () => {
    const prints = "env -0 > env.txt; exec sleep 600";
    folder.configure({ prints: { program: "sh", args: ["-c", prints], env: { CUDA: "1", OURS: "the agent's" } } });
    const agent = await folder.start([], { LEAK: "of the agent", PATH: process.env.PATH ?? "", HOME: folder.path });
    const env = { RUNPOD_POD_ID: A, BOTH: "of the machine", LINES: "one\ntwo", EMPTY: "" };
    const ofAll = { MODEL: "small", BOTH: "of all", OURS: "the broker's", HOME: "/nowhere", PATH: "/nowhere" };
    await agent.tell(worker("prints", { env: ofAll }), [machine(A, { env })]);
    const read = () => {
      const pairs = readFileSync(join(folder.path, "env.txt"), "utf8").split("\0").slice(0, -1);
      return Object.fromEntries(
        pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
      );
    };
    // A shell sets these by itself.
    await expect.poll(() => existsSync(join(folder.path, "env.txt")) && read()).toHaveProperty("MODEL");
    const { PWD, _, SHLVL, OLDPWD, ...has } = read();
    expect(has).toEqual({
      ...{ PATH: process.env.PATH, HOME: folder.path, CUDA: "1", OURS: "the agent's" },
      ...{ MODEL: "small", BOTH: "of the machine", RUNPOD_POD_ID: A, LINES: "one\ntwo", EMPTY: "" },
    });
    expect(PWD).toBe(folder.path);
  });

  it("that fails is shown with its last words, and without a secret of its environment", async () => {
    const script = `for (let line = 0; line < 20_000; line += 1) console.error("line", line, "x".repeat(50));
      console.log("this is no error");
      console.error("\\x1b[31mthe token", process.env.TOKEN, "is refused,", encodeURIComponent(process.env.TOKEN), "\\x1b[0m");
      throw new Error("there is no model");`;
    folder.configure({ fails: { program: process.execPath, args: [folder.write("fails.mjs", script)] } });
    const agent = await folder.start();
    const env = { TOKEN: "hf_secret/of+this machine", SHORT: "is" };
    const wanted = [machine(A, { env })];
    const answer = await agent.shows({ [A]: "failed" }, worker("fails"), wanted);
    const detail = answer.machines[0]?.detail ?? "";
    expect(detail).toMatch(/^It has ended with code 1: [\s\S]*Error: there is no model\n/);
    expect(detail.length).toBeLessThanOrEqual(500);
    expect(folder.log(A)).toContain("this is no error");
    for (const hidden of ["secret", "no error", "\x1b"]) expect(detail).not.toContain(hidden);
    // It is not started again but where that is what was asked for.
    const id = answer.machines[0]?.id;
    expect((await agent.tell(worker("fails"), wanted)).machines).toMatchObject([{ id, status: "failed" }]);
    const again = { operation: "start", machine: nameOf(A) } as const;
    expect((await agent.tell(worker("fails"), wanted, again)).machines).toMatchObject([{ id, status: "running" }]);
    expect((await agent.tell(null, [])).machines.map(({ status }) => status)).not.toContain("failed");
  });

  it("that ends with code 0 is shown as ended, and one that a signal has ended as failed", async () => {
    folder.configure({
      done: { program: "sh", args: ["-c", "echo all is done >&2"] },
      killed: { program: "sh", args: ["-c", "kill -9 $$"] },
    });
    const agent = await folder.start();
    const ended = await agent.shows({ [A]: "ended" }, worker("done"), [machine(A)]);
    expect(ended.machines[0]?.detail).toBe("It has ended with code 0: all is done");
    const both = await agent.shows({ [A]: "ended", [B]: "failed" }, worker("killed"), [machine(A), machine(B)]);
    expect(both.machines[1]?.detail).toBe("It was ended by SIGKILL.");
    expect(await agent.tell(null, [])).toEqual({ machines: [], refused: [] });
  });

  it("whose program cannot be run has failed at once", async () => {
    folder.configure({ broken: { program: "./broken" } });
    folder.write("broken", "#!/there/is/no/such/interpreter\n");
    const agent = await folder.start();
    const { machines } = await agent.tell(worker("broken"), [machine(A)]);
    expect(machines).toMatchObject([
      { status: "failed", detail: hasError(/^It could not be started: spawn .*ENOENT/) },
    ]);
  });

  it("that is stopped has no process, and is started anew with the newest variables of its own", async () => {
    const prints = { program: "sh", args: ["-c", "echo $$ >> pids; echo $MODEL $KEY >> said; exec sleep 600"] };
    folder.configure({ prints, other: SLEEPS });
    const agent = await folder.start();
    const made = worker("prints", { env: { MODEL: "small" } });
    const { machines } = await agent.tell(made, [machine(A, { env: { KEY: "first" } })]);
    const [first = 0] = await folder.pidsCome(1);
    const stopped = machine(A, { state: "stopped" });
    await agent.tell(made, [stopped], { operation: "stop", machine: nameOf(A) });
    expect((await agent.shows({ [A]: "stopped" }, made, [stopped])).machines[0]?.id).toBe(machines[0]?.id);
    await areGone([first]);
    // What it is made of does not change.
    const again = [machine(A, { env: { KEY: "second" } })];
    const answer = await agent.tell(worker("other"), again, { operation: "start", machine: nameOf(A) });
    expect(answer.machines).toEqual(machines);
    await folder.pidsCome(2);
    await expect.poll(() => readFileSync(join(folder.path, "said"), "utf8")).toBe("small first\nsmall second\n");
  });

  it("that has failed before it was to stop is stopped, and started by whichever state wants it running", async () => {
    folder.configure({ fails: { program: "sh", args: ["-c", "echo $$ >> pids; exit 1"] } });
    const agent = await folder.start();
    const made = worker("fails");
    await agent.shows({ [A]: "failed" }, made, [machine(A)]);
    const stop = { operation: "stop", machine: nameOf(A) } as const;
    expect(shown(await agent.tell(made, [machine(A, { state: "stopped" })], stop))).toEqual({ [A]: "stopped" });
    // Its own start was overtaken by this one of another machine.
    await agent.tell(made, [machine(A), machine(B)], { operation: "start", machine: nameOf(B) });
    await folder.pidsCome(3);
  });

  it("that is wanted again while it is being stopped is started when its process has ended", async () => {
    folder.configure({ stubborn: STUBBORN });
    const agent = await folder.start(["--max", "1"]);
    const made = worker("stubborn");
    await agent.tell(made, [machine(A)]);
    const [first = 0] = await folder.pidsCome(1);
    await agent.tell(made, [machine(A, { state: "stopped" })]);
    expect(shown(await agent.tell(made, [machine(A)]))).toEqual({ [A]: "running" });
    const [, second = 0] = await folder.pidsCome(2);
    expect([isRunning(first), isRunning(second)]).toEqual([false, true]);
    expect(shown(await agent.tell(made, [machine(A)]))).toEqual({ [A]: "running" });
    expect(folder.pids()).toHaveLength(2);
  });

  it("is ended at its hard end without any call, whatever its program does", async () => {
    folder.configure({ stubborn: STUBBORN });
    const agent = await folder.start();
    const endsAt = inMs(GRACE_MS + 1_500);
    const wanted = [machine(A, { endsAt }), machine(B, { endsAt: inMs(-1) })];
    const first = await agent.tell(worker("stubborn"), wanted);
    // The time of one is over before it begins.
    expect(shown(first)).toEqual({ [A]: "running", [B]: "ended" });
    const [pid = 0] = await folder.pidsCome(1);
    await areGone([pid]);
    const lateMs = Date.now() - Date.parse(endsAt);
    console.info(`a machine is gone ${lateMs} ms after its hard end`);
    expect(lateMs).toBeGreaterThan(-500);
    expect(lateMs).toBeLessThan(1_000);
    const { machines } = await agent.shows({ [A]: "ended", [B]: "ended" }, worker("stubborn"), wanted);
    const detail = "The time until its hard end is over.";
    expect(machines).toMatchObject([
      { status: "ended", detail },
      { status: "ended", detail },
    ]);
    expect(folder.pids()).toEqual([pid]);
  });

  it("has a log of a bounded size, which its owner alone may read", async () => {
    const floods = "head -c 20000000 /dev/zero | tr '\\0' x; echo the end; exec sleep 600";
    folder.configure({ floods: { program: "sh", args: ["-c", floods] } });
    const agent = await folder.start();
    await agent.tell(worker("floods"), [machine(A)]);
    await expect.poll(() => folder.log(A).endsWith("the end\n"), { timeout: 20_000 }).toBe(true);
    const path = join(folder.path, "logs", `${nameOf(A)}.log`);
    for (const file of [path, `${path}.1`]) {
      expect(statSync(file).size).toBeLessThanOrEqual(1024 * 1024);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
  });
});

describe("the agent refuses", () => {
  it("what is not signed by its secret, or was signed long ago", async () => {
    folder.configure({ "acme/sleeps": SLEEPS });
    const agent = await folder.start();
    const other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    expect(await agent.refuses(agent.post("{}", {}, other))).toEqual({
      status: 401,
      detail: hasError(/not signed by the agent's secret: No matching signature/),
    });
    expect(await agent.refuses(agent.post("{}", { "webhook-timestamp": "1700000000" }))).toMatchObject({
      status: 401,
      detail: hasError(/timestamp too old/),
    });
    expect((await agent.refuses(agent.post("{}", { "webhook-signature": "" }))).status).toBe(401);
  });

  it("a state that is not newer than the newest one, by endpoint", async () => {
    folder.configure({ "acme/sleeps": SLEEPS });
    const agent = await folder.start();
    await agent.tell(worker("acme/sleeps"), [machine(A)], { number: 17 });
    for (const number of [3, 16, 17]) {
      expect(await agent.refuses(agent.send(null, [], { number }))).toEqual({
        status: 409,
        number: 17,
        detail: `The agent has taken the state 17 of the endpoint, so it does not take ${number}.`,
      });
    }
    expect(await agent.tell(null, [], { number: 1, endpointId: "ffff" })).toEqual({ machines: [], refused: [] });
    expect(shown(await agent.tell(worker("acme/sleeps"), [machine(A)], { number: 18 }))).toEqual({ [A]: "running" });
  });

  it("what it cannot read, with the place", async () => {
    folder.configure({ "acme/sleeps": SLEEPS });
    const agent = await folder.start();
    const body = {
      type: "fleet.desired",
      version: 1,
      endpointId: ENDPOINT,
      number: 1,
      operation: "list",
      machine: null,
    };
    const post = (change: object) => agent.post(JSON.stringify({ ...body, worker: null, machines: [], ...change }));
    const outside = machine(A, { name: `wb-${ENDPOINT}-../../etc/passwd` });
    expect(await agent.refuses(agent.post("{"))).toEqual({ status: 400, detail: "The body is not JSON." });
    const wrong: [object, RegExp][] = [
      [{ version: 2 }, /^version: /],
      [{ machines: [{ ...machine(A), endsAt: "soon" }] }, /^machines\.0\.endsAt: /],
      [{ machines: [outside] }, /^machines\.0\.name: it must be wb-0123456789abcdef- and lower-case letters/],
      [{ machines: [machine(A, { name: "wb-other-aaaa" })] }, /^machines\.0\.name: /],
      [{ machines: [machine(A), machine(A)] }, /^machines\.1\.name: wb-.* is in the list twice/],
    ];
    for (const [change, detail] of wrong) {
      expect(await agent.refuses(post(change))).toEqual({ status: 422, detail: hasError(detail) });
    }
    expect((await agent.refuses(agent.post("x".repeat(17 * 1024 * 1024)))).status).toBe(413);
    // None of them was taken.
    expect((await post({})).status).toBe(200);
  });

  it("other paths and methods", async () => {
    folder.configure({ "acme/sleeps": SLEEPS });
    const agent = await folder.start();
    const elsewhere = await fetch(new URL("/other", agent.url), { method: "POST", body: "{}" });
    expect([elsewhere.status, await elsewhere.json()]).toEqual([404, { detail: "The agent takes POST /fleet alone." }]);
    const got = await fetch(agent.url);
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
  });

  it("an image that its configuration does not name, and tells which it does", async () => {
    folder.configure({ "acme/sleeps": SLEEPS, "acme/other:2": SLEEPS });
    const agent = await folder.start();
    for (const image of ["acme/unknown", "constructor", "/bin/sh"]) {
      expect(await agent.tell(worker(image), [machine(A)])).toEqual({
        machines: [],
        refused: [
          {
            name: nameOf(A),
            reason: "bad_config",
            detail: `The agent has no image ${image}; its configuration names: acme/sleeps, acme/other:2.`,
          },
        ],
      });
    }
    const without = await agent.tell(null, [machine(A)]);
    expect(without.refused).toMatchObject([{ reason: "bad_config", detail: hasError(/worker is null/) }]);
  });

  it("arguments, and variables that choose the code, but where the image takes them", async () => {
    const writes = { program: process.execPath, args: [folder.write("writes.mjs", "")] };
    folder.configure({
      closed: { program: "sh", args: ["-c", "exec sleep 600"] },
      open: { program: "sh", args: ["-c", 'echo "$0|$1|$2" > said; exec sleep 600'], allowArgs: true },
      node: writes,
      tuned: { ...writes, allowEnv: ["NODE_OPTIONS"] },
    });
    const agent = await folder.start();
    const refused = async (image: string, change: Partial<Parameters<typeof worker>[1]>) => {
      const answer = await agent.tell(worker(image, change), [machine(A)]);
      return answer.refused?.[0]?.detail ?? answer.machines[0]?.status;
    };
    expect(await refused("closed", { args: "-c reboot" })).toMatch(/^The agent takes no args for the image closed/);
    expect(await refused("open", { args: "one 'two" })).toMatch(/^args has a quote that is not closed/);
    const runs = { NODE_OPTIONS: "--import=data:text/javascript,console.log(1)" };
    expect(await refused("node", { env: runs })).toMatch(/^The agent takes no NODE_OPTIONS for the image node/);
    expect(await refused("node", { env: { LD_PRELOAD: "/tmp/x.so" } })).toMatch(/^The agent takes no LD_PRELOAD/);
    expect(await refused("node", { env: { X: "a\0b" } })).toMatch(/^env\.X has a zero character/);
    expect(await refused("node", { env: { "A=B": "x" } })).toMatch(/^env: "A=B" cannot be the name/);
    expect(await refused("tuned", { env: { NODE_OPTIONS: "--no-warnings" } })).toBe("running");
    await agent.tell(worker("open", { args: `'one 1' "two \\"2\\"" three` }), [machine(B)]);
    await expect.poll(() => readFileSync(join(folder.path, "said"), "utf8")).toBe('one 1|two "2"|three\n');
  });

  it("more processes at once than it may have, of all endpoints together", async () => {
    folder.configure({ "acme/sleeps": SLEEPS, stubborn: STUBBORN });
    const agent = await folder.start(["--max", "2"]);
    const other = { endpointId: "ffff", number: 1 };
    await agent.tell(worker("stubborn"), [machine("one", { name: "wb-ffff-one" })], other);
    const full = await agent.tell(worker("acme/sleeps"), [machine(A), machine(B)]);
    expect(shown(full)).toEqual({ [A]: "running" });
    const detail = "The agent runs 2 machines, and no more at once (--max).";
    expect(full.refused).toEqual([{ name: nameOf(B), reason: "no_capacity", detail }]);
    // What is about to end is there until it is gone.
    await agent.tell(null, [], { ...other, number: 2 });
    expect(shown(await agent.tell(worker("acme/sleeps"), [machine(A), machine(B)]))).toEqual({ [A]: "running" });
    await agent.shows({ [A]: "running", [B]: "running" }, worker("acme/sleeps"), [machine(A), machine(B)]);
  });
});

it("prices are those of the image, else of its GPUs, else none", async () => {
  folder.configure(
    { dear: { ...SLEEPS, pricePerHour: 1.5 }, plain: SLEEPS },
    { gpuPricesPerHour: { "NVIDIA L4": 0.25 } },
  );
  const agent = await folder.start();
  const prices = async (image: string, gpuTypeId = "NVIDIA L4") => {
    const { machines } = await agent.tell(worker(image, { gpuCount: 2 }), [machine(A, { gpuTypeId })]);
    await agent.shows({}, null, []);
    return machines[0]?.pricePerHour;
  };
  expect([await prices("dear"), await prices("plain"), await prices("plain", "NVIDIA A40")]).toEqual([1.5, 0.5, null]);
});

it("requests that come at once make no machine twice", async () => {
  folder.configure({ "acme/sleeps": SLEEPS });
  const agent = await folder.start();
  const numbers = Array.from({ length: 20 }, (_, at) => at + 1);
  const all = [machine(A), machine(B)];
  const replies = await Promise.all(numbers.map((number) => agent.send(worker("acme/sleeps"), all, { number })));
  const taken = replies.filter(({ status }) => status === 200);
  expect(taken.length).toBeGreaterThan(0);
  // Each that was taken was answered with the very same machines, as running.
  expect(new Set(taken.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(replies.filter(({ status }) => status === 409).length).toBe(numbers.length - taken.length);
  await folder.pidsCome(2);
});

it("a create is answered when the process runs, and does not wait for its worker", async () => {
  const slow = "for (const until = Date.now() + 5_000; Date.now() < until; ); setInterval(() => undefined, 1_000);";
  folder.configure({ slow: { program: process.execPath, args: [folder.write("slow.mjs", slow)] } });
  const agent = await folder.start(["--max", "20"]);
  const took: number[] = [];
  const machines = Array.from({ length: 8 }, (_, at) => machine(`a${at}`));
  await agent.tell(null, []);
  for (let count = 1; count <= machines.length; count += 1) {
    const beganMs = performance.now();
    const answer = await agent.tell(worker("slow"), machines.slice(0, count));
    took.push(performance.now() - beganMs);
    expect(answer.machines.map(({ status }) => status)).toEqual(Array.from({ length: count }, () => "running"));
  }
  console.info(`creates were answered after ${took.map((ms) => ms.toFixed(1)).join(", ")} ms`);
  expect(Math.min(...took)).toBeLessThan(1_000);
});

describe("an agent that is started wrong ends in a sentence", () => {
  const ends = async (words: readonly string[], env = {}) => {
    const agent = folder.launch(words, { env });
    const [code] = await agent.exited;
    return [code, agent.errors().trim(), agent.printed()];
  };

  it.each([
    [
      { images: { x: { program: "no-such-program" } } },
      /images\.x\.program: there is no program no-such-program in PATH$/,
    ],
    [{ images: { x: { program: "./nothing" } } }, /images\.x\.program: there is no program \.\/nothing$/],
    [{ images: { x: { program: "sh", cwd: "nowhere" } } }, /images\.x\.cwd: there is no folder .*nowhere$/],
    [{ images: { x: { program: "sh", shell: true } } }, /agent\.json is wrong: images\.x: .*shell/],
    [{}, /agent\.json is wrong: images: /],
  ])("%j", async (config, sentence) => {
    folder.write("agent.json", JSON.stringify(config));
    expect(await ends([])).toEqual([2, expect.stringMatching(sentence), ""]);
  });

  it("without a secret, or with one that is none, or on a port that is taken", async () => {
    folder.configure({ "acme/sleeps": SLEEPS });
    const first = await folder.start();
    const unset = "WAYBILL_HOOK_SECRET must be set to the provider's secret, whsec_ and base64";
    expect(await ends([], { WAYBILL_HOOK_SECRET: "" })).toEqual([2, unset, ""]);
    const [code, sentence] = await ends([], { WAYBILL_HOOK_SECRET: "whsec_not base64!" });
    expect([code, sentence]).toEqual([2, expect.stringMatching(/^WAYBILL_HOOK_SECRET cannot verify anything/)]);
    const { port } = new URL(first.url);
    const taken = `Port ${port} is in use: stop what listens there, or choose another one with --port N`;
    expect(await ends(["--port", port])).toEqual([2, taken, ""]);
  });
});
