-- AlterTable
ALTER TABLE "budgets" ADD COLUMN     "began_at" TIMESTAMPTZ(3);
