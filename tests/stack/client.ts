import { randomUUID } from "node:crypto";
import type { RunStatus, StepStatus } from "../../contracts/events.ts";
import type { Held } from "../../contracts/holds.ts";
import type { Problem } from "../../contracts/faults.ts";
import type { Json, JsonObject } from "../../contracts/json.ts";
import type { Facts, HostAnswer, HostCommands } from "./protocol.ts";
import { readStream } from "./sse.ts";

export const facts = JSON.parse(process.env["TENUTO_TEST_STACK"] ?? "{}") as Facts;

/** Asks the host, which runs the stack and the servers around it. */
export const host = new Proxy(
  {} as { [Name in keyof HostCommands]: (...args: Parameters<HostCommands[Name]>) => Promise<Awaited<ReturnType<HostCommands[Name]>>> },
  {
    get:
      (_, name: string) =>
      async (...args: unknown[]) => {
        const response = await fetch(facts.hostUrl, { method: "POST", body: JSON.stringify({ name, args }) });
        const answer = (await response.json()) as HostAnswer;
        if ("error" in answer) throw new Error(`${name}: ${answer.error}`);
        return answer.value;
      },
  },
);

/** Any answer of the API. */
export interface Answer<Body = JsonObject> {
  status: number;
  headers: Headers;
  body: Body;
}

export interface RunBody {
  id: string;
  workflow: string;
  version: string;
  status: RunStatus;
  parentId: string | null;
  retryOf: string | null;
  forkOf: string | null;
  retries: string[];
  forks: string[];
  startedBy: string;
  startedAt: string;
  endedAt: string | null;
  input: Json;
  output: Json;
  error: (Problem & { [field: string]: Json }) | null;
  waitingFor: { path: string; for: string }[] | null;
  holds: Held[];
  usage: { inputTokens: number; outputTokens: number; calls: number; costUsd: number | null };
  links: { self: string; events: string; temporal: string };
}

export interface StepBody {
  path: string;
  type: string;
  status: StepStatus;
  attempt: number;
  output: Json;
  error: Problem | null;
  usage: JsonObject | null;
  reusedFrom: string | null;
}

export interface EventBody {
  seq: number;
  type: string;
  time: string;
  step: string | null;
  data: JsonObject;
}

export interface ApprovalBody {
  id: string;
  runId: string;
  stepPath: string;
  workflow: string;
  title: string;
  payload: Json;
  payloadHash: string;
  assignees: string[];
  quorum: number;
  votes: { by: string; decision: string; at: string; comment: string | null }[];
  status: string;
  decidedBy: string | null;
  comment: string | null;
  data: Json;
}

export interface Page<Item> {
  data: Item[];
  page: { next: string | null; hasMore: boolean };
}

interface RequestOptions {
  /** A text is sent as it is, anything else as JSON. */
  body?: unknown;
  type?: string;
  key?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Longer than anything here takes, also on a machine that stands still for seconds: what has not come by then will not come. */
const PATIENCE_MS = 60_000;
/** A 503 that took so long says that a deadline has passed; what the API says sooner is its answer. */
const LATE_MS = 1_500;

/** The server checks it: here it need not be typed. */
export interface Definition {
  steps: object[];
  [field: string]: unknown;
}

/** The API as one principal sees it. */
export class Client {
  readonly apiKey: string;

  constructor(apiKey: string) {
    this.apiKey = apiKey;
  }

  get authorization(): Record<string, string> {
    return { authorization: `Bearer ${this.apiKey}` };
  }

