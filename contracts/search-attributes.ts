/**
 * What the Temporal Web UI lists and filters runs by. Each is a typed search-attribute key as it stands,
 * for the client and for workflow code: `upsertSearchAttributes([{ key: searchAttributes.status, value }])`.
 * Plain text in Temporal: no personal data. On SQL a namespace has room for 10 Keyword and 3 Int.
 */
export const searchAttributes = {
  tenant: { name: "TenutoTenant", type: "KEYWORD" },
  workflow: { name: "TenutoWorkflow", type: "KEYWORD" },
  version: { name: "TenutoVersion", type: "KEYWORD" },
  /** Changed on coarse steps only: each change is one history event. */
  status: { name: "TenutoStatus", type: "KEYWORD" },
  parent: { name: "TenutoParent", type: "KEYWORD" },
  /** How many approvals the run waits for. */
  approvals: { name: "TenutoApprovals", type: "INT" },
} as const;
