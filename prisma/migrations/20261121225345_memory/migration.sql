-- CreateTable
CREATE TABLE "exchanges" (
    "tenant" TEXT NOT NULL,
    "agent" TEXT NOT NULL,
    "thread" TEXT NOT NULL,
    "number" INTEGER NOT NULL,
    "key" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "asked" TEXT NOT NULL,
    "answered" TEXT NOT NULL,
    "transcript" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "exchanges_pkey" PRIMARY KEY ("tenant","agent","thread","number")
);

-- CreateTable
CREATE TABLE "memories" (
    "id" TEXT NOT NULL,
    "tenant" TEXT NOT NULL,
    "agent" TEXT NOT NULL,
    "subject" TEXT,
    "text" TEXT NOT NULL,
    "words" tsvector,
    "key" TEXT NOT NULL,
    "run_id" TEXT,
    "path" TEXT,
    "written_by" TEXT NOT NULL,
    "written_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "memories_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "exchanges_tenant_key_key" ON "exchanges"("tenant", "key");

-- CreateIndex
CREATE INDEX "memories_tenant_agent_written_at_id_idx" ON "memories"("tenant", "agent", "written_at" DESC, "id");

-- CreateIndex
CREATE INDEX "memories_expires_at_idx" ON "memories"("expires_at");

-- CreateIndex
CREATE INDEX "memories_words_idx" ON "memories" USING GIN ("words");

-- CreateIndex
CREATE UNIQUE INDEX "memories_tenant_key_key" ON "memories"("tenant", "key");
