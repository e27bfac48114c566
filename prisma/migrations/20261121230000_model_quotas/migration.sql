-- CreateTable
CREATE TABLE "model_quotas" (
    "tenant" TEXT NOT NULL,
    "model" TEXT NOT NULL,
    "requests" INTEGER,
    "tokens" INTEGER,
    "window_ms" INTEGER NOT NULL,
    "set_by" TEXT NOT NULL,
    "set_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "model_quotas_pkey" PRIMARY KEY ("tenant","model")
);
