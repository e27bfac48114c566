-- Of each version what was seen last.
DELETE FROM "tools" AS earlier USING "tools" AS later
WHERE (later."tenant", later."name", later."version") = (earlier."tenant", earlier."name", earlier."version")
  AND (later."seen_at", later."published_at", later."hash") > (earlier."seen_at", earlier."published_at", earlier."hash");
ALTER TABLE "tools" DROP CONSTRAINT "tools_pkey",
ADD CONSTRAINT "tools_pkey" PRIMARY KEY ("tenant", "name", "version");
