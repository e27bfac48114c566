import type { Settings } from "../settings.ts";

/** The Temporal Web UI's page of one execution or one of its events, or of the workflow id's latest execution when the run id is not known. */
export function temporalLink(settings: UiSettings, workflowId: string, temporalRunId?: string, event?: number): string {
  const run = temporalRunId === undefined ? "" : `/${temporalRunId}/history${event === undefined ? "" : `/events/${event}`}`;
  return `${temporalUiBase(settings)}/namespaces/${settings.TEMPORAL_NAMESPACE}/workflows/${encodeURIComponent(workflowId)}${run}`;
}

/** The Web UI's list of executions that fit a query, such as `TenutoWorkflow="greet"`. */
export const temporalListLink = (settings: UiSettings, query: string): string =>
  `${temporalUiBase(settings)}/namespaces/${settings.TEMPORAL_NAMESPACE}/workflows?query=${encodeURIComponent(query)}`;

type UiSettings = Pick<Settings, "TEMPORAL_UI_URL" | "TEMPORAL_NAMESPACE">;

const temporalUiBase = (settings: UiSettings): string => (settings.TEMPORAL_UI_URL ?? "http://127.0.0.1:8233").replace(/\/+$/, "");
