// npm run deploy with every step failing once, before it was done or after: the next run goes on, and nothing is made
// or shown twice.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type DeployProject, startDeployProject } from "./deploy-project.ts";
import { changesIn, deployEarlier, expectWhole, migrationNames, noteId, STEPS, succeed } from "./deployed.ts";

let project: DeployProject;
beforeAll(async () => {
  project = await startDeployProject();
});
afterAll(() => project?.stop());
beforeEach(() => project.reset());

describe("a step that fails once", { timeout: 120_000 }, () => {
  const failing = STEPS.flatMap((words) => (["before", "after"] as const).map((when) => ({ words, when })));
  const reading = ["d1 list --json", "secret list --format json", "deploy --dry-run --outdir PATH"].map((words) => ({
    words,
    when: "before" as const,
  }));

  it.each([...failing, ...reading])("$words fails $when it is done, and the next run goes on", async (failure) => {
    project.failOnce(failure);
    const failed = await project.deploy();
    expect(failed.code, failed.stdout).toBe(1);
    expect(failed.stderr).toContain(`The network was down ${failure.when} it was done`);
    const again = await succeed(project);
    expectWhole(project, failed.stdout + again);
    const made = changesIn(project);
    // Each by one call, or by a second one where the first did nothing. A deploy whose answer was lost is made
    // again for its address.
    const isRepeated = failure.when === "before" || failure.words === "deploy --tag TAG";
    for (const words of STEPS) {
      const times = words === failure.words && isRepeated ? 2 : 1;
      expect(
        made.filter((each) => each === words),
        words,
      ).toHaveLength(times);
    }
  });

  it("or a Worker that does not come up, ends in a sentence, and the next run goes on", async () => {
    project.failHttp("down");
    const failed = await project.deploy(["--wait", "1s"]);
    expect(failed.stderr).toBe(`${project.url} is not up after 1 s: it answers 500 {"message":"a setting is wrong"}\n`);
    project.failHttp(null);
    expectWhole(project, failed.stdout + (await succeed(project)));
  });

  it.each(["endpoint before", "endpoint after"] as const)("or an answer of the Worker (%s)", async (failure) => {
    project.failHttp(failure);
    const failed = await project.deploy();
    expect(failed.stderr).toContain("could not make the endpoint first: not now\n");
    expectWhole(project, failed.stdout + (await succeed(project)));
  });
});

describe("a deletion that fails once", { timeout: 120_000 }, () => {
  const commands = [
    "delete waybill --force",
    "queues delete dispatch",
    "queues delete webhooks-dead",
    "r2 bucket delete waybill-payloads",
    "d1 delete DB --skip-confirmation --config PATH",
  ];
  const failing = commands.flatMap((words) => (["before", "after"] as const).map((when) => ({ words, when })));

  it.each(failing)("$words fails $when it is done, and the next run deletes the rest", async (failure) => {
    const clean = project.toml();
    deployEarlier(project, migrationNames(project).length);
    project.change(({ buckets }) => {
      buckets["waybill-payloads"] = { rules: ["orphans"], objects: 0 };
    });
    noteId(project);
    project.failOnce(failure);
    const failed = await project.deploy(["--destroy"], { input: "waybill\n" });
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("The network was down") });
    const again = await project.deploy(["--destroy"], { input: "waybill\n" });
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(project.account()).toMatchObject({ databases: {}, buckets: {}, queues: {}, worker: null });
    expect(project.toml()).toBe(clean);
  });
});
