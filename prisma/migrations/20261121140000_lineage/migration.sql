-- AlterTable
ALTER TABLE "runs" ADD COLUMN     "effect_root" TEXT,
ADD COLUMN     "fork_of" TEXT,
ADD COLUMN     "retry_of" TEXT;

-- AlterTable
ALTER TABLE "steps" ADD COLUMN     "reused_from" TEXT;

-- CreateIndex
CREATE INDEX "runs_retry_of_idx" ON "runs"("retry_of");

-- CreateIndex
CREATE INDEX "runs_fork_of_idx" ON "runs"("fork_of");

-- A retry or fork begins: its lineage, and the steps it takes over, in its own log and its own list of steps. The rows are
-- copies, so that a run can be read, retried and forked without its origin; what a step cost stays with the run that paid.
CREATE FUNCTION take_over(p_run jsonb, p_lineage jsonb, p_events jsonb) RETURNS TABLE (status text, last_seq int, appended int)
LANGUAGE plpgsql AS $$
DECLARE
  v_id text := p_run ->> 'id';
BEGIN
  SELECT a.status, a.last_seq, a.appended INTO status, last_seq, appended FROM append_events(p_run, p_events) a;
  UPDATE runs r SET retry_of = p_lineage ->> 'retryOf', fork_of = p_lineage ->> 'forkOf', effect_root = p_lineage ->> 'effectRoot'
  WHERE r.id = v_id;

  INSERT INTO steps (run_id, path, tenant, type, status, output, error, started_at, ended_at, first_seq, reused_from)
  SELECT v_id, e.step, e.tenant, e.data ->> 'type', 'reused', coalesce(e.data -> 'output', o.output), o.error, e.time, e.time, e.seq,
         e.data ->> 'runId'
  FROM events e LEFT JOIN steps o ON o.run_id = e.data ->> 'runId' AND o.path = e.step AND o.tenant = e.tenant
  WHERE e.run_id = v_id AND e.seq > take_over.last_seq - take_over.appended AND e.type = 'step.reused'
  ON CONFLICT (run_id, path) DO NOTHING;
  RETURN NEXT;
END $$;
