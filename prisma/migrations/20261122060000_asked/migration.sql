-- AlterTable
ALTER TABLE "model_calls" ADD COLUMN     "asked" TEXT;
