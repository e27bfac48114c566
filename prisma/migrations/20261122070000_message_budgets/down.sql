-- AlterTable
ALTER TABLE "agent_messages" DROP COLUMN "budgets";
