import type { Activities } from "../contracts/activities.ts";
import { packCounts } from "../contracts/counts.ts";
import type { Database } from "../prisma/client.ts";
import { countsIn, letPassIn, sameWindow, treeOf, undosOf } from "../prisma/run-log.ts";
import { undoPagesOf } from "./ledger-pages.ts";

/**
 * What a window has left to be undone, from its log: however it ended, terminated too. Also what attempts before it did that it has not
 * taken over: nobody else would undo that. The errors it has let pass are its own; those of attempts before were told when these ended.
 */
export function createLeftByWindow(database: Database): Activities["leftByWindow"] {
  return async ({ tenant, run: id, undone: known }) => {
    const run = await database.run.findFirst({ where: { id, tenant }, select: { id: true, parentId: true } });
    if (!run) return null;
    const tree = await treeOf(database, await sameWindow(database, run));
    const { undone, isUndone } = await countsIn(database, tree, known);
    const undos = (await undosOf(database, tree.all)).map(({ undo }) => undo).filter(({ path }) => !isUndone(path));
    const errors = await letPassIn(database, (await treeOf(database, [id])).own);
    return { undos: await undoPagesOf(database, tenant, undos), undone: packCounts(undone), errors };
  };
}
