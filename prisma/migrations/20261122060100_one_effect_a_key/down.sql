ALTER TABLE "effects" DROP CONSTRAINT "effects_pkey",
ADD CONSTRAINT "effects_pkey" PRIMARY KEY ("tenant", "key", "call", "args_hash");
