import { describe, expect, test } from "@jest/globals";
import { admin, type ApprovalBody, type Page, type Run } from "./client.ts";

const ask = (more: object = {}) => ({
  id: "ask",
  type: "approval",
  title: "Pay ${input.eur} EUR?",
  payload: { eur: "${input.eur}" },
  ...more,
});
const asked = async (more?: object): Promise<{ run: Run; id: string }> => {
  const run = await admin.begin({ steps: [ask(more)] }, { eur: 7 });
  return { run, id: await run.approval("ask") };
};

describe("approval", () => {
  test("an approved step gives who decided, and what was said", async () => {
    const { run, id } = await asked();
    await admin.decide(id, { decision: "approve", comment: "fine", data: { account: 1 } });
    expect((await run.end()).output).toMatchObject({
      decision: "approved",
      approved: true,
      by: "admin",
      comment: "fine",
      data: { account: 1 },
    });
  });

  test("a rejected step goes on with approved false", async () => {
    const { run, id } = await asked();
    await admin.decide(id, { decision: "reject" });
    expect((await run.end()).output).toMatchObject({ decision: "rejected", approved: false });
  });

  test("nobody decides in time: the step expires", async () => {
    const run = await admin.finish({ steps: [ask({ expiresAfter: "50ms" })] }, { eur: 7 });
    expect(run.output).toMatchObject({ decision: "expired", approved: false, by: null });
  });

  test("onExpire runs when the step expires", async () => {
    const run = await admin.begin(
      { steps: [ask({ expiresAfter: "50ms", onExpire: [{ id: "mail", type: "set", values: "mailed" }] })] },
      { eur: 7 },
    );
    await run.end();
    expect(await run.step("ask.onExpire.mail")).toMatchObject({ status: "completed", output: "mailed" });
  });

  test("an expired approval shows as expired", async () => {
    const run = await admin.begin({ steps: [ask({ expiresAfter: "50ms" })] }, { eur: 7 });
    const id = await run.approval("ask");
    await run.end();
    expect((await admin.get(`/api/v2/approvals/${id}`)).body).toMatchObject({ status: "expired" });
  });

  test("an approval of a cancelled run shows as canceled", async () => {
    const { run, id } = await asked();
    await run.cancel();
    await run.end();
    expect((await admin.get(`/api/v2/approvals/${id}`)).body).toMatchObject({ status: "canceled" });
  });

  test("a run that waits for a decision shows as waiting", async () => {
    const { run } = await asked();
    await run.until("run.waiting");
    expect(await run.read()).toMatchObject({ status: "waiting", waitingFor: [{ path: "ask" }] });
  });

  test("two branches ask at the same time", async () => {
    const branches = { a: [ask()], b: [ask()] };
    const run = await admin.begin(
      { steps: [{ id: "p", type: "parallel", branches }], output: ["${steps.p.output.a.approved}", "${steps.p.output.b.approved}"] },
      { eur: 1 },
    );
    await admin.decide(await run.approval("p.b.ask"), { decision: "reject" });
    await admin.decide(await run.approval("p.a.ask"), { decision: "approve" });
    expect((await run.end()).output).toEqual([true, false]);
  });
});

describe("who decides", () => {
  test("a person who is named may", async () => {
    const ada = await admin.withKey({ principal: "ada", kind: "person", roles: [] });
    const { id } = await asked({ assignees: ["ada"] });
    expect(await ada.decide(id, { decision: "approve" })).toMatchObject({ status: 200, body: { status: "approved", decidedBy: "ada" } });
  });

  test("a person with a named role may", async () => {
    const eve = await admin.withKey({ principal: "eve", kind: "person", roles: ["finance"] });
    const { id } = await asked({ assignees: ["role:finance"] });
    expect(await eve.decide(id, { decision: "approve" })).toMatchObject({ status: 200 });
  });

  test("a person who is not named may not", async () => {
    const bob = await admin.withKey({ principal: "bob", kind: "person", roles: ["sales"] });
    const { id } = await asked({ assignees: ["role:finance"] });
    expect(await bob.decide(id, { decision: "approve" })).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });

  test("a refused decision leaves the question open", async () => {
    const bob = await admin.withKey({ principal: "bob", kind: "person", roles: ["sales"] });
    const { id } = await asked({ assignees: ["role:finance"] });
    await bob.decide(id, { decision: "approve" });
    expect((await admin.get(`/api/v2/approvals/${id}`)).body).toMatchObject({ status: "pending" });
  });

  test("a program may not, whatever its roles", async () => {
    const robot = await admin.withKey({ principal: "robot", kind: "service", roles: ["admin"] });
    const { id } = await asked();
    expect(await robot.decide(id, { decision: "approve" })).toMatchObject({ status: 403, body: { code: "forbidden" } });
  });

  test("a decided question answers 409", async () => {
    const { id } = await asked();
    await admin.decide(id, { decision: "approve" });
    expect(await admin.decide(id, { decision: "reject" })).toMatchObject({ status: 409, body: { code: "approval_closed" } });
  });

  test("the same decision under one Idempotency-Key is answered twice", async () => {
    const { id } = await asked();
    const decide = () => admin.post(`/api/v2/approvals/${id}/decision`, { decision: "approve" }, `once-${id}`);
    expect([(await decide()).status, (await decide()).status]).toEqual([200, 200]);
  });

  test("a question of an ended run answers 409", async () => {
    const { run, id } = await asked();
    await run.cancel();
    await run.end();
    expect(await admin.decide(id, { decision: "approve" })).toMatchObject({ status: 409, body: { code: "approval_closed" } });
  });

  test("an unknown question answers 404", async () => {
    expect(await admin.decide("r_none~ask", { decision: "approve" })).toMatchObject({ status: 404, body: { code: "not_found" } });
  });

  test("of two people who decide at once one is told it is closed", async () => {
    const { id } = await asked();
    const decisions = await Promise.all([admin.decide(id, { decision: "approve" }), admin.decide(id, { decision: "reject" })]);
    expect(new Set(decisions.map(({ status }) => status))).toEqual(new Set([200, 409]));
  });
});

describe("the list of approvals", () => {
  test("shows a pending question with its payload", async () => {
    const { run, id } = await asked({ assignees: ["role:finance"] });
    const { body } = await admin.get<Page<ApprovalBody>>(`/api/v2/approvals?status=pending&runId=${run.id}`);
    expect(body.data).toMatchObject([{ id, stepPath: "ask", title: "Pay 7 EUR?", payload: { eur: 7 }, assignees: ["role:finance"] }]);
  });

  test("no longer shows a decided one as pending", async () => {
    const { run, id } = await asked();
    await admin.decide(id, { decision: "approve" });
    const { body } = await admin.get<Page<ApprovalBody>>(`/api/v2/approvals?status=pending&runId=${run.id}`);
    expect(body.data).toEqual([]);
  });
});
