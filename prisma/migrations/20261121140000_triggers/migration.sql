-- CreateTable
CREATE TABLE "triggers" (
    "tenant" TEXT NOT NULL,
    "workflow" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "ordinal" INTEGER NOT NULL,
    "version" TEXT NOT NULL,
    "key" TEXT,
    "trigger" JSONB NOT NULL,
    "removed" BOOLEAN NOT NULL DEFAULT false,
    "synced" BOOLEAN NOT NULL DEFAULT true,

    CONSTRAINT "triggers_pkey" PRIMARY KEY ("tenant","workflow","type","ordinal")
);

-- CreateIndex
CREATE INDEX "triggers_tenant_type_key_idx" ON "triggers"("tenant", "type", "key");

-- CreateIndex
CREATE INDEX "triggers_synced_idx" ON "triggers"("synced");
