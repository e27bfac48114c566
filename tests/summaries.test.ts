import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";

interface HistoryEvent {
  eventId: string;
  eventType: string;
  userMetadata?: { summary?: { data: string } };
  activityTaskScheduledEventAttributes?: { activityId: string };
  workflowExecutionStartedEventAttributes?: { input?: { payloads: { data: string }[] } };
}

const folder = new URL("histories/engine-1/", import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith(".json"));

/** What people look for beside it: signals to others and upserts cannot carry one. */
const summarized = /(ACTIVITY_TASK_SCHEDULED|MARKER_RECORDED|TIMER_STARTED|START_CHILD_WORKFLOW_EXECUTION_INITIATED)$/;
/** A step's path, and what is done for it. */
const ofStep = /^(?<first>[A-Za-z_]\w*)([.]\w+|\[\d+\+?\])*( · .+|: .+)?$/s;
/** What belongs to no step. */
const ofRun = /^(run log|plan of|ledger of|output: |run: )/;

const decoded = <T>({ data }: { data: string }): T => JSON.parse(Buffer.from(data, "base64").toString("utf8")) as T;

function read(file: string): HistoryEvent[] {
  return (JSON.parse(readFileSync(new URL(file, folder), "utf8")) as { events: HistoryEvent[] }).events;
}

const summaryOf = ({ userMetadata }: HistoryEvent): string => (userMetadata?.summary ? decoded<string>(userMetadata.summary) : "");

describe("what the Temporal Web UI shows beside the events of a run", () => {
  test.each(files)("%s: each names its step or what it does", (file) => {
    const nameless = read(file).filter((event) => summarized.test(event.eventType) && summaryOf(event) === "");
    expect(nameless).toEqual([]);
  });

  test.each(files.filter((file) => file.startsWith("run-")))("%s: each names a step of the plan", (file) => {
    const events = read(file);
    const input = events[0]?.workflowExecutionStartedEventAttributes?.input?.payloads[0];
    const { plan } = input ? decoded<{ plan?: object }>(input) : {};
    const isOfPlan = (summary: string): boolean => {
      const first = ofStep.exec(summary)?.groups?.["first"];
      return first !== undefined && (!plan || JSON.stringify(plan).includes(`"id":"${first}"`));
    };
    const summaries = events.filter(({ eventType }) => summarized.test(eventType)).map(summaryOf);
    expect(summaries.filter((summary) => !ofRun.test(summary) && !isOfPlan(summary))).toEqual([]);
  });

  test.each(files.filter((file) => file.startsWith("run-")))("%s: a step's activity has the path of its summary as its id", (file) => {
    for (const event of read(file)) {
      const { activityId } = event.activityTaskScheduledEventAttributes ?? {};
      const summary = summaryOf(event);
      // `path: …` is done for a step, and is not its work.
      if (activityId !== undefined && !/^\S+: /.test(summary)) expect(`${summary} · `.split(" · ")[0]).toBe(activityId.split("#")[0]);
    }
  });
});
