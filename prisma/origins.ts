import { limits } from "../contracts/limits.ts";
import { Prisma } from "./client.ts";

/**
 * `origins(root, depth)`, for a `WITH RECURSIVE`: a root of effect keys (depth 0), then the roots of the runs that its tree was forked
 * from, the nearest first. What they have done outside stands for the fork too, unless it asked to have it done again.
 */
export const originsOf = (tenant: string, root: string): Prisma.Sql => Prisma.sql`
  origins(root, depth) AS (
    SELECT ${root}::text, 0
    UNION ALL
    SELECT coalesce(o.effect_root, o.id) || substr(c.root, length(f.id) + 1), c.depth + 1
    FROM origins c
    JOIN runs f ON f.id = split_part(c.root, '.', 1) AND f.tenant = ${tenant}
    JOIN runs o ON o.id = f.fork_of
    WHERE c.depth < ${limits.forkChainMax} AND NOT EXISTS (
      SELECT 1 FROM events e WHERE e.run_id = f.id AND e.identity = '#1/run.started/0' AND e.data ->> 'reexecuteEffects' = 'true'))`;

/** Whether what a run did under a root, at a path and a moment, was undone since. All but the tenant are expressions of the query. */
export const wasUndone = (tenant: string, { run, root, path, at }: Record<"run" | "root" | "path" | "at", Prisma.Sql>): Prisma.Sql =>
  Prisma.sql`EXISTS (
    SELECT 1 FROM runs r JOIN events u ON u.run_id = r.id AND u.type = 'step.compensated'
    WHERE r.tenant = ${tenant} AND (r.id IN (${run}, ${root}) OR r.effect_root = ${root}) AND u.time >= ${at}
      AND (u.step = ${path} OR starts_with(${path}, u.step || '.') OR starts_with(${path}, u.step || '[')))`;
