ALTER TABLE "tool_pins" DROP COLUMN "settled_at";
DROP INDEX "model_calls_started_at_idx";
DROP INDEX "effects_opened_at_idx";
DROP INDEX "agent_messages_created_at_idx";
