-- CreateTable
CREATE TABLE "thread_numbers" (
    "tenant" TEXT NOT NULL,
    "agent" TEXT NOT NULL,
    "thread" TEXT NOT NULL,
    "newest" INTEGER NOT NULL,

    CONSTRAINT "thread_numbers_pkey" PRIMARY KEY ("tenant","agent","thread")
);

INSERT INTO "thread_numbers" SELECT "tenant", "agent", "thread", max("number") FROM "exchanges" GROUP BY 1, 2, 3;