  async fetch(method: string, path: string, { body, type, key, headers, signal }: RequestOptions = {}): Promise<Response> {
    const isText = typeof body === "string";
    return fetch(`${facts.apiUrl}${path}`, {
      method,
      headers: {
        ...this.authorization,
        ...(body === undefined ? {} : { "content-type": type ?? (isText ? "application/yaml" : "application/json") }),
        ...(key === undefined ? {} : { "idempotency-key": key }),
        ...headers,
      },
      body: body === undefined ? null : isText ? body : JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async request<Body = JsonObject>(method: string, path: string, options?: RequestOptions): Promise<Answer<Body>> {
    const response = await this.fetch(method, path, options);
    const text = await response.text();
    const body = text !== "" && (response.headers.get("content-type") ?? "").includes("json") ? JSON.parse(text) : text;
    return { status: response.status, headers: response.headers, body: body as Body };
  }

  get = <Body = JsonObject>(path: string, headers?: Record<string, string>): Promise<Answer<Body>> =>
    this.request("GET", path, { headers: headers ?? {} });

  post = <Body = JsonObject>(path: string, body: unknown = {}, key?: string): Promise<Answer<Body>> =>
    this.request("POST", path, { body, ...(key === undefined ? {} : { key }) });

  /** Publish under a name of its own; gives the name. */
  async publish(definition: Definition, name = uniqueName()): Promise<string> {
    await this.#publishAll({ name, version: "1.0.0", ...definition });
    return name;
  }

  publishVersion = (name: string, version: string, steps: object[]): Promise<void> => this.#publishAll({ name, version, steps });

  async #publishAll(definition: Definition): Promise<void> {
    const answer = await insist(() => this.post("/api/v2/workflows", definition));
    // 200: it was stored, and its answer came too late.
    if (answer.status !== 201 && answer.status !== 200) throw new Error(`Not published: ${JSON.stringify(answer.body, null, 1)}`);
  }

  async start(workflow: string, input: Json = {}, key?: string): Promise<Run> {
    const answer = await this.#startOnce({ workflow, input }, key ?? randomUUID());
    if (answer.status !== 202) throw new Error(`Not started: ${JSON.stringify(answer.body)}`);
    return new Run(this, answer.body.id);
  }

  /** As clients should: with a key, and again when a part of the system does not answer. */
  #startOnce(body: object, key: string): Promise<Answer<{ id: string }>> {
    return eventually(
      () => this.post<{ id: string }>("/api/v2/runs", body, key),
      ({ status }) => status !== 503,
    );
  }

  /** Publish and start. */
  async begin(definition: Definition, input?: Json): Promise<Run> {
    return this.start(await this.publish(definition), input);
  }

  /** Publish, start, and wait for the end. */
  async finish(definition: Definition, input?: Json): Promise<RunBody> {
    return (await this.begin(definition, input)).end();
  }

  run = (id: string): Run => new Run(this, id);

  /** A client with a key of its own. */
  async withKey(key: { principal: string; kind: "person" | "service" | "agent"; roles: string[]; tenant?: string }): Promise<Client> {
    const answer = await insist(() => this.post<{ key: string }>("/api/v2/keys", key));
    if (answer.status !== 201) throw new Error(`No key: ${JSON.stringify(answer.body)}`);
    return new Client(answer.body.key);
  }

  async decide(approval: string, decision: JsonObject): Promise<Answer<ApprovalBody>> {
    return insist(() => this.post(`/api/v2/approvals/${encodeURIComponent(approval)}/decision`, decision));
  }
}

/** One run, as its owner sees it. */
export class Run {
  readonly id: string;
  readonly #client: Client;

  constructor(client: Client, id: string) {
    this.#client = client;
    this.id = id;
  }

  get path(): string {
    return `/api/v2/runs/${this.id}`;
  }

  read = (): Promise<RunBody> => this.#get<RunBody>("");

  /** The run when it has ended. Asked twice: what ends with the next rounds of reconcile ends late on a busy machine. */
  async end(): Promise<RunBody> {
    for (let asked = 1; ; asked += 1) {
      const run = await this.#get<RunBody>("?wait=50");
      // A problem has no such field.
      if (typeof run.endedAt === "string") return run;
      if (asked === 2) throw new Error(`Run ${this.id} has not ended: ${JSON.stringify(run)}`);
    }
  }

  steps = async (): Promise<StepBody[]> => (await this.#get<Page<StepBody>>("/steps?limit=200")).data;

  step = (path: string, waitSeconds = 0): Promise<StepBody> => this.#get(`/steps/${encodeURIComponent(path)}?wait=${waitSeconds}`);

  /** The whole log. */
  async events(): Promise<EventBody[]> {
    const all: EventBody[] = [];
    for (let hasMore = true; hasMore;) {
      const { data, page } = await this.#get<Page<EventBody>>(`/events?limit=200&after=${all.at(-1)?.seq ?? 0}`);
      all.push(...data);
      hasMore = page.hasMore;
    }
    return all;
  }

  /** Resolves with the first event that fits, past or future. */
  until = (type: string, step?: string): Promise<EventBody> =>
    this.#first((event) => event.type === type && (step === undefined || event.step === step), `${type} ${step ?? ""}`);

  untilAny = (...types: string[]): Promise<EventBody> => this.#first(({ type }) => types.includes(type), types.join(" or "));

  async #first(fits: (event: EventBody) => boolean, what: string): Promise<EventBody> {
    for await (const event of this.stream()) if (fits(event)) return event;
    const log = (await this.events()).map((event) => `${event.type} ${event.step ?? ""}`.trim());
    throw new Error(`Run ${this.id} has told no ${what}: ${log.join(", ")}`);
  }

