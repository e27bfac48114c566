import { agentRoutes } from "./agents.ts";
import { approvalRoutes } from "./approvals.ts";
import { auditRoutes } from "./audit.ts";
import { budgetRoutes } from "./budgets.ts";
import { definitionRoutes } from "./definitions.ts";
import { documentationRoutes } from "./documentation.ts";
import { eventRoutes } from "./events.ts";
import { healthRoutes } from "./health.ts";
import { keyRoutes } from "./keys.ts";
import { lineageRoutes } from "./lineage.ts";
import { mcpServerRoutes } from "./mcp-servers.ts";
import { messageRoutes } from "./messages.ts";
import { messageWebhookRoutes } from "./message-webhooks.ts";
import { pauseRoutes } from "./pauses.ts";
import type { Route } from "./route.ts";
import { migrateRunsRoutes } from "./migrate-runs.ts";
import { planChangeRoutes } from "./plan-changes.ts";
import { runRoutes } from "./runs.ts";
import { scheduleRoutes } from "./schedules.ts";
import { startRoutes } from "./start.ts";
import { steeringRoutes } from "./steering.ts";
import { stepRoutes } from "./steps.ts";
import { usageRoutes } from "./usage.ts";
import { memoryRoutes } from "./memories.ts";
import { modelPriceRoutes } from "./model-prices.ts";
import { modelQuotaRoutes } from "./model-quotas.ts";
import { threadRoutes } from "./threads.ts";
import { toolRoutes } from "./tools.ts";

import { triggerRoutes } from "./hooks.ts";

/** Every route of the API, in reading order. */
export const routes: readonly Route[] = [
  ...definitionRoutes,
  ...startRoutes,
  ...runRoutes,
  ...stepRoutes,
  ...eventRoutes,
  ...usageRoutes,
  ...budgetRoutes,
  ...steeringRoutes,
  ...planChangeRoutes,
  ...migrateRunsRoutes,
  ...lineageRoutes,
  ...pauseRoutes,
  ...approvalRoutes,
  ...scheduleRoutes,
  ...triggerRoutes,
  ...modelPriceRoutes,
  ...modelQuotaRoutes,
  ...toolRoutes,
  ...agentRoutes,
  ...memoryRoutes,
  ...threadRoutes,
  ...messageRoutes,
  ...messageWebhookRoutes,
  ...mcpServerRoutes,
  ...keyRoutes,
  ...auditRoutes,
  ...healthRoutes,
  ...documentationRoutes(() => routes),
];
