-- AlterTable
ALTER TABLE "agent_messages" ADD COLUMN     "budgets" JSONB NOT NULL DEFAULT '[]';
