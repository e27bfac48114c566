-- AlterTable
ALTER TABLE "model_calls" ADD COLUMN     "lost_at" TIMESTAMPTZ(3),
ADD COLUMN     "reservation" JSONB;

-- CreateTable
CREATE TABLE "budgets" (
    "tenant" TEXT NOT NULL,
    "scope" TEXT NOT NULL,
    "caps" JSONB NOT NULL,
    "on_exceed" TEXT NOT NULL,
    "day" TEXT,
    "spent" JSONB NOT NULL DEFAULT '{}',
    "reserved" JSONB NOT NULL DEFAULT '{}',
    "set_by" TEXT,
    "set_at" TIMESTAMPTZ(3),

    CONSTRAINT "budgets_pkey" PRIMARY KEY ("tenant","scope")
);

-- CreateIndex
CREATE INDEX "model_calls_status_lost_at_idx" ON "model_calls"("status", "lost_at");
