-- AlterTable
ALTER TABLE "tool_pins" ADD COLUMN     "settled_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- CreateIndex
CREATE INDEX "model_calls_started_at_idx" ON "model_calls" USING BRIN ("started_at");

-- CreateIndex
CREATE INDEX "tool_pins_settled_at_idx" ON "tool_pins" USING BRIN ("settled_at");

-- CreateIndex
CREATE INDEX "effects_opened_at_idx" ON "effects" USING BRIN ("opened_at");

-- CreateIndex
CREATE INDEX "agent_messages_created_at_idx" ON "agent_messages" USING BRIN ("created_at");
