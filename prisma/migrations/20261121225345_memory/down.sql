DROP TABLE "memories";
DROP TABLE "exchanges";
