-- AlterTable
ALTER TABLE "tools" DROP CONSTRAINT "tools_pkey",
ADD CONSTRAINT "tools_pkey" PRIMARY KEY ("tenant", "name", "version", "hash");
