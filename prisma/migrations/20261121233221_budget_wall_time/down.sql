ALTER TABLE "budgets" DROP COLUMN "began_at";
