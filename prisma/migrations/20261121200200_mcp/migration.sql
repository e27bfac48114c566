-- CreateTable
CREATE TABLE "mcp_servers" (
    "tenant" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "transport" TEXT NOT NULL,
    "config" JSONB NOT NULL,
    "updated_by" TEXT NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "mcp_servers_pkey" PRIMARY KEY ("tenant","name")
);

-- CreateTable
CREATE TABLE "mcp_pins" (
    "tenant" TEXT NOT NULL,
    "server" TEXT NOT NULL,
    "tools" JSONB NOT NULL,
    "approved_by" TEXT NOT NULL,
    "approved_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "pending_hash" TEXT,
    "pending" JSONB,
    "changes" JSONB NOT NULL DEFAULT '[]',

    CONSTRAINT "mcp_pins_pkey" PRIMARY KEY ("tenant","server")
);
