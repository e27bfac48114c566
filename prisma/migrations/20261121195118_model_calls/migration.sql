-- CreateTable
CREATE TABLE "model_calls" (
    "run_id" TEXT NOT NULL,
    "effect_key" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "call_index" INTEGER NOT NULL,
    "tenant" TEXT NOT NULL,
    "execution" TEXT NOT NULL,
    "step_path" TEXT NOT NULL,
    "effect_root" TEXT NOT NULL,
    "agent" TEXT,
    "provider" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "wanted" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "route" JSONB,
    "status" TEXT NOT NULL,
    "input_tokens" INTEGER,
    "output_tokens" INTEGER,
    "cache_read_tokens" INTEGER,
    "cache_write_tokens" INTEGER,
    "reasoning_tokens" INTEGER,
    "is_estimated" BOOLEAN NOT NULL DEFAULT false,
    "cost_usd" DOUBLE PRECISION,
    "answer" TEXT,
    "error" JSONB,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "model_calls_pkey" PRIMARY KEY ("run_id","effect_key","attempt","call_index")
);

-- CreateTable
CREATE TABLE "model_answers" (
    "tenant" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "answer" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "model_answers_pkey" PRIMARY KEY ("tenant","hash")
);

-- CreateTable
CREATE TABLE "model_prices" (
    "tenant" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "input" DOUBLE PRECISION NOT NULL,
    "output" DOUBLE PRECISION NOT NULL,
    "cache_read" DOUBLE PRECISION,
    "cache_write" DOUBLE PRECISION,
    "set_by" TEXT NOT NULL,
    "set_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "model_prices_pkey" PRIMARY KEY ("tenant","model")
);

-- CreateIndex
CREATE INDEX "model_calls_tenant_started_at_idx" ON "model_calls"("tenant", "started_at");

-- CreateIndex
CREATE INDEX "model_calls_effect_root_idx" ON "model_calls"("effect_root");

-- CreateIndex
CREATE INDEX "model_answers_tenant_created_at_idx" ON "model_answers"("tenant", "created_at");

-- CreateIndex
CREATE INDEX "model_answers_expires_at_idx" ON "model_answers"("expires_at");
