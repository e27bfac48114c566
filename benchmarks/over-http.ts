import { ask, Refused, type RunAnswer, type Server } from "../cli/api-client.ts";

export const post = <Answer>(server: Server, path: string, body: unknown): Promise<Answer> =>
  ask<Answer>(server, path, { method: "POST", body: JSON.stringify(body) });

/** As clients should: again when the API says that it is busy. Gives the run's id. */
export async function begin(server: Server, run: { workflow: string; input?: object }): Promise<string> {
  for (;;) {
    try {
      return (await post<RunAnswer>(server, "/api/v2/runs", run)).id;
    } catch (error) {
      if (!(error instanceof Refused) || error.problem.code !== "unavailable") throw error;
      await new Promise((again) => setTimeout(again, 200));
    }
  }
}

export async function end(server: Server, id: string): Promise<RunAnswer> {
  for (;;) {
    const run = await ask<RunAnswer>(server, `/api/v2/runs/${id}?wait=60`);
    if (run.status !== "running" && run.status !== "waiting") return run;
  }
}
