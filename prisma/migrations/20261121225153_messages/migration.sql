-- CreateTable
CREATE TABLE "agent_messages" (
    "id" UUID NOT NULL,
    "tenant" TEXT NOT NULL,
    "sender_kind" TEXT NOT NULL,
    "sender" TEXT NOT NULL,
    "type" VARCHAR(50) NOT NULL,
    "payload" JSONB NOT NULL,
    "correlation_id" TEXT NOT NULL,
    "reply_to" UUID,
    "depth" INTEGER NOT NULL DEFAULT 0,
    "reply_until" TIMESTAMPTZ(3),
    "request_hash" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agent_messages_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "message_deliveries" (
    "seq" BIGSERIAL NOT NULL,
    "message_id" UUID NOT NULL,
    "tenant" TEXT NOT NULL,
    "sender_kind" TEXT NOT NULL,
    "sender" TEXT NOT NULL,
    "recipient_kind" TEXT NOT NULL,
    "recipient" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "round" INTEGER NOT NULL DEFAULT 1,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "problem" JSONB,
    "run_id" TEXT,
    "reply_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "delivered_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "message_deliveries_pkey" PRIMARY KEY ("seq")
);

-- CreateTable
CREATE TABLE "message_webhooks" (
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "secret" TEXT,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "message_webhooks_pkey" PRIMARY KEY ("tenant","name")
);

-- CreateIndex
CREATE INDEX "agent_messages_tenant_created_at_id_idx" ON "agent_messages"("tenant", "created_at" DESC, "id");

-- CreateIndex
CREATE INDEX "agent_messages_tenant_correlation_id_idx" ON "agent_messages"("tenant", "correlation_id");

-- CreateIndex
CREATE INDEX "message_deliveries_tenant_sender_kind_sender_status_seq_idx" ON "message_deliveries"("tenant", "sender_kind", "sender", "status", "seq");

-- CreateIndex
CREATE INDEX "message_deliveries_tenant_recipient_kind_recipient_status_idx" ON "message_deliveries"("tenant", "recipient_kind", "recipient", "status");

-- CreateIndex
CREATE INDEX "message_deliveries_status_created_at_idx" ON "message_deliveries"("status", "created_at");

-- CreateIndex
CREATE UNIQUE INDEX "message_deliveries_message_id_recipient_kind_recipient_key" ON "message_deliveries"("message_id", "recipient_kind", "recipient");

-- AddForeignKey
ALTER TABLE "message_deliveries" ADD CONSTRAINT "message_deliveries_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "agent_messages"("id") ON DELETE CASCADE ON UPDATE CASCADE;
