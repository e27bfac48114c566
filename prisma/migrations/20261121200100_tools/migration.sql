-- CreateTable
CREATE TABLE "tools" (
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "server" TEXT,
    "description" TEXT NOT NULL,
    "input" JSONB NOT NULL,
    "output" JSONB,
    "effect" TEXT NOT NULL,
    "idempotent" BOOLEAN NOT NULL,
    "short" BOOLEAN NOT NULL,
    "hash" TEXT NOT NULL,
    "published_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "tools_pkey" PRIMARY KEY ("tenant","name","version")
);

-- CreateTable
CREATE TABLE "tool_pins" (
    "tenant" TEXT NOT NULL,
    "root" TEXT NOT NULL,
    "tool" TEXT NOT NULL,
    "range" TEXT NOT NULL,
    "version" TEXT NOT NULL,

    CONSTRAINT "tool_pins_pkey" PRIMARY KEY ("tenant","root","tool","range")
);

-- CreateTable
CREATE TABLE "tool_calls" (
    "id" BIGSERIAL NOT NULL,
    "tenant" TEXT NOT NULL,
    "tool" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "duration_ms" INTEGER NOT NULL,
    "outcome" TEXT NOT NULL,
    "detail" TEXT,

    CONSTRAINT "tool_calls_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "tool_calls_tenant_tool_id_idx" ON "tool_calls"("tenant", "tool", "id" DESC);

-- CreateIndex
CREATE INDEX "tool_calls_started_at_idx" ON "tool_calls"("started_at");
