import { liveSchema, readySchema } from "../contracts/api.schema.ts";
import { Fault } from "../contracts/faults.ts";
import type { Deps } from "./deps.ts";
import { ok, route, type Answer, type Call } from "./route.ts";

const CHECK_MS = 1_000;

export const healthRoutes = [
  route({
    id: "live",
    method: "get",
    path: "/livez",
    summary: "Whether the process answers",
    tag: "Health",
    scope: "open",
    answers: { 200: { description: "It does.", schema: liveSchema } },
    handle: async () => ok({ status: "ok" }),
  }),
  route({
    id: "ready",
    method: "get",
    path: "/readyz",
    summary: "Whether Postgres and Temporal answer within a second",
    tag: "Health",
    scope: "open",
    answers: { 200: { description: "Both do.", schema: readySchema } },
    handle: ready,
  }),
];

async function ready({ deps }: Call): Promise<Answer> {
  const [postgres, temporal] = await Promise.all([answers(() => deps.database.$queryRaw`SELECT 1`), answers(() => temporalAnswers(deps))]);
  if (postgres === "ok" && temporal === "ok") return ok({ status: "ok", postgres, temporal });
  throw new Fault("unavailable", "Not everything answers.", { extra: { postgres, temporal } });
}

const temporalAnswers = ({ temporal, settings }: Deps): Promise<unknown> =>
  temporal.withDeadline(Date.now() + CHECK_MS, () =>
    temporal.workflowService.describeNamespace({ namespace: settings.TEMPORAL_NAMESPACE }),
  );

async function answers(check: () => PromiseLike<unknown>): Promise<"ok" | "down"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"down">((resolve) => (timer = setTimeout(() => resolve("down"), CHECK_MS)));
  const done = Promise.resolve(check()).then(
    () => "ok" as const,
    () => "down" as const,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}
