-- AlterTable
ALTER TABLE "definitions" ADD COLUMN     "latest" BOOLEAN NOT NULL DEFAULT false;

-- CreateIndex
CREATE INDEX "definitions_tenant_latest_name_idx" ON "definitions"("tenant", "latest", "name");

-- Those of before: by semver.org, item 11. Numbers go by their length and then their digits, and before words; a release comes after
-- all its pre-releases; build metadata does not count.
CREATE FUNCTION version_key(p_version text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  WITH parts AS (SELECT regexp_match(p_version, '^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?') AS m)
  SELECT ARRAY(
    SELECT CASE WHEN part ~ '^\d+$' THEN '0' || lpad(length(ltrim(part, '0'))::text, 3, '0') || ltrim(part, '0') ELSE '1' || part END COLLATE "C"
    FROM unnest(m[1:3] || string_to_array(m[4], '.')) WITH ORDINALITY AS t(part, n) WHERE part IS NOT NULL ORDER BY n
  ) || CASE WHEN m[4] IS NULL THEN ARRAY['2'] ELSE ARRAY[]::text[] END
  FROM parts
$$;

UPDATE definitions d SET latest = true
FROM (SELECT DISTINCT ON (tenant, name) tenant, name, version FROM definitions
      ORDER BY tenant, name, version_key(version) COLLATE "C" DESC, version COLLATE "C") AS highest
WHERE (d.tenant, d.name, d.version) = (highest.tenant, highest.name, highest.version);

DROP FUNCTION version_key(text);
