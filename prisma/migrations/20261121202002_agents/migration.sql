-- CreateTable
CREATE TABLE "agents" (
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "definition" JSONB NOT NULL,
    "latest" BOOLEAN NOT NULL,
    "published_by" TEXT NOT NULL,
    "published_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agents_pkey" PRIMARY KEY ("tenant","name","version")
);

-- CreateTable
CREATE TABLE "agent_states" (
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "revision" INTEGER NOT NULL,
    "state" TEXT NOT NULL,
    "why" TEXT,
    "changed_by" TEXT NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agent_states_pkey" PRIMARY KEY ("tenant","name","revision")
);

-- CreateIndex
CREATE INDEX "agents_tenant_latest_name_idx" ON "agents"("tenant", "latest", "name");