  /** The log as server-sent events, until the run ends or our patience does; leaving the loop ends the connection. */
  async *stream(after = 0): AsyncGenerator<EventBody> {
    const headers = { accept: "text/event-stream", ...(after > 0 ? { "last-event-id": String(after) } : {}) };
    const signal = AbortSignal.timeout(PATIENCE_MS);
    try {
      let response = await this.#client.fetch("GET", `${this.path}/events`, { headers, signal });
      // A child is announced before it exists.
      while (response.status === 404 || response.status === 503)
        response = await later(() => this.#client.fetch("GET", `${this.path}/events`, { headers, signal }));
      for await (const { data } of readStream(response)) yield JSON.parse(data) as EventBody;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Put an event into the mailbox. As clients should, it is sent again when the run does not answer yet. */
  async signal(event: string, data: Json = null, id: string = randomUUID()): Promise<Answer> {
    const answer = await eventually(
      () => this.#client.post(`${this.path}/signals`, { event, data, id }),
      ({ status }) => status !== 503,
    );
    if (answer.status !== 202) throw new Error(`${event} is refused: ${JSON.stringify(answer.body)}`);
    return answer;
  }

  pause = (): Promise<Answer> => this.#post("/pause");
  resume = (): Promise<Answer> => this.#post("/resume");
  cancel = (): Promise<Answer> => this.#post("/cancel");
  terminate = (): Promise<Answer> => this.#post("/terminate");
  attend = (path: string, action: "retry" | "skip" | "fail" | "take", body: JsonObject = {}): Promise<Answer> =>
    this.#post(`/steps/${encodeURIComponent(path)}/${action}`, body);

  #post = (path: string, body: JsonObject = {}): Promise<Answer> => insist(() => this.#client.post(`${this.path}${path}`, body));
  #get = async <Body>(path: string): Promise<Body> => (await insist(() => this.#client.get<Body>(`${this.path}${path}`))).body;

  /** The pending approval of a step, as soon as it is asked. */
  async approval(step: string): Promise<string> {
    return (await this.until("approval.requested", step)).data["id"] as string;
  }
}

/** The platform's own key: an admin of tenant `default`. */
export const admin = new Client(facts.apiKey);

const later = async <T>(act: () => Promise<T>): Promise<T> => {
  await new Promise((wake) => setTimeout(wake, 50));
  return act();
};

/** Ask until it holds, or our patience is over: then the test sees what there is. */
export async function eventually<T>(ask: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  let value = await ask();
  while (!holds(value) && Date.now() < giveUpAt) value = await later(ask);
  return value;
}

/** As clients should: what could not be done in time is asked for again. */
export async function insist<Body>(ask: () => Promise<Answer<Body>>): Promise<Answer<Body>> {
  let askedAt = 0;
  const isLate = ({ status }: Answer<Body>): boolean => status === 503 && Date.now() - askedAt > LATE_MS;
  const askNow = (): Promise<Answer<Body>> => {
    askedAt = Date.now();
    return ask();
  };
  return eventually(askNow, (answer) => !isLate(answer));
}

let names = 0;

/** A name that nothing else has: of a definition, a path at the ledger, a model. */
export const uniqueName = (prefix = "t"): string => `${prefix}-${randomUUID().slice(0, 8)}-${(names += 1)}`;

/** A place at the ledger for one test. */
export class Place {
  readonly path = `/${uniqueName("at")}`;

  get url(): string {
    return `${facts.ledgerUrl}${this.path}`;
  }

  calls = (atLeast = 0) => host.ledgerCalls(this.path, atLeast);
  /** The next answers. */
  script = (...replies: Parameters<HostCommands["scriptLedger"]>[1]) => host.scriptLedger(this.path, replies);
  /** Answer nothing until it is released. */
  hold = () => host.holdLedger(this.path);
  release = () => host.releaseLedger(this.path);
}

/** A model of one test's own. */
export class Model {
  readonly name = uniqueName("model");

  get wanted(): string {
    return `openai/${this.name}`;
  }

  calls = (atLeast = 0) => host.modelCalls(this.name, atLeast);
  script = (...replies: Parameters<HostCommands["scriptModel"]>[1]) => host.scriptModel(this.name, replies);
}
